"""Who can reach a listener: the sets of the symbolic evaluator, told as pieces that a person can read.

A listener is reached by every packet whose way ends at it, whatever address and port it was sent to: a redirect's
port counts, and so does a published container port, which is judged where it is forwarded.  What the sender may
choose (the source port, the destination among this host's addresses) is chosen for the sender: `yes` means that there
is a packet that gets through, whatever the open questions' answers.  The sources of an interface are those that
answers go back to by it, and that the kernel does not refuse there.
"""

from __future__ import annotations

from portside.guard.bdd import ALL, EMPTY
from portside.guard.crossing import Crossing, goal, ranked, source_spans, sources
from portside.guard.environment import IPV4, IPV6, WIDTH
from portside.guard.model import Nat
from portside.guard.packet import DEPENDS, NO, YES, Because, Packet, number, text
from portside.guard.space import BELOW_SOURCES, QUESTIONS, Var
from portside.guard.symbolic import Engine
from portside.guard.trips import own_addresses
from portside.guard.words import is_link_local
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.environment import Device, Environment
    from portside.guard.model import Ruleset
    from portside.guard.trips import Arrival

ANYONE, SOME, NOBODY, UNKNOWN = "anyone", "some", "nobody", "unknown"
_EVERYDAY = {IPV4: (number("203.0.113.7"), number("198.51.100.7")), IPV6: (number("2001:db8:ffff::7"),)}


class Bound(Record):
    """One address a listener is bound to, as a number (`None`: every one of its family), and the device, if any."""

    family: str
    address: int | None = None
    device: str = ""


class Listener(Record):
    """What is asked about: protocol (tcp, udp, sctp, ...), port, and where it is bound."""

    protocol: str
    port: int
    bounds: tuple[Bound, ...] = (Bound(IPV4), Bound(IPV6))


class Piece(Record):
    """Sources with one verdict and one reason, on one interface.

    `sources` are spans of addresses.  `port` is the one they send to, where it is not the listener's own; `goes_to`
    the place behind a translation.  `sample` is a packet of this piece.  `client` is what a refused one sees,
    `reasons` the open questions of `depends`, `condition` what the sender has to choose (a source port),
    `whole` that these are all who come in by this interface.
    """

    interface: str
    family: str
    sources: tuple[tuple[int, int], ...]
    verdict: str
    because: Because
    sample: Packet
    client: str = ""
    reasons: tuple[str, ...] = ()
    port: int = 0
    goes_to: str = ""
    condition: str = ""
    whole: bool = False


class Reachability(Record):
    """Who reaches a listener: anyone, some, nobody, depends or unknown; the pieces; what was assumed or not read."""

    verdict: str
    pieces: tuple[Piece, ...] = ()
    because: Because = Because()
    notes: tuple[str, ...] = ()


