"""The senders that come to a receiver: each is greeted, and the first that says something is taken.

One that only connects (a port scanner, say), one that ends its handshake without a word and one whose certificate is
not good keep nobody out.  With TLS the greeting comes after the handshake; who speaks in plain text is told so.
"""

from __future__ import annotations

import selectors
import socket
import time

from portside.errors import TimedOut
from portside.use.datagrams import show
from portside.wire import transfer as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

MOST = 64  # connections that have not said anything, at once: the oldest goes for one more
FIRST = len(wire.HELLO) + 1  # bytes that are read of the one that is taken
_HANDSHAKE = b"\x16"  # the first byte of a TLS record that holds one (RFC 8446, 5.1)


def first_to_speak(
    listeners: list[socket.socket],
    *,
    timeout: float | None,
    context: ssl.SSLContext | None,
    greeting: bytes,
    on_refused: Callable[[str, str], None],
) -> tuple[socket.socket, bytes]:
    """Return the first connection that says something, and what it has said; over TLS if there is a context.

    `greeting` is what each hears first.  `on_refused` is told an address and the reason why TLS with it has failed.
    Raises TimedOut.
    """
    with selectors.DefaultSelector() as selector:
        arrivals = _Arrivals(selector, context, greeting, on_refused)
        for each in listeners:
            selector.register(each, selectors.EVENT_READ)
        try:
            return arrivals.wait(None if timeout is None else time.monotonic() + timeout)
        except TimeoutError:
            raise TimedOut("receive", "", f"nobody came in {timeout:g} s") from None
        finally:
            arrivals.close()


class _Guest:
    """One that has come: what is to be done when it can be read, or written."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        self.connection = connection
        self.address = address
        self.shaking = False
        self.speaks_tls = False
        self.turned_away = False


class _Arrivals:
    def __init__(
        self,
        selector: selectors.BaseSelector,
        context: ssl.SSLContext | None,
        greeting: bytes,
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._selector = selector
        self._greeting = greeting
        self._context = context
        self._refused = on_refused
        self._guests: dict[socket.socket, _Guest] = {}  # in the order of their coming

    def wait(self, deadline: float | None) -> tuple[socket.socket, bytes]:
        """Wait for the first word; raises TimeoutError."""
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = self._selector.select(left)
            if not ready and left is not None and deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in ready:
                guest = self._guests.get(key.fileobj)  # type: ignore[call-overload]
                if guest is None:
                    self._greet(key.fileobj)  # type: ignore[arg-type]
                elif heard := self._hear(guest):
                    self._forget(guest)
                    return guest.connection, heard

    def close(self) -> None:
        """Let go of all that were not taken."""
        for guest in list(self._guests.values()):
            self._drop(guest)

    def _greet(self, listener: socket.socket) -> None:
        """Let in who comes at a listener."""
        try:
            made, place = listener.accept()
        except OSError:
            return
        if len(self._guests) >= MOST:
            self._drop(next(iter(self._guests.values())))
        made.setblocking(False)
        try:
            guest = _Guest(made, show(place) if place else "a Unix socket")
            if self._context is not None:
                guest.connection = made = self._context.wrap_socket(
                    made, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
                guest.shaking = True
            elif self._greeting:
                made.send(self._greeting)
        except OSError:
            made.close()
            return
        self._guests[made] = guest
        self._selector.register(made, selectors.EVENT_READ)

    def _hear(self, guest: _Guest) -> bytes:
        """Go on with one that can be read; return what it has said, empty while that is nothing."""
        try:
            if guest.turned_away:
                self._drain(guest)
                return b""
            if guest.shaking and not self._shaken(guest):
                return b""
            heard = guest.connection.recv(FIRST)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._fail(guest, error)
            return b""
        if not heard:
            self._drop(guest)
        return heard

    def _shaken(self, guest: _Guest) -> bool:
        """Go on with a handshake; return whether it is over, and the guest greeted."""
        made: ssl.SSLSocket = guest.connection  # type: ignore[assignment]
        if not guest.speaks_tls:
            first = socket.socket.recv(made, 1, socket.MSG_PEEK)
            guest.speaks_tls = first == _HANDSHAKE
            if first and not guest.speaks_tls:
                self._turn_away(guest)
                return False
        made.do_handshake()
        guest.shaking = False
        self._selector.modify(made, selectors.EVENT_READ)
        if self._greeting:
            made.send(self._greeting)
        return True

    def _turn_away(self, guest: _Guest) -> None:
        """Say in plain text that TLS is wanted, and read on: closing now would destroy the words (RFC 2525, 2.17)."""
        self._refused(guest.address, "it speaks no TLS")
        guest.turned_away = True
        socket.socket.send(guest.connection, wire.TLS_ONLY)
        socket.socket.shutdown(guest.connection, socket.SHUT_WR)

    def _drain(self, guest: _Guest) -> None:
        if not socket.socket.recv(guest.connection, 1 << 16):
            self._drop(guest)

    def _fail(self, guest: _Guest, error: OSError) -> None:
        """Wait on where TLS wants that, else let go of a guest and tell why."""
        kind = type(error).__name__
        if kind == "SSLWantReadError":
            self._selector.modify(guest.connection, selectors.EVENT_READ)
            return
        if kind == "SSLWantWriteError":
            self._selector.modify(guest.connection, selectors.EVENT_WRITE)
            return
        if guest.speaks_tls:
            from portside.system.tls import why

            self._refused(guest.address, why(error))
        self._drop(guest)

    def _forget(self, guest: _Guest) -> None:
        self._selector.unregister(guest.connection)
        del self._guests[guest.connection]

    def _drop(self, guest: _Guest) -> None:
        self._forget(guest)
        guest.connection.close()
