"""A netcat that listens: one client, or (`keep`) many at once, each in a thread of its own.

What is done with a client is a function (`serve_one`), which may block: a client that stalls in its TLS handshake or
sends half a request holds nobody up.  Who is not admitted, or comes when the house is full, is closed at once.
"""

from __future__ import annotations

from threading import Lock, Thread

from portside.use.accepting import Acceptor
from portside.use.access import raw_address
from portside.use.running import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any

    from portside.use.access import Access


class Server(Running):
    """Listeners on one loop.  `serve_one(connection, peer)` runs in a thread; without `keep` the first one ends all.

    It returns whether the connection goes on after it; then `release` is called when that one is gone.

    `on_refused(peer, reason)` is told of those who were turned away, `on_accepted(peer)` of all who came.
    """

    def __init__(
        self,
        listeners: list[socket],
        serve_one: Callable[[socket, Any], bool],
        *,
        keep: bool = False,
        most: int = 100,
        access: Access | None = None,
        on_accepted: Callable[[Any], None] | None = None,
        on_refused: Callable[[Any, str], None] | None = None,
        on_full: Callable[[OSError], None] | None = None,
    ) -> None:
        super().__init__()
        self._listeners = listeners
        self._serve_one = serve_one
        self._keep = keep
        self._most = most
        self._access = access
        self._on_accepted = on_accepted
        self._on_refused = on_refused
        self._on_full = on_full
        self._acceptors: list[Acceptor] = []
        self._lock = Lock()
        self._busy = 0
        self.failure: BaseException | None = None

    def _open(self) -> None:
        self._acceptors = [Acceptor(self.driver, each, self._came, self._on_full) for each in self._listeners]

    def _close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()

    def _came(self, connection: socket, peer: Any) -> None:
        if self._on_accepted is not None:
            self._on_accepted(peer)
        reason = self._objection(peer)
        if reason:
            connection.close()
            if self._on_refused is not None:
                self._on_refused(peer, reason)
            return
        with self._lock:
            self._busy += 1
        if not self._keep:
            for acceptor in self._acceptors:
                acceptor.close()
            self._acceptors = []
        Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _objection(self, peer: Any) -> str:
        if (
            self._access is not None
            and isinstance(peer, tuple)
            and not self._access.admits(raw_address(peer[0]))
        ):
            return "not allowed"
        if self._busy >= self._most:
            return f"connection limit reached ({self._busy})"
        return ""

    def _serve(self, connection: socket, peer: Any) -> None:
        goes_on = False
        try:
            goes_on = self._serve_one(connection, peer)
        except BaseException as error:  # one client's end is no other's; the only one's is ours
            self.failure = error
        if goes_on:
            return
        connection.close()
        self.release()
        if not self._keep:
            self.stop()

    def release(self) -> None:
        """Have one client less."""
        with self._lock:
            self._busy -= 1
