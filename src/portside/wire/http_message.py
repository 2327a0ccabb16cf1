"""HTTP/1 messages without their bodies: a request's or an answer's head, between bytes and records.

Reference: RFC 9112 (message syntax), RFC 9110 (fields).
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.record import Record

END = b"\r\n\r\n"
MOST = 16384  # bytes of a head

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}
# fields that concern one connection alone (RFC 9110 section 7.6.1)
_HOPS = {"connection", "proxy-connection", "keep-alive", "te", "trailer", "upgrade"}
_HOPS |= {"proxy-authorization", "proxy-authenticate"}


class Request(Record):
    """A request's head; `fields` are pairs of name and value as they came."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]

    def field(self, name: str) -> str:
        """Return a field's first value, empty where it is missing."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), "")


class Target(Record):
    """Where a request is to go: host, port, and the path that is asked for there (empty for CONNECT)."""

    host: str
    port: int
    path: str


def parse_request(head: bytes) -> Request:
    """Read a head up to and with its empty line; raises BadReply."""
    lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[0].isalpha() or not words[1]:
        raise BadReply("read", "request", "its first line is none of HTTP/1")
    return Request(words[0], words[1], words[2], parse_fields(lines[1:]))


def parse_fields(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """Read header lines; raises BadReply for one without a name."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or any(one in value for one in "\0\r"):
            raise BadReply("read", "header", f"{line[:40]!r} is none")
        fields.append((name, value.strip()))
    return tuple(fields)


def target_of(request: Request) -> Target:
    """Return where a proxy is to connect; raises BadReply for what a proxy cannot serve."""
    if request.method == "CONNECT":
        host, port = split_authority(request.target, 0)
        if not port:
            raise BadReply("read", "request", "CONNECT names no port")
        return Target(host, port, "")
    scheme, _, rest = request.target.partition("://")
    if scheme.lower() != "http" or not rest:
        raise BadReply("read", "request", f"'{request.target[:40]}' is no http address")
    authority, slash, path = rest.partition("/")
    host, port = split_authority(authority.rpartition("@")[2], 80)
    return Target(host, port, "/" + path if slash else "/")


def split_authority(text: str, default: int) -> tuple[str, int]:
    """Read `host`, `host:port`, `[address]:port`; raises BadReply."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host or (port and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536)):
        raise BadReply("read", "address", f"'{text[:40]}' is no host and port")
    return host, int(port) if port else default


def forwarded(request: Request, target: Target) -> bytes:
    """Return the head that goes on to the origin: its own path, no field of this hop, one answer a connection."""
    named = {name.strip().lower() for name in request.field("Connection").split(",")}
    kept = [(name, value) for name, value in request.fields if name.lower() not in _HOPS | named]
    lines = [f"{request.method} {target.path} HTTP/1.0"]
    lines += [f"{name}: {value}" for name, value in kept]
    if not any(name.lower() == "host" for name, _ in kept):
        lines.append(f"Host: {target.host}" + (f":{target.port}" if target.port != 80 else ""))
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")


def answer(code: int, fields: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Return an answer's head without a body."""
    lines = [f"HTTP/1.0 {code} {REASONS[code]}", *(f"{name}: {value}" for name, value in fields)]
    if code != 200:
        lines += ["Content-Length: 0", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
