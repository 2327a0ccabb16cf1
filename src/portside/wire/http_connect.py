"""HTTP CONNECT, the client's side: ask a proxy for a tunnel; bytes in, bytes out.

As in `socks`, an object with `first`, `wants` and `feed`; the answer is taken byte by byte, so that the tunnel's
first bytes stay where they are.  Reference: RFC 9110 section 9.3.6, RFC 7617 (Basic).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.wire.socks import FORM, REQUEST, ProxyRefused

MOST_HEADERS = 64
MOST_LINE = 1024
LONG_LINE, MANY_HEADERS = "long line", "many headers"
_FORBIDDEN = "\r\n\t []"


class Connect:
    """One request for a tunnel; `status` is the answer's first line, `headers` the rest of it."""

    def __init__(
        self,
        host: str,
        port: int,
        headers: tuple[str, ...] = (),
        *,
        version: str = "1.0",
        most_line: int = MOST_LINE,
    ) -> None:
        """Take the headers as lines; raises BadRequest for a host that would break the request."""
        if any(one in _FORBIDDEN for one in host) or any("\n" in one or "\r" in one for one in headers):
            raise BadRequest("connect through", "the proxy", f"'{host}' is no host name")
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.target = target
        lines = (f"CONNECT {target} HTTP/{version}", *headers, "", "")
        self.first = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        self.wants = 1
        self.status = ""
        self.headers: list[str] = []
        self._line = bytearray()
        self._most = most_line

    def feed(self, data: bytes) -> bytes:
        """Take the next byte of the answer; raises ProxyRefused at its end, `status` and `headers` then stand."""
        if data != b"\n":
            if data != b"\r":
                self._line += data
            if len(self._line) >= self._most:
                raise ProxyRefused(LONG_LINE, 0, "a line of its answer is too long")
            return b""
        line, self._line = self._line.decode("latin-1"), bytearray()
        if not self.status:
            self.status = line or "(an empty line)"
        elif line:
            self.headers.append(line)
            if len(self.headers) >= MOST_HEADERS:
                raise ProxyRefused(MANY_HEADERS, 0, f"its answer has more than {MOST_HEADERS} headers")
        else:
            self.wants = 0
            self._judge()
        return b""

    def _judge(self) -> None:
        words = self.status.split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
            raise ProxyRefused(FORM, 0, f"its answer is no HTTP: '{self.status}'")
        if not 200 <= int(words[1]) < 300:
            raise ProxyRefused(REQUEST, int(words[1]), self.status)
