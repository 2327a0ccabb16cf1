"""SOCKS, the client's side: versions 4, 4a and 5 with and without a password; bytes in, bytes out.

A negotiation is an object: `first` is what to send at once, `wants` how many bytes it needs next (0: it is through),
`feed` takes just those and returns what to send then.  Nothing of the stream behind it is ever touched.
Reference: the SOCKS 4 protocol and its 4a extension (Ying-Da Lee), RFC 1928, RFC 1929.
"""

from __future__ import annotations

from portside.errors import BadReply, BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT = 1
GRANTED = 90
NO_AUTHENTICATION, PASSWORD, NO_METHOD = 0, 2, 0xFF
IPV4, NAME, IPV6 = 1, 3, 4
_ADDRESS_SIZES = {4: IPV4, 16: IPV6}

VERSION_4 = {
    90: "Succeeded",
    91: "Request rejected or failed",
    92: "SOCKS server cannot connect to identd on the client",
    93: "Client program and identd report different user-ids",
}
VERSION_5 = {
    0: "Succeeded",
    1: "General SOCKS server failure",
    2: "Connection not allowed by ruleset",
    3: "Network unreachable",
    4: "Host unreachable",
    5: "Connection refused",
    6: "TTL expired",
    7: "Command not supported",
    8: "Address type not supported",
}

# where a proxy refused
METHOD, PASSWORD_STAGE, REQUEST, ADDRESS_TYPE, FORM = "method", "password", "request", "address type", "form"


class ProxyRefused(BadReply):
    """A proxy said no, or something that is none of its protocol; `stage` says where, `code` what it sent."""

    def __init__(self, stage: str, code: int, reason: str) -> None:
        self.stage = stage
        self.code = code
        super().__init__("connect through", "the proxy", reason)


class Version4:
    """One SOCKS 4 request; with a name for a host it is 4a, and the proxy resolves it."""

    def __init__(self, host: str | bytes, port: int, user: str = "") -> None:
        """Take the host as four raw bytes or as a name; raises BadRequest for what the protocol cannot carry."""
        if isinstance(host, bytes) and len(host) != 4:
            raise BadRequest("connect through", "the proxy", "SOCKS 4 carries IPv4 addresses and names")
        address, name = (host, b"") if isinstance(host, bytes) else (b"\0\0\0\1", _text(host, 255) + b"\0")
        if b"\0" in name[:-1] or "\0" in user:
            raise BadRequest("connect through", "the proxy", "a name has a NUL in it")
        self.first = bytes((4, CONNECT)) + port.to_bytes(2, "big") + address + user.encode() + b"\0" + name
        self.wants = 8

    def feed(self, data: bytes) -> bytes:
        """Take the answer; raises ProxyRefused."""
        self.wants = 0
        if data[0] not in (0, 4):
            raise ProxyRefused(FORM, data[0], f"its answer is no SOCKS 4: it begins with {data[0]}")
        if data[1] != GRANTED:
            raise ProxyRefused(REQUEST, data[1], VERSION_4.get(data[1], "Unknown error"))
        return b""


class Version5:
    """One SOCKS 5 negotiation; with a user the password method is offered beside none."""

    def __init__(self, host: str | bytes, port: int, user: str | None = None, password: str = "") -> None:
        """Take the host as raw bytes of an address or as a name; raises BadRequest for what is too long."""
        if isinstance(host, bytes):
            kind, place = _ADDRESS_SIZES[len(host)], host
        else:
            name = _text(host, 255)
            kind, place = NAME, bytes((len(name),)) + name
        self._request = bytes((5, CONNECT, 0, kind)) + place + port.to_bytes(2, "big")
        self._login = b""
        methods = bytes((NO_AUTHENTICATION,))
        if user is not None:
            name, secret = _text(user, 255), _text(password, 255)
            self._login = b"\1" + bytes((len(name),)) + name + bytes((len(secret),)) + secret
            methods += bytes((PASSWORD,))
        self.first = bytes((5, len(methods))) + methods
        self.wants = 2
        self.stage = METHOD  # what the next answer is about
        self._next: Callable[[bytes], bytes] = self._method

    def feed(self, data: bytes) -> bytes:
        """Take the next part of the answer and return what to send; raises ProxyRefused."""
        return self._next(data)

    def _method(self, data: bytes) -> bytes:
        if data[0] != 5:
            raise ProxyRefused(FORM, data[0], f"its answer is no SOCKS 5: it begins with {data[0]}")
        if data[1] == PASSWORD and self._login:
            self._next, self.wants, self.stage = self._password, 2, PASSWORD_STAGE
            return self._login
        if data[1] != NO_AUTHENTICATION:
            raise ProxyRefused(METHOD, data[1], "it takes no way to log in that we have")
        return self._ask()

    def _password(self, data: bytes) -> bytes:
        if data[1]:
            raise ProxyRefused(PASSWORD_STAGE, data[1], "it does not take the user and password")
        return self._ask()

    def _ask(self) -> bytes:
        self._next, self.wants, self.stage = self._answer, 4, REQUEST
        return self._request

    def _answer(self, data: bytes) -> bytes:
        if data[0] != 5:
            raise ProxyRefused(FORM, data[0], f"its answer is no SOCKS 5: it begins with {data[0]}")
        if data[1]:
            raise ProxyRefused(REQUEST, data[1], VERSION_5.get(data[1], "Unknown error"))
        size = {IPV4: 6, IPV6: 18, NAME: 1}.get(data[3])
        if size is None:
            raise ProxyRefused(ADDRESS_TYPE, data[3], f"it bound an address of type {data[3]}")
        self._next, self.wants = (self._name if data[3] == NAME else self._bound), size
        return b""

    def _name(self, data: bytes) -> bytes:
        self._next, self.wants = self._bound, data[0] + 2
        return b""

    def _bound(self, _data: bytes) -> bytes:
        self.wants = 0
        return b""


def _text(text: str, most: int) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > most:
        raise BadRequest("connect through", "the proxy", f"'{text[:20]}...' is longer than {most} bytes")
    return raw
