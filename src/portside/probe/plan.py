"""A scan as a value: what is probed, in which order, how; run by `scan`, kept by `checkpoint`."""

from __future__ import annotations

from portside.errors import BadRequest
from portside.probe import safety
from portside.probe.method import METHODS, Options
from portside.probe.order import Shard
from portside.probe.space import Addresses, Space
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.ports.number import Range
    from portside.ports.spec import PortSpec
    from portside.probe.targets import Targets

DEFAULT_TOP = 1000


class Part(Record):
    """The ports of one transport, and the methods that may probe them, best first."""

    protocol: str
    ports: tuple[Range, ...]
    methods: tuple[str, ...]


class Plan(Record):
    """A whole scan: every part's ports on every address.  `notes` are what the user should know before it starts."""

    addresses: Addresses
    parts: tuple[Part, ...]
    options: Options
    seed: int
    shard: Shard = Shard()
    names: tuple[tuple[bytes, str], ...] = ()
    notes: tuple[str, ...] = ()

    def space(self, part: Part) -> Space:
        """Return the probes of one part."""
        return Space(part.protocol, self.addresses, part.ports)


def make_plan(
    targets: Targets,
    spec: PortSpec | None,
    *,
    method: str = "auto",
    top: int = 0,
    ranking: str = "",
    exclude: PortSpec | None = None,
    options: Options | None = None,
    seed: int = 0,
    shard: Shard | None = None,
    allowed: bool = False,
) -> Plan:
    """Return the plan of a scan; BadRequest where it makes no sense or is larger than anybody's own networks.

    Without `spec` the first `top` ports are probed.  `allowed`: the user says that they may scan this.
    """
    if not targets.addresses:
        raise BadRequest("scan", "", "no address is left to scan", "name targets, or exclude less")
    addresses, left_out = safety.without_special(targets.addresses.blocks)
    safety.check_size(addresses, allowed)
    parts = _parts(spec, method, top or DEFAULT_TOP, ranking, exclude)
    chosen, notes = options or Options(), []
    if left_out:
        notes.append(
            f"{left_out:,} special-purpose addresses (private, loopback, ...) in wide ranges are left out"
        )
    if not (chosen.rate or chosen.limit) and addresses.without(safety.near()):
        chosen = chosen.replace(limit=safety.MODEST_RATE)
        notes.append(
            f"beyond the local networks: at most {chosen.limit:,.0f} probes a second (--rate changes it)"
        )
    made = Plan(addresses, parts, chosen, seed, shard or Shard(), targets.names, tuple(notes))
    for part in parts:
        made.space(part)  # BadRequest where it would never end
    return made


def _parts(
    spec: PortSpec | None, method: str, top: int, ranking: str, exclude: PortSpec | None
) -> tuple[Part, ...]:
    """Return the parts: ports whose transport is open are TCP's, UDP's with that method."""
    if method not in ("auto", *METHODS):
        raise BadRequest("scan", "", f"no method '{method}'", f"use auto or one of {', '.join(METHODS)}")
    own = "udp" if method == "udp" else "tcp"
    asked: dict[str, tuple[Range, ...]] = {}
    if spec is None:
        from portside.ports.top import top_ports

        asked[own] = top_ports(own, top, ranking)
    for transport, ranges in spec.parts if spec is not None else ():
        if transport not in ("", "tcp", "udp"):
            raise BadRequest("scan", f"{transport} ports", "only TCP and UDP can be scanned")
        asked[transport or own] = _united(asked.get(transport or own, ()), ranges)
    if method == "udp" and "tcp" in asked:
        raise BadRequest("scan", "TCP ports", "the method 'udp' cannot", "use --method auto")
    parts = []
    for protocol, ranges in sorted(asked.items()):
        kept = _without(ranges, exclude.ranges(protocol)) if exclude is not None else ranges
        methods = ("udp",) if protocol == "udp" else ("syn", "connect") if method == "auto" else (method,)
        if kept:
            parts.append(Part(protocol, kept, methods))
    if not parts:
        raise BadRequest("scan", "", "no port is left to scan", "exclude less")
    return tuple(parts)


def _united(some: tuple[Range, ...], more: tuple[Range, ...]) -> tuple[Range, ...]:
    from portside.ports.number import merge_ranges

    return merge_ranges((*some, *more))


def _without(ranges: tuple[Range, ...], holes: tuple[Range, ...]) -> tuple[Range, ...]:
    """Return the ports that are not in `holes`."""
    from portside.ports.number import Range

    kept = []
    for each in ranges:
        first = each.first
        for hole in holes:
            if hole.last < first or hole.first > each.last:
                continue
            if hole.first > first:
                kept.append(Range(first, hole.first - 1))
            first = hole.last + 1
        if first <= each.last:
            kept.append(Range(first, each.last))
    return tuple(kept)
