"""One attempt to bind, to connect or to say hello to a TLS server, and everything the kernel told of its failure.

Nothing here raises for a failure: that is the answer.  An attempt to connect asks for the ICMP error behind it
(`dialing`), so that a port that a firewall rejects is told from one where nobody listens, though both end in
ECONNREFUSED.  Nothing is sent but a handshake, over UDP one datagram without content.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from portside.errors import BadRequest, PortsideError
from portside.record import Record
from portside.system import dialing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLSocket
    from typing import Any

    from portside.system.tls import Tls
    from portside.wire.errqueue import ExtendedError

_LINGER = 0.1  # seconds that a fresh connection is watched for an end
_FIRST_WORDS = 256
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

TRY_AGAIN = socket.EAI_AGAIN  # what `resolve` fails with where no name server answers
CONNECTED, TIMED_OUT, FAILED, SILENT = "connected", "timed out", "failed", "silent"


class Target(Record):
    """Where to go: a numeric address with the zone that it may need, a port, `tcp` or `udp`."""

    address: str
    port: int
    protocol: str = "tcp"

    @property
    def v6(self) -> bool:
        """Whether the address is one of IPv6."""
        return ":" in self.address

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.v6 else f"{self.address}:{self.port}"


class Attempt(Record):
    """What came of an attempt: `outcome` is connected, failed (`errno` says how), timed out or silent (UDP).

    `error` is what the error queue told, None where nothing.  `source` is the own end.  `after` says what happened to
    a connection at once: `reset`, `closed` or nothing; `said` are the first bytes that came.
    """

    outcome: str
    seconds: float = 0.0
    errno: int = 0
    error: ExtendedError | None = None
    source: str = ""
    after: str = ""
    said: bytes = b""

    @property
    def source_address(self) -> str:
        """The own end without its port, empty where none was chosen."""
        return self.source.rpartition(":")[0].strip("[]").partition("%")[0]


class Hello(Record):
    """What came of a TLS handshake: version, cipher, the certificate's subject and end; else why it failed.

    `pin` is of the server's key (`wire.pins`), also where its certificate is not good.
    """

    done: bool
    reason: str = ""
    untrusted: bool = False
    version: str = ""
    cipher: str = ""
    subject: str = ""
    until: str = ""
    pin: str = ""


def resolve(host: str, port: int, protocol: str) -> tuple[Target, ...]:
    """Return every address of a host, in the order to try them (RFC 6724); raises BadRequest, or PortsideError."""
    try:
        # bytes: for text Python loads what it needs for names beyond ASCII (IDNA)
        found = socket.getaddrinfo(host.encode() if host.isascii() else host, port, 0, _TYPES[protocol])
    except socket.gaierror as error:
        raise PortsideError("resolve", f"'{host}'", str(error.strerror).lower(), errno=error.errno) from error
    except (UnicodeError, ValueError, OverflowError):
        raise BadRequest("resolve", f"'{host}'", "this is no host name") from None
    texts = [socket.getnameinfo(place, socket.NI_NUMERICHOST)[0] for *_, place in found]
    return tuple(Target(text, port, protocol) for text in dict.fromkeys(texts))


def name_server(path: str = "/etc/resolv.conf") -> str:
    """Return the first name server that the C library asks (resolv.conf(5)), empty where the file names none."""
    try:
        with open(path, errors="surrogateescape") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ""
    return next((words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1), "")


def bind(target: Target, *, reuse: bool) -> int:
    """Bind an address and let go of it at once: return 0, or the errno of what stood in the way.

    IPv6 is bound by itself (IPV6_V6ONLY), so that each family's answer is its own.
    """
    try:
        made = _socket(target)
        with made:
            if reuse:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if target.v6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(_place(target))
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def connect(target: Target, timeout: float) -> Attempt:
    """Try to connect, for at most `timeout` seconds."""
    began = time.monotonic()
    try:
        made = _socket(target)
    except OSError as error:
        return Attempt(FAILED, errno=error.errno or 0)
    with made:
        try:
            dialing.want_errors(made, target.v6)
            made.setblocking(False)
            failed, told = dialing.dial(made, _place(target), began + timeout)
        except OSError as error:
            failed, told = error.errno or errno.EINVAL, None
        if target.protocol == "udp" and not failed:
            return _ask(made, began, timeout)
        seconds, source = time.monotonic() - began, _name(made)
        if failed is None:
            return Attempt(TIMED_OUT, seconds, error=told, source=source)
        if failed:
            return Attempt(FAILED, seconds, failed, told, source)
        after, said = _watched(made)
        return Attempt(CONNECTED, seconds, source=source, after=after, said=said)


def connect_all(targets: Sequence[Target], timeout: float) -> list[Attempt]:
    """Try every target at once, and return what came of each: it takes as long as the slowest alone."""
    if len(targets) < 2:
        return [connect(target, timeout) for target in targets]
    import threading

    made: dict[Target, Attempt] = {}

    def run(target: Target) -> None:
        made[target] = connect(target, timeout)

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [made[target] for target in targets]


def hello(target: Target, name: str, timeout: float) -> Hello:
    """Shake hands as a TLS client that asks for `name` and verifies the certificate with the host's trust store."""
    import ssl

    from portside.system import tls

    try:
        with _shaken(target, name, timeout, tls.Tls()) as made:
            return _told(made)
    except ssl.SSLCertVerificationError as error:
        return Hello(False, tls.why(error), untrusted=True, pin=_pin(target, name, timeout))
    except ssl.SSLError as error:
        return Hello(False, tls.why(error))
    except OSError as error:
        return Hello(False, "no answer" if isinstance(error, TimeoutError) else _reason(error))


