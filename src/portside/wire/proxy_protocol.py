"""The PROXY protocol, versions 1 and 2: who a forwarded connection really comes from, told before its first byte.

`parse` takes the bytes read so far and says what they hold, or that there must be more.  Reference: HAProxy's
doc/proxy-protocol.txt.  Addresses of families that have no ports (AF_UNIX) are kept as text with port 0.
"""

from __future__ import annotations

import struct

from portside.errors import BadReply, BadRequest
from portside.ports.address import format_address, parse_address
from portside.record import Record

V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1_LONGEST = 107  # with CRLF
_V2_HEAD = struct.Struct("!12sBBH")  # signature, version and command, family and transport, length
_V1_START = b"PROXY "
_LOCAL, _PROXY = 0x20, 0x21
_PORTS = struct.Struct("!HH")
_UNIX_PATH = 108
_FAMILIES = {
    0x1: 4,
    0x2: 16,
}  # of the upper half of the family byte: AF_INET, AF_INET6; how long an address is
_UNIX = 0x3
STREAM, DGRAM = 0x1, 0x2


class Origin(Record):
    """Where a connection comes from and what it was made to; ports are 0 for Unix sockets.

    `transport` is STREAM or DGRAM.
    """

    source: str
    source_port: int
    destination: str
    destination_port: int
    transport: int = STREAM


class Parsed(Record):
    """A header of `size` bytes; `origin` is None where the connection is the proxy's own, or it does not know."""

    origin: Origin | None
    size: int


def parse(data: bytes) -> Parsed | None:
    """Read the header at the start of a stream; None while there must be more.  Raises BadReply if there is none."""
    if data.startswith(V2_SIGNATURE):
        return _parse_v2(data)
    if V2_SIGNATURE.startswith(data[: len(V2_SIGNATURE)]):
        return None
    if data.startswith(_V1_START) or _V1_START.startswith(data):
        return _parse_v1(data)
    raise _malformed("the connection does not begin with one")


def _parse_v1(data: bytes) -> Parsed | None:
    end = data.find(b"\r\n", 0, V1_LONGEST)
    if end < 0:
        if len(data) >= V1_LONGEST:
            raise _malformed(f"the line has no end within {V1_LONGEST} bytes")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Parsed(None, end + 2)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise _malformed("the line is not PROXY TCP4|TCP6 and two addresses and ports")
    for address in words[2:4]:
        try:
            right = len(parse_address(address)) == (4 if words[1] == "TCP4" else 16)
        except BadRequest as error:
            raise _malformed(str(error)) from None
        if not right:
            raise _malformed(f"an address is none of {words[1]}")
    for port in words[4:]:
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
            raise _malformed("a port is none")
    return Parsed(Origin(words[2], int(words[4]), words[3], int(words[5])), end + 2)


def _parse_v2(data: bytes) -> Parsed | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, command, family, length = _V2_HEAD.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise _malformed(f"version and command are 0x{command:02x}")
    size = _V2_HEAD.size + length
    if len(data) < size:
        return None
    body = data[_V2_HEAD.size : size]
    if command == _LOCAL or family >> 4 == 0:
        return Parsed(None, size)
    return Parsed(_origin(body, family >> 4, family & 0xF), size)


def _origin(body: bytes, family: int, transport: int) -> Origin:
    if transport not in (STREAM, DGRAM):
        raise _malformed(f"transport {transport} is none")
    if family == _UNIX and len(body) >= 2 * _UNIX_PATH:
        source, destination = (_path(body[at : at + _UNIX_PATH]) for at in (0, _UNIX_PATH))
        return Origin(source, 0, destination, 0, transport)
    width = _FAMILIES.get(family, 0)
    if not width or len(body) < 2 * width + _PORTS.size:
        raise _malformed(f"family {family} with {len(body)} bytes of addresses")
    source, destination = format_address(body[:width]), format_address(body[width : 2 * width])
    source_port, destination_port = _PORTS.unpack_from(body, 2 * width)
    return Origin(source, source_port, destination, destination_port, transport)


def _path(raw: bytes) -> str:
    return (
        ("@" + raw[1:].rstrip(b"\0").decode("utf-8", "surrogateescape"))
        if raw[:1] == b"\0" and raw.strip(b"\0")
        else raw.split(b"\0")[0].decode("utf-8", "surrogateescape")
    )


def encode_v1(origin: Origin | None) -> bytes:
    """Return the line of version 1; what it has no words for (Unix sockets, mixed families) is UNKNOWN."""
    width = _common_width(origin)
    if origin is None or not width:
        return b"PROXY UNKNOWN\r\n"
    name = "TCP4" if width == 4 else "TCP6"
    ports = f"{origin.source_port} {origin.destination_port}"
    return f"PROXY {name} {origin.source} {origin.destination} {ports}\r\n".encode()


def encode_v2(origin: Origin | None) -> bytes:
    """Return the header of version 2; without an origin, or one of mixed families, the LOCAL or UNSPEC one."""
    if origin is None:
        return _V2_HEAD.pack(V2_SIGNATURE, _LOCAL, 0, 0)
    width = _common_width(origin)
    if width:
        body = parse_address(origin.source) + parse_address(origin.destination)
        body += _PORTS.pack(origin.source_port, origin.destination_port)
        family = 0x1 if width == 4 else 0x2
        return _V2_HEAD.pack(V2_SIGNATURE, _PROXY, family << 4 | origin.transport, len(body)) + body
    if origin.source_port or origin.destination_port:
        return _V2_HEAD.pack(V2_SIGNATURE, _PROXY, 0, 0)
    body = b"".join(map(_padded, (origin.source, origin.destination)))
    return _V2_HEAD.pack(V2_SIGNATURE, _PROXY, _UNIX << 4 | origin.transport, len(body)) + body


def _padded(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    raw = b"\0" + raw[1:] if raw.startswith(b"@") else raw
    return raw[:_UNIX_PATH].ljust(_UNIX_PATH, b"\0")


def _common_width(origin: Origin | None) -> int:
    """Return how long both addresses are in bytes; 0 where they differ or are none."""
    if origin is None:
        return 0
    try:
        widths = {len(parse_address(address)) for address in (origin.source, origin.destination)}
    except BadRequest:
        return 0
    return widths.pop() if len(widths) == 1 else 0


def _malformed(reason: str) -> BadReply:
    return BadReply("read PROXY header", "", reason)