class Judge:
    """The rules of one host, ready for questions; what one answer needed is there for the next.

    `beside` is the judge of other rules of the same host: the sets of both are then nodes of the same diagrams, so
    that they can be compared.
    """

    def __init__(self, ruleset: Ruleset, environment: Environment, beside: Judge | None = None) -> None:
        self.ruleset, self.environment, self._beside = ruleset, environment, beside
        self._engines: dict[str, Engine] = {}
        self._known: dict[object, Crossing] = {}
        self._answers: dict[object, Reachability] = {}
        self._domains: dict[tuple[str, str], int] = {}
        self._nat_ports = _translated_ports(ruleset)

    def engine(self, family: str) -> Engine:
        """Return the symbolic evaluator for a family."""
        if family not in self._engines:
            space = self._beside.engine(family).space if self._beside is not None else None
            self._engines[family] = Engine(self.ruleset, self.environment, family, space)
        return self._engines[family]

    def domain(self, device: Device, family: str) -> int:
        """Return the sources that come in by an interface."""
        key = device.name, family
        if key not in self._domains:
            self._domains[key] = sources(self.engine(family), device)
        return self._domains[key]

    def judge_packet(self, packet: Packet) -> str:
        """Return the verdict on one packet: yes, no or depends."""
        engine = self.engine(packet.family)
        device = self.environment.device(packet.interface)
        if device is None or not device.up:
            return NO
        crossing = self.crossing(device, packet.protocol, packet.family, packet.port)
        values = _values(packet)
        if engine.space.followed(crossing.own, values) == EMPTY:
            return NO
        node = engine.space.followed(crossing.all, values)
        return YES if node == ALL else NO if node == EMPTY else DEPENDS

    def crossing(self, device: Device, protocol: str, family: str, port: int | None) -> Crossing:
        """Return what becomes of connections to a port (`None`: to any), kept for the next question."""
        key = device.name, protocol, family, port
        if key not in self._known:
            self._known[key] = Crossing(self.engine(family), device, protocol, port)
        return self._known[key]

    def reach(self, listener: Listener, devices: tuple[Device, ...] | None = None) -> Reachability:
        """Return who reaches a listener by the interfaces of this host (all but loopback, if none are named)."""
        if self.ruleset.unread:
            return Reachability(
                UNKNOWN, because=Because(rule=self.ruleset.unread[0]), notes=self.ruleset.unread
            )
        key = (listener, devices)
        if key not in self._answers:
            chosen = devices if devices is not None else tuple(self.outside())
            parts = [
                _Part(self, listener, device, family)
                for device in chosen
                for family in (IPV4, IPV6)
                if any(bound.family == family for bound in listener.bounds)
            ]
            self._answers[key] = _sum_up(parts, self._notes(chosen))
        return self._answers[key]

    def outside(self) -> Iterator[Device]:
        """Yield the interfaces by which packets come from elsewhere: those that are up and no port of a bridge."""
        kinds = {device.name: device.kind for device in self.environment.devices}
        for device in self.environment.devices:
            if (
                device.up
                and device.name != "lo"
                and kinds.get(device.master, "") not in ("bridge", "bond", "team")
            ):
                yield device

    def front_ports(self, port: int) -> bool:
        """Whether some rule may send packets to other ports to this one."""
        return any(low <= port <= high for low, high in self._nat_ports)

    def _notes(self, devices: tuple[Device, ...]) -> tuple[str, ...]:
        notes = [f"an XDP program sees packets of '{one.name}' before any rule" for one in devices if one.xdp]
        if self.environment.policy_routing:
            notes.append("routing rules (ip rule) choose tables that are not modelled")
        return tuple(notes)


