"""UDP datagrams (RFC 768)."""

from __future__ import annotations

from struct import Struct

from portside.record import Record
from portside.wire.packets import UDP, checksum

HEADER = Struct("!HHHH")


class Datagram(Record):
    """The header of a UDP datagram and its payload, cut short as it came."""

    source: int
    target: int
    payload: bytes


def datagram(ends: tuple[bytes, bytes], ports: tuple[int, int], payload: bytes) -> bytes:
    """Return a datagram with its checksum: raw addresses and ports as (source, target)."""
    empty = HEADER.pack(*ports, HEADER.size + len(payload), 0) + payload
    summed = checksum.transport(*ends, UDP, empty) or 0xFFFF  # 0 would mean that there is none
    return empty[:6] + summed.to_bytes(2, "big") + empty[8:]


def read(data: bytes) -> Datagram | None:
    """Read the datagram at the start of `data`."""
    if len(data) < HEADER.size:
        return None
    source, target, length, _ = HEADER.unpack_from(data)
    return Datagram(source, target, data[HEADER.size : max(length, HEADER.size)])
