"""The loop of the SYN scan: send what is due, read what came, give up what stayed silent, over and over.

Two threads: one sends (`transmit` has a helper for it), one reads the ring.  What they share is touched under one
lock, which the first holds but while it is inside the kernel, sending or waiting; so the second decides probes just
then, on another core if there is one, and never while a caller looks at what is left.

A probe goes out up to `1 + retries` times, some more on a way that is seen to lose, each time only if it has had no
answer; how long is waited between follows from the answers' own delays.  After the last attempt the wait is the whole
timeout, unless every host has answered before and is known to be quick.
"""

from __future__ import annotations

import os
import select
import threading
import time

import numpy as np

from portside.ports.address import parse_address
from portside.probe.method import TICK
from portside.probe.order import Left
from portside.probe.packets.answers import KEEP, Reader
from portside.probe.packets.chunk import MOST, Chunk
from portside.probe.packets.expand import Expander
from portside.probe.packets.pace import Pace
from portside.probe.packets.routes import Routes
from portside.probe.packets.transmit import Transmitter
from portside.probe.packets.verdicts import Verdicts
from portside.probe.records import FILTERED, LOCAL_ERROR, NO_RESPONSE, UNKNOWN
from portside.system.packets import Ring
from portside.wire import cbpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from portside.probe.method import Counters, Options
    from portside.probe.order import Order
    from portside.probe.records import Result

_FIRST_PORT, _SLOTS = 61_000, 512  # above Linux's own range of ephemeral ports
_BATCH = 1024
_LISTEN = 20  # milliseconds that a wait for answers lasts at most
_GATHER, _GATHER_MANY = 0.001, 0.008  # seconds in which more may come: a thousand cost little more than one
_MANY = 32  # answers in the shorter time that make the longer one worth its while
_CHUNK_SECONDS = 0.25  # seconds of probes in one chunk
_SMALLEST = 1024
_NEVER = float("inf")
_LOOK_EVERY = 0.005  # seconds between two looks at what stayed silent
_ADMISSIONS = 2  # chunks in one go: one whose targets have no way costs time and sends nothing


