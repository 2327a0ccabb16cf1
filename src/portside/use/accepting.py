"""Accepting connections on a driver: many at a time, and on when descriptors have run out.

A listener that cannot accept (no descriptors, no memory) is left alone for a moment: what comes meanwhile waits in
the kernel's backlog, and what has been accepted goes on.  Errors of one connection end nothing (accept(2)).
"""

from __future__ import annotations

import errno
from socket import socket

from portside.use.relay.driver import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.use.relay.driver import Driver, Timer

_BATCH = 64  # connections accepted, then others have their turn
_PAUSE = 0.1  # seconds until the next try when there is nothing to accept with
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """One listening socket: `on_connection(connection, peer)` for each that comes, `on_full(error)` when none can.

    `socket._accept` is what `accept` calls, which would look up the names of family and type for each connection.
    """

    def __init__(
        self,
        driver: Driver,
        listener: socket,
        on_connection: Callable[[socket, Any], None],
        on_full: Callable[[OSError], None] | None = None,
    ) -> None:
        listener.setblocking(False)
        self.listener = listener
        self._kind = int(listener.family), int(listener.type), listener.proto
        self._driver = driver
        self._on_connection = on_connection
        self._on_full = on_full
        self._timer: Timer | None = None
        self._resume()

    def _ready(self, _descriptor: int) -> None:
        for _ in range(_BATCH):
            try:
                descriptor, peer = self.listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                if self.listener.fileno() < 0:
                    return
                continue
            self._on_connection(socket(*self._kind, fileno=descriptor), peer)

    def _pause(self, error: OSError) -> None:
        self._driver.forget(self.listener.fileno())
        self._timer = self._driver.after(_PAUSE, self._resume)
        if self._on_full is not None:
            self._on_full(error)

    def _resume(self) -> None:
        self._timer = None
        self._driver.watch(self.listener.fileno(), READ, self._ready)

    def close(self) -> None:
        """Listen no more."""
        if self._timer is not None:
            self._driver.cancel(self._timer)
        self._driver.forget(self.listener.fileno())
        self.listener.close()
