"""Sets of packets as reduced ordered binary decision diagrams, in plain Python.

A node is a number: 0 is the empty set, 1 everything; the others are (variable, node where it is 0, node where it is
1), each kept once, so that equal sets are equal numbers.  Operations keep their answers for the life of the manager:
the next port asked for meets the same rules.  A field is a run of variables, highest bit first.
Reference: Bryant, Graph-Based Algorithms for Boolean Function Manipulation, IEEE Trans. Computers C-35(8), 1986.
"""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EMPTY, ALL = 0, 1
MANY = 10_000  # spans that are told of a set, at the most
_BYTE = 8  # spans are kept for nodes at whole bytes of a field
_LAST = 1 << 30  # the level of the two constants: below every variable


class Manager:
    """The nodes of one family of sets; `both`, `either` and `less` are intersection, union and difference of two."""

    def __init__(self) -> None:
        self.level = [_LAST, _LAST]
        self.low = [0, 1]
        self.high = [0, 1]
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._some: dict[tuple[int, int], int] = {}
        self._every: dict[tuple[int, int], int] = {}
        self._met: dict[tuple[int, int, int], int] = {}
        self._listed: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.both = self._operation(_ends_of_both)
        self.either = self._operation(_ends_of_either)
        self.less = self._operation(_ends_of_less, swaps=False)

    def node(self, level: int, low: int, high: int) -> int:
        """Return the node of a variable and its two halves."""
        if low == high:
            return low
        key = (level, low, high)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = len(self.level)
            self.level.append(level)
            self.low.append(low)
            self.high.append(high)
        return found

    def variable(self, level: int) -> int:
        """Return the set in which a variable is 1."""
        return self.node(level, EMPTY, ALL)

    def _operation(self, ends: Callable[[int, int], int], *, swaps: bool = True) -> Callable[[int, int], int]:
        """Return an operation on two sets, applied to both halves by the upper of their two variables.

        `ends` answers where a constant is in it, or twice the same, below 0 if it cannot; `swaps`: whether the
        order of the two is all one.  A function of its own variables, because most of the time goes by in here.
        """
        level, lows, highs, nodes = self.level, self.low, self.high, self._nodes
        known: dict[tuple[int, int], int] = {}

        def operation(one: int, other: int) -> int:
            if one <= ALL or other <= ALL or one == other:
                found = ends(one, other)
                if found >= 0:
                    return found
            key = (other, one) if swaps and one > other else (one, other)
            if key in known:
                return known[key]
            top, below = level[one], level[other]
            if top == below:
                low, high = operation(lows[one], lows[other]), operation(highs[one], highs[other])
            elif top < below:
                low, high = operation(lows[one], other), operation(highs[one], other)
            else:
                top = below
                low, high = operation(one, lows[other]), operation(one, highs[other])
            found = low
            if low != high:
                entry = (top, low, high)
                found = nodes.get(entry, -1)
                if found < 0:
                    found = nodes[entry] = len(level)
                    level.append(top)
                    lows.append(low)
                    highs.append(high)
            known[key] = found
            return found

        return operation

    def union(self, nodes: Iterable[int]) -> int:
        """Return the union of many, joined in pairs so that big ones are walked seldom."""
        left = list(nodes)
        while len(left) > 1:
            left = [
                self.either(left[at], left[at + 1]) if at + 1 < len(left) else left[at]
                for at in range(0, len(left), 2)
            ]
        return left[0] if left else EMPTY

    def spans(self, variables: Sequence[int], spans: Iterable[tuple[int, int]], mask: int = 0) -> int:
        """Return where a field, masked if asked, lies within one of the spans.

        `variables` are the field's, highest bit first.
        """
        merged = merge(spans)
        whole = (1 << len(variables)) - 1
        if mask and mask != whole:
            return self._masked(variables, mask, 0, 0, merged)
        return self._spans(variables, merged, 0, 0, 0, len(merged)) if merged else EMPTY

    def _spans(
        self,
        variables: Sequence[int],
        spans: list[tuple[int, int]],
        depth: int,
        base: int,
        first: int,
        end: int,
    ) -> int:
        """Return the spans from `first` to `end`, all of which meet the values with these upper bits (`base`)."""
        size = 1 << len(variables) - depth
        if end - first == 1:
            low, high = spans[first]
            if low <= base and high >= base + size - 1:
                return ALL
            if low == high:
                return self._value(variables, depth, low)
        half = base + (size >> 1)
        middle = bisect_left(spans, half, first, end, key=_upper)
        before = middle + 1 if middle < end and spans[middle][0] < half else middle
        low = self._spans(variables, spans, depth + 1, base, first, before) if before > first else EMPTY
        high = self._spans(variables, spans, depth + 1, half, middle, end) if middle < end else EMPTY
        return self.node(variables[depth], low, high)

    def _value(self, variables: Sequence[int], depth: int, value: int) -> int:
        """Return where the bits of a field from `depth` on are those of a value."""
        make, node = self.node, ALL
        for level in reversed(variables[depth:]):
            node = make(level, EMPTY, node) if value & 1 else make(level, node, EMPTY)
            value >>= 1
        return node

    def _masked(
        self, variables: Sequence[int], mask: int, depth: int, base: int, spans: list[tuple[int, int]]
    ) -> int:
        size = 1 << len(variables) - depth
        inside = [one for one in spans if one[1] >= base and one[0] < base + size]
        if not inside:
            return EMPTY
        if inside[0][0] <= base and inside[0][1] >= base + size - 1:
            return ALL
        half = size >> 1
        low = self._masked(variables, mask, depth + 1, base, inside)
        if not mask & half:  # the bit is masked away: always 0
            return low
        high = self._masked(variables, mask, depth + 1, base + half, inside)
        return self.node(variables[depth], low, high)

    def forall(self, node: int, first: int) -> int:
        """Return where every value of the variables from `first` on leads into the set."""
        if self.level[node] >= first:
            return node if node <= ALL else EMPTY
        found = self._every.get((node, first))
        if found is None:
            low, high = self.forall(self.low[node], first), self.forall(self.high[node], first)
            found = self._every[node, first] = self.node(self.level[node], low, high)
        return found

    def exists(self, node: int, first: int) -> int:
        """Return where some value of the variables from `first` on leads into the set."""
        if self.level[node] >= first:
            return node if node <= ALL else ALL  # a node is no constant: something leads there
        found = self._some.get((node, first))
        if found is None:
            low, high = self.exists(self.low[node], first), self.exists(self.high[node], first)
            found = self._some[node, first] = self.node(self.level[node], low, high)
        return found

    def meets(self, node: int, scope: int, first: int) -> int:
        """Return where some value of the variables from `first` on leads into both; `scope` is of these alone.

        The same as `exists` of the intersection, which is not made.
        """
        if self.level[node] >= first:
            return ALL if self.both(node, scope) != EMPTY else EMPTY
        key = node, scope, first
        found = self._met.get(key)
        if found is None:
            low, high = self.meets(self.low[node], scope, first), self.meets(self.high[node], scope, first)
            found = self._met[key] = self.node(self.level[node], low, high)
        return found

    def support(self, node: int) -> set[int]:
        """Return the variables that a set depends on."""
        seen: set[int] = set()
        levels: set[int] = set()
        todo = [node]
        while todo:
            one = todo.pop()
            if one > ALL and one not in seen:
                seen.add(one)
                levels.add(self.level[one])
                todo += (self.low[one], self.high[one])
        return levels

    def intervals(self, node: int, first: int, width: int, most: int = MANY) -> list[tuple[int, int]]:
        """Return the spans of a set over one field alone, `width` variables from `first` on; `most` at the most."""
        found: list[tuple[int, int]] = []
        self._collect(node, first, width, 0, found)
        return found[:most]

    def _collect(self, node: int, first: int, width: int, base: int, found: list[tuple[int, int]]) -> None:
        """Add the spans of a subtree to those found; very many are enough."""
        while node > ALL and len(found) <= MANY:
            if width % _BYTE == 0:
                _add(found, base, self._list(node, first, width))
                return
            width -= 1
            split = self.level[node] == first
            low, high = (self.low[node], self.high[node]) if split else (node, node)
            first += 1
            if low > ALL:
                self._collect(low, first, width, base, found)
            elif low == ALL:
                _add_one(found, base, base + (1 << width) - 1)
            node, base = high, base + (1 << width)
        if node == ALL:
            _add_one(found, base, base + (1 << width) - 1)

    def _list(self, node: int, first: int, width: int) -> list[tuple[int, int]]:
        """Return the spans of the last variables of a field, kept: sets that differ elsewhere share them."""
        key = node, first
        if key not in self._listed:
            found: list[tuple[int, int]] = []
            half = 1 << width - 1
            split = self.level[node] == first
            low, high = (self.low[node], self.high[node]) if split else (node, node)
            self._collect(low, first + 1, width - 1, 0, found)
            self._collect(high, first + 1, width - 1, half, found)
            self._listed[key] = found
        return self._listed[key]


def _upper(span: tuple[int, int]) -> int:
    return span[1]


def _add(found: list[tuple[int, int]], base: int, spans: list[tuple[int, int]]) -> None:
    """Add spans, moved up by `base`, to those found, joined where they touch."""
    at = 0
    if found and spans and found[-1][1] == base + spans[0][0] - 1:
        found[-1] = found[-1][0], base + spans[0][1]
        at = 1
    found += [(low + base, high + base) for low, high in spans[at:]]


def _add_one(found: list[tuple[int, int]], low: int, high: int) -> None:
    if found and found[-1][1] == low - 1:
        found[-1] = found[-1][0], high
    else:
        found.append((low, high))


def _ends_of_both(one: int, other: int) -> int:
    return one if one == other or other == ALL else other if one == ALL else EMPTY


def _ends_of_either(one: int, other: int) -> int:
    return one if one == other or other == EMPTY else other if one == EMPTY else ALL


def _ends_of_less(one: int, other: int) -> int:
    if one in (EMPTY, other) or other == ALL:
        return EMPTY
    return one if other == EMPTY else -1


def merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans sorted, those that touch joined."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged
