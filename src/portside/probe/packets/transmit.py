"""Probes out of the door: a template for each lane, two sockets for each interface, made when first needed.

Where the target is on this machine (a namespace, a container), the kernel does all of its work on the processor
that sends, inside the system call: the target's answer and our own reception of it too.  So a batch is cut into
pieces, and two threads take them in turn, each with a socket of its own; with one processor there is one.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from functools import partial
from queue import SimpleQueue

import numpy as np

from portside.probe.packets.build import ROWS, SynTemplate
from portside.probe.packets.routes import Lane
from portside.system.packets import ROADS, open_raw_sender, open_sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from portside.probe.method import Counters
    from portside.probe.packets.chunk import Chunk
    from portside.system.packets import Sender

_PIECE = 128  # packets that a thread takes at a time
_TRIES = 500  # waits of a millisecond for a full queue, before a packet counts as not to be sent


class Transmitter:
    """Sends the probes of chunks; `waited` counts how often there was no room for a packet."""

    def __init__(self, lanes: list[Lane], counters: Counters) -> None:
        self._lanes = lanes
        self._counters = counters
        self._templates: dict[Lane, SynTemplate] = {}
        self._ways: dict[tuple[int, int], list[_Way]] = {}
        self._second = _Second() if len(os.sched_getaffinity(0)) > 1 else None
        self.waited = 0

    def open_all(self) -> None:
        """Open the sockets of all lanes found so far: not while the clock of a rate runs."""
        for number in range(len(self._lanes)):
            self._lane(number)

    def send(self, chunk: Chunk, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Send one probe for each of these rows; return the rows whose packet the kernel refused for good."""
        lanes = chunk.lane[at]
        refused = [_NOTHING]
        for number in np.flatnonzero(np.bincount(lanes)):
            these = at[lanes == number]
            template, ways = self._lane(int(number))
            for start in range(0, len(these), ROWS):
                part = these[start : start + ROWS]
                for sent in self._share(ways, _Batch(template.build(chunk, part), chunk, part)):
                    refused += sent.refused
                    self.waited += sent.waited
                    self._counters.local += sent.local
        return np.concatenate(refused)

    def _share(self, ways: list[_Way], batch: _Batch) -> list[_Sent]:
        """Send a batch, by two threads if it is worth that: whichever is free takes the next piece."""
        if not self._second or len(batch.at) <= _PIECE:
            return [batch.send(ways[0])]
        self._second.start(partial(batch.send, ways[1]))
        mine = batch.send(ways[0])
        return [mine, self._second.result()]

    def _lane(self, number: int) -> tuple[SynTemplate, list[_Way]]:
        """Return what sends by a lane; lanes of one interface share its sockets."""
        lane = self._lanes[number]
        if lane not in self._templates:
            self._templates[lane] = SynTemplate(lane.source, lane.hardware)
        width = 0 if lane.hardware else len(lane.source)
        key = lane.interface, width
        if key not in self._ways:
            family = socket.AF_INET6 if width == 16 else socket.AF_INET
            senders = [open_raw_sender(family) if width else open_sender(lane.interface)]
            if not width and senders[0].road != ROADS[0]:
                self._counters.note(
                    "sent by sendmmsg, which is slower: AF_XDP cannot be had on this interface"
                )
            if self._second:
                senders.append(open_raw_sender(family) if width else open_sender(lane.interface, ROADS[1:]))
            self._ways[key] = [_Way(sender, lane.interface) for sender in senders]
        return self._templates[lane], self._ways[key]

    def close(self) -> None:
        """End the second thread, close the senders."""
        if self._second:
            self._second.close()
        for ways in self._ways.values():
            for way in ways:
                way.close()
        self._ways.clear()


class _Sent:
    """What became of a thread's share of a batch: rows refused, waits for room, packets that failed."""

    def __init__(self) -> None:
        self.refused: list[NDArray[np.int64]] = []
        self.waited = self.local = 0


