"""Netlink messages and attributes (include/uapi/linux/netlink.h, netlink(7)).

A message is a 16-byte header and a payload, padded to four bytes; a payload is a fixed struct followed by
attributes (16-bit length and type, padded likewise).  Every reader here is bounded: a length that does not fit
what is left raises BadReply with the sizes.
"""

from __future__ import annotations

import sys

from portside.errors import BadReply
from portside.record import Record
from portside.wire.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HEADER = Layout("nlmsghdr", "I len", "H type", "H flags", "I seq", "I pid")
ATTRIBUTE = Layout("nlattr", "H len", "H type")

# message types
NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4

# header flags
NLM_F_REQUEST = 0x001
NLM_F_MULTI = 0x002
NLM_F_ACK = 0x004
NLM_F_DUMP_INTR = 0x010  # 3.1: the dump was inconsistent, ask again
NLM_F_DUMP_FILTERED = 0x020
NLM_F_DUMP = 0x300  # ROOT | MATCH
NLM_F_CREATE = 0x400  # of a request that makes something: if there is none
NLM_F_CAPPED = 0x100  # on an error: the request was not copied back (4.2)
NLM_F_ACK_TLVS = 0x200  # on an error: extended ack attributes follow (4.12)

# attribute type flags and mask
NLA_F_NESTED = 1 << 15
NLA_F_NET_BYTEORDER = 1 << 14
NLA_TYPE_MASK = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER) & 0xFFFF

# enum nlmsgerr_attrs
NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2


def align(length: int) -> int:
    """NLMSG_ALIGN, NLA_ALIGN: round up to a multiple of four."""
    return (length + 3) & ~3


def message(kind: int, flags: int, payload: bytes, *, seq: int = 1, pid: int = 0) -> bytes:
    """Return one netlink message, header and padding included."""
    length = HEADER.size + len(payload)
    header = HEADER.struct.pack(length, kind, flags, seq, pid)
    return header + payload + bytes(align(length) - length)


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, header and padding included."""
    length = ATTRIBUTE.size + len(payload)
    return ATTRIBUTE.struct.pack(length, kind) + payload + bytes(align(length) - length)


class Message(Record):
    """The header of one message in a buffer, and where its payload stands: `buffer[start:end]`."""

    type: int
    flags: int
    seq: int
    pid: int
    start: int
    end: int


def messages(buffer: bytes | bytearray | memoryview) -> Iterator[Message]:
    """Yield every message of one received buffer; raises BadReply where a length does not fit."""
    offset, size = 0, len(buffer)
    while offset < size:
        length, kind, flags, seq, pid = HEADER.read(buffer, offset)
        if length < HEADER.size or offset + length > size:
            raise BadReply(
                "read", "netlink message", f"it claims {length} bytes, {size - offset} are left in the reply"
            )
        yield Message(kind, flags, seq, pid, offset + HEADER.size, offset + length)
        offset += align(length)


def structs(
    buffer: bytes | bytearray | memoryview, kind: int, layout: Layout
) -> Iterator[tuple[tuple[Any, ...], int, int]]:
    """Yield the struct that begins each message of a dump, and where the attributes behind it start and end.

    Raises BadReply for a message of another type than `kind`, and for one that is too short.
    """
    for part in messages(buffer):
        if part.type != kind:
            raise BadReply("read", f"struct {layout.name}", f"message type {part.type}, {kind} expected")
        if part.end - part.start < layout.size:
            told = f"{layout.size} bytes expected, {part.end - part.start} received"
            raise BadReply("read", f"struct {layout.name}", told)
        yield layout.read(buffer, part.start), part.start + align(layout.size), part.end


def attributes(buffer: bytes | bytearray | memoryview, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of the attributes in `buffer[start:end]`; raises BadReply where one does not fit.

    Type flags are masked off.  Up to three bytes of trailing padding are accepted.
    """
    unpack = ATTRIBUTE.struct.unpack_from
    while end - start >= ATTRIBUTE.size:
        length, kind = unpack(buffer, start)
        if length < ATTRIBUTE.size or start + length > end:
            raise BadReply(
                "read", f"netlink attribute {kind}", f"it claims {length} bytes, {end - start} are left"
            )
        yield kind & NLA_TYPE_MASK, bytes(buffer[start + 4 : start + length])
        start += align(length)


class Failure(Record):
    """What an NLMSG_ERROR or NLMSG_DONE says: `errno` (0: success) and the extended ack's message, if any."""

    errno: int
    message: str = ""


def failure(buffer: bytes | bytearray | memoryview, part: Message) -> Failure:
    """Read struct nlmsgerr (or the errno of NLMSG_DONE) and the extended ack behind it."""
    if part.end - part.start < 4:
        raise BadReply("read", "netlink error", f"4 bytes expected, {part.end - part.start} received")
    number = int.from_bytes(buffer[part.start : part.start + 4], sys.byteorder, signed=True)
    text = ""
    if part.flags & NLM_F_ACK_TLVS:
        start = part.start + 4
        if part.type == NLMSG_ERROR:
            echoed = HEADER.read(buffer, start)[0]
            start += HEADER.size if part.flags & NLM_F_CAPPED else align(max(echoed, HEADER.size))
        found = dict(attributes(buffer, start, part.end))
        text = found.get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode("utf-8", "replace")
    return Failure(-number if number < 0 else 0, text)
