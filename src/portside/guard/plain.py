"""The plain evaluator: one packet, rule by rule, as the kernel goes through them, with the trace of what it met.

What cannot be known (`model.Unknown`, a set that packets fill, the order of two chains) is a question.  A journey is
made for every way of answering the questions it meets; if all end alike the verdict is yes or no, else `depends`, on
the questions.  A connection needs three journeys: the first packet, the answer, the next packet from the client, by
then `established`; for UDP the first alone decides, an answer that is lost is told as `one_way`.

This evaluator is kept apart from the symbolic one (`symbolic.py`): they share the model and the order of hooks, and a
test holds them against each other and both against the kernel.
"""

from __future__ import annotations

from portside.guard.environment import LOOPBACK
from portside.guard.fields import PROTOCOLS
from portside.guard.packet import DEPENDS, NO, YES, Because, Judgement, Packet, Step, number, text
from portside.guard.walk import Final, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.environment import Environment
    from portside.guard.model import Ruleset
    from portside.guard.walk import Value

MOST_JOURNEYS = 2048
_UNROUTED = Because(rule="no route")


def judge_packet(ruleset: Ruleset, environment: Environment, packet: Packet) -> Judgement:
    """Return what becomes of a packet that comes in from outside (by `lo`: one that a program here sends here)."""
    if ruleset.unread:
        return Judgement("unknown", Because(rule=ruleset.unread[0]), reasons=ruleset.unread)
    ends: list[Judgement] = []
    asked: dict[str, None] = {}
    pending: list[list[bool]] = [[]]
    while pending:
        answers = pending.pop()
        oracle = Oracle(answers)
        ends.append(Connection(ruleset, environment, packet, oracle).judge())
        asked |= dict.fromkeys(oracle.questions)
        pending += [[*oracle.given[:place], False] for place in range(len(answers), len(oracle.given))]
        if len(ends) >= MOST_JOURNEYS:
            return ends[0].replace(verdict=DEPENDS, reasons=("too many open questions", *asked))
    verdicts = {end.verdict for end in ends}
    if len(verdicts) == 1:
        return ends[0]
    return ends[0].replace(verdict=DEPENDS, reasons=tuple(asked))


class Oracle:
    """Answers the questions of one journey: as told, then yes; the same question gets the same answer."""

    def __init__(self, answers: list[bool]) -> None:
        self.answers = answers
        self.given: list[bool] = []
        self.questions: dict[str, bool] = {}

    def __call__(self, question: str) -> bool:
        """Return the answer to a question."""
        if question not in self.questions:
            place = len(self.given)
            answer = self.answers[place] if place < len(self.answers) else True
            self.given.append(answer)
            self.questions[question] = answer
        return self.questions[question]


