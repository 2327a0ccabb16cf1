"""The method that needs no privilege: connect(2) on non-blocking sockets, as many at once as the way bears.

What the kernel tells of a connection that did not come about is more than its errno:

- ECONNREFUSED with an ICMP error in the socket's error queue (IP_RECVERR) was a firewall's word, not the host's: the
  port is filtered.  Without one it was a reset: closed.  Sender and code of any ICMP error come from there.
- EADDRNOTAVAIL, EMFILE, ENOBUFS and their kin are this host's own trouble: fewer at once, and again.
- A connection whose two ends are one socket is the kernel's doing (TCP simultaneous open, RFC 9293 3.5): a closed
  port of the ephemeral range was chosen as the local one.  The port is probed again, and so is any other connection
  to an own address in that range, where two probes may have met.

A refused socket is connected again, to the next port: that halves the cost of a probe.  To one's own host the verdict
is there when connect(2) returns, so it is asked for at once; elsewhere epoll tells.  An open port is closed by a
reset (SO_LINGER 0): no TIME_WAIT here, no half-finished session there.
"""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections import deque
from errno import EADDRNOTAVAIL, EALREADY, ECONNREFUSED, EINPROGRESS, EMFILE, ENFILE, EPERM, errorcode

from portside.ports.address import format_address
from portside.probe.method import TICK, Counters
from portside.probe.order import Left
from portside.probe.pace import Pace, Waits, Window
from portside.probe.records import (
    CLOSED,
    CONN_REFUSED,
    FILTERED,
    LOCAL_ERROR,
    NO_RESPONSE,
    OPEN,
    SELF_CONNECT,
    UNKNOWN,
    Result,
)
from portside.probe.sockets import (
    LOCAL_TROUBLE,
    REFUSED,
    RESET_ON_CLOSE,
    Finding,
    Opener,
    finding,
    interface_index,
    meets_itself,
    pending_icmp,
    stays_home,
)
from portside.system.limits import raise_descriptor_limit
from portside.system.port_ranges import read_host_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from portside.probe.method import Options
    from portside.probe.order import Order

MOST_AT_ONCE = 4096
_SPARE_DESCRIPTORS = 64  # for everybody else in this process
_SLICE = 64  # probes started between two looks at the answers
_BATCH = 512  # results
_HOME_TRIES = 32  # misses after which a verdict is no longer asked for at once
_MORE_TRIES = 4  # where the way loses packets
_MISSED = 0.01  # answers that may be expected to be lost in all tries
_LOCAL_TRIES = 40
_LOCAL_PAUSE = 0.05  # seconds
_MOST_DOUBTS = 4
_SELF = Finding(CLOSED, SELF_CONNECT)
_SILENT = Finding(FILTERED, NO_RESPONSE)
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP | select.EPOLLET


class Attempt:
    """One try at one port, on its way or waiting for its turn."""

    __slots__ = ("doubts", "due", "local", "place", "port", "raw", "sent", "tries", "used", "zone")

    def __init__(self, place: int, raw: bytes, zone: str, port: int) -> None:
        self.place = place
        self.raw = raw
        self.zone = zone
        self.port = port
        self.tries = 0  # before this one
        self.local = 0  # tries that failed here
        self.sent = 0.0
        self.due = 0.0  # when it is given up, or may start
        self.used: socket.socket | None = None
        self.doubts = 0  # connections that may have been of our own making

    def __lt__(self, other: Attempt) -> bool:
        return self.due < other.due


