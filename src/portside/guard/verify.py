"""Answers held against a kernel: `portside reach --verify`.

A scratch namespace gets the same interfaces, addresses, routes, settings and rules; stand-ins listen; every piece of
an answer and its edges (the first and the last source, and those just outside) is a real packet.  What arrived is the
verdict.  Where something of the host could not be copied that is said, and counts as no agreement.  Left out:
loopback, and neighbours' link-local addresses.
"""

from __future__ import annotations

from portside.guard.environment import WIDTH
from portside.guard.packet import DEPENDS, YES, Packet, number, text
from portside.guard.plain import judge_packet
from portside.guard.words import is_link_local, link_local
from portside.record import Record
from portside.system import scratch
from portside.system.standin import LONG_PATIENCE, StandIn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portside.guard.environment import Device, Environment
    from portside.guard.listeners import Answer
    from portside.guard.reach import Judge, Piece

    Sources = Sequence[
        tuple[tuple[str, ...], str]
    ]  # (program and arguments, what it is given) to load the rules

_EDGES = 3  # spans of a piece whose edges are sent
_MOST = 2000


class Trial(Record):
    """One packet, what was said of it, and what the kernel did: `arrived`, and what the client saw."""

    packet: Packet
    said: str
    arrived: bool
    client: str


class Verification(Record):
    """What came of it: the packets sent, those on which the kernel differs, what could not be copied."""

    trials: tuple[Trial, ...]
    missing: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Trial, ...]:
        """The packets on which the kernel did otherwise; `depends` is never wrong."""
        return tuple(one for one in self.trials if one.said != DEPENDS and one.arrived != (one.said == YES))

    @property
    def agrees(self) -> bool:
        """Whether the kernel did as was said, on a whole copy of the host."""
        return not (self.differences or self.missing)


def verify(judge: Judge, answers: Sequence[Answer], sources: Sources) -> Verification:
    """Return what a kernel does with packets for every piece of the answers; raises NotPermitted, NotSupported."""
    packets = list(dict.fromkeys(packet for one in answers for packet in _packets(judge, one)))[:_MOST]
    return scratch.run(_trials, judge, packets, sources, timeout=300.0)


def _packets(judge: Judge, answer: Answer) -> Iterator[Packet]:
    for piece in answer.reachability.pieces:
        if piece.interface == "lo" or link_local(piece):
            continue
        if not is_link_local(number(piece.sample.source)):
            yield piece.sample
        for source in _edges(piece):
            packet = piece.sample.replace(source=text(piece.family, source))
            device = judge.environment.device(piece.interface)
            if device is not None and _sendable(judge.environment, device, piece.family, source):
                yield packet


def _edges(piece: Piece) -> Iterator[int]:
    top = (1 << WIDTH[piece.family]) - 1
    for low, high in piece.sources[:_EDGES]:
        yield from {one for one in (low - 1, low, high, high + 1) if 0 < one < top}


def _sendable(environment: Environment, device: Device, family: str, source: int) -> bool:
    """Whether a peer on a device could be at an address: no own one, and answered by this device."""
    if family == "ip6" and source >> 32 in (
        0,
        0xFFFF,
    ):  # IPv4-compatible and -mapped: no socket sends from there
        return False
    if family == "ip6" and is_link_local(source):  # the peers have no such addresses
        return False
    return environment.address_type(family, source) == 1 and environment.back_by(family, source, device.name)


def _trials(judge: Judge, packets: list[Packet], sources: Sources) -> Verification:
    """Copy the host, send the packets: in the scratch namespace."""
    copy = StandIn()
    missing = _build(copy, judge.environment, sources)
    trials = []
    for place, packet in enumerate(packets):
        said = judge.judge_packet(packet)
        _stand_in(copy, judge, packet)
        usual = packet.source_port == 40000
        port = 20000 + place % 20000 if usual else packet.source_port
        ends = (packet.destination, packet.port)
        arrived, client = copy.arrives(packet.interface, packet.protocol, packet.source, port, *ends)
        if said != DEPENDS and arrived != (said == YES):  # once more, with patience, as another connection
            port = port + 20000 if usual else port
            arrived, client = copy.arrives(
                packet.interface, packet.protocol, packet.source, port, *ends, LONG_PATIENCE
            )
        trials.append(Trial(packet.replace(source_port=port), said, arrived, client))
    return Verification(tuple(trials), tuple(missing))


def _stand_in(copy: StandIn, judge: Judge, packet: Packet) -> None:
    """Have somebody listen where a packet was sent to, and where it is said to arrive."""
    copy.listen("host", packet.protocol, packet.destination, packet.port)
    said = judge_packet(judge.ruleset, judge.environment, packet)
    if said.arrives is None or "-" in said.arrives[0]:
        return
    address, port = said.arrives
    space = "host"
    if said.way == "forward":
        way = judge.environment.way(packet.family, number(address))
        space = f"peer {way.device}" if way is not None else "host"
    copy.listen(space, packet.protocol, address, port)


def _build(copy: StandIn, environment: Environment, sources: Sources) -> list[str]:
    """Copy interfaces, routes, settings and rules; return what could not be copied."""
    missing = []
    devices = [device for device in environment.devices if device.name != "lo" and device.up]
    for place, device in enumerate(devices, 1):
        addresses = [f"{text(one.family, one.value)}/{one.prefix}" for one in device.addresses]
        copy.add_interface(device.name, place, addresses)
        for word in ("rp_filter", "forwarding", "route_localnet", "accept_local"):
            copy.setting(f"ipv4/conf/{device.name}/{word}", int(getattr(device, word)))
        copy.setting(f"ipv4/conf/{device.name}/src_valid_mark", 0)
    copy.setting("ipv4/conf/all/rp_filter", 0)
    copy.setting("ipv6/conf/all/forwarding", int(environment.forwarding6))
    missing += copy.batch(_routes(environment))
    for argv, text_of in sources:
        copy.run(*argv, input=text_of)
    if environment.policy_routing:
        missing.append("routing rules (ip rule)")
    return missing


def _routes(environment: Environment) -> Iterator[str]:
    """Yield the routes that do not come with addresses; a gateway is no matter where nobody is asked for it."""
    for way in environment.ways:
        if way.table != 254:
            continue
        network = f"{text(way.family, way.network)}/{way.prefix}"
        if way.device and way.device != "lo" and environment.device(way.device) is not None:
            metric = f" metric {way.metric}" if way.metric else ""
            yield f"route replace {network} dev {way.device}{metric}"
        elif way.type in (6, 7, 8):
            yield f"route replace {({6: 'blackhole', 7: 'unreachable', 8: 'prohibit'})[way.type]} {network}"
