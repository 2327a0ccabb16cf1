"""Probes out of the door: a template for each lane, a socket for each interface, made when first needed."""

from __future__ import annotations

import errno
import socket
import time

import numpy as np

from portside.probe.packets.build import ROWS, SynTemplate
from portside.probe.packets.routes import Lane
from portside.system.packets import ROADS, open_raw_sender, open_sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from portside.probe.method import Counters
    from portside.probe.packets.chunk import Chunk
    from portside.system.packets import Sender

_TRIES = 500  # waits of a millisecond for a full queue, before a packet counts as not to be sent


class Transmitter:
    """Sends the probes of chunks; `waited` counts how often there was no room for a packet."""

    def __init__(self, lanes: list[Lane], counters: Counters) -> None:
        self._lanes = lanes
        self._counters = counters
        self._templates: dict[Lane, SynTemplate] = {}
        self._ways: dict[tuple[int, int], _Way] = {}
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
            template, way = self._lane(int(number))
            for start in range(0, len(these), ROWS):
                part = these[start : start + ROWS]
                refused.append(self._through(way, template.build(chunk, part), chunk, part))
        return np.concatenate(refused)

    def _lane(self, number: int) -> tuple[SynTemplate, _Way]:
        """Return what sends by a lane; lanes of one interface share its socket."""
        lane = self._lanes[number]
        if lane not in self._templates:
            self._templates[lane] = SynTemplate(lane.source, lane.hardware)
        width = 0 if lane.hardware else len(lane.source)
        key = lane.interface, width
        if key not in self._ways:
            family = socket.AF_INET6 if width == 16 else socket.AF_INET
            sender = open_raw_sender(family) if width else open_sender(lane.interface)
            self._ways[key] = _Way(sender, lane.interface)
            if not width and sender.road != ROADS[0]:
                self._counters.note(
                    "sent by sendmmsg, which is slower: AF_XDP cannot be had on this interface"
                )
        return self._templates[lane], self._ways[key]

    def _through(
        self, way: _Way, rows: NDArray[np.uint8], chunk: Chunk, at: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Send at most ROWS packets, waiting for room in the kernel's queues where there is none."""
        refused, done, idle = [_NOTHING], 0, 0
        while done < len(at):
            chunk.sent[at[done:]] = time.monotonic()
            try:
                sent = way.put(rows[done:], chunk, at[done:])
            except OSError as error:  # this one packet: a firewall on the way out, a link that went down
                if error.errno == errno.ENETDOWN:
                    time.sleep(0.001)
                refused.append(at[done : done + 1])
                self._counters.local += 1
                sent = 1
            done += sent
            if not sent:
                self.waited += 1
                idle += 1
                if idle > _TRIES:
                    return np.concatenate((*refused, at[done:]))
                time.sleep(0.001)
        return np.concatenate(refused)

    def close(self) -> None:
        """Close the senders."""
        for way in self._ways.values():
            way.close()
        self._ways.clear()


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
