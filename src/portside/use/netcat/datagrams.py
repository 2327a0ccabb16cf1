"""Datagram sockets as ends of a relay, and as listeners that wait for a first peer.

One read is one datagram and one write is one, so nothing may be spliced.  An empty datagram is the end of the
stream, as the netcats take it.
"""

from __future__ import annotations

import os
import select
import socket

from portside.use.access import raw_address
from portside.use.relay.driver import READ, Driver
from portside.use.relay.ends import SocketEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.use.access import Access
    from portside.use.relay.ends import End

DATAGRAM = "datagram"
_PIECE = 16384
_LARGEST = 65536


class DatagramEnd(SocketEnd):
    """A datagram socket, usually a connected one."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self.source_kind = self.sink_kind = DATAGRAM

    def shut(self) -> None:
        """Do nothing: there is no end that a datagram socket could tell of."""


def wait_for_peer(bound: socket.socket) -> Any:
    """Wait for a datagram, leave it in the queue, connect to its sender and return that address.  Raises OSError."""
    _, peer = bound.recvfrom(1, socket.MSG_PEEK)
    if peer:
        bound.connect(peer)
    return peer


def wait_for_first(bound: list[socket.socket], access: Access) -> tuple[socket.socket, Any]:
    """Wait for a datagram from one who is admitted, on any of the sockets; connect that one to its sender."""
    poll = select.poll()
    for each in bound:
        poll.register(each, select.POLLIN)
    by_number = {each.fileno(): each for each in bound}
    while True:
        for number, _ in poll.poll():
            chosen = by_number[number]
            _, peer = chosen.recvfrom(1, socket.MSG_PEEK)
            if isinstance(peer, tuple) and not access.admits(raw_address(peer[0])):
                chosen.recv(1)
                continue
            if peer:
                chosen.connect(peer)
            return chosen, peer


class Crowd:
    """Many peers on bound sockets: all they send goes to standard output, standard input to each of the latest."""

    def __init__(
        self,
        bound: list[socket.socket],
        near: End,
        access: Access,
        *,
        most: int,
        on_new: Callable[[Any], None],
    ) -> None:
        self._bound = bound
        self._near = near
        self._access = access
        self._most = most
        self._on_new = on_new
        self._peers: dict[Any, socket.socket] = {}

    def run(self) -> None:
        """Serve for ever."""
        with Driver() as driver:
            self._driver = driver
            for each in self._bound:
                each.setblocking(False)
                driver.watch(each.fileno(), READ, self._receive)
            if self._near.source >= 0:
                driver.watch(self._near.source, READ, self._send)
            driver.run()

    def _receive(self, descriptor: int) -> None:
        bound = next(each for each in self._bound if each.fileno() == descriptor)
        try:
            data, peer = bound.recvfrom(_LARGEST)
        except OSError:  # an earlier datagram was refused
            return
        if isinstance(peer, tuple) and not self._access.admits(raw_address(peer[0])):
            return
        if peer and peer not in self._peers:
            self._on_new(peer)
            if len(self._peers) >= self._most:
                self._peers.pop(next(iter(self._peers)))
        if peer:
            self._peers[peer] = bound
        if self._near.sink >= 0 and data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._near.sink, view) :]

    def _send(self, descriptor: int) -> None:
        data = os.read(descriptor, _PIECE)
        if not data:
            self._driver.forget(descriptor)
            return
        for peer, bound in self._peers.items():
            try:
                bound.sendto(data, peer)
            except OSError:  # it is gone, or its queue is full: as datagrams go
                continue


def probe(connection: socket.socket, seconds: float) -> bool:
    """Whether a connected UDP socket's datagrams are not refused: a few one-byte ones, then one each second.

    A host that answers nothing and a host that is not there look the same: both are True.
    """
    import time

    try:
        connection.send(b"X")
        connection.send(b"X")
        for _ in range(int(seconds)):
            time.sleep(1)
            connection.send(b"X")
    except OSError:
        return False
    return True


def receiving_path(prefix: str) -> str:
    """Make a directory of our own and return a path in it for a Unix datagram socket that is to get answers."""
    import tempfile

    return os.path.join(tempfile.mkdtemp(prefix=prefix, dir="/tmp"), "recv.sock")