def _shaken(target: Target, name: str, timeout: float, wish: Tls) -> SSLSocket:
    from portside.system.tls import client_context

    with socket.create_connection((target.address, target.port), timeout) as plain:
        return client_context(wish).wrap_socket(plain, server_hostname=name)  # takes the descriptor over


def _pin(target: Target, name: str, timeout: float) -> str:
    """Return the pin of a server that is not believed, empty where it does not show itself again."""
    from portside.system.tls import Tls
    from portside.wire.pins import pin_of

    try:
        with _shaken(target, name, timeout, Tls(verify=False)) as made:
            return pin_of(made.getpeercert(True) or b"")
    except (OSError, PortsideError):
        return ""


def _told(made: Any) -> Hello:
    from portside.wire.pins import pin_of

    certificate = made.getpeercert() or {}
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    others = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    subject = ", ".join(dict.fromkeys([*names, *others]))
    cipher = made.cipher()
    return Hello(
        True, "", False, made.version() or "", cipher[0] if cipher else "", subject,
        str(certificate.get("notAfter", "")), pin_of(made.getpeercert(True)),
    )  # fmt: skip


def _socket(target: Target) -> socket.socket:
    return socket.socket(
        socket.AF_INET6 if target.v6 else socket.AF_INET, _TYPES[target.protocol] | socket.SOCK_CLOEXEC
    )


def _place(target: Target) -> tuple[Any, ...]:
    if not target.v6:
        return target.address.encode(), target.port
    return socket.getaddrinfo(
        target.address.encode(), target.port, socket.AF_INET6, 0, 0, socket.AI_NUMERICHOST
    )[0][4]


def _ask(made: socket.socket, began: float, timeout: float) -> Attempt:
    """Send one datagram without content, and wait for an answer or an ICMP error."""
    source = _name(made)
    failed, said = 0, b""
    try:
        made.send(b"")
        if not dialing.wait(made, select.POLLIN, began + timeout):
            return Attempt(SILENT, time.monotonic() - began, source=source)
        said = made.recv(_FIRST_WORDS)
    except OSError as error:
        failed = error.errno or 0
    seconds = time.monotonic() - began
    if failed:
        return Attempt(FAILED, seconds, failed, dialing.queued_icmp(made), source)
    return Attempt(CONNECTED, seconds, source=source, said=said)


def _watched(made: socket.socket) -> tuple[str, bytes]:
    """Return how a fresh connection ended at once, if it did, and what it said."""
    if not dialing.wait(made, select.POLLIN | select.POLLRDHUP, time.monotonic() + _LINGER):
        return "", b""
    try:
        said = made.recv(_FIRST_WORDS)
    except OSError as error:
        return ("reset" if error.errno == errno.ECONNRESET else _reason(error)), b""
    return ("" if said else "closed"), said


def _name(made: socket.socket) -> str:
    try:
        host, port, *_ = made.getsockname()
    except OSError:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
