"""Probes in flight: up to 65,535 of one family, all sent from one source port, which answers name in turn.

Each probe's sequence number is a keyed hash of its addresses and ports, and at the same time its place in a small
hash table: from the number an answer acknowledges the probe is found, and then address, port and the whole number
must agree.  Nothing that a stranger makes up gets through, and what comes twice is decided already.
"""

from __future__ import annotations

import numpy as np

from portside.probe.packets.siphash import siphash13

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from portside.probe.packets.expand import Hosts, Probes

MOST = 65_535
_NONE = 0xFFFF
_BITS = 17  # slots of each table: twice as many as the largest chunk has probes


class Chunk:
    """Columns over the probes of one `Probes`, and how far each is.

    `port`: the source port.  `numbers`: sequence numbers (uint32).  `attempts` (uint8).  `sent`: when the last
    attempt was, in seconds of the engine's clock (float64).  `decided` (bool), `pending`: how many are not.  `lane`
    (uint8) and `hardware` (6 bytes each): which way out, filled in by `routes`.  `cursors[k]`: up to where attempt k
    has gone; `wake`: when the next attempt is due.
    """

    def __init__(self, probes: Probes, port: int, key: tuple[int, int], attempts: int) -> None:
        self.width, self.places, self.hosts, self.ports = (
            probes.width,
            probes.places,
            probes.hosts,
            probes.ports,
        )
        self.zones = probes.zones
        self.port = port
        size = self.size = len(probes.places)
        self.numbers = self._hash(key)
        self.attempts = np.zeros(size, np.uint8)
        self.sent = np.zeros(size)
        self.decided = np.zeros(size, bool)
        self._claims = np.zeros(size, np.int64)
        self.pending = size
        self.lane = np.zeros(size, np.uint8)
        self.hardware = np.zeros((size, 6), np.uint8)
        self.cursors = [0] * (attempts + 1)  # the last one: given up
        self.wake = 0.0
        self._index()

    def _hash(self, key: tuple[int, int]) -> NDArray[np.uint32]:
        ends = self.ports.astype(np.uint64) << 16 | np.uint64(self.port)
        if self.width == 4:
            words = [self.hosts.astype(np.uint64) << 32 | ends]
        else:
            words = [np.ascontiguousarray(self.hosts[:, 0]), np.ascontiguousarray(self.hosts[:, 1]), ends]
        return siphash13(key, words).astype(np.uint32)  # type: ignore[arg-type]

    def _index(self) -> None:
        """Put each probe in the first table, those that share a slot in the second, the few left in a sorted list."""
        bits = min(_BITS, max(self.size.bit_length() + 1, 4))
        self._mask = np.uint32((1 << bits) - 1)
        self._shift = np.uint32(32 - bits)
        everything = np.arange(self.size, dtype=np.uint16)
        self._first = np.full(1 << bits, _NONE, np.uint16)
        slots = self.numbers & self._mask
        self._first[slots] = everything
        rest = everything[self._first[slots] != everything]
        self._second = np.full(1 << bits, _NONE, np.uint16)
        slots = self.numbers[rest] >> self._shift
        self._second[slots] = rest
        rest = rest[self._second[slots] != rest]
        self._rest = rest[np.argsort(self.numbers[rest])]
        self._rest_numbers = self.numbers[self._rest]

    def match(
        self,
        hosts: Hosts,
        ports: NDArray[np.uint16],
        numbers: NDArray[np.uint32],
    ) -> NDArray[np.int64]:
        """Return for each answer the probe it belongs to, -1 where it belongs to none."""
        found = self._agree(self._first[numbers & self._mask], hosts, ports, numbers)
        left = np.flatnonzero(found < 0)
        if len(left):
            hosts, ports, numbers = hosts[left], ports[left], numbers[left]
            found[left] = self._search(hosts, ports, numbers)
        return found

    def _search(
        self, hosts: Hosts, ports: NDArray[np.uint16], numbers: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Return what the second table and the list have of those that the first has not."""
        found = self._agree(self._second[numbers >> self._shift], hosts, ports, numbers)
        for step in (0, 1) if len(self._rest) else ():
            at = np.minimum(np.searchsorted(self._rest_numbers, numbers) + step, len(self._rest) - 1)
            found = np.maximum(found, self._agree(self._rest[at], hosts, ports, numbers))
        return found

    def _agree(
        self, candidates: NDArray[np.uint16], hosts: Hosts, ports: NDArray[np.uint16], numbers: NDArray[np.uint32]
    ) -> NDArray[np.int64]:  # fmt: skip
        """Return the candidates that agree in number, address and port, -1 in place of the others."""
        at = candidates.astype(np.int64)
        at[at >= self.size] = 0
        hits = self.hosts[at] == hosts
        same = hits if self.width == 4 else hits.all(axis=1)
        same &= (self.numbers[at] == numbers) & (self.ports[at] == ports)
        at[~same] = -1
        return at

    def decide(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Mark probes as decided; return which entries of `at` decided one: the first of each, -1 being none."""
        rows: NDArray[np.int64] = np.flatnonzero((at >= 0) & ~self.decided[at])
        if not len(rows):
            return rows
        at = at[rows]
        self._claims[at[::-1]] = rows[::-1]  # of equal ones the first is written last
        rows = rows[self._claims[at] == rows]
        self.decided[at] = True
        self.pending -= len(rows)
        return rows

    def due(self, attempt: int, until: float, most: int) -> tuple[NDArray[np.int64], float]:
        """Return up to `most` probes whose next attempt is `attempt`, and when the next of them will be due.

        Due is what was sent before `until` (the first attempt: at once) and is not decided.  The cursor moves past
        what is returned; the second value is the time of the first probe that is not due yet, infinite if none is.
        """
        start = self.cursors[attempt]
        end = self.size if not attempt else self.cursors[attempt - 1]
        if start >= end:
            return _NOTHING, float("inf")
        if not attempt:
            stop = min(end, start + most)
            self.cursors[0] = stop
            at = np.arange(start, stop)
            return at[~self.decided[start:stop]], 0.0 if stop < end else float("inf")
        if self.sent[start] > until and not self.decided[start]:
            return _NOTHING, float(self.sent[start])
        stop = min(end, start + max(most * 4, 4096))
        waiting = np.flatnonzero(~self.decided[start:stop]) + start
        ready = waiting[self.sent[waiting] <= until]
        if len(ready) > most:
            ready = ready[:most]
        if len(ready) == len(waiting):
            self.cursors[attempt] = stop
        else:
            self.cursors[attempt] = int(waiting[len(ready)])
        following = self.cursors[attempt]
        return ready, float(self.sent[following]) if following < end else float("inf")


_NOTHING = np.zeros(0, np.int64)
