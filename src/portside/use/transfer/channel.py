"""A conversation in frames over one connected socket: plain, or sealed once both sides have agreed on a key."""

from __future__ import annotations

import os
import select
import socket
import time

from portside.errors import BadReply, BadRequest, TimedOut, Vanished
from portside.use.buffers import make_buffer
from portside.use.places import UDP, parse_place
from portside.wire.transfer import BUSY, FAIL, HEAD, LARGEST, OVERHEAD, frame, parse_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.system.tls import Tls
    from portside.use.places import Place

    Cipher = Callable[[bytes | memoryview], bytes]

_RECORD = 1 << 14  # bytes of a TLS record (RFC 8446, 5.1)
SILENCE = 60.0  # seconds without a byte after which the other side is given up
BUSY_EVERY = 5.0  # seconds between two words that work goes on
_KEEP_ALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4))  # seconds, seconds, probes


def transfer_place(operation: str, text: str, code: str, tls: bool | Tls) -> Place:
    """Return the place of one side of a transfer; raises BadRequest, NotSupported for what it cannot be done over."""
    place = parse_place(text)
    if place.transport == UDP:
        raise BadRequest(operation, f"'{text}'", "a transfer takes TCP")
    if code and tls:
        raise BadRequest(
            operation, f"'{text}'", "a code proves and encrypts by itself", "take the code or TLS"
        )
    if code:
        from portside.use.transfer.sealing import require_packages

        require_packages()
    return place


class Refused(Exception):
    """The other side said why it does not go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Channel:
    """Frames over `connection`; `seal` makes both directions secret."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SILENCE)
        if connection.family != socket.AF_UNIX:  # frames are answered: Nagle's algorithm would delay each
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(connection)
        self.connection = connection
        self._secured = hasattr(connection, "pending")  # an ssl.SSLSocket, without importing ssl to ask
        self._held = b""
        self._told = time.monotonic()
        self._buffer = make_buffer(LARGEST + OVERHEAD)
        self._encrypt: Cipher | None = None
        self._decrypt: Cipher | None = None

    def seal(self, encrypt: Cipher, decrypt: Cipher) -> None:
        """Encrypt what is sent from here on, and expect the same."""
        self._encrypt, self._decrypt = encrypt, decrypt

    def send(self, kind: bytes, payload: bytes | memoryview = b"") -> None:
        """Send one frame.  Raises Vanished, Refused."""
        if self._encrypt is not None:
            payload = self._encrypt(kind + bytes(payload))
        try:
            self._send_all(frame(kind, len(payload)), payload)
        except TimeoutError as error:
            raise TimedOut("send", "", f"nothing was taken for {SILENCE:g} s") from error
        except OSError as error:
            self._last_word()
            raise _gone(error) from error

    def _send_all(self, head: bytes, payload: bytes | memoryview) -> None:
        if self._secured:  # one record rather than two, where it fits
            small = len(payload) <= _RECORD
            self.connection.sendall(head + bytes(payload) if small else head)
            if not small:
                self.connection.sendall(payload)
            return
        sent = self.connection.sendmsg([head, payload])
        if sent < len(head):
            self.connection.sendall(head[sent:])
            sent = len(head)
        if sent - len(head) < len(payload):
            self.connection.sendall(memoryview(payload)[sent - len(head) :])

    def receive(self) -> tuple[bytes, memoryview]:
        """Return the next frame; its payload is good until the next call.  Raises Vanished, BadReply, Refused."""
        kind, payload = self._frame()
        while kind == BUSY:
            kind, payload = self._frame()
        return kind, payload

    def _frame(self) -> tuple[bytes, memoryview]:
        kind, length = parse_head(bytes(self._exactly(HEAD.size)))
        payload = self._exactly(length)
        if self._decrypt is not None:
            opened = self._decrypt(payload)
            if opened[:1] != kind:
                raise BadReply("read transfer", "", "a sealed frame is of another kind than it says")
            payload = memoryview(opened)[1:]
        if kind == FAIL:
            raise Refused(bytes(payload).decode("utf-8", "replace"))
        return kind, payload

    def expect(self, kind: bytes, *, patient: bool = False) -> bytes:
        """Return the payload of the next frame, which is of that kind.

        `patient`: the other side may be busy in its kernel, with writing to the disk; only keep-alive tells its end.
        """
        self.connection.settimeout(None if patient else SILENCE)
        found, payload = self.receive()
        self.connection.settimeout(SILENCE)
        if found != kind:
            raise BadReply("read transfer", "", f"a frame of kind {found!r} came instead of {kind!r}")
        return bytes(payload)

    def busy(self) -> None:
        """Tell, now and then, that work goes on: called as often as one likes."""
        now = time.monotonic()
        if now - self._told >= BUSY_EVERY:
            self._told = now
            self.send(BUSY)

    def hears(self) -> bool:
        """Whether the other side has said something that was not received yet."""
        if not self._secured:
            return bool(select.select([self.connection], [], [], 0)[0])
        if self._held:
            return True
        self.connection.settimeout(0)
        try:
            self._held = self.connection.recv(1)  # what can be read need not be data (RFC 8446, 4.6)
        except OSError as error:
            if type(error).__name__ == "SSLWantReadError":
                return False
            raise _gone(error) from error
        finally:
            self.connection.settimeout(SILENCE)
        return True

    def fail(self, reason: str) -> None:
        """Say why this is the end, and leave the other side time to read it: unread input would destroy it."""
        try:
            self.send(FAIL, reason.encode("utf-8", "backslashreplace")[:1000])
            self.connection.shutdown(1)
            self.connection.settimeout(2.0)
            while self.connection.recv_into(self._buffer):
                pass
        except (OSError, Vanished, TimedOut, Refused):
            pass

    def _last_word(self) -> None:
        """Raise Refused if the other side has said why before it went."""
        self.connection.settimeout(1.0)
        try:
            self.receive()
        except (Vanished, BadReply, TimedOut):
            pass

    def _exactly(self, size: int) -> memoryview:
        view = self._buffer[:size]
        done = len(self._held)
        view[:done], self._held = self._held, b""
        while done < size:
            try:
                got = self.connection.recv_into(view[done:])
            except TimeoutError as error:
                raise TimedOut("receive", "", f"nothing came for {SILENCE:g} s") from error
            except OSError as error:
                raise _gone(error) from error
            if not got:
                raise Vanished("receive", "", "the other side has ended the connection")
            done += got
        return view


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):  # not everywhere
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _gone(error: OSError) -> Vanished:
    return Vanished("transfer", "", reason_of(error), errno=error.errno)


def reason_of(error: OSError) -> str:
    """Return the kernel's reason of a failure, or TLS's."""
    if hasattr(error, "library"):  # an ssl.SSLError, and ssl is loaded then
        from portside.system.tls import why

        return why(error)
    return os.strerror(error.errno or 0).lower()
