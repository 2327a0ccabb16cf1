"""The Internet checksum (RFC 1071) and the pseudo-headers it runs over (RFC 9293, 3.1; RFC 8200, 8.1)."""

from __future__ import annotations


def total(data: bytes) -> int:
    """Return the sum of the 16-bit words of `data`, an odd byte padded with zero; not yet folded."""
    if len(data) % 2:
        data += b"\0"
    return sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def fold(summed: int) -> int:
    """Return the checksum field for a sum of words: carries added back, then the complement."""
    while summed >> 16:
        summed = (summed & 0xFFFF) + (summed >> 16)
    return ~summed & 0xFFFF


def internet(data: bytes) -> int:
    """Return the checksum of `data`, 0 where `data` holds its own correct checksum."""
    return fold(total(data))


def transport(source: bytes, target: bytes, protocol: int, segment: bytes) -> int:
    """Return the checksum of a segment between two raw addresses, with their pseudo-header in front."""
    return fold(total(source) + total(target) + protocol + len(segment) + total(segment))
