"""Datagrams of one rule: each peer has a flow, a connected socket of its own to one target, until it falls silent.

Answers go back from the address that was asked.  What cannot be sent on at once is lost, as UDP may lose it: nothing
is kept, so a slow target cannot fill our memory.
"""

from __future__ import annotations

import socket
from functools import partial

from portside.use.datagrams import Datagrams
from portside.use.forward.service import Service, reason_of, shown, source_bytes
from portside.use.relay.driver import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.use.datagrams import Datagram
    from portside.use.forward.events import Event
    from portside.use.forward.pool import Target
    from portside.use.forward.rules import Rule
    from portside.use.relay.driver import Driver, Timer
    from portside.use.sockets import Address

SILENT = (
    60.0  # seconds after which a peer's flow ends where the rule says nothing (RFC 4787 asks for 120 of NATs)
)
_BATCH = 64
_REFUSALS = 1024  # peers whose refusal was told already
_SWEEPS = 4  # looks at the flows within the time that one may be silent


class Flow:
    """One peer's datagrams: `sock` is connected to the target, `back` is how to answer."""

    __slots__ = ("back", "began", "last", "listener", "received", "sent", "sock", "source", "target", "where")

    def __init__(
        self, sock: socket.socket, target: Target, where: str, listener: Datagrams, back: Datagram, now: float
    ) -> None:
        self.sock = sock
        self.target = target
        self.where = where
        self.listener = listener
        self.back = back
        self.began = self.last = now
        self.received = self.sent = 0
        self.source = source_bytes(back.peer)


class FlowService(Service):
    """One rule over UDP."""

    protocol = "udp"

    def __init__(
        self, driver: Driver, rule: Rule, listeners: list[socket.socket], tell: Callable[[Event], None]
    ) -> None:
        super().__init__(driver, rule, tell)
        self.place = shown(listeners[0].getsockname())
        self._flows: dict[Any, Flow] = {}
        self._told: dict[bytes, None] = {}
        self._timer: Timer | None = None
        self._listeners = [Datagrams(each) for each in listeners]
        for listener in self._listeners:
            driver.watch(listener.socket.fileno(), READ, partial(self._asked, listener))

    def open_now(self) -> int:  # noqa: D102 (as Service says)
        return len(self._flows)

    def stop_listening(self) -> None:
        """Take no new peer; answers to those known still go out."""
        for listener in self._listeners:
            self.driver.forget(listener.socket.fileno())

    def close(self) -> None:  # noqa: D102 (as Service says)
        self.stop_listening()
        for peer in list(self._flows):
            self._end(peer, "stopped")
        for listener in self._listeners:
            listener.socket.close()
        self._listeners = []
        if self._timer is not None:
            self.driver.cancel(self._timer)

    def _asked(self, listener: Datagrams, _descriptor: int) -> None:
        """Send on what has come from peers."""
        for _ in range(_BATCH):
            try:
                datagram = listener.receive()
            except BlockingIOError:
                return
            except OSError:  # what ICMP said of an answer that we sent
                continue
            flow = self._flows.get((listener, datagram.peer)) or self._new(listener, datagram)
            if flow is not None:
                self._send(flow, datagram.data)

    def _send(self, flow: Flow, data: bytes) -> None:
        flow.last = self.driver.now()
        try:
            flow.sock.send(data)
        except BlockingIOError:
            return
        except OSError:  # port unreachable, of an earlier datagram
            flow.target.failed(flow.last)
            return
        flow.received += len(data)

    def _new(self, listener: Datagrams, datagram: Datagram) -> Flow | None:
        """Begin a peer's flow, None where it may not have one or no target can be had."""
        source = source_bytes(datagram.peer)
        reason = self.objection(source)
        if reason:
            self._refuse_once(source, datagram.peer, reason)
            return None
        last = "there is no target's address"
        for target, address in self.pool.candidates(self.driver.now()):
            try:
                sock = _connected(address, self.rule.source)
            except OSError as error:
                last = reason_of(error)
                continue
            flow = Flow(sock, target, str(address), listener, datagram, self.driver.now())
            self._flows[listener, datagram.peer] = flow
            self.enter(source)
            self.driver.watch(sock.fileno(), READ, partial(self._answered, flow))
            self._sweep_later()
            return flow
        self.fail(shown(datagram.peer), "", last)
        return None

    def _refuse_once(self, source: bytes, peer: Any, reason: str) -> None:
        if source not in self._told:
            self._told[source] = None
            if len(self._told) > _REFUSALS:
                self._told.pop(next(iter(self._told)))
            self.refuse(peer, reason)

    def _answered(self, flow: Flow, _descriptor: int) -> None:
        """Send back what has come from a target."""
        for _ in range(_BATCH):
            try:
                data = flow.sock.recv(65_535)
            except BlockingIOError:
                return
            except OSError:
                flow.target.failed(self.driver.now())
                return
            flow.last = self.driver.now()
            flow.sent += len(data)
            flow.listener.answer(flow.back, data)

    def _sweep_later(self) -> None:
        if self._timer is None:
            self._timer = self.driver.after(self._silence() / _SWEEPS, self._sweep)

    def _silence(self) -> float:
        return SILENT if self.rule.idle is None else self.rule.idle

    def _sweep(self) -> None:
        """End the flows that have been silent."""
        self._timer = None
        since = self.driver.now() - self._silence()
        for peer in [peer for peer, flow in self._flows.items() if flow.last <= since]:
            self._end(peer, "idle")
        if self._flows:
            self._sweep_later()

    def _end(self, peer: Any, reason: str) -> None:
        flow = self._flows.pop(peer)
        self.driver.forget(flow.sock.fileno())
        flow.sock.close()
        self.leave(flow.source)
        self.over(shown(flow.back.peer), flow.where, (flow.received, flow.sent), flow.began, reason)


def _connected(address: Address, source: str) -> socket.socket:
    made = socket.socket(address.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if source:
            made.bind((source, 0))
        made.connect(address.place)
    except OSError:
        made.close()
        raise
    return made
