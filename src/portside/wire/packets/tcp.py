"""TCP segments (RFC 9293) and the options of a SYN."""

from __future__ import annotations

from struct import Struct, pack

from portside.record import Record
from portside.wire.packets import TCP, checksum

HEADER = Struct("!HHIIBBHHH")
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

# What Linux itself puts into a SYN, but for timestamps: MSS 1460, twice no-operation, SACK permitted, no-operation,
# window scale 7.  Some paths drop a SYN without MSS.
SYN_OPTIONS = pack("!BBH 2B 2B B 3B", 2, 4, 1460, 1, 1, 4, 2, 1, 3, 3, 7)
WINDOW = 64240


class Segment(Record):
    """The header of a TCP segment."""

    source: int
    target: int
    sequence: int
    acknowledged: int
    flags: int
    window: int


def segment(
    ends: tuple[bytes, bytes], ports: tuple[int, int], flags: int, numbers: tuple[int, int] = (0, 0),
    options: bytes = b"", payload: bytes = b"", window: int = WINDOW,
) -> bytes:  # fmt: skip
    """Return a segment with its checksum: raw addresses and ports as (source, target), (sequence, acknowledged)."""
    length = (HEADER.size + len(options)) // 4 << 4
    empty = HEADER.pack(*ports, *numbers, length, flags, window, 0, 0) + options + payload
    summed = checksum.transport(*ends, TCP, empty)
    return empty[:16] + summed.to_bytes(2, "big") + empty[18:]


def read(data: bytes) -> Segment | None:
    """Read the header at the start of `data`."""
    if len(data) < HEADER.size:
        return None
    source, target, sequence, acknowledged, _, flags, window, _, _ = HEADER.unpack_from(data)
    return Segment(source, target, sequence, acknowledged, flags, window)
