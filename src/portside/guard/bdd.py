"""Sets of packets as reduced ordered binary decision diagrams, in plain Python.

A node is a number: 0 is the empty set, 1 everything; the others are (variable, node where it is 0, node where it is
1), each kept once, so that equal sets are equal numbers.  Operations keep their answers for the life of the manager:
the next port asked for meets the same rules.  A field is a run of variables, highest bit first.
Reference: Bryant, Graph-Based Algorithms for Boolean Function Manipulation, IEEE Trans. Computers C-35(8), 1986.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EMPTY, ALL = 0, 1
_LAST = 1 << 30  # the level of the two constants: below every variable


class Manager:
    """The nodes of one family of sets."""

    def __init__(self) -> None:
        self.level = [_LAST, _LAST]
        self.low = [0, 1]
        self.high = [0, 1]
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._both: dict[tuple[int, int], int] = {}
        self._either: dict[tuple[int, int], int] = {}
        self._less: dict[tuple[int, int], int] = {}
        self._some: dict[tuple[int, int], int] = {}
        self._every: dict[tuple[int, int], int] = {}

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

    def both(self, one: int, other: int) -> int:
        """Return the intersection."""
        if one == other or other == ALL:
            return one
        if one == ALL:
            return other
        if one == EMPTY or other == EMPTY:
            return EMPTY
        key = (one, other) if one < other else (other, one)
        found = self._both.get(key)
        if found is None:
            found = self._both[key] = self._split(self.both, one, other)
        return found

    def either(self, one: int, other: int) -> int:
        """Return the union."""
        if one == other or other == EMPTY:
            return one
        if one == EMPTY:
            return other
        if one == ALL or other == ALL:
            return ALL
        key = (one, other) if one < other else (other, one)
        found = self._either.get(key)
        if found is None:
            found = self._either[key] = self._split(self.either, one, other)
        return found

    def less(self, one: int, other: int) -> int:
        """Return what is in the first and not in the second."""
        if one in (EMPTY, other) or other == ALL:
            return EMPTY
        if other == EMPTY:
            return one
        key = (one, other)
        found = self._less.get(key)
        if found is None:
            found = self._less[key] = self._split(self.less, one, other)
        return found

    def _split(self, operation: Callable[[int, int], int], one: int, other: int) -> int:
        """Apply an operation to both halves by the upper of the two variables."""
        level, low, high = self.level, self.low, self.high
        mine, others = level[one], level[other]
        top = mine if mine < others else others
        low_one, high_one = (low[one], high[one]) if mine == top else (one, one)
        low_other, high_other = (low[other], high[other]) if others == top else (other, other)
        return self.node(top, operation(low_one, low_other), operation(high_one, high_other))

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
        width = len(variables)
        return self._spans(variables, mask or (1 << width) - 1, 0, 0, merged, 0, len(merged))

    def _spans(
        self,
        variables: Sequence[int],
        mask: int,
        depth: int,
        base: int,
        spans: list[tuple[int, int]],
        first: int,
        end: int,
    ) -> int:
        size = 1 << len(variables) - depth
        while first < end and spans[first][1] < base:
            first += 1
        while end > first and spans[end - 1][0] >= base + size:
            end -= 1
        if first == end:
            return EMPTY
        if spans[first][0] <= base and spans[first][1] >= base + size - 1:
            return ALL
        if depth == len(variables):
            return EMPTY
        low = self._spans(variables, mask, depth + 1, base, spans, first, end)
        half = size >> 1
        if not mask & half:  # the bit is masked away: always 0
            return low
        high = self._spans(variables, mask, depth + 1, base + half, spans, first, end)
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

    def sample(self, node: int, liked: dict[int, bool]) -> dict[int, bool]:
        """Return a way into a set that is not empty, variable by variable as liked wherever the set allows."""
        found = dict(liked)
        while node > ALL:
            level = self.level[node]
            want = liked.get(level, False)
            branch = self.high[node] if want else self.low[node]
            if branch == EMPTY:
                want = not want
                branch = self.high[node] if want else self.low[node]
            found[level] = want
            node = branch
        return found

    def intervals(self, node: int, first: int, width: int, most: int = 1 << 20) -> list[tuple[int, int]]:
        """Return the spans of a set over one field alone, `width` variables from `first` on; `most` at the most."""
        found: list[list[int]] = []
        self._collect(node, first, width, 0, found, most)
        return [(low, high) for low, high in found]

    def _collect(
        self, node: int, first: int, width: int, base: int, found: list[list[int]], most: int
    ) -> None:
        """Add the spans of a subtree to those found, joined where they touch; `most` of them are enough."""
        while node > ALL:
            width -= 1
            if self.level[node] > first:
                low = high = node
            else:
                low, high = self.low[node], self.high[node]
            first += 1
            if low != EMPTY:
                if len(found) >= most:
                    return
                self._collect(low, first, width, base, found, most)
            node, base = high, base + (1 << width)
        if node == ALL:
            if found and found[-1][1] == base - 1:
                found[-1][1] = base + (1 << width) - 1
            elif len(found) < most:
                found.append([base, base + (1 << width) - 1])


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
