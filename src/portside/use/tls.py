"""TLS handshakes: for an end of a relay, and for a socket that blocks."""

from __future__ import annotations

import select
import ssl
import time

from portside.errors import NotSupported, PortsideError, TimedOut
from portside.system.tls import Tls, client_context, why
from portside.use.relay.driver import READ
from portside.use.relay.tls import TlsEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


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


def asked(tls: bool | Tls | ssl.SSLContext) -> tuple[ssl.SSLContext, Tls]:
    """Return a client's context and what the peer has to prove beside; raises BadRequest, before anybody is asked."""
    if isinstance(tls, ssl.SSLContext):
        return tls, Tls()
    wish = Tls() if isinstance(tls, bool) else tls
    return client_context(wish), wish


def secured(
    connection: socket.socket,
    host: str,
    context: ssl.SSLContext,
    wish: Tls,
    *,
    subject: str,
    timeout: float | None,
    whole: bool = False,
) -> ssl.SSLSocket:
    """Shake hands as a client over a connected socket, which is closed where that fails.

    `whole`: an end without close_notify is an error when it is read (ssl.SSLEOFError).  Raises NotSupported with the
    reason in one line, TimedOut; their operation is to connect to `subject`.
    """
    try:
        connection.settimeout(timeout)
        made = context.wrap_socket(
            connection,
            server_hostname=wish.name or host.partition("%")[0] or "localhost",
            suppress_ragged_eofs=not whole,
        )
        connection = made
        wish.require_pin(made)
    except PortsideError as error:
        connection.close()
        if error.operation == "verify":
            raise NotSupported("connect to", subject, error.reason) from error
        raise
    except TimeoutError as error:
        connection.close()
        raise TimedOut("connect to", subject, f"no TLS in {timeout:g} s") from error
    except (OSError, ValueError) as error:
        connection.close()
        step = _STEP if getattr(error, "verify_code", 0) in _UNKNOWN else ""
        raise NotSupported("connect to", subject, why(error), step) from error
    made.settimeout(None)
    return made


_UNKNOWN = (18, 19, 20)  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and the next two, x509_vfy.h
_STEP = "name its authority (ca) or its key (pin)"
