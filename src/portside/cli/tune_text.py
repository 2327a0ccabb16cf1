"""How settings are drawn: the table of all, one with everything about it, and their JSON."""

from __future__ import annotations

from portside.cli.output import Column
from portside.see.tune import advice, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from portside.cli.output import Output
    from portside.see.tune.advice import Warning
    from portside.see.tune.applying import Done
    from portside.see.tune.changes import Change
    from portside.see.tune.settings import Setting
    from portside.see.tune.usage import Facts, Listener, Use

    Values = dict[str, str]


def table(
    chosen: Sequence[Setting], values: Values, facts: Facts, warnings: Sequence[Warning], output: Output
) -> None:
    """Write one line for each setting, and the warnings below."""
    columns = (
        Column("name", "NAME", lambda setting: setting.name),
        Column(
            "value", "VALUE", lambda setting: settings.shown(setting, values[setting.name]),
            style=lambda setting: "bold" if _differs(setting, values) else "", shrink=4,
        ),
        Column("default", "DEFAULT", lambda setting: _default(setting), shrink=3),
        Column("use", "IN USE", lambda setting: _use(setting, values, facts), shrink=2),
        Column("about", "MEANING", lambda setting: setting.about, shrink=1),
    )  # fmt: skip
    output.table(chosen, columns)
    output.write("".join(warning_line(one, output, named=True) for one in warnings))


def one(setting: Setting, values: Values, facts: Facts, warnings: Sequence[Warning], output: Output) -> None:
    """Write everything about one setting."""
    value = settings.shown(setting, values[setting.name])
    same = values[setting.name] == setting.default
    where = "the kernel's default" if same else f"default {_default(setting)}"
    output.write(f"{output.style(setting.name, 'bold')}  {value}  ({where})  {setting.sysctl}\n")
    for line in (setting.about, *_details(setting, values, facts)):
        output.write(f"  {output.clean(line)}\n")
    if setting.name in ("somaxconn", "syn-backlog") and facts.listeners:
        _listeners(facts.listeners, output)
    output.write("".join(warning_line(each, output) for each in warnings if each.setting == setting.name))


def warning_line(bites: Warning, output: Output, *, named: bool = False) -> str:
    """Return the line of a warning."""
    text = (f"{bites.setting}: " if named else "") + bites.text
    mend = f"; {bites.next_step}" if bites.next_step else ""
    return f"{output.style('warning', 'yellow')}: {output.clean(text + mend)}\n"


def _differs(setting: Setting, values: Values) -> bool:
    return values[setting.name] != setting.default and setting.name != "syn-backlog"


def _default(setting: Setting) -> str:
    if not setting.default and setting.kind != settings.PORTS:
        return "by memory"
    return settings.shown(setting, setting.default)


def _use(setting: Setting, values: Values, facts: Facts) -> str:
    """Return what the host does with a setting, in a few words."""
    if setting.name == "ephemeral" and facts.use is not None:
        return f"{facts.use.tcp} tcp, {facts.use.udp} udp of {facts.use.size}"
    if setting.name == "somaxconn":
        return f"{facts.count('ListenOverflows')} overflows"
    if setting.name == "syn-backlog":
        return f"{facts.count('TCPReqQFullDrop')} dropped"
    if setting.name == "keepalive":
        seconds = advice.dead_peer_seconds(values)
        return f"dead in {settings.duration(seconds)}" if seconds is not None else ""
    return ""


def _details(setting: Setting, values: Values, facts: Facts) -> Iterator[str]:
    if setting.name == "ephemeral" and facts.use is not None:
        yield from _use_lines(facts.use)
    if setting.name.startswith("keepalive"):
        seconds = advice.dead_peer_seconds(values)
        if seconds is not None:
            yield f"a peer that vanished is given up after {settings.duration(seconds)} of silence"
    if setting.name == "somaxconn":
        yield (
            f"so far: {facts.count('ListenOverflows')} times a backlog was full, "
            f"{facts.count('ListenDrops')} connection attempts were dropped"
        )
    if setting.name == "syn-backlog":
        yield (
            f"SYN cookies are {'on' if facts.cookies else 'off'}; so far: {facts.count('SyncookiesSent')} sent, "
            f"{facts.count('TCPReqQFullDrop')} handshakes dropped"
        )


def _use_lines(use: Use) -> Iterator[str]:
    yield f"{use.size} ports can be given; {use.tcp} are in use by TCP, {use.udp} by UDP"
    for one in use.destinations:
        yield f"{one.used} of {use.size} from {one.source} to {one.address} port {one.port}"


def _listeners(listeners: Sequence[Listener], output: Output) -> None:
    columns = (
        Column("port", "  PORT", lambda one: f"  {one.port}/tcp"),
        Column("address", "ADDRESS", lambda one: one.address),
        Column("used", "WAITING", lambda one: str(one.used), right=True),
        Column("limit", "BACKLOG", lambda one: "?" if one.limit is None else str(one.limit), right=True),
        Column("drops", "DROPPED", lambda one: "?" if one.drops is None else str(one.drops), right=True),
        Column("owner", "OWNER", lambda one: one.owner or "-", shrink=1),
    )
    output.table(sorted(listeners, key=lambda one: (one.port, one.address)), columns)


def item(setting: Setting, values: Values, facts: Facts, warnings: Sequence[Warning]) -> dict[str, Any]:
    """An item of `kind: tune`."""
    made: dict[str, Any] = {
        "name": setting.name,
        "sysctl": setting.sysctl,
        "value": _plain(setting, values[setting.name]),
        "default": _plain(setting, setting.default),
        "about": setting.about,
        "warnings": [_bite(one) for one in warnings if one.setting == setting.name],
    }
    if setting.name == "ephemeral" and facts.use is not None:
        use = facts.use
        made["use"] = {
            "size": use.size, "tcp": use.tcp, "udp": use.udp,
            "destinations": [dict(one.items()) for one in use.destinations],
        }  # fmt: skip
    if setting.name == "somaxconn":
        made["listeners"] = [dict(one.items()) for one in facts.listeners]
        made["counters"] = facts.counters
    return made


def change_item(change: Change, done: Done | None, bites: Sequence[Warning]) -> dict[str, Any]:
    """The one item of `kind: tune-change`."""
    setting = change.setting
    return {
        "name": change.name,
        "sysctl": setting.sysctl,
        "before": _plain(setting, change.before),
        "after": _plain(setting, change.after),
        "now": _plain(setting, done.now) if done else None,
        "persist": change.persist,
        "overridden_by": (done.overridden_by or None) if done else None,
        "recorded": done.recorded if done else None,
        "warnings": [_bite(one) for one in bites],
    }


def _bite(one: Warning) -> dict[str, Any]:
    return {"text": one.text, "next_step": one.next_step or None}


def _plain(setting: Setting, value: str) -> object:
    """A canonical value as JSON: numbers (seconds, counts, ports) are numbers, ranges and lists text."""
    if setting.kind in (settings.RANGE, settings.PORTS):
        return value
    return int(value) if value else None