class _Part:
    """One listener, one interface, one family: sets of sources."""

    def __init__(self, judge: Judge, listener: Listener, device: Device, family: str) -> None:
        self.judge, self.listener, self.device, self.family = judge, listener, device, family
        self.width = WIDTH[family]
        self.engine = judge.engine(family)
        self.manager, self.space = self.engine.manager, self.engine.space
        self.bounds = [
            bound for bound in listener.bounds if bound.family == family and bound.device in ("", device.name)
        ]
        self.domain = judge.domain(device, family)
        self.own = own_addresses(self.engine, loopback=device.name == "lo")
        self.yes = self.may = EMPTY
        self.pieces: list[Piece] = []
        if not self.bounds or self.domain == EMPTY:
            return
        crossing = judge.crossing(device, listener.protocol, family, listener.port)
        self._collect(crossing, listener.port)
        if judge.front_ports(listener.port):
            self._collect(judge.crossing(device, listener.protocol, family, None), None)

    def _collect(self, crossing: Crossing, port: int | None) -> None:
        through = EMPTY
        parts: list[tuple[int, Because, Arrival]] = []
        for arrival in crossing.arrivals:
            node = self._ours(arrival, port)
            if node == EMPTY:
                continue
            through = self.manager.either(through, node)
            parts += [(self.manager.both(node, part), because, arrival) for part, because in ranked(arrival)]
        always = self.manager.forall(through, QUESTIONS)
        yes = self._sources(always)
        may = self._sources(through)
        for part, because, arrival in parts:
            if yes == EMPTY:
                break
            sure = self.manager.both(part, always)
            self._piece(YES, sure, yes, because, arrival, port)
            yes = self.manager.less(yes, self._sources(sure))
        self.yes = self.manager.either(self.yes, self._sources(always))
        unsure = self.manager.less(may, self.yes)
        if unsure != EMPTY:
            self._unsure(through, unsure, parts, port)
        self.may = self.manager.either(self.may, may)
        if port is not None:
            self._refused(crossing, self.manager.less(self.domain, may), port)

    def _ours(self, arrival: Arrival, port: int | None) -> int:
        """Return the part of what arrived that arrived at the listener (or, published, behind its address)."""
        values = arrival.state.values
        spans = self._bound_to()
        if arrival.way == "forward":
            return self.manager.both(arrival.node, self._sent_to(spans)) if port is not None else EMPTY
        at = values["dport"]
        if isinstance(at, Var):
            return EMPTY  # sent to another port, and not translated
        low, high = at if isinstance(at, tuple) else (int(at), int(at))
        if not low <= self.listener.port <= high:
            return EMPTY
        target = values["daddr"]
        if isinstance(target, Var):
            return self.manager.both(arrival.node, self._sent_to(spans))
        where = target[0] if isinstance(target, tuple) else int(target)
        return arrival.node if any(first <= where <= last for first, last in spans) else EMPTY

    def _bound_to(self) -> list[tuple[int, int]]:
        """Return the addresses that the listener is bound to."""
        return [
            (0, (1 << self.width) - 1) if bound.address is None else (bound.address, bound.address)
            for bound in self.bounds
        ]

    def _sent_to(self, spans: list[tuple[int, int]]) -> int:
        return self.space.within("daddr", spans)

    def _sources(self, node: int, to: int | None = None) -> int:
        """Return the sources that have a packet in a set, to an own address, or to some of them."""
        return self.manager.both(
            self.manager.meets(node, self.own if to is None else to, BELOW_SOURCES), self.domain
        )

    def _piece(
        self, verdict: str, node: int, sources: int, because: Because, arrival: Arrival | None, port: int | None,
        client: str = "", reasons: tuple[str, ...] = (), to: int | None = None,
    ) -> None:  # fmt: skip
        own = self.manager.both(self._sources(node, to), sources)
        if own == EMPTY:
            return
        spans = source_spans(self.engine, self.device, own)
        packet = self._sample(node, own, self.own if to is None else to)
        condition = self._condition(node, own) if verdict == YES else ""
        self.pieces.append(
            Piece(
                self.device.name, self.family, spans, verdict, because, packet, client, reasons,
                packet.port if packet.port != self.listener.port else 0, goal(self.family, arrival), condition,
                own == self.domain,
            )
        )  # fmt: skip

    def _unsure(
        self, through: int, unsure: int, parts: list[tuple[int, Because, Arrival]], port: int | None
    ) -> None:
        part = self.manager.both(self.manager.both(through, unsure), self.own)
        reasons = tuple(self.space.asked(part))
        because = next((one for node, one, _ in parts if self.manager.both(node, unsure) != EMPTY), Because())
        arrival = next((one for node, _, one in parts if self.manager.both(node, unsure) != EMPTY), None)
        self._piece(DEPENDS, part, unsure, because, arrival, port, reasons=reasons)

    def _refused(self, crossing: Crossing, no: int, port: int) -> None:
        """Tell what refuses the sources that never get through, by rule."""
        whole: dict[tuple[Because, str], int] = {}
        for stop in crossing.stops:
            key = (stop.because, stop.client)
            whole[key] = self.manager.either(whole.get(key, EMPTY), stop.node)
        for arrival in crossing.arrivals:  # arrived, but elsewhere: translated away, or at another address
            away = self.manager.less(arrival.node, self._ours(arrival, port))
            words = arrival.state.values.get("_by dst") or "not an address it is bound to"
            key = (Because(rule=str(words)), "silence")
            whole[key] = self.manager.either(whole.get(key, EMPTY), away)
        to = self.manager.both(self.own, self._sent_to(self._bound_to()))
        for (because, client), node in sorted(whole.items(), key=lambda one: not one[0][0].table):
            if no == EMPTY:
                return
            self._piece(NO, node, no, because, None, port, client, to=to)
            no = self.manager.less(no, self._sources(node, to))

    def _condition(self, node: int, own: int) -> str:
        """Return what a sender has to choose to get through, empty where an everyday packet does."""
        everyday = self.own
        for name, value in (("sport", 40000), ("ttl", 64), ("dscp", 0)):
            everyday = self.manager.both(everyday, self.space.within(name, [(value, value)]))
        if self.manager.less(own, self.manager.meets(node, everyday, BELOW_SOURCES)) == EMPTY:
            return ""
        levels = self.manager.support(self.manager.both(node, self.own))
        words = {"sport": "its source port", "ttl": "its time to live", "dscp": "its DSCP"}
        chosen = [word for name, word in words.items() if levels & set(self.space.variables(name))]
        return f"the sender has to choose {', '.join(chosen)}"

    def _sample(self, node: int, sources: int, to: int) -> Packet:
        """Return a packet of a set from some sources, as like to an everyday one as the set allows."""
        spans = self.manager.intervals(sources, 0, self.width, 8)
        low, high = max(spans, key=lambda span: (not is_link_local(span[0]), span[1] - span[0]))
        source = low + (high > low + 1)
        for value in _EVERYDAY[self.family] if high - low > 1 << 24 else ():
            if self.manager.both(sources, self.space.within("saddr", [(value, value)])) != EMPTY:
                source = value
                break
        own = [value for value, name in self.engine.environment.own(self.family) if name == self.device.name]
        liked = {
            "saddr": source, "daddr": own[0] if own else 0, "dport": self.listener.port, "sport": 40000, "ttl": 64,
            "dscp": 0,
        }  # fmt: skip
        rest = self.manager.both(self.space.followed(node, liked, BELOW_SOURCES), to)
        found = self.space.nearest(rest, liked)
        source_text, target = text(self.family, found["saddr"]), text(self.family, found["daddr"])
        return Packet(
            self.device.name, self.listener.protocol, source_text, target, found["dport"], found["sport"],
            found["ttl"], found["dscp"],
        )  # fmt: skip