class _Batch:
    """Packets with the rows of their chunk, sent in pieces by whoever comes for one."""

    def __init__(self, rows: NDArray[np.uint8], chunk: Chunk, at: NDArray[np.int64]) -> None:
        self.rows, self.chunk, self.at = rows, chunk, at
        self._starts = iter(range(0, len(at), _PIECE))  # shared: a step of it is atomic

    def send(self, way: _Way) -> _Sent:
        """Send piece after piece until none is left."""
        sent = _Sent()
        for start in self._starts:
            self._through(way, slice(start, start + _PIECE), sent)
        return sent

    def _through(self, way: _Way, piece: slice, told: _Sent) -> None:
        """Send a piece, waiting for room in the kernel's queues where there is none."""
        rows, at = self.rows[piece], self.at[piece]
        done = idle = 0
        while done < len(at):
            self.chunk.sent[at[done:]] = time.monotonic()
            try:
                sent = way.put(rows[done:], self.chunk, at[done:])
            except OSError as error:  # this one packet: a firewall on the way out, a link that went down
                if error.errno == errno.ENETDOWN:
                    time.sleep(0.001)
                told.refused.append(at[done : done + 1])
                told.local += 1
                sent = 1
            done += sent
            if not sent:
                told.waited += 1
                idle += 1
                if idle > _TRIES:
                    told.refused.append(at[done:])
                    return
                time.sleep(0.001)


class _Second:
    """A thread that does one thing at a time beside its caller, for as long as that is inside the kernel."""

    def __init__(self) -> None:
        self._given: SimpleQueue[Callable[[], _Sent] | None] = SimpleQueue()
        self._made: SimpleQueue[_Sent | BaseException] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sends", daemon=True)
        self._thread.start()

    def start(self, work: Callable[[], _Sent]) -> None:
        """Have it begin."""
        self._given.put(work)

    def result(self) -> _Sent:
        """Return what came of it, or raise what it raised."""
        made = self._made.get()
        if isinstance(made, BaseException):
            raise made
        return made

    def close(self) -> None:
        """End the thread."""
        self._given.put(None)
        self._thread.join()

    def _work(self) -> None:
        while work := self._given.get():
            try:
                self._made.put(work())
            except BaseException as error:
                self._made.put(error)


class _Way:
    """An open sender with its slots and their lengths as columns."""

    def __init__(self, sender: Sender, interface: int) -> None:
        self.sender = sender
        self._scope = interface
        self._slots = np.frombuffer(sender.slots, np.uint8).reshape(-1, sender.stride)
        self._lengths = np.frombuffer(sender.entries, "<u4").reshape(-1, 4)[:, 2]
        self._names = np.frombuffer(sender.names, np.uint8).reshape(-1, 32)

    def put(self, rows: NDArray[np.uint8], chunk: Chunk, at: NDArray[np.int64]) -> int:
        """Send what there is room for; return how many went."""
        place = self.sender.place
        count = min(self.sender.room(), len(rows))
        if count <= 0:
            return 0
        self._slots[place : place + count, : rows.shape[1]] = rows[:count]
        self._lengths[place : place + count] = rows.shape[1]
        if len(self._names):
            self._name(self._names[place : place + count], chunk, at[:count])
        return self.sender.send(count)

    def _name(self, names: NDArray[np.uint8], chunk: Chunk, at: NDArray[np.int64]) -> None:
        """Write struct sockaddr_in or sockaddr_in6 of each target: a raw socket wants it beside the packet."""
        hosts = chunk.hosts[at]
        if chunk.width == 4:
            names[:, :2].view("=u2")[:, 0] = socket.AF_INET
            names[:, 4:8].view(">u4")[:, 0] = hosts
            return
        names[:, :2].view("=u2")[:, 0] = socket.AF_INET6
        names[:, 8:24].view(">u8")[:] = hosts
        linked = (hosts[:, 0] >> np.uint64(54)) == 0xFE80 >> 6  # fe80::/10 needs its interface
        names[:, 24:28].view("=u4")[:, 0] = np.where(linked, self._scope, 0)

    def close(self) -> None:
        """Let go of the memory, then of the socket."""
        del self._slots, self._lengths, self._names
        self.sender.close()


_NOTHING = np.zeros(0, np.int64)
