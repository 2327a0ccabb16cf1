"""A conversation in frames over one connected socket: plain, or sealed once both sides have agreed on a key."""

from __future__ import annotations

import os
import select

from portside.errors import BadReply, TimedOut, Vanished
from portside.wire.transfer import FAIL, HEAD, LARGEST, OVERHEAD, frame, parse_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    Cipher = Callable[[bytes | memoryview], bytes]

SILENCE = 60.0  # seconds without a byte after which the other side is given up


class Refused(Exception):
    """The other side said why it does not go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Channel:
    """Frames over `connection`; `seal` makes both directions secret."""

    def __init__(self, connection: socket) -> None:
        connection.settimeout(SILENCE)
        self.connection = connection
        self._buffer = memoryview(bytearray(LARGEST + OVERHEAD))
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
        sent = self.connection.sendmsg([head, payload])
        if sent < len(head):
            self.connection.sendall(head[sent:])
            sent = len(head)
        if sent - len(head) < len(payload):
            self.connection.sendall(memoryview(payload)[sent - len(head) :])

    def receive(self) -> tuple[bytes, memoryview]:
        """Return the next frame; its payload is good until the next call.  Raises Vanished, BadReply, Refused."""
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

    def expect(self, kind: bytes) -> bytes:
        """Return the payload of the next frame, which is of that kind."""
        found, payload = self.receive()
        if found != kind:
            raise BadReply("read transfer", "", f"a frame of kind {found!r} came instead of {kind!r}")
        return bytes(payload)

    def check(self) -> None:
        """Raise Refused if the other side has said that it does not go on."""
        if select.select([self.connection], [], [], 0)[0]:
            self.expect(FAIL)

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
        done = 0
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


def _gone(error: OSError) -> Vanished:
    return Vanished("transfer", "", os.strerror(error.errno or 0).lower(), errno=error.errno)
