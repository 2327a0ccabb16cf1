"""TLS contexts as the command lines ask for them, handshakes, and a failure's reason in one line.

Portside verifies unless it is told otherwise.  A certificate for one run is made by openssl(1), where there is one:
Python's ssl makes none.
"""

from __future__ import annotations

import hashlib
import os
import select
import ssl
import time

from portside.errors import BadRequest, NotSupported, PortsideError, TimedOut
from portside.record import Record
from portside.use.relay.driver import READ
from portside.use.relay.tls import TlsEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


class Wish(Record):
    """What is asked of TLS: files in PEM, OpenSSL's cipher list, protocol names, the name to send and to verify."""

    verify: bool = True
    trust: str = ""
    certificate: str = ""
    key: str = ""
    ciphers: str = ""
    alpn: tuple[str, ...] = ()
    servername: str = ""


def client_context(wish: Wish) -> ssl.SSLContext:
    """Return a client's context; raises BadRequest for files and lists that are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = wish.verify
    context.verify_mode = ssl.CERT_REQUIRED if wish.verify else ssl.CERT_NONE
    if wish.trust:
        _load(wish.trust, lambda: context.load_verify_locations(wish.trust))
    elif wish.verify:
        context.load_default_certs()
    return _both(context, wish)


def server_context(wish: Wish) -> ssl.SSLContext:
    """Return a server's context with its certificate, one for this run where none was named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if not wish.certificate:
        _temporary(context)
    return _both(context, wish)


def _both(context: ssl.SSLContext, wish: Wish) -> ssl.SSLContext:
    if wish.certificate:
        _load(wish.certificate, lambda: context.load_cert_chain(wish.certificate, wish.key or None))
    if wish.ciphers:
        _load(wish.ciphers, lambda: context.set_ciphers(wish.ciphers))
    if wish.alpn:
        context.set_alpn_protocols(list(wish.alpn))
    return context


def _load(what: str, load: object) -> None:
    try:
        load()  # type: ignore[operator]
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise BadRequest("use", f"'{what}'", why(error)) from error


def _temporary(context: ssl.SSLContext) -> None:
    import tempfile

    from portside.system.openssl import make_certificate

    with tempfile.TemporaryDirectory(prefix="portside-") as directory:
        certificate, key = (os.path.join(directory, name) for name in ("certificate.pem", "key.pem"))
        make_certificate(certificate, key, "localhost")
        context.load_cert_chain(certificate, key)


def fingerprint(context_or_end: TlsEnd) -> str:
    """Return the SHA-1 fingerprint of the peer's certificate, empty where it sent none."""
    raw = context_or_end.session.getpeercert(True)
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest().upper() if raw else ""


def shake(
    connection: socket.socket,
    context: ssl.SSLContext,
    *,
    server: bool = False,
    hostname: str | None = None,
    timeout: float | None = None,
) -> TlsEnd:
    """Shake hands and return the end; raises NotSupported with the reason in one line, TimedOut."""
    end = TlsEnd(connection, context, server=server, hostname=hostname)
    limit = None if timeout is None else time.monotonic() + timeout
    try:
        while wanted := end.handshake():
            left = None if limit is None else limit - time.monotonic()
            if left is not None and left <= 0:
                raise TimedOut("shake hands with", "the peer", f"no answer in {timeout:g} s")
            _wait(connection, wanted, left)
    except (OSError, ssl.SSLError) as error:
        end.close()
        raise NotSupported("shake hands with", "the peer", why(error)) from error
    except PortsideError:
        end.close()
        raise
    return end


def _wait(connection: socket.socket, wanted: int, left: float | None) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLIN if wanted == READ else select.POLLOUT)
    poll.poll(None if left is None else left * 1000)


def why(error: Exception) -> str:
    """Return the reason of a failure in a few words, without OpenSSL's file names and numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not good: {error.verify_message.lower().rstrip('.')}"
    if isinstance(error, ssl.SSLEOFError):
        return "the peer hung up during the handshake"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error).lower()
