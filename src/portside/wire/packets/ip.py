"""The headers of IPv4 (RFC 791) and IPv6 (RFC 8200), either way.

Written: no options, no fragments, Don't Fragment set for IPv4.  Read: options and extension headers are stepped over,
later fragments are not taken for what they are not.
"""

from __future__ import annotations

from struct import Struct

from portside.record import Record
from portside.wire.packets import checksum

V4 = Struct("!BBHHHBBH4s4s")
V6 = Struct("!IHBB16s16s")
_DONT_FRAGMENT = 0x4000
_OFFSET = 0x1FFF
HOPS = 64

# The extension headers that may stand before a segment: hop by hop, routing, destination options (IANA).
_STEPPED_OVER = (0, 43, 60)
_FRAGMENT = 44
_MOST_EXTENSIONS = 8


class Packet(Record):
    """An IP packet: raw addresses, protocol of the payload, hop limit, and where the payload starts and ends."""

    source: bytes
    target: bytes
    protocol: int
    hops: int
    start: int
    end: int


def header(
    source: bytes, target: bytes, protocol: int, size: int, hops: int = HOPS, identity: int = 0
) -> bytes:
    """Return the header for a payload of `size` bytes; the family follows from the addresses."""
    if len(source) == 16:
        return V6.pack(6 << 28, size, protocol, hops, source, target)
    fields = (0x45, 0, V4.size + size, identity, _DONT_FRAGMENT, hops, protocol)
    empty = V4.pack(*fields, 0, source, target)
    return V4.pack(*fields, checksum.internet(empty), source, target)


def read(data: bytes) -> Packet | None:
    """Read the header at the start of `data`, which may be cut short behind it; None if it is none."""
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _read4(data)
    return _read6(data) if version == 6 else None


def _read4(data: bytes) -> Packet | None:
    if len(data) < V4.size:
        return None
    first, _, length, _, fragment, hops, protocol, _, source, target = V4.unpack_from(data)
    start = (first & 15) * 4
    if start < V4.size or length < start or fragment & _OFFSET:
        return None
    return Packet(source, target, protocol, hops, start, min(length, len(data)))


def _read6(data: bytes) -> Packet | None:
    if len(data) < V6.size:
        return None
    _, length, protocol, hops, source, target = V6.unpack_from(data)
    start, end = V6.size, min(V6.size + length, len(data))
    for _ in range(_MOST_EXTENSIONS):
        if protocol == _FRAGMENT:
            if end - start < 8 or int.from_bytes(data[start + 2 : start + 4], "big") & 0xFFF8:
                return None
            protocol, start = data[start], start + 8
        elif protocol in _STEPPED_OVER:
            if end - start < 8:
                return None
            protocol, start = data[start], start + 8 + data[start + 1] * 8
        else:
            return Packet(source, target, protocol, hops, min(start, end), end)
    return None