class Connect:
    """Probes the TCP ports of an order by connect(2)."""

    def __init__(self, order: Order, options: Options, left: Left) -> None:
        self.order = order
        self.options = options
        self.counters = Counters(order.size)
        self.counters.decided = left.next - len(left.places)
        most = min(options.concurrency or MOST_AT_ONCE, raise_descriptor_limit() - _SPARE_DESCRIPTORS)
        self._window = Window(most)
        self._waits = Waits(options.timeout)
        self._attempts = options.retries + 1
        self._resumed = deque(left.places)
        self._next = left.next
        self._again: list[Attempt] = []  # heap by `due`: to be tried once more
        self._flying: dict[int, Attempt] = {}
        self._deadlines: list[tuple[float, int, Attempt]] = []
        self._idle: dict[int, list[socket.socket]] = {4: [], 16: []}
        self._opener = Opener(socket.SOCK_STREAM, options.source, options.device)
        self._home_luck = _HOME_TRIES
        self._watched: socket.socket | None = None
        self._batch: list[Result] = []
        self._ephemeral = read_host_ranges().ephemeral
        self._address = (b"", "", "")  # the last address, its zone and text: often the next one's too

    def left(self) -> Left:
        """Tell what is not decided now."""
        waiting = [each.place for each in self._again] + [each.place for each in self._flying.values()]
        return Left(self._next, tuple(sorted([*self._resumed, *waiting])))

    def batches(self) -> Iterator[list[Result]]:
        """Probe; see `method.Method`."""
        self._epoll = select.epoll()
        self._pace = Pace(self.options.rate or self.options.limit, time.monotonic())
        try:
            told = time.monotonic()
            while self._more() or self._flying:
                busy = self._sweep() or self._start_some()
                if self._flying or not busy:
                    self._look(self._pause())
                    self._give_up()
                if len(self._batch) >= _BATCH or time.monotonic() >= told + TICK:
                    yield self._hand_over()
                    told = time.monotonic()
            self._conclude()
            yield self._hand_over()
        finally:
            self._close()

    def _more(self) -> bool:
        return bool(self._again or self._resumed) or self._next < self.order.size

    def _hand_over(self) -> list[Result]:
        batch, self._batch = self._batch, []
        return batch

    def _close(self) -> None:
        self._epoll.close()
        for attempt in self._flying.values():
            if attempt.used is not None:
                _end(attempt.used)
        for used in (*self._idle[4], *self._idle[16]):
            used.close()
        self._idle = {4: [], 16: []}

    # what comes next

    def _start_some(self) -> bool:
        """Start probes while the window, the rate and the time slice allow; tell whether there was any to start."""
        started = 0
        while started < _SLICE:
            now = time.monotonic()
            if len(self._flying) >= self._window.size or now < self._pace.due:
                break
            attempt = self._take(now)
            if attempt is None:
                break
            self._start(attempt, now)
            started += 1
        return started > 0

    def _take(self, now: float) -> Attempt | None:
        """Return the next attempt: one that is due again, else the next place."""
        if self._again and self._again[0].due <= now:
            return heapq.heappop(self._again)
        if self._resumed:
            place = self._resumed.popleft()
        elif self._next < self.order.size:
            place = self._next
            self._next += 1
        else:
            return None
        return Attempt(place, *self.order.space.at(self.order.number(place)))

    def _pause(self) -> float:
        """Return how long epoll may wait: until something is to be done without an answer."""
        now = time.monotonic()
        until = now + TICK
        if self._deadlines:
            until = min(until, self._deadlines[0][0])
        if len(self._flying) < self._window.size:
            if self._resumed or self._next < self.order.size:
                until = min(until, self._pace.due)
            elif self._again:
                until = min(until, max(self._again[0].due, self._pace.due))
        return max(0.0, until - now)

    # one attempt

    def _sweep(self) -> bool:
        """Probe a slice of places of which most are refused before connect(2) returns: nothing is kept of those.

        Tell whether there was anything to do in this way.
        """
        if not self._home_luck or self._again or self._resumed or self._pace.rate:
            return False
        at, number, tell = self.order.space.at, self.order.number, CLOSED in self.options.wanted
        refused = 0
        now = time.monotonic()
        for place in range(self._next, min(self._next + _SLICE, self.order.size)):
            raw, zone, port = at(number(place))
            idle = self._idle[len(raw)]
            if not idle or len(self._flying) >= self._window.size or not self._home_luck:
                break
            self._next = place + 1
            used, where, began = idle[-1], self._where(raw, zone, port), now
            code = used.connect_ex(where)
            if code == EINPROGRESS:
                code = used.connect_ex(where)
            now = time.monotonic()
            told = None
            if code == ECONNREFUSED:
                told = REFUSED if self._no_icmp(used) else finding(used, code, raw)
            if told is REFUSED:
                refused += 1
                if tell:
                    self._batch.append(Result(where[0], "tcp", port, CLOSED, CONN_REFUSED, now - began))
                continue
            attempt = Attempt(place, raw, zone, port)
            attempt.sent, attempt.used = began, idle.pop()
            self.counters.sent += 1
            if told is None:
                self._land(attempt, code)
            else:
                self._settle(attempt, told)
        if refused:
            self._home_luck = _HOME_TRIES
            self.counters.sent += refused
            self.counters.answered += refused
            self.counters.decide(CLOSED, CONN_REFUSED, refused)
        return refused > 0

    def _no_icmp(self, used: socket.socket) -> bool:
        """Tell whether the socket's error queue is empty: poll(2) says so in a third of the time of an empty look."""
        if used is not self._watched:
            self._watched, self._watch = used, select.poll()
            self._watch.register(used, select.POLLERR)
        return not any(events & select.POLLERR for _, events in self._watch.poll(0))

    def _start(self, attempt: Attempt, now: float) -> None:
        width = len(attempt.raw)
        idle = self._idle[width]
        try:
            used = idle.pop() if idle else self._opener.open(width)
        except OSError as error:
            self._local_trouble(attempt, error.errno or 0)
            return
        attempt.used = used
        attempt.sent = now
        self._pace.sent(now)
        counters = self.counters
        counters.sent += 1
        counters.retried += attempt.tries > 0
        where = self._where(attempt.raw, attempt.zone, attempt.port)
        code = used.connect_ex(where)
        if code == EINPROGRESS and self._home_luck:
            code = used.connect_ex(where)
        self._land(attempt, code)

    def _land(self, attempt: Attempt, code: int) -> None:
        """Go on from what connect(2) said at once."""
        if code == EALREADY:
            self._home_luck = max(0, self._home_luck - 1)
        elif code != EINPROGRESS:
            self._judge(attempt, code)
            return
        self._fly(attempt)

    def _where(self, raw: bytes, zone: str, port: int) -> Any:
        """Return the address for connect(2)."""
        if self._address[:2] != (raw, zone):
            self._address = (raw, zone, format_address(raw))
        text = self._address[2]
        return (text, port, 0, interface_index(zone)) if zone else (text, port)

    def _fly(self, attempt: Attempt) -> None:
        """Have epoll tell the end of an attempt."""
        used = attempt.used
        assert used is not None
        descriptor = used.fileno()
        try:
            self._epoll.register(descriptor, _EVENTS)
        except FileExistsError:  # a socket connected before: it stays registered until it is closed
            pass
        except OSError as error:  # fs.epoll.max_user_watches
            _end(used)
            self._local_trouble(attempt, error.errno or 0)
            return
        attempt.due = attempt.sent + self._waits.wait(attempt.raw, attempt.tries, self._attempts)
        self._flying[descriptor] = attempt
        heapq.heappush(self._deadlines, (attempt.due, descriptor, attempt))

    def _look(self, pause: float) -> None:
        """Take what epoll tells."""
        for descriptor, events in self._epoll.poll(pause, 1024):
            attempt = self._flying.get(descriptor)
            if attempt is None or attempt.used is None:  # an event of what this socket did before
                continue
            code = attempt.used.connect_ex(self._where(attempt.raw, attempt.zone, attempt.port))
            if code in (EALREADY, EINPROGRESS):
                # An ICMP error that came while connect(2) held the socket's lock is in the error queue alone, and
                # the socket goes on (tcp_v4_err in net/ipv4/tcp_ipv4.c): so it is with every near neighbour.
                told = pending_icmp(attempt.used, attempt.raw) if events & select.EPOLLERR else None
                if told is not None:
                    del self._flying[descriptor]
                    self._settle(attempt, told)
                continue
            del self._flying[descriptor]
            self._judge(attempt, code)

    def _give_up(self) -> None:
        """End the attempts whose time is over; try again or decide."""
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, descriptor, attempt = heapq.heappop(self._deadlines)
            if self._flying.get(descriptor) is not attempt:  # answered, and the descriptor may be another's
                continue
            del self._flying[descriptor]
            assert attempt.used is not None
            _end(attempt.used)
            attempt.used = None
            attempt.tries += 1
            if not self._enough(attempt.tries):
                attempt.due = now
                heapq.heappush(self._again, attempt)
            else:
                self._decide(attempt, _SILENT, None)
            if not self.counters.late:  # silence is no sign of loss: filters are silent
                self._window.grow()

    def _enough(self, tries: int) -> bool:
        """Tell whether silence after so many tries is believed: a lossy way takes more of them."""
        if tries < self._attempts:
            return False
        counters = self.counters
        if not counters.late or self._attempts == 1 or tries >= self._attempts + _MORE_TRIES:
            return True
        return counters.answered * (counters.late / counters.answered) ** tries < _MISSED

    # its end

    def _judge(self, attempt: Attempt, code: int) -> None:
        """Take the end of an attempt: a verdict, or one try more."""
        assert attempt.used is not None
        if code in LOCAL_TROUBLE:
            _end(attempt.used)
            self._local_trouble(attempt, code)
        else:
            self._settle(attempt, finding(attempt.used, code, attempt.raw))

    def _settle(self, attempt: Attempt, told: Finding) -> None:
        """Free the socket and decide, unless the answer was of our own making."""
        used, attempt.used = attempt.used, None
        assert used is not None
        now = time.monotonic()
        if told.errno == ECONNREFUSED:
            self._idle[len(attempt.raw)].append(used)  # connect(2) has made it new
        else:
            doubtful = told.state == OPEN and self._doubtful(attempt, used)
            _end(used)
            if doubtful and attempt.doubts < _MOST_DOUBTS:
                attempt.due = now
                heapq.heappush(self._again, attempt)
                return
            if doubtful:  # a listener would have answered in its place: nobody listens
                told = _SELF
        if told.state == UNKNOWN:
            self._decide(attempt, self._not_sent(told), None)
            return
        self._answered(attempt, now)
        self._decide(attempt, told, now - attempt.sent)

    def _doubtful(self, attempt: Attempt, used: socket.socket) -> bool:
        """Tell whether a connection may be of our own making and has to be made again."""
        if not meets_itself(used) and (
            attempt.doubts or attempt.port not in self._ephemeral or not stays_home(used)
        ):
            return False
        attempt.doubts += 1
        return True

    def _answered(self, attempt: Attempt, now: float) -> None:
        """Learn from an answer: how long it took, whether the one before it was lost."""
        self.counters.answered += 1
        rtt = now - attempt.sent
        if attempt.tries:
            if rtt < self._waits.wait(attempt.raw, 0, self._attempts):  # else it was we who did not wait
                self.counters.late += 1
                self._window.shrink(now, TICK)
        else:
            self._window.grow()
        if attempt.raw not in self._waits or not self._home_luck:
            self._waits.learn(attempt.raw, rtt)

    def _local_trouble(self, attempt: Attempt, code: int) -> None:
        """Try again with less at once what failed here; tell it as such when that goes on for too long."""
        attempt.used = None
        attempt.local += 1
        self.counters.local += 1
        if code in (EMFILE, ENFILE):
            self._drop_idle()
        if attempt.local > _LOCAL_TRIES:
            self._decide(attempt, self._not_sent(Finding(UNKNOWN, LOCAL_ERROR, "", code)), None)
            return
        now = time.monotonic()
        self._window.shrink(now, TICK)
        attempt.due = now + _LOCAL_PAUSE
        heapq.heappush(self._again, attempt)

    def _drop_idle(self) -> None:
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def _not_sent(self, told: Finding) -> Finding:
        name = errorcode.get(told.errno, str(told.errno))
        why = {
            EPERM: "this host's own firewall refuses them",
            EADDRNOTAVAIL: "there is no free local port",
        }.get(told.errno, "the kernel refuses them")
        self.counters.note(f"some probes could not be sent: {why} ({name})")
        return told

    def _decide(self, attempt: Attempt, told: Finding, rtt: float | None) -> None:
        self.counters.decide(told.state, told.reason)
        if told.state not in self.options.wanted:
            return
        address = self._where(attempt.raw, attempt.zone, attempt.port)[0]
        if attempt.zone:
            address += f"%{attempt.zone}"
        self._batch.append(Result(address, "tcp", attempt.port, told.state, told.reason, rtt, told.source))

    def _conclude(self) -> None:
        if self.counters.late:
            self.counters.note("some answers came only when asked again: less was sent at once")
        if self.counters.local:
            self.counters.note(f"{self.counters.local:,} attempts failed on this host and were made again")


def _end(used: socket.socket) -> None:
    """Close with a reset: no TIME_WAIT."""
    try:
        used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    except OSError:
        pass
    used.close()