class Connection:
    """The journeys of one connection under one set of answers."""

    def __init__(self, ruleset: Ruleset, environment: Environment, packet: Packet, oracle: Oracle) -> None:
        self.ruleset, self.environment, self.packet, self.oracle = ruleset, environment, packet, oracle
        self.family = packet.family
        self.trace: list[Step] = []

    def judge(self) -> Judgement:
        """Make the journeys that are needed, and say how they ended."""
        first = self._walk("new")
        stop = self._arrive(first)
        if isinstance(stop, Final):
            return Judgement(NO, stop.because, stop.client, trace=tuple(self.trace))
        way, because = stop
        arrives = (_shown(self.family, first.values["daddr"]), _first(first.values["dport"]))
        lost = self._answer(first, way)
        tcp = self.packet.protocol != "udp"
        if lost is None and tcp:
            lost = self._next(first)
        if lost is not None and tcp:
            return Judgement(NO, lost.because, "silence", arrives, way, trace=tuple(self.trace))
        one_way = "" if lost is None else str(lost.because)
        return Judgement(YES, because, "", arrives, way, trace=tuple(self.trace), one_way=one_way)

    def _walk(self, state: str) -> Walk:
        packet = self.packet
        values: dict[str, Value] = {
            "saddr": number(packet.source), "daddr": number(packet.destination), "sport": packet.source_port,
            "dport": packet.port, "l4proto": PROTOCOLS[packet.protocol], "iifname": packet.interface,
            "oifname": "", "mark": 0, "ttl": packet.ttl, "dscp": packet.dscp, "tcp flags": 2,
        }  # fmt: skip
        return Walk(self.ruleset, self.environment, self.family, values, state, self.oracle, self.trace)

    def _arrive(self, walk: Walk) -> Final | tuple[str, Because]:
        """Send a packet in; return how it was stopped, or its way (input, forward) and what let it in."""
        name = self.packet.interface
        if name == "lo":
            return self._loop(walk)
        device = self.environment.device(name)
        if device is None or not device.up:
            return Final(Because(rule=f"no interface '{name}' that is up"))
        stop = walk.hook("ingress", name) or walk.hook("prerouting")
        if stop:
            return stop
        source, target = _first(walk.values["saddr"]), _first(walk.values["daddr"])
        low, high = LOOPBACK[self.family]
        refused = self.environment.refused_source(self.family, source, device)
        if refused:
            return Final(Because(rule=refused))
        if low <= target <= high and not (self.family == "ip" and device.route_localnet):
            return Final(Because(rule="an address on loopback, from outside (route_localnet)"))
        if self.environment.address_type(self.family, target) in (2, 3, 5):
            stop = walk.hook("input")
            return stop or ("input", walk.let_in)
        return self._pass_on(walk, target)

    def _loop(self, walk: Walk) -> Final | tuple[str, Because]:
        """A program here sends to this host: out and, without leaving, in again."""
        walk.values |= {"iifname": "", "oifname": "lo"}
        stop = walk.hook("output") or walk.hook("postrouting")
        if stop:
            return stop
        target = _first(walk.values["daddr"])
        if self.environment.address_type(self.family, target) != 2:
            way = self.environment.way(self.family, target)
            return ("forward", walk.let_in) if way is not None else Final(_UNROUTED)
        walk.values |= {"iifname": "lo", "oifname": ""}
        walk.looped = True
        stop = walk.hook("prerouting") or walk.hook("input")
        return stop or ("input", walk.let_in)

    def _pass_on(self, walk: Walk, target: int) -> Final | tuple[str, Because]:
        device = self.environment.device(self.packet.interface)
        forwarding = self.environment.forwarding6 if self.family == "ip6" else device and device.forwarding
        if not forwarding:
            return Final(Because(rule="not for this host, which does not forward"))
        way = self.environment.way(self.family, target)
        if way is None or way.type != 1:
            return Final(_UNROUTED, "unreachable")
        walk.values["oifname"] = way.device
        stop = walk.hook("forward")
        if stop:
            return stop
        because = walk.let_in
        stop = walk.hook("postrouting")
        return stop or ("forward", because)

    def _answer(self, first: Walk, way: str) -> Final | None:
        """Send the answer back; return how it was lost."""
        if self.packet.interface == "lo":
            return None
        client = number(self.packet.source)
        back = self.environment.back(self.family, client, self.packet.interface)
        if not back:
            return Final(Because(rule="no route back"))
        walk = first.answer()
        if way == "input":
            walk.values |= {"iifname": "", "oifname": back}
            return walk.hook("output") or walk.hook("postrouting")
        walk.values |= {"iifname": first.values["oifname"], "oifname": ""}
        stop = walk.hook("prerouting")
        if stop:
            return stop
        walk.values["oifname"] = back
        return walk.hook("forward") or walk.hook("postrouting")

    def _next(self, first: Walk) -> Final | None:
        """Send the client's next packet, which belongs to an established connection by now."""
        if self.packet.interface == "lo":
            return None
        walk = self._walk("established" if first.tracked else "new")
        walk.values["tcp flags"] = 16
        walk.bind(first)
        stop = self._arrive(walk)
        return stop if isinstance(stop, Final) else None


def _first(value: Value) -> int:
    return value[0] if isinstance(value, tuple) else int(value)


def _shown(family: str, value: Value) -> str:
    if isinstance(value, tuple):
        return f"{text(family, value[0])}-{text(family, value[1])}"
    return text(family, int(value))
