"""The echo client: sends, waits until all of it has come back, and takes the time."""

from __future__ import annotations

import socket
import time

from portside.errors import BadReply, TimedOut, Vanished
from portside.record import Record
from portside.use import sockets
from portside.use.datagrams import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 15


class Echo(Record):
    """One answer: what came back (`same`: is it what was sent), after how many seconds."""

    data: bytes
    same: bool
    seconds: float


class EchoClient:
    """A connection to an echo service, over TCP or UDP; `peer` is where it leads, as text.

    Raises PortsideError where there is no connection, or no answer within `timeout` seconds.
    """

    def __init__(self, host: str, port: int | str, *, udp: bool = False, timeout: float = 5.0) -> None:
        kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
        self._udp = udp
        self._timeout = timeout
        self._socket = sockets.connect_any(sockets.resolve(host, port, type=kind), timeout=timeout)
        self._socket.settimeout(timeout)
        if not udp:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = show(self._socket.getpeername())

    def ask(self, data: bytes) -> Echo:
        """Send and return what came back."""
        began = time.perf_counter()
        try:
            found = self._exchange(data) if self._udp else b"".join(self._pieces(data))
        except TimeoutError:
            reason = f"nothing came back in {self._timeout:g} s"
            raise TimedOut("echo", self.peer, reason, "is it an echo service?") from None
        except OSError as error:
            raise Vanished("echo", self.peer, str(error.strerror).lower(), errno=error.errno) from error
        return Echo(found, found == data, time.perf_counter() - began)

    def _exchange(self, data: bytes) -> bytes:
        self._socket.send(data)
        return self._socket.recv(1 << 16)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Send and receive by turns: a service that cannot send back stops reading."""
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._socket.sendall(piece)
            left = len(piece)
            while left:
                back = self._socket.recv(left)
                if not back:
                    missing = len(data) - start - len(piece) + left
                    raise BadReply("echo", self.peer, f"it closed with {missing} bytes still to come back")
                left -= len(back)
                yield back

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> EchoClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
