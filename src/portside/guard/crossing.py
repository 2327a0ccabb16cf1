"""What becomes of the connections to one port that come in by one interface, as sets of packets.

A set that gets through has an end: this host, or the place behind a translation; and what let each part of it in.
What does not has what stopped it.  For TCP the answer and the next packet must get through, too.
"""

from __future__ import annotations

from bisect import bisect_left

from portside.guard.bdd import ALL, EMPTY, merge
from portside.guard.environment import BROADCAST, IPV4, IPV6, LOCAL, LOOPBACK, MULTICAST_SPAN, WIDTH
from portside.guard.packet import Because, text
from portside.guard.space import Var
from portside.guard.symbolic import Engine, Stop
from portside.guard.trips import Arrival, Trips, own_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.environment import Device
    from portside.guard.state import Value

_NO_HOSTS = {  # this network, reserved; IPv4-compatible and IPv4-mapped
    IPV4: [(0, (1 << 24) - 1), (240 << 24, (1 << 32) - 1)],
    IPV6: [(0, (1 << 32) - 1), (0xFFFF << 32, (1 << 48) - 1)],
}


class Crossing:
    """What becomes of the connections to a port (`None`: to any) that come in by one interface.

    `own` is what it is about: the packets to addresses that are to be had there.  What the sets say of others means
    nothing.
    """

    def __init__(self, engine: Engine, device: Device, protocol: str, port: int | None) -> None:
        self.engine, self.device = engine, device
        manager = engine.manager
        trips = Trips(engine, device, protocol)
        engine.stops.clear()
        self.own = own_addresses(engine, loopback=device.name == "lo")
        arrivals = trips.arrive({trips.start(port): ALL})
        self.stops: list[Stop] = list(engine.stops)
        self.arrivals: list[Arrival] = []
        self.all = EMPTY
        for arrival in arrivals:
            got = arrival.node
            if protocol != "udp":
                engine.stops.clear()
                got = manager.both(trips.answers(arrival), trips.next(arrival, port))
                lost = manager.less(arrival.node, got)
                if lost != EMPTY:
                    why = next((one.because for one in engine.stops if manager.both(one.node, lost)), None)
                    self.stops.append(Stop(lost, why or Because(rule="no route back")))
            self.arrivals.append(arrival.replace(node=got))
            self.all = manager.either(self.all, got)
        engine.stops.clear()


def sources(engine: Engine, device: Device) -> int:
    """Return the sources that come in by an interface: not refused by the kernel, and answered by this interface."""
    environment, name, family = engine.environment, device.name, engine.family
    good = engine.space.where(
        "saddr",
        lambda source: (
            not environment.refused_source(family, source, device)
            and (name == "lo" or environment.back_by(family, source, name))
        ),
        ("comes", name),
    )
    if name == "lo":
        own = [(value, value) for value, _ in environment.own(family)]
        return engine.space.within("saddr", [*own, LOOPBACK[family]])
    if not any(address.family == family for address in device.addresses):
        return EMPTY
    odd = [LOOPBACK[family], MULTICAST_SPAN[family], *_NO_HOSTS[family]]
    return engine.manager.less(good, engine.space.within("saddr", odd))


def source_spans(engine: Engine, device: Device, node: int) -> tuple[tuple[int, int], ...]:
    """Return the spans of a set of sources, holes closed that no packet can come from.

    Else a network would fall into pieces around this host's own address and its broadcast.
    """
    holes = [
        way.span
        for way in engine.environment.ways
        if way.family == engine.family
        and way.table == 255
        and way.type in (LOCAL, BROADCAST)
        and way.device == device.name
    ]
    spans = engine.manager.intervals(node, 0, WIDTH[engine.family])
    closed = [hole for hole in holes if _touches(spans, hole)]
    return tuple(merge([*spans, *closed]) if closed else spans)


def _touches(spans: list[tuple[int, int]], hole: tuple[int, int]) -> bool:
    """Whether one of the spans, in order, ends just below a hole, or begins just above it."""
    at = bisect_left(spans, hole)
    below, above = spans[at - 1 : at], spans[at : at + 1]
    return any(one[1] == hole[0] - 1 for one in below) or any(one[0] == hole[1] + 1 for one in above)


def ranked(arrival: Arrival) -> list[tuple[int, Because]]:
    """Return what let the parts in: rules before policies, the last chain's first."""
    parts = list(reversed(arrival.passes))
    parts.sort(key=lambda one: one[1].rule.startswith("policy "))
    return [*parts, (ALL, Because(rule="no rule stops it"))]


def goal(family: str, arrival: Arrival | None) -> str:
    """Return the place behind a translation, empty where there was none."""
    if arrival is None:
        return ""
    values = arrival.state.values
    if not values["_bound dst"]:
        return ""
    port, address = values["dport"], values["daddr"]
    shown = _shown(family, address)
    where = f"[{shown}]" if ":" in shown else shown
    return f"{where}:{_shown('', port)}" + (f" by '{values['oifname']}'" if arrival.way == "forward" else "")


def _shown(family: str, value: Value) -> str:
    if isinstance(value, Var):
        return "*"
    low, high = value if isinstance(value, tuple) else (int(value), int(value))
    words = [text(family, one) if family else str(one) for one in (low, high)]
    return words[0] if low == high else "-".join(words)
