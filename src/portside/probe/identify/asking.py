"""One open TCP port: listen, then ask, until it is known what answers, in a few short connections.

Order: the questions of its port number; what the server says unasked; then what fits anywhere (HTTP, TLS, some more).
Whatever comes back is shown to the reader of what was asked and to those of greetings.  Where TLS answers, the
handshake is made, without believing the certificate, and what is inside is asked in turn.

Bounds: `connections` in all, `wait` seconds for each answer, `deadline` seconds together, `question.MOST` bytes of
each answer; nothing that is sent back changes them.
"""

from __future__ import annotations

import socket
import time

from portside.probe.identify import databases, greetings, messaging, names, remote, web
from portside.probe.identify.certificate import read_certificate
from portside.probe.identify.question import MOST, Question, Service, line, service, text
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from portside.probe.identify.question import Reader

QUESTIONS = (*web.TCP, *names.TCP, *databases.TCP, *messaging.TCP, *remote.TCP)
_ANYWHERE = ("http", "tls", "redis", "postgresql", "mqtt")
_IN_TLS = {
    "http": "https",
    "imap": "imaps",
    "pop3": "pop3s",
    "smtp": "submissions",
    "ldap": "ldaps",
    "ftp": "ftps",
}
_PLAIN_TO_TLS = (b"HTTPS port", b"HTTPS server", b"TLS", b"SSL")


class Bounds(Record):
    """How much is spent on one port: seconds for each answer and in all, connections."""

    wait: float = 1.0
    deadline: float = 10.0
    connections: int = 10


class Known(Record):
    """What is known: the service (None: nobody recognised it), the first line of what it said unasked."""

    service: Service | None = None
    banner: str = ""


def ask(
    address: str, port: int, host: str = "", listen_only: bool = False, bounds: Bounds | None = None
) -> Known:
    """Return what answers on an open TCP port; with `listen_only` nothing is sent.

    `host` is the name that the server is asked for (HTTP, TLS), where there is one.  Errors of the network end a
    question, never the call.
    """
    return _Asker(address, port, host, bounds or Bounds()).run(listen_only)


class _Asker:
    """The connections to one port, and what is left to spend."""

    def __init__(self, address: str, port: int, host: str, bounds: Bounds) -> None:
        self._place, self._host, self._bounds = (address, port), host, bounds
        self._until = time.monotonic() + bounds.deadline
        self._left = bounds.connections
        self.banner = ""

    def run(self, listen_only: bool) -> Known:
        port = self._place[1]
        own = [each for each in QUESTIONS if port in each.ports]
        found = None
        if listen_only or not own:
            found = self._listen()
        if not listen_only and found is None:
            found = self._question(own)
        if found and found.name == "tls" and not listen_only:
            found = self._inside(found)
        return Known(found, self.banner)

    def _listen(self) -> Service | None:
        """Hear what a server says before it is asked; NOOP settles a 220 that could be mail or files."""
        used = self._connect()
        if used is None:
            return None
        with used:
            data, found = self._hear(used, [each.read for each in greetings.GREETINGS])
            self.banner = line(text(data.lstrip(b"\r\n").partition(b"\n")[0]))
            if found is None and data[:3] in (b"220", b"421"):
                try:
                    used.sendall(greetings.SMTP_NOOP)
                except OSError:
                    return None
                _, found = self._hear(used, [greetings.read_command], data)
            return found

    def _question(self, own: list[Question]) -> Service | None:
        """Ask what this port's number suggests, then what may be anywhere."""
        rest = [each for name in _ANYWHERE for each in QUESTIONS if each.name == name and each not in own]
        heard = not own
        for each in (*own, *rest):
            if not heard and each in rest:
                heard = True
                found = self._listen()
                if found:
                    return found
            used = self._connect()
            if used is None:
                return None
            with used:
                found = self._put(used, each)
            if found:
                return found
        return None

    def _put(self, used: socket.socket, question: Question) -> Service | None:
        """Ask one question; HTTP's refusal of plain text on a port of TLS counts as TLS."""
        asked = web.http_request(self._host or self._place[0]) if question.name == "http" else question.ask
        try:
            used.sendall(asked)
        except OSError:
            return None
        data, found = self._hear(used, [question.read, *(each.read for each in greetings.GREETINGS)])
        if found is None and question.name == "http":
            found = web.read_http(data)
        if (
            found
            and found.name == "http"
            and b" 400 " in data[:16]
            and any(each in data for each in _PLAIN_TO_TLS)
        ):
            return Service("tls")
        return found

    def _hear(
        self, used: socket.socket, readers: list[Reader], data: bytes = b""
    ) -> tuple[bytes, Service | None]:
        """Read until a reader knows it, the other side ends, or time or room is over."""
        until = min(time.monotonic() + self._bounds.wait, self._until)
        while len(data) < MOST and (left := until - time.monotonic()) > 0:
            used.settimeout(left)
            try:
                more = used.recv(MOST - len(data))
            except (OSError, ValueError):
                break
            if not more:
                break
            data += more
            for read in readers:
                found = read(data)
                if found:
                    return data, found
        return data, None

    def _connect(self) -> socket.socket | None:
        left = min(self._until - time.monotonic(), 2 * self._bounds.wait)
        if self._left <= 0 or left <= 0:
            return None
        self._left -= 1
        try:
            return socket.create_connection(self._place, timeout=left)
        except OSError:
            return None

    def _inside(self, outer: Service) -> Service:
        """Make the handshake, and ask what is inside."""
        details = self._handshake(["h2", "http/1.1"])
        if details is None:
            return outer
        used = self._secure([])
        if used is None:
            return service("tls", **details)
        with used[0]:
            data, found = self._hear(used[1], [each.read for each in greetings.GREETINGS])
        if found is None and not data:
            found = self._ask_inside()
        if found is None:
            return service("tls", **details)
        return Service(_IN_TLS.get(found.name, found.name), (*found.details, *service("", **details).details))

    def _ask_inside(self) -> Service | None:
        own = [each for each in QUESTIONS if self._place[1] in each.ports and each.name in ("http", "ldap")]
        for each in own or [each for each in QUESTIONS if each.name == "http"]:
            used = self._secure([])
            if used is None:
                return None
            with used[0]:
                found = self._put(used[1], each)
            if found:
                return found
        return None

    def _handshake(self, protocols: list[str]) -> dict[str, str] | None:
        """Return what a TLS handshake shows: version, cipher, ALPN and the certificate's words."""
        pair = self._secure(protocols)
        if pair is None:
            return None
        with pair[0]:
            secured = pair[1]
            cipher = secured.cipher()
            der = secured.getpeercert(binary_form=True)
            details = {"tls": secured.version() or "", "cipher": cipher[0] if cipher else ""}
            details["alpn"] = secured.selected_alpn_protocol() or ""
            return details | (read_certificate(der) if der else {})

    def _secure(self, protocols: list[str]) -> tuple[socket.socket, ssl.SSLSocket] | None:
        """Connect and shake hands; anybody's certificate will do, and any version that can still be spoken."""
        import ssl

        used = self._connect()
        if used is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
        if protocols:
            context.set_alpn_protocols(protocols)
        try:
            secured = context.wrap_socket(used, server_hostname=self._host or None)
        except (OSError, ValueError):
            used.close()
            return None
        return secured, secured
