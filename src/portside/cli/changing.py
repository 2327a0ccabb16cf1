"""What the commands that change the firewall share: options, the plan that is shown, what is said afterwards."""

from __future__ import annotations

import time

from portside.cli.command import FAILED, FOUND, NOTHING, Argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.guard.changes.change import Change
    from portside.guard.changes.decide import Decision
    from portside.guard.changes.wish import Wish
    from portside.ports.number import Range


def _seconds(text: str) -> int:
    from portside.errors import BadRequest
    from portside.guard.changes.wish import parse_duration

    try:
        return parse_duration(text)
    except BadRequest as error:
        raise ValueError(str(error)) from None


SAFETY = (
    Argument(("--dry-run",), "print the plan and who would gain or lose, change nothing"),
    Argument(
        ("--confirm",),
        "take it back after so long, unless 'portside confirm' comes",
        "SECONDS",
        convert=_seconds,
    ),
    Argument(("--persist",), "keep it over a reboot"),
    Argument(("--force",), "even if it may lock out the connection we came by"),
)
SCOPE = (
    Argument(("--from",), "for these sources only: addresses or networks, comma-separated", "ADDRESS"),
    Argument(("--on",), "for what comes in on this interface only", "INTERFACE"),
)
ENDS = Argument(
    ("--for",), "end it after so long (90s, 30m, 1h30m, 2d): the kernel does", "TIME", convert=_seconds
)
LOG = Argument(
    ("--log",), "have the kernel log what it matches, a line a second at most, with 'portside:N' for change N"
)
COMMENT = Argument(("--comment",), "a word on why, kept with the rules", "TEXT")


def take_ports(text: str) -> tuple[tuple[str, Range], ...]:
    """Return the (protocol, ports) pairs of a port spec; one without a protocol is TCP."""
    from portside.ports.spec import parse_spec

    spec = parse_spec(text)
    return tuple((transport or "tcp", each) for transport, ranges in spec.parts for each in ranges)


def wish_of(verb: str, arguments: SimpleNamespace, **more: Any) -> Wish:
    """Return what was asked, from the arguments that the commands share."""
    from portside.guard.changes.wish import Wish, parse_network, parse_note

    given = vars(arguments)
    sources = [parse_network(one) for one in (given.get("from") or "").split(",") if one.strip()]
    lasts = given.get("for") or 0
    return Wish(
        verb,
        sources=tuple(sources),
        interface=given.get("on") or "",
        until=int(time.time()) + lasts if lasts else 0,
        log=bool(given.get("log")),
        note=parse_note(given.get("comment") or ""),
        **more,
    )


def carry_out(wish: Wish, arguments: SimpleNamespace, output: Output) -> int:
    """Decide, show or make the change; exit 0 made (or to be made), 1 nothing to do, 2 refused."""
    from portside.guard.changes.decide import decide

    decision, change = decide(wish, lasting=arguments.persist), None
    if not arguments.dry_run:
        from portside.guard.changes.making import make

        confirm = arguments.confirm or 0
        decision, change = make(decision, confirm=confirm, lasting=arguments.persist, insist=arguments.force)
    if decision.nothing:
        output.note(decision.nothing)
        if output.json:
            output.envelope("change", [])
        return NOTHING
    refused = decision.refusal if decision.refusal and not arguments.force else ""
    if arguments.dry_run:
        _show(decision, output)
        return FAILED if refused else FOUND
    if change is None:
        output.note(f"{wish}: {refused}; insist with --force, or look at it with --dry-run")
        return FAILED
    if output.json:
        output.envelope("change", [change_form(change, decision)])
        return FOUND
    _told(change, decision, output)
    return FOUND


def _show(decision: Decision, output: Output) -> None:
    from portside.cli import difference
    from portside.guard.changes.plan import describe

    if output.json:
        output.envelope("plan", [plan_form(decision)])
        return
    output.write(f"through {decision.plan.manager}:\n")
    text = decision.script and f"nft -f - <<'END'\n{decision.script}END\n"
    for line in (text + describe(decision.plan.steps)).splitlines():
        output.write(f"  {output.clean(line)}\n")
    difference.show(decision, output)
    for note in (*decision.plan.notes, decision.refusal):
        if note:
            output.note(note)


def _told(change: Change, decision: Decision, output: Output) -> None:
    from portside.cli import difference

    output.write(f"change {change.number}: {output.clean(str(change.wish))}, through {change.manager}\n")
    difference.show(decision, output)
    for note in decision.plan.notes:
        output.note(note)
    if change.deadline:
        output.note("taken back unless you run 'portside confirm' in time; do it over a new connection")


def plan_form(decision: Decision) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    from portside.cli import difference
    from portside.guard.changes.plan import to_plain

    return {
        "wish": str(decision.wish),
        "manager": decision.plan.manager,
        "script": decision.script,
        "steps": to_plain(decision.plan.steps),
        "back": to_plain(decision.plan.back),
        "difference": [difference.form(item) for item in decision.changed],
        "not_compared": decision.left,
        "refusal": decision.refusal,
        "notes": list(decision.plan.notes),
    }


def change_form(change: Change, decision: Decision | None = None) -> dict[str, Any]:
    """Return a change as JSON has it."""
    from portside.cli import difference
    from portside.cli.output import iso_time
    from portside.guard.changes.apply import standing
    from portside.guard.changes.change import wish_to_plain

    form = {
        "number": change.number,
        "change": str(change.wish),
        "state": standing(change),
        "manager": change.manager,
        "at": iso_time(change.at),
        "until": iso_time(change.wish.until) if change.wish.until else None,
        "persistent": change.lasting,
        "why": change.why,
        "wish": wish_to_plain(change.wish),
    }
    if decision is not None:
        form["difference"] = [difference.form(item) for item in decision.changed]
        form["not_compared"] = decision.left
    return form