class Engine:
    """One SYN scan of an order; `batches` runs it, `left` tells what is not decided."""

    def __init__(self, order: Order, options: Options, left: Left, counters: Counters) -> None:
        self._order, self._options, self._counters = order, options, counters
        self._resumed, self._next = list(left.places), left.next
        self._key = int.from_bytes(os.urandom(8), "little"), int.from_bytes(os.urandom(8), "little")
        self._base = _FIRST_PORT + int.from_bytes(os.urandom(2), "little") % (65_536 - _FIRST_PORT - _SLOTS)
        self._free = list(range(self._base, self._base + _SLOTS))
        self._flying: dict[int, Chunk] = {}  # by source port, oldest first
        self._verdicts = Verdicts(order.space, options, counters)
        self._begun = False
        self._lock = threading.Lock()
        self._heard = threading.Event()
        self._stopping = False
        self._failure: BaseException | None = None
        self._read, self._reading = (
            0.0,
            False,
        )  # until when all that came is taken in; whether some is on its way
        self._wake = _NEVER  # when the next attempt of any chunk is due
        self._looked = self._soonest = 0.0

    def left(self) -> Left:
        """Return the places that are not decided."""
        waiting = [chunk.places[~chunk.decided] for chunk in self._flying.values()]
        places = np.concatenate([*waiting, np.array(self._resumed, np.int64)]).tolist()
        return Left(self._next, tuple(sorted(places)))

    def batches(self) -> Iterator[list[Result]]:
        """Scan; see `method`."""
        options = self._options
        self._expander = Expander(self._order)
        source = parse_address(options.source) if options.source else b""
        self._routes = Routes(self._expander.zones, source, options.device)
        ring = Ring(cbpf.answers(self._base, self._base + _SLOTS - 1, KEEP))
        self._out = Transmitter(self._routes.lanes, self._counters)
        self._pace = Pace(options.rate, options.limit, time.monotonic(), self._counters.note)
        hearing = threading.Thread(target=self._hear, args=(ring,), name="answers", daemon=True)
        self._lock.acquire()
        try:
            hearing.start()
            yield from self._loop(ring)
        finally:
            self._stopping = True
            self._lock.release()
            hearing.join()
            ring.close()
            self._out.close()

    def _hear(self, ring: Ring) -> None:
        """Read answers until told to stop: the second thread."""
        poll = select.poll()
        poll.register(ring.fileno(), select.POLLIN)
        reader = Reader(ring)
        before = 0
        try:
            while not self._stopping:
                now = time.monotonic()
                self._reading = True
                got = reader.read()
                if got is None:
                    self._read, self._reading = now, False
                    if poll.poll(_LISTEN):
                        time.sleep(_GATHER_MANY if reader.count - before >= _MANY else _GATHER)
                    before = reader.count
                    continue
                with self._lock:
                    if not self._stopping:
                        self._verdicts.take_in(*got, self._flying)
                    self._read = max(self._read, min(now, now - time.time() + reader.newest))
                self._heard.set()
        except BaseException as error:
            self._failure = error
        finally:
            reader.close()

    def _loop(self, ring: Ring) -> Iterator[list[Result]]:
        told = time.monotonic()
        waiting = select.poll()
        waiting.register(ring.fileno(), select.POLLIN)
        while True:
            if self._failure:
                raise self._failure
            self._learn(ring)
            now = time.monotonic()
            known = self._read if waiting.poll(0) or self._reading else now
            sent = self._send(now, known)
            until = self._give_up(now, known)
            if self._verdicts.results or now - told >= TICK:
                told = now
                yield self._verdicts.take()
            if not self._flying and not self._more():
                return
            if not sent:
                wait = min(self._pace.wait() if until <= now else until - now, TICK)
                self._wait(max(wait, 0.0002))

    def _wait(self, seconds: float) -> None:
        """Wait for an answer, or for so long, while the other thread may work."""
        self._heard.clear()
        self._lock.release()
        try:
            self._heard.wait(seconds)
        finally:
            self._lock.acquire()

    def _more(self) -> bool:
        return bool(self._resumed) or self._next < self._order.size

    def _learn(self, ring: Ring) -> None:
        """Tell the pace how it goes."""
        lost = ring.lost()
        self._counters.dropped += lost
        answered, late = self._verdicts.signs()
        self._pace.learn(time.monotonic(), lost=lost + self._out.waited, answered=answered, late=late)
        self._out.waited = 0

    def _send(self, now: float, known: float) -> int:
        """Send what may go now: repeats first, since they are older; then probes never sent.

        What came up to `known` is taken in: so long a probe is known to have been silent.
        """
        allowed = self._pace.allow(now, _BATCH)
        sent = 0
        patience = self._verdicts.patience()
        if allowed and self._wake <= now:
            for chunk in self._flying.values():
                if sent < allowed and chunk.wake <= now:
                    sent += self._attempt(chunk, known, patience, allowed - sent)
            self._wake = min((chunk.wake for chunk in self._flying.values()), default=_NEVER)
        for _ in range(_ADMISSIONS):
            if sent >= allowed or not (self._more() and self._free):
                break
            sent += sum(self._attempt(chunk, known, patience, allowed - sent) for chunk in self._admit())
        self._pace.spend(sent)
        return sent

    def _attempt(self, chunk: Chunk, known: float, patience: float, most: int) -> int:
        """Send the attempts of a chunk that are due, up to `most`; note when the next will be."""
        sent = 0
        wake = _NEVER
        for attempt in range(self._verdicts.tries - 1, -1, -1):
            at, following = chunk.due(attempt, known - patience, most - sent)
            wake = min(wake, following + patience if attempt else following)
            if len(at):
                self._dispatch(chunk, at, attempt)
                sent += len(at)
                wake = min(wake, known + patience)
            if sent >= most:
                wake = 0.0
                break
        chunk.wake = wake
        self._wake = min(self._wake, wake)
        return sent

    def _dispatch(self, chunk: Chunk, at: NDArray[np.int64], attempt: int) -> None:
        chunk.attempts[at] = attempt + 1
        self._lock.release()
        try:
            refused = self._out.send(chunk, at)
        finally:
            self._lock.acquire()
        self._counters.sent += len(at) - len(refused)
        if attempt:
            self._counters.retried += len(at)
        if len(refused) and attempt + 1 >= self._verdicts.tries:
            self._verdicts.decide(chunk, refused, UNKNOWN, LOCAL_ERROR)

    def _admit(self) -> list[Chunk]:
        """Take the next places of the order into flight."""
        size = min(MOST, max(_SMALLEST, int(self._pace.rate * _CHUNK_SECONDS)))
        places = self._resumed[:size]
        del self._resumed[:size]
        fresh = np.arange(self._next, min(self._next + size - len(places), self._order.size))
        self._next += len(fresh)
        made = []
        for probes in self._expander.probes(np.concatenate((np.array(places, np.int64), fresh))):
            chunk = Chunk(probes, self._free.pop(0), self._key, self._verdicts.most_tries)
            self._flying[chunk.port] = chunk
            for at, reason in self._routes.resolve(chunk):
                self._verdicts.decide(chunk, at, UNKNOWN if reason == LOCAL_ERROR else FILTERED, reason)
            made.append(chunk)
        self._out.open_all()
        if not self._begun:
            self._begun = True
            self._pace.begin(time.monotonic(), near=self._routes.near)
        return made

    def _give_up(self, now: float, known: float) -> float:
        """Decide what stayed silent after its last attempt, let go of chunks that are done.

        Returns when something will be due next, infinite if nothing waits.
        """
        if now < self._looked + _LOOK_EVERY and self._flying:
            return self._soonest
        self._looked = now
        soonest = now if self._more() and self._free else _NEVER
        grace = self._verdicts.grace()
        for port, chunk in list(self._flying.items()):
            silent, following = chunk.due(self._verdicts.tries, known - grace, MOST)
            if len(silent):
                self._verdicts.decide(chunk, silent, FILTERED, NO_RESPONSE)
            soonest = min(soonest, chunk.wake, following + grace)
            if not chunk.pending:
                del self._flying[port]
                self._free.append(port)
        self._soonest = max(soonest, now + _LOOK_EVERY) if self._flying else soonest
        return self._soonest
