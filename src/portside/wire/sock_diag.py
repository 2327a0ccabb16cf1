"""What the families of sock_diag share (include/uapi/linux/sock_diag.h): message types and the attribute tables.

A family's table maps an attribute's number to its name and decoder.  Numbers that are not in it are kept as
bytes under `attribute-N`: a newer kernel's additions survive.
"""

from __future__ import annotations

import sys

from portside.wire import netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from portside.wire.layout import Layout

    Table = dict[int, tuple[str, Callable[[bytes], object]]]

# address families (include/linux/socket.h)
AF_UNIX = 1
AF_INET = 2
AF_INET6 = 10
AF_NETLINK = 16
AF_PACKET = 17
AF_TIPC = 30
AF_VSOCK = 40
AF_XDP = 44

SOCK_DIAG_BY_FAMILY = 20
SOCK_DESTROY = 21  # 4.5, commit c1e64e298b8c


def number(payload: bytes) -> int:
    """Decode an unsigned integer of any width in native byte order."""
    return int.from_bytes(payload, sys.byteorder)


def numbers(payload: bytes) -> tuple[int, ...]:
    """Decode an array of u32; a ragged end is dropped."""
    return tuple(memoryview(payload)[: len(payload) // 4 * 4].cast("I"))


def flag(payload: bytes) -> bool:
    """Decode a u8 used as a boolean."""
    return any(payload)


def text(payload: bytes) -> str:
    """Decode a NUL-terminated string."""
    return payload.rstrip(b"\0").decode("utf-8", "replace")


def decode(buffer: bytes | bytearray | memoryview, start: int, end: int, table: Table) -> dict[str, object]:
    """Return name -> value of the attributes in `buffer[start:end]`; raises BadReply where one does not fit."""
    found: dict[str, object] = {}
    for kind, payload in netlink.attributes(buffer, start, end):
        name, decoder = table.get(kind) or (f"attribute-{kind}", bytes)
        found[name] = decoder(payload)
    return found


def answers(
    buffer: bytes | bytearray | memoryview, layout: Layout, table: Table
) -> Iterator[tuple[tuple[Any, ...], dict[str, object]]]:
    """Yield (struct fields, attributes) of every answer in a dump of one family."""
    for values, start, end in netlink.structs(buffer, SOCK_DIAG_BY_FAMILY, layout):
        yield values, decode(buffer, start, end, table)


def dump_request(body: bytes) -> bytes:
    """Return the dump request of a family whose request struct is `body`."""
    return netlink.message(SOCK_DIAG_BY_FAMILY, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, body)
