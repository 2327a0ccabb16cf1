"""The rules of a chain as the symbolic evaluator goes through them: few for each port, long lists of sources at once.

A rule that is about other ports is left out.  Neighbours that ask for a source alone and do the same with it, as
block lists do, are a `Block`: one set instead of thousands.  The sets of a block are kept for runs of 1, 2, 4, ...
rules that stand at multiples of their length, so that blocks of two ports that differ in their ends share most of
them.
"""

from __future__ import annotations

from portside.guard.effects import inert
from portside.guard.model import Assign, Match, Nat, Note, Notrack, Rule, Unknown, Verdict, VerdictMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.model import Chain

ACTIONS = frozenset((Verdict, VerdictMap, Nat, Assign, Notrack))
_SHORTEST = 8
_PLAIN = ("accept", "drop", "reject")
_SOURCES = ("ip saddr", "ip6 saddr")


class Block:
    """Neighbouring rules from `first` to `end` (of `RuleIndex.all`) that send some sources to one verdict."""

    __slots__ = ("end", "field", "first", "rule")

    def __init__(self, rules: list[Rule], first: int, end: int, field: str) -> None:
        self.first, self.end, self.field = first, end, field
        head = rules[first]
        more = f"{head.text} (the first of {end - first} like it)"
        self.rule = head.replace(text=more, statements=(_verdict(head),))

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield (start, length) of the runs that make the block up, each at a multiple of its length."""
        at = self.first
        while at < self.end:
            length = at & -at or 1 << (self.end - at).bit_length()
            while at + length > self.end:
                length >>= 1
            yield at, length
            at += length


class RuleIndex:
    """The rules of a chain that do something, and for each port those that may match it."""

    def __init__(self, chain: Chain) -> None:
        self.all = [rule for rule in chain.rules if not inert(rule)]
        self._always: list[int] = []
        self._by_port: dict[int, list[int]] = {}
        self._lists: dict[object, list[Rule | Block]] = {}
        numbers: dict[tuple[str, Verdict], int] = {}  # records compare slowly
        kinds = [_kind(rule) for rule in self.all]
        self.kinds = [kind and numbers.setdefault(kind, len(numbers) + 1) for kind in kinds]
        self._fields = {number: kind[0] for kind, number in numbers.items()}
        for place, rule in enumerate(self.all):
            ports = _only_ports(rule)
            if ports is None:
                self._always.append(place)
            for port in ports or ():
                self._by_port.setdefault(port, []).append(place)

    def rules(self, port: object) -> list[Rule | Block]:
        """Return the rules that packets to a port may meet, all where it is not known, in order."""
        key = port if isinstance(port, int) else None
        found = self._lists.get(key)
        if found is None:
            places = range(len(self.all))
            chosen = places if key is None else sorted({*self._always, *self._by_port.get(key, ())})
            found = self._lists[key] = list(self._blocks(list(chosen)))
        return found

    def _blocks(self, places: list[int]) -> Iterator[Rule | Block]:
        """Put neighbours together that are a block; a rule left out between them is about other ports."""
        at = 0
        while at < len(places):
            kind = self.kinds[places[at]]
            end = at + 1
            while kind is not None and end < len(places) and self.kinds[places[end]] == kind:
                end += 1
            if kind is not None and end - at >= _SHORTEST:
                yield Block(self.all, places[at], places[end - 1] + 1, self._fields[kind])
            else:
                yield from (self.all[place] for place in places[at:end])
            at = end

    def spans(self, start: int, length: int, like: int) -> list[tuple[int, int]]:
        """Return the sources that the rules of a run name; what stands between them about other ports is left out.

        `like` is the place of a rule that does what they do.
        """
        found = []
        for place in range(start, start + length):
            if self.kinds[place] == self.kinds[like]:
                rule = self.all[place]
                match = next(one for one in rule.statements if isinstance(one, Match))
                found += [span for (span,) in match.boxes if isinstance(span, tuple)]
        return found


def _verdict(rule: Rule) -> Verdict:
    return next(one for one in rule.statements if isinstance(one, Verdict))


def _kind(rule: Rule) -> tuple[str, Verdict] | None:
    """Return (field, verdict) of a rule that sends sources to a verdict and asks for nothing else, else None."""
    tests = [one for one in rule.statements if not isinstance(one, Note)]
    if len(tests) != 2:
        return None
    match, verdict = tests
    if not isinstance(match, Match) or not isinstance(verdict, Verdict) or verdict.kind not in _PLAIN:
        return None
    key = match.keys[0] if len(match.keys) == 1 else None
    plain = key is not None and key.field in _SOURCES and not (key.mask or key.shift)
    if key is None or not plain or match.negated or match.timed or match.open:
        return None
    return key.field, verdict


def _only_ports(rule: Rule) -> set[int] | None:
    """Return the few ports a rule is about, None where it may be about any."""
    for statement in rule.statements:
        if type(statement) in ACTIONS:
            return None
        if isinstance(statement, Match) and _names_ports(statement):
            ports: set[int] = set()
            for box in statement.boxes:
                span = box[0]
                assert isinstance(span, tuple)
                low, high = span
                if high - low > 64 or len(ports) > 256:
                    return None
                ports.update(range(low, high + 1))
            return ports
    return None


def _names_ports(match: Match) -> bool:
    key = match.keys[0] if len(match.keys) == 1 else None
    if key is None or not key.field.endswith(" dport") or key.mask or key.shift:
        return False
    return not (match.negated or match.open or match.timed)


def actions(rule: Rule) -> list[object]:
    """Return a rule's statements from the first action on."""
    for at, statement in enumerate(rule.statements):
        if type(statement) in ACTIONS or (isinstance(statement, Unknown) and statement.effect):
            return list(rule.statements[at:])
    return []
