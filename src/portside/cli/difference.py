"""Who gains and who loses by a change to the firewall: as a table, as JSON."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.cli.output import Output
    from portside.guard.changes.decide import Decision
    from portside.guard.difference import Difference

MOST_SHOWN = 12  # lines


def show(decision: Decision, output: Output) -> None:
    """Write who gains and who loses, by port."""
    from portside.cli.output import Column
    from portside.guard.words import who

    if decision.left:
        output.note(f"the rules tell {decision.left:,} more ports of these apart, which were not compared")
    if not decision.changed:
        of_these = ", as far as they were compared" if decision.left else ""
        output.note(f"nobody gains or loses a port that has a listener or was named{of_these}")
        return
    columns = (
        Column("word", "", lambda item: item.word),
        Column("port", "", _ports),
        Column("sources", "", lambda item: f"{who(item)} on {item.interface}"),
        Column("verdict", "", lambda item: f"{item.before} -> {item.after}"),
        Column("because", "", _because, shrink=1),
    )
    output.table(decision.changed[:MOST_SHOWN], columns, header=False)
    if len(decision.changed) > MOST_SHOWN:
        output.note(f"and {len(decision.changed) - MOST_SHOWN} more: see --json")


def _ports(one: Difference) -> str:
    return ",".join(_span(*span) for span in one.ports) + f"/{one.protocol}"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _because(one: Difference) -> str:
    parts = [f"goes to {one.goes_to}" if one.goes_to else "", one.condition, one.because]
    if one.reasons:
        parts.append(f"depending on: {'; '.join(one.reasons)}")
    return ", ".join(filter(None, parts))


def form(one: Difference) -> dict[str, Any]:
    """Return a difference as JSON has it."""
    from itertools import islice

    from portside.guard.words import networks

    return {
        "change": one.word,
        "protocol": one.protocol,
        "port": one.ports[0][0],
        "ports": [_span(*span) for span in one.ports],
        "interface": one.interface,
        "family": "inet6" if one.family == "ip6" else "inet",
        "sources": list(islice(networks(one.family, one.sources), 10_000)),
        "before": one.before,
        "after": one.after,
        "because": one.because,
        "reasons": list(one.reasons),
        "goes_to": one.goes_to or None,
        "condition": one.condition or None,
    }
