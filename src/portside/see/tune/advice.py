"""Where a value bites: warnings about the settings of a host, from their values and what the host does with them.

Pure: the same function tells what is wrong now, and what a planned value would do.
"""

from __future__ import annotations

from portside.ports.number import HostRanges
from portside.record import Record
from portside.see.tune import settings, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.see.tune.usage import Facts, Listener

_NEARLY = 0.8  # of the range towards one destination
_SMALL = 5000  # ports; TIME_WAIT keeps each for 60 s
_CHATTY = 60  # seconds of silence


class Warning(Record):
    """Something that bites: which setting, what, and the command that mends it (empty: there is none)."""

    setting: str
    text: str
    next_step: str = ""


def ranges_of(values: dict[str, str]) -> HostRanges:
    """Return the host's division of the ports, the kernel's where a value is not known."""
    default = HostRanges()
    return HostRanges(
        settings.as_range(values["ephemeral"]) if values.get("ephemeral") else default.ephemeral,
        int(values.get("unprivileged") or default.unprivileged_start),
        settings.as_ranges(values.get("reserved", "")),
    )


def warnings(values: dict[str, str], facts: Facts) -> tuple[Warning, ...]:
    """Return everything that bites; `values` are canonical, by setting."""
    ranges = ranges_of(values)
    found = [*_ephemeral(ranges, facts), *_reserved(ranges), *_unprivileged(ranges), *_timers(values)]
    return (*found, *_backlogs(values, facts))


def _ephemeral(ranges: HostRanges, facts: Facts) -> Iterator[Warning]:
    inside = ranges.ephemeral
    for listener in facts.listeners:
        if listener.by_number and ranges.is_ephemeral(listener.port):
            yield Warning(
                "ephemeral",
                f"{listener.port}/tcp{_whose(listener)} listens inside the range: while it does not run, "
                "any connection may be given its port",
                f"portside tune reserved +{listener.port}",
            )
    if inside.first % 2 == inside.last % 2:
        yield Warning(
            "ephemeral", "both ends are even, or both odd: the kernel serves connect and bind from halves"
        )
    left = usage.given(ranges)
    if left < _SMALL:
        yield Warning(
            "ephemeral", f"only {left} ports: as many connections a minute to one destination, and not more"
        )
    if facts.use is not None and facts.use.destinations and left > 0:
        busiest = facts.use.destinations[0]
        if busiest.used >= left * _NEARLY:
            yield Warning(
                "ephemeral",
                f"{busiest.used} of {left} ports are in use towards {busiest.address} port {busiest.port}: "
                "with none left, connect fails with EADDRNOTAVAIL",
                f"portside tune ephemeral {max(ranges.unprivileged_start, 1024)}-65535",
            )


def _reserved(ranges: HostRanges) -> Iterator[Warning]:
    inside = ranges.ephemeral
    without = [str(one) for one in ranges.reserved if one.last < inside.first or one.first > inside.last]
    if without:
        yield Warning(
            "reserved", f"{','.join(without)}: outside the ephemeral range {inside}, where it has no effect"
        )
    left = usage.given(ranges)
    if left <= 0:
        yield Warning("reserved", "every port of the ephemeral range is reserved: no connection gets a port")
    elif left < len(inside) // 2:
        yield Warning("reserved", f"more than half of the ephemeral range is reserved: {left} ports are left")


def _unprivileged(ranges: HostRanges) -> Iterator[Warning]:
    start = ranges.unprivileged_start
    if start < 1024:
        yield Warning("unprivileged", f"any user may bind ports from {start}, and pose as a service there")
    elif start > 1024:
        yield Warning(
            "unprivileged", f"programs without CAP_NET_BIND_SERVICE cannot bind ports 1024-{start - 1}"
        )


def _timers(values: dict[str, str]) -> Iterator[Warning]:
    time = values.get("keepalive")
    if time is not None and int(time) < _CHATTY:
        yield Warning("keepalive", "each idle connection that asks for keepalive sends a packet that often")


def dead_peer_seconds(values: dict[str, str]) -> int | None:
    """Return after how many seconds of silence a dead peer is given up, None where a value is not known."""
    names = ("keepalive", "keepalive-interval", "keepalive-probes")
    if not all(values.get(name) for name in names):
        return None
    time, interval, probes = (int(values[name]) for name in names)
    return time + interval * probes


def _backlogs(values: dict[str, str], facts: Facts) -> Iterator[Warning]:
    most = int(values.get("somaxconn") or 0)
    for listener in facts.listeners:
        full = bool(listener.limit) and listener.used > (listener.limit or 0) * _NEARLY
        if not (listener.drops or full):
            continue
        who = f"{listener.port}/tcp{_whose(listener)} on {listener.address}"
        state = f"{listener.used} of {listener.limit} wait to be accepted"
        dropped = f", {listener.drops} connection attempts dropped so far" if listener.drops else ""
        capped = listener.limit == most and most
        advice = f"portside tune somaxconn {most * 4}" if capped else ""
        why = "" if capped else f"; its program asked for {listener.limit}, somaxconn is not what bounds it"
        yield Warning("somaxconn", f"{who}: {state}{dropped}{why}", advice)
    if values.get("syn-backlog") and not facts.cookies and int(values["syn-backlog"]) < 1024:
        yield Warning("syn-backlog", "SYN cookies are off: few forged handshakes keep everybody out")


def _whose(listener: Listener) -> str:
    return f" ({listener.owner})" if listener.owner else ""
