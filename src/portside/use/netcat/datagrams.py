"""Datagram sockets as ends of a relay, and as listeners that wait for a first peer.

One read is one datagram and one write is one, so nothing may be spliced.  An empty datagram is the end of the
stream, as the netcats take it.
"""

from __future__ import annotations

import os
import socket

from portside.use.relay.ends import SocketEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DATAGRAM = "datagram"


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
