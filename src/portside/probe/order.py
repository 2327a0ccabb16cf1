"""In which order probes are sent: a permutation that needs no memory, turned around as easily as made.

A sweep from one address to the next looks like an attack to the target and floods one host at a time; a shuffled list
would not fit.  So place i in the order is the probe number P(i), with P a permutation of 0..size-1 made from a seed:
an alternating Feistel network on the smallest 2^k that holds the size (M. Luby, C. Rackoff 1988; unbalanced by at
most one bit), walked again while the number falls outside ("cycle walking", J. Black, P. Rogaway 2002): at most
twice in the mean.  All arithmetic is multiplication and shifts of 64 bits, so that the same lines
work on numpy's arrays.

    left, right = the upper ceil(k/2) bits of the number, the lower floor(k/2)
    for keys 0, 2:  left ^= mix(right + key);   for keys 1, 3:  right ^= mix(left + key)     (each cut to its bits)
    mix(x) = x * MULTIPLIER mod 2^64, then its upper 32 bits folded into it:  x ^ x >> 32, times MULTIPLIER, >> 32

Shard s of n has the places s, s + n, s + 2n, ... of the whole order, so shards with one seed need no coordination.
A run can stop anywhere: what is left is a place, and the few probes before it that had no verdict (`Left`).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.probe.space import Space

MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, made odd (D. Knuth, TAOCP 6.4)
MASK64 = (1 << 64) - 1
_TABLE_BITS = 9


def mix(number: int) -> int:
    """Return 32 bits, each of which depends on all of the lower 32 bits of `number`."""
    number = number * MULTIPLIER & MASK64
    return ((number ^ number >> 32) * MULTIPLIER & MASK64) >> 32


class Permutation:
    """A permutation of 0..size-1 by a seed (64 bits); `keys`, `left_bits`, `right_bits` are all it consists of."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        bits = max(2, (size - 1).bit_length())
        self.right_bits = bits // 2
        self.left_bits = bits - self.right_bits
        self.keys = tuple(_spread(seed + step) for step in range(1, 5))
        self._rounds: tuple[list[int], ...] = ()

    def at(self, place: int) -> int:
        """Return the number in this place."""
        forward = self.forward if self.left_bits > _TABLE_BITS else self._looked_up
        while True:
            place = forward(place)
            if place < self.size:
                return place

    def _looked_up(self, number: int) -> int:
        """Return what `forward` does, in a fourth of the time: halves of few bits leave few values to mix."""
        if not self._rounds:
            low, high = (1 << self.right_bits) - 1, (1 << self.left_bits) - 1
            self._rounds = tuple(
                [mix(half + key) & kept for half in range(reach + 1)]
                for key, kept, reach in zip(self.keys, (high, low) * 2, (low, high) * 2, strict=True)
            )
        first, second, third, fourth = self._rounds
        shift = self.right_bits
        left, right = number >> shift, number & (1 << shift) - 1
        left ^= first[right]
        right ^= second[left]
        left ^= third[right]
        right ^= fourth[left]
        return left << shift | right

    def place(self, number: int) -> int:
        """Return the place of this number: the inverse of `at`."""
        while True:
            number = self.backward(number)
            if number < self.size:
                return number

    def forward(self, number: int) -> int:
        """Return the number once through the network; an array of numpy's uint64 goes through as one int does."""
        shift = self.right_bits
        low, high = (1 << shift) - 1, (1 << self.left_bits) - 1
        left, right = number >> shift, number & low
        first, second, third, fourth = self.keys
        left ^= mix(right + first) & high
        right ^= mix(left + second) & low
        left ^= mix(right + third) & high
        right ^= mix(left + fourth) & low
        return left << shift | right

    def backward(self, number: int) -> int:
        """Return what `forward` turns into `number`."""
        shift = self.right_bits
        low, high = (1 << shift) - 1, (1 << self.left_bits) - 1
        left, right = number >> shift, number & low
        first, second, third, fourth = self.keys
        right ^= mix(left + fourth) & low
        left ^= mix(right + third) & high
        right ^= mix(left + second) & low
        left ^= mix(right + first) & high
        return left << shift | right


def _spread(number: int) -> int:
    """Return 64 bits that depend on all of `number`: the output step of splitmix64 (G. Steele and others, 2014)."""
    number = number * MULTIPLIER & MASK64
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    number = (number ^ number >> 27) * 0x94D049BB133111EB & MASK64
    return number ^ number >> 31


class Shard(Record):
    """The part `number` (from 1) of `count`; the default is the whole."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Return the shard of `3/10`; BadRequest if it is none."""
    number, slash, count = text.partition("/")
    digits = all(part.isascii() and part.isdecimal() and len(part) < 10 for part in (number, count))
    if not (slash and digits and 1 <= int(number) <= int(count)):
        raise BadRequest("read shard", repr(text[:40]), "not a part of a whole", "write 1/10 to 10/10")
    return Shard(int(number), int(count))


class Left(Record):
    """What a run has not decided: every place from `next` on, and the `places` before it."""

    next: int = 0
    places: tuple[int, ...] = ()


class Order:
    """The probes of one shard of a space in the order of a seed: `size` places, from 0."""

    def __init__(self, space: Space, seed: int, shard: Shard | None = None) -> None:
        self.space = space
        self.seed = seed
        self.shard = shard or Shard()
        self.permutation = Permutation(space.size, seed)
        self.size = len(range(self.shard.number - 1, space.size, self.shard.count))

    def number(self, place: int) -> int:
        """Return the number, in the space, of the probe in this place."""
        return self.permutation.at(self.shard.number - 1 + place * self.shard.count)

    def place(self, number: int) -> int | None:
        """Return the place of a probe by its number, None where it is another shard's."""
        whole = self.permutation.place(number)
        place, other = divmod(whole - (self.shard.number - 1), self.shard.count)
        return None if other else place

    def places(self, left: Left) -> Iterator[int]:
        """Yield the places that are left, in order."""
        yield from left.places
        yield from range(left.next, self.size)

    def probes(self, left: Left) -> Iterator[tuple[int, bytes, str, int]]:
        """Yield (place, address, zone, port) of the probes that are left, in order."""
        number, at = self.number, self.space.at
        for place in self.places(left):
            yield (place, *at(number(place)))
