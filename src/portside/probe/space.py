"""Every probe of one transport as a number: addresses held as ranges, times ports held as ranges.

    number = address's place among the addresses * how many ports + port's place among the ports

Both directions are a binary search over the ranges and one division; what is held grows with the ranges that were
written, never with the addresses they contain.  IPv4 stands before IPv6, each ascending.
"""

from __future__ import annotations

from bisect import bisect_right

from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from portside.ports.number import Range

MOST_PROBES = 1 << 63  # so that engines may count in 64 bits


class Block(Record):
    """The addresses `first` to `last`, both included, as numbers.

    `width` is 4 or 16 bytes; `zone` is the interface of an address that needs one (fe80::1%eth0), else empty.
    """

    width: int
    first: int
    last: int
    zone: str = ""

    @property
    def size(self) -> int:
        """How many addresses there are."""
        return self.last - self.first + 1


class Addresses:
    """A set of addresses as sorted blocks that neither overlap nor touch; `blocks` are those blocks."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks = merge(blocks)
        self.starts: list[int] = []
        self.size = 0
        for block in self.blocks:
            self.starts.append(self.size)
            self.size += block.size

    def __bool__(self) -> bool:
        return bool(self.blocks)

    def at(self, place: int) -> tuple[bytes, str]:
        """Return the address in this place, as raw bytes, and its zone."""
        number = bisect_right(self.starts, place) - 1
        block = self.blocks[number]
        return (block.first + place - self.starts[number]).to_bytes(block.width, "big"), block.zone

    def place(self, raw: bytes, zone: str = "") -> int | None:
        """Return the place of an address, None where it is not one of these."""
        number = int.from_bytes(raw, "big")
        key = (len(raw), zone, number)
        found = bisect_right(self.blocks, key, key=_key) - 1
        if found < 0:
            return None
        block = self.blocks[found]
        inside = (block.width, block.zone) == key[:2] and number <= block.last
        return self.starts[found] + number - block.first if inside else None

    def __contains__(self, raw: bytes) -> bool:
        return self.place(raw) is not None

    def without(self, others: Addresses) -> Addresses:
        """Return the addresses that are not among `others`; one there without a zone stands for every zone."""
        return Addresses(piece for block in self.blocks for piece in _cut(block, others.blocks))

    def within(self, others: Addresses) -> Addresses:
        """Return the addresses that are among `others` too; one there without a zone stands for every zone."""
        return Addresses(
            block.replace(first=max(block.first, other.first), last=min(block.last, other.last))
            for block in self.blocks
            for other in _touching(block, others.blocks)
        )


def _key(block: Block) -> tuple[int, str, int]:
    return block.width, block.zone, block.first


def merge(blocks: Iterable[Block]) -> list[Block]:
    """Return the same addresses as sorted blocks that neither overlap nor touch."""
    merged: list[Block] = []
    for block in sorted(blocks, key=_key):
        before = merged[-1] if merged else None
        if (
            before
            and (before.width, before.zone) == (block.width, block.zone)
            and block.first <= before.last + 1
        ):
            if block.last > before.last:
                merged[-1] = before.replace(last=block.last)
        else:
            merged.append(block)
    return merged


def _cut(block: Block, holes: Sequence[Block]) -> Iterator[Block]:
    first = block.first
    for hole in _touching(block, holes):
        if hole.first > first:
            yield block.replace(first=first, last=hole.first - 1)
        first = max(first, hole.last + 1)
    if first <= block.last:
        yield block.replace(first=first)


def _touching(block: Block, holes: Sequence[Block]) -> list[Block]:
    """Return the holes with addresses of the block, ascending; those of no zone and those of its own count."""
    found = []
    for zone in {"", block.zone}:
        at = max(0, bisect_right(holes, (block.width, zone, block.first), key=_key) - 1)
        while at < len(holes) and _key(holes[at]) <= (block.width, zone, block.last):
            hole = holes[at]
            if (hole.width, hole.zone) == (block.width, zone) and hole.last >= block.first:
                found.append(hole)
            at += 1
    return sorted(found, key=lambda hole: hole.first)


class Space:
    """Every probe of one transport: `addresses` times `ports` (sorted ranges); `size` probes, numbered from 0."""

    def __init__(self, protocol: str, addresses: Addresses, ports: Sequence[Range]) -> None:
        self.protocol = protocol
        self.addresses = addresses
        self.ports = tuple(ports)
        self.port_starts: list[int] = []
        self.port_count = 0
        for each in self.ports:
            self.port_starts.append(self.port_count)
            self.port_count += len(each)
        self.size = addresses.size * self.port_count
        if self.size > MOST_PROBES:
            raise BadRequest(
                "scan", "", f"{self.size:,} probes would never end", "name fewer addresses or ports"
            )

    def port_at(self, place: int) -> int:
        """Return the port in this place among the ports."""
        number = bisect_right(self.port_starts, place) - 1
        return self.ports[number].first + place - self.port_starts[number]

    def at(self, number: int) -> tuple[bytes, str, int]:
        """Return (address, zone, port) of a probe."""
        address, port = divmod(number, self.port_count)
        return (*self.addresses.at(address), self.port_at(port))

    def number(self, raw: bytes, port: int, zone: str = "") -> int | None:
        """Return the number of a probe, None where it is not of this space: an answer that nobody asked for."""
        address = self.addresses.place(raw, zone)
        found = bisect_right(self.ports, port, key=lambda each: each.first) - 1
        if address is None or found < 0 or port not in self.ports[found]:
            return None
        return address * self.port_count + self.port_starts[found] + port - self.ports[found].first
