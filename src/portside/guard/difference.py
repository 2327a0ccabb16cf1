"""Who gains and who loses when rules change: the difference of the sets of packets that get through.

Both rulesets are judged over the same diagrams (`Judge`, `beside`), so that the difference is a set operation, exact
for every packet: sources, destinations, source ports.  Three values before and three after; what stays open but is
open otherwise than before (a rate more) is told, too, and what gets through to another goal.  Ports are asked by
what the rules tell apart (`portclasses`).
"""

from __future__ import annotations

from portside.guard import portclasses
from portside.guard.bdd import ALL, EMPTY, merge
from portside.guard.crossing import goal, ranked, source_spans
from portside.guard.environment import IPV4, IPV6
from portside.guard.packet import DEPENDS, NO, YES, Because, text
from portside.guard.reach import Bound
from portside.guard.space import BELOW_SOURCES, QUESTIONS
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.guard.crossing import Crossing
    from portside.guard.reach import Judge
    from portside.guard.symbolic import Engine

GAINS, LOSES, MOVES = "gains", "loses", "moves"
MAY_GAIN, MAY_LOSE, OTHERWISE = "may gain", "may lose", "depends otherwise"
_WORDS = {
    (NO, YES): GAINS, (DEPENDS, YES): GAINS, (YES, NO): LOSES, (DEPENDS, NO): LOSES,
    (NO, DEPENDS): MAY_GAIN, (YES, DEPENDS): MAY_LOSE, (YES, YES): MOVES,
}  # fmt: skip
_MOST_OWN = 16
EVERYDAY = {"sport": 40000, "ttl": 64, "dscp": 0}
MOST_PARTS = 64  # of the ports of one range, and of those that are translated


class Difference(Record):
    """What a change does to some sources, on one interface: to which ports, and their verdicts before and after.

    `ports` are spans, `sources` spans of addresses, `whole` that these are all who come in by this interface.
    `because` decides afterwards, `reasons` are the open questions of `depends`, `goes_to` the place behind a
    translation, `condition` what a packet must be like beside that.
    """

    word: str
    protocol: str
    ports: tuple[tuple[int, int], ...]
    interface: str
    family: str
    sources: tuple[tuple[int, int], ...]
    before: str
    after: str
    because: str
    reasons: tuple[str, ...] = ()
    goes_to: str = ""
    condition: str = ""
    whole: bool = False


class Asked(Record):
    """Ports that are asked about: a span of one protocol, and where their listeners are bound."""

    protocol: str
    first: int
    last: int
    bounds: tuple[Bound, ...] = (Bound(IPV4), Bound(IPV6))


class Compared(Record):
    """What is different, and how many spans of ports were not looked at, because the rules tell too many apart."""

    found: tuple[Difference, ...]
    left: int = 0


def compare(before: Judge, after: Judge, asked: Iterable[Asked]) -> Compared:
    """Return what is different for ports, those of the same difference as one; each port counts once.

    `after` must have been made with `before` beside it.
    """
    found: dict[Difference, list[tuple[int, int]]] = {}
    done: set[tuple[str, int, int]] = set()
    left = 0
    cuts = portclasses.starts((before.ruleset, after.ruleset))
    for one in asked:
        spans = portclasses.parts(cuts, one.first, one.last)
        left += max(len(spans) - MOST_PARTS, 0)
        for span in spans[:MOST_PARTS]:
            if (one.protocol, *span) in done:
                continue
            done.add((one.protocol, *span))
            for difference in _of_port(before, after, one, span[0]):
                found.setdefault(difference, []).append(span)
    differences = [one.replace(ports=tuple(merge(spans))) for one, spans in found.items()]
    return Compared(tuple(sorted(differences, key=_order)), left)


def _order(one: Difference) -> tuple[object, ...]:
    return one.ports, one.protocol, one.interface, one.family, one.word, one.sources


def _of_port(before: Judge, after: Judge, asked: Asked, port: int) -> Iterator[Difference]:
    for device in before.outside():
        for family in (IPV4, IPV6):
            bounds = [one for one in asked.bounds if one.family == family and one.device in ("", device.name)]
            domain = before.domain(device, family) if bounds else EMPTY
            if domain == EMPTY:
                continue
            engine, scope = before.engine(family), domain
            if all(one.address is not None for one in bounds):
                targets = [(one.address, one.address) for one in bounds if one.address is not None]
                scope = engine.manager.both(domain, engine.space.within("daddr", targets))
            old = before.crossing(device, asked.protocol, family, port)
            new = after.crossing(device, asked.protocol, family, port)
            yield from Comparison(old, new, scope, asked.protocol).told(domain)


