"""A program for each peer of bound datagram sockets, all at once: ncat -lu -k --exec.

The sockets stay unconnected and who sent a datagram decides whose program gets it, so that none is lost or goes to
another's program while a new one starts.  What a program writes at once is one datagram; an empty datagram is the end
of its input.  Datagrams that a program does not read wait, up to a limit; more are dropped, as datagrams are.
"""

from __future__ import annotations

import os
from threading import Thread

from portside.errors import PortsideError
from portside.use.access import raw_address
from portside.use.relay.driver import READ, WRITE, Driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from portside.system.children import Child
    from portside.use.access import Access

_LARGEST = 65535
_WAITS = 1 << 20  # bytes that wait for one program


class Program:
    """One peer's program, and what waits for it."""

    def __init__(self, child: Child, bound: socket.socket, peer: Any, now: float) -> None:
        child.channel.setblocking(False)
        self.child = child
        self.bound = bound
        self.peer = peer
        self.waiting = b""
        self.ended = False  # the peer has sent its last datagram
        self.moved = now


class Programs:
    """Serves peers with programs, at most `most` at a time; a silent one ends after `idle` seconds.

    `start(bound, peer)` starts a program.  `on_new(peer)` is told of each, `on_refused(text)` of those turned away.
    """

    def __init__(
        self,
        bound: list[socket.socket],
        start: Callable[[socket.socket, Any], Child],
        access: Access,
        *,
        most: int,
        idle: float | None,
        on_new: Callable[[Any], None],
        on_refused: Callable[[str], None],
    ) -> None:
        self._bound = {each.fileno(): each for each in bound}
        self._start = start
        self._access = access
        self._most = most
        self._idle = idle
        self._on_new = on_new
        self._on_refused = on_refused
        self._by_peer: dict[tuple[int, Any], Program] = {}
        self._by_channel: dict[int, Program] = {}

    def run(self) -> None:
        """Serve for ever."""
        with Driver() as self._driver:
            for descriptor, each in self._bound.items():
                each.setblocking(False)
                self._driver.watch(descriptor, READ, self._receive)
            try:
                self._driver.run()
            finally:
                for program in list(self._by_channel.values()):
                    program.child.end()

    def _receive(self, descriptor: int) -> None:
        bound = self._bound[descriptor]
        try:
            data, peer = bound.recvfrom(_LARGEST)
        except OSError:  # nothing there after all, or an earlier datagram was refused
            return
        program = self._by_peer.get((descriptor, peer)) or self._new(bound, peer)
        if program is None or program.ended or len(program.waiting) + len(data) > _WAITS:
            return
        program.moved = self._driver.now()
        program.waiting += data
        program.ended = not data
        self._feed(program)

    def _new(self, bound: socket.socket, peer: Any) -> Program | None:
        if isinstance(peer, tuple) and not self._access.admits(raw_address(peer[0])):
            self._on_refused("not allowed")
            return None
        if len(self._by_peer) >= self._most:
            self._on_refused(f"connection limit reached ({len(self._by_peer)})")
            return None
        self._on_new(peer)
        try:
            program = Program(self._start(bound, peer), bound, peer, self._driver.now())
        except PortsideError as error:
            self._on_refused(str(error))
            return None
        self._by_peer[bound.fileno(), peer] = self._by_channel[program.child.channel.fileno()] = program
        if self._idle is not None:
            self._driver.after(self._idle, lambda: self._end_if_idle(program))
        return program

    def _feed(self, program: Program) -> None:
        """Give a program what waits for it, then the end."""
        channel = program.child.channel
        try:
            while program.waiting:
                program.waiting = program.waiting[channel.send(program.waiting) :]
            if program.ended:
                channel.shutdown(1)
        except BlockingIOError:
            pass
        except OSError:  # it reads no more
            program.waiting = b""
        events = READ | WRITE if program.waiting else READ
        self._driver.watch(channel.fileno(), events, self._ready)

    def _ready(self, descriptor: int) -> None:
        program = self._by_channel[descriptor]
        if program.waiting:
            self._feed(program)
        try:
            data = os.read(descriptor, _LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave(program)
            return
        program.moved = self._driver.now()
        try:
            program.bound.sendto(data, program.peer)
        except OSError:  # the peer is gone, or the datagram too large: as datagrams go
            pass

    def _leave(self, program: Program) -> None:
        """Forget a program that says no more; its end is waited for beside the loop."""
        channel = program.child.channel
        del self._by_peer[program.bound.fileno(), program.peer], self._by_channel[channel.fileno()]
        self._driver.forget(channel.fileno())
        channel.close()
        Thread(target=program.child.finish, daemon=True).start()

    def _end_if_idle(self, program: Program) -> None:
        if program.child.channel.fileno() not in self._by_channel:
            return
        assert self._idle is not None
        if self._driver.now() - program.moved >= self._idle:
            self._leave(program)
        else:
            self._driver.at(program.moved + self._idle, lambda: self._end_if_idle(program))
