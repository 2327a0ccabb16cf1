"""The space of packets: which variables of the diagrams stand for which field, and tests as sets of packets.

    0..127 source address   128..255 destination address   256..271 source port   272..287 destination port
    288..295 time to live        296..301 differentiated services                 400.. open questions

IPv4 takes the first 32 of an address.  Sources stand on top: they are what rules tell apart and what answers are
about, so a set over sources alone is what is left when everything below is quantified.

Packets to this host's own addresses are all that is asked about (`own`): what a set says of others means nothing.
"""

from __future__ import annotations

from portside.guard.bdd import EMPTY, Manager
from portside.guard.environment import LOOPBACK, MULTICAST_SPAN, WIDTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.guard.environment import Environment

FIRST = {"saddr": 0, "daddr": 128, "sport": 256, "dport": 272, "ttl": 288, "dscp": 296}
BITS = {"sport": 16, "dport": 16, "ttl": 8, "dscp": 6}
BELOW_SOURCES = 128
QUESTIONS = 400


class Var:
    """A field that may have any value: the variables that stand for it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


VARS = {name: Var(name) for name in FIRST}


class Space:
    """The variables of one family, the open questions met so far, and sets that the environment gives."""

    def __init__(self, environment: Environment, family: str) -> None:
        self.environment, self.family = environment, family
        self.manager = Manager()
        self.questions: dict[str, int] = {}
        own = [(value, value) for value, _ in environment.own(family)]
        self.own = self.manager.spans(self.variables("daddr"), [*own, LOOPBACK[family]])
        self.tests: dict[
            tuple[int, str], tuple[object, int]
        ] = {}  # with the test, so that its id stays its own
        self._kept: dict[object, int] = {}
        self._bits = {
            level: (name, at) for name in FIRST for at, level in enumerate(reversed(self.variables(name)))
        }  # of each variable: the field, and which of its bits

    def variables(self, name: str) -> range:
        """Return the variables of a field."""
        width = BITS.get(name) or WIDTH[self.family]
        return range(FIRST[name], FIRST[name] + width)

    def question(self, words: str) -> int:
        """Return the set in which an open question is answered with yes."""
        level = self.questions.setdefault(words, QUESTIONS + len(self.questions))
        return self.manager.variable(level)

    def asked(self, node: int) -> list[str]:
        """Return the open questions that a set depends on."""
        levels = self.manager.support(node)
        return [words for words, level in self.questions.items() if level in levels]

    def within(self, name: str, spans: list[tuple[int, int]], mask: int = 0) -> int:
        """Return where a field lies within spans."""
        key = (name, tuple(spans), mask)
        if key not in self._kept:
            self._kept[key] = self.manager.spans(self.variables(name), spans, mask)
        return self._kept[key]

    def followed(self, node: int, values: dict[str, int], end: int = QUESTIONS) -> int:
        """Return where the values of fields lead, through the variables above `end`."""
        manager = self.manager
        while manager.level[node] < end:
            name, at = self._bits[manager.level[node]]
            node = manager.high[node] if values[name] >> at & 1 else manager.low[node]
        return node

    def nearest(self, node: int, values: dict[str, int]) -> dict[str, int]:
        """Return values that lie in a set, as given wherever the set allows it."""
        manager, found = self.manager, dict(values)
        while manager.level[node] < QUESTIONS:
            name, at = self._bits[manager.level[node]]
            low, high = manager.low[node], manager.high[node]
            want = values[name] >> at & 1
            if (high if want else low) == EMPTY:
                want ^= 1
                found[name] ^= 1 << at
            node = high if want else low
        return found

    def where(self, name: str, what: Callable[[int], object], kept_as: object) -> int:
        """Return where an address has a property that the environment decides, between ends of routes all alike."""
        key = (name, kept_as)
        if key not in self._kept:
            starts = self._starts()
            top = (1 << WIDTH[self.family]) - 1
            ends = [start - 1 for start in starts[1:]] + [top]
            spans = [(low, high) for low, high in zip(starts, ends, strict=True) if what(low)]
            self._kept[key] = self.within(name, spans)
        return self._kept[key]

    def _starts(self) -> list[int]:
        """Return where the answers of the environment may change: at the ends of routes and of special ranges."""
        width = WIDTH[self.family]
        spans = [way.span for way in self.environment.ways if way.family == self.family]
        spans += [LOOPBACK[self.family], MULTICAST_SPAN[self.family]]
        spans.append((0xFE80 << 112, (0xFEC0 << 112) - 1))
        if self.family == "ip":
            spans += [(0, (1 << 24) - 1), (0xFFFFFFFF, 0xFFFFFFFF)]
        starts = {0} | {low for low, _ in spans} | {high + 1 for _, high in spans}
        return sorted(start for start in starts if start < 1 << width)