def _values(packet: Packet) -> dict[str, int]:
    return {
        "saddr": number(packet.source), "daddr": number(packet.destination), "sport": packet.source_port,
        "dport": packet.port, "ttl": packet.ttl, "dscp": packet.dscp,
    }  # fmt: skip


def _translated_ports(ruleset: Ruleset) -> list[tuple[int, int]]:
    """Return the ports that translations of the destination may lead to."""
    found = []
    for _, chain in ruleset.chains():
        for rule in chain.rules:
            for nat in rule.statements:
                if isinstance(nat, Nat) and nat.kind in ("dnat", "redirect"):
                    ports = [nat.port, *(ports for _, _, ports in nat.choices)]
                    found += [one for one in ports if one is not None]
    return found


def _sum_up(parts: list[_Part], notes: tuple[str, ...]) -> Reachability:
    pieces = tuple(piece for part in parts for piece in part.pieces)
    asked = [part for part in parts if part.bounds and part.domain != EMPTY]
    open_wide = [part for part in asked if part.yes == part.domain]
    if any(_wide(part) for part in open_wide) or (asked and len(open_wide) == len(asked)):
        verdict = ANYONE
    elif any(part.yes != EMPTY for part in asked):
        verdict = SOME
    elif any(part.may != EMPTY for part in asked):
        verdict = DEPENDS
    else:
        verdict = NOBODY
    wanted = {ANYONE: YES, SOME: YES, DEPENDS: DEPENDS, NOBODY: NO}[verdict]
    deciding = [piece for piece in pieces if piece.verdict == wanted]
    best = max(deciding, key=_size, default=None)
    because = best.because if best else Because(rule="bound where nobody else comes")
    return Reachability(verdict, pieces, because, notes)


def _wide(part: _Part) -> bool:
    """Whether sources of the wide world come in by a part's interface."""
    spans = part.manager.intervals(part.domain, 0, WIDTH[part.family])
    return sum(high - low + 1 for low, high in spans) > 1 << WIDTH[part.family] - 1


def _size(piece: Piece) -> float:
    return sum(high - low + 1 for low, high in piece.sources) / float(1 << WIDTH[piece.family])