class Comparison:
    """The connections to one port by one interface, under both rules; `scope` is who is asked about."""

    def __init__(self, old: Crossing, new: Crossing, scope: int, protocol: str) -> None:
        self.old, self.new, self.protocol = old, new, protocol
        self.engine: Engine = old.engine
        self.manager = self.engine.manager
        self.scope = self.manager.both(scope, old.own)

    def regions(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield (word, verdict before, verdict after, packets) of what is different."""
        manager = self.manager
        if self._goals(self.old) == self._goals(self.new):
            return
        before, after = self._verdicts(self.old.all), self._verdicts(self.new.all)
        for old, those in before.items():
            for new, these in after.items():
                node = manager.both(manager.both(those, these), self.scope)
                if node == EMPTY or old == new == NO:
                    continue
                if old == new == DEPENDS:
                    yield from self._otherwise(node)
                    continue
                if old == new:
                    node = manager.less(node, manager.exists(self._unmoved(), QUESTIONS))
                if node != EMPTY:
                    yield _WORDS[old, new], old, new, node

    def _verdicts(self, node: int) -> dict[str, int]:
        """Return the packets of each verdict."""
        yes, may = self.manager.forall(node, QUESTIONS), self.manager.exists(node, QUESTIONS)
        return {YES: yes, DEPENDS: self.manager.less(may, yes), NO: self.manager.less(ALL, may)}

    def _otherwise(self, node: int) -> Iterator[tuple[str, str, str, int]]:
        """Yield what depends before and after, but on other things."""
        manager = self.manager
        more = manager.exists(manager.less(self.new.all, self.old.all), QUESTIONS)
        fewer = manager.exists(manager.less(self.old.all, self.new.all), QUESTIONS)
        for word, part in (
            (MAY_GAIN, manager.less(more, fewer)),
            (MAY_LOSE, manager.less(fewer, more)),
            (OTHERWISE, manager.both(more, fewer)),
        ):
            part = manager.both(part, node)
            if part != EMPTY:
                yield word, DEPENDS, DEPENDS, part

    def _goals(self, crossing: Crossing) -> dict[tuple[str, str], int]:
        """Return the packets that get through, by where their way ends."""
        found: dict[tuple[str, str], int] = {}
        for arrival in crossing.arrivals:
            key = arrival.way, goal(self.engine.family, arrival)
            node = self.manager.both(arrival.node, self.scope)
            found[key] = self.manager.either(found.get(key, EMPTY), node)
        return {key: node for key, node in found.items() if node != EMPTY}

    def _unmoved(self) -> int:
        old, new = self._goals(self.old), self._goals(self.new)
        return self.manager.union(self.manager.both(node, new.get(key, EMPTY)) for key, node in old.items())

    def told(self, domain: int) -> Iterator[Difference]:
        """Yield the differences, one for each rule that decides afterwards; `domain` is everybody there is."""
        for word, old, new, node in self.regions():
            for part, because, goes_to in self._decided(new, node):
                sources = self._sources(part)
                yield Difference(
                    word, self.protocol, (), self.old.device.name, self.engine.family,
                    source_spans(self.engine, self.old.device, sources),
                    old, new, str(because), self._reasons(new, part), goes_to, self._condition(part, sources),
                    sources == domain,
                )  # fmt: skip

    def _decided(self, verdict: str, node: int) -> Iterator[tuple[int, Because, str]]:
        """Yield (packets, what decides them afterwards, where they get to)."""
        manager = self.manager
        if verdict == NO:
            parts = [(one.node, one.because, "") for one in self.new.stops]
            parts.append((ALL, Because(rule="it does not get here"), ""))
        else:
            parts = [
                (manager.both(arrival.node, part), because, goal(self.engine.family, arrival))
                for arrival in self.new.arrivals
                for part, because in ranked(arrival)
            ]
        for part, because, goes_to in parts:
            mine = manager.both(node, manager.exists(part, QUESTIONS))
            if mine != EMPTY:
                node = manager.less(node, mine)
                yield mine, because, goes_to

    def _reasons(self, verdict: str, node: int) -> tuple[str, ...]:
        if verdict != DEPENDS:
            return ()
        return tuple(self.engine.space.asked(self.manager.both(self.new.all, node)))

    def _sources(self, node: int) -> int:
        return self.manager.exists(node, BELOW_SOURCES)

    def _condition(self, node: int, sources: int) -> str:
        """Return what the packets of a set have to be like, empty where everyday ones to any own address are."""
        manager, space = self.manager, self.engine.space
        words = []
        everyday = node
        for name, value in EVERYDAY.items():
            everyday = manager.both(everyday, space.within(name, [(value, value)]))
        if manager.less(sources, self._sources(everyday)) != EMPTY:
            words.append("not for everyday packets (source port, time to live, DSCP)")
        own = [value for value, name in self.engine.environment.own(self.engine.family) if name != "lo"]
        if 1 < len(own) <= _MOST_OWN:
            met = [one for one in own if manager.both(node, space.within("daddr", [(one, one)])) != EMPTY]
            if len(met) < len(own):
                words.append("to " + ", ".join(text(self.engine.family, one) for one in met))
        return "; ".join(words)
