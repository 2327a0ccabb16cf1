"""Connections through a proxy: the negotiation of `wire.socks` or `wire.http_connect` over a connected socket."""

from __future__ import annotations

import socket

from portside.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Negotiation(Protocol):
        """What to send first, how many bytes are wanted next, and what to do with them."""

        first: bytes
        wants: int

        def feed(self, data: bytes) -> bytes:
            """Take the bytes that were wanted, return what to send."""


class CutShort(BadReply):
    """The proxy ended the connection with `got` of the `wanted` bytes."""

    def __init__(self, got: int, wanted: int, error: OSError | None = None) -> None:
        self.got = got
        self.wanted = wanted
        super().__init__("connect through", "the proxy", "it hung up before the tunnel stood")
        self.__cause__ = error


def negotiate(connection: socket.socket, talk: Negotiation) -> None:
    """Talk until the tunnel stands; raises ProxyRefused, CutShort."""
    _send(connection, talk.first)
    while talk.wants:
        answer = talk.feed(_exactly(connection, talk.wants))
        if answer:
            _send(connection, answer)


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError as error:
        raise CutShort(0, len(data), error) from error


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        try:
            piece = connection.recv(count - len(found))
        except OSError as error:
            raise CutShort(len(found), count, error) from error
        if not piece:
            raise CutShort(len(found), count)
        found += piece
    return found


def raw_address(host: str) -> bytes | None:
    """Return an address in text as raw bytes, None if it is a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
    return None
