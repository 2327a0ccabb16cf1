"""The udp method: datagrams from a few ordinary sockets, and the ICMP errors that the kernel keeps for them.

No privilege is needed: a socket with IP_RECVERR hears of ICMP errors to what it sent, with the target's address
beside each (ip(7)).  An answer is *open*; the target's own port-unreachable *closed*; any other ICMP error
*filtered*; and nothing at all *open|filtered*: a service that did not understand is as silent as a filter.

Most hosts send few ICMP errors (Linux one a second to each peer once six were sent: icmp_ratelimit; RFC 1812,
4.3.2.8), so silence of a host that is known to refuse proves little: a second after its last
refusal its silent ports are asked once more.  When a repeated probe is refused that was not
before, the host is taken for one that limits: from then on its ports are asked one at a time, as fast as it keeps up
with, and what was silent until then is asked anew.  That is slow, and is said in the notes.
"""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections import deque

from portside.ports.address import format_address, parse_address
from portside.probe.limits import Host
from portside.probe.method import TICK, Counters
from portside.probe.order import Left
from portside.probe.payloads import by_port, recognise
from portside.probe.records import (
    CLOSED,
    FILTERED,
    LOCAL_ERROR,
    NO_RESPONSE,
    OPEN,
    OPEN_FILTERED,
    UDP_RESPONSE,
    UNKNOWN,
    Result,
    icmp_reason,
)
from portside.probe.sockets import Opener, interface_index
from portside.system.dialing import icmp_of
from portside.wire.errqueue import MSG_ERRQUEUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from portside.probe.identify.question import Service
    from portside.probe.method import Options
    from portside.probe.order import Order

_SOCKETS = 4  # for each family: answers to one scan come to so many ports
_RATE = 2_000.0  # datagrams per second to begin with where no rate is given: what a home router bears
_MOST_RATE = 20_000.0
_FASTER, _SLOWER = 20.0, 0.9  # added for an answer to a first try; multiplied for one that only a repeat got
_MOST_FLYING = 8192
_SLICE = 128
_BURST = 0.05  # seconds of the rate that may be made up for
_LOCAL_TRIES = 20
_STALE_ERRORS = 3
_BUFFER = 4 << 20
_PORT_UNREACHABLE = {4: (3, 3), 16: (1, 4)}  # type and code: RFC 792, RFC 4443
_TFTP = 69  # answers from a port of its own (RFC 1350, 4)


class Probe:
    """One port on its way: how often it was asked, when the last time, when to look again."""

    __slots__ = ("doubted", "due", "host", "local", "place", "port", "raw", "sent", "slow", "tries", "zone")

    def __init__(self, place: int, raw: bytes, zone: str, port: int, host: Host) -> None:
        self.place, self.raw, self.zone, self.port, self.host = place, raw, zone, port, host
        self.tries = self.local = 0
        self.sent = self.due = 0.0
        self.slow = self.doubted = False

    def __lt__(self, other: Probe) -> bool:
        return self.due < other.due


class Udp:
    """Probes the UDP ports of an order; see `probe.method.Method`."""

    def __init__(self, order: Order, options: Options, left: Left) -> None:
        self.order, self.options = order, options
        self.counters = Counters(order.size)
        self.counters.decided = left.next - len(left.places)
        self._resumed, self._next = deque(left.places), left.next
        self._attempts = options.retries + 1
        self._flying: dict[tuple[bytes, int], Probe] = {}
        self._again: list[Probe] = []  # heap by `due`
        self._deadlines: list[tuple[float, int, Probe]] = []
        self._hosts: dict[bytes, Host] = {}
        self._questions = by_port()
        self._batch: list[Result] = []
        self._opener = Opener(socket.SOCK_DGRAM, options.source, options.device)
        self._sockets: dict[int, list[socket.socket]] = {}
        self._turn = 0

    def left(self) -> Left:
        """Tell what is not decided now."""
        waiting = [each.place for each in (*self._flying.values(), *self._again)]
        return Left(self._next, tuple(sorted([*self._resumed, *waiting])))

    def batches(self) -> Iterator[list[Result]]:
        """Probe; yield what was learnt."""
        self._poll = select.epoll()
        fixed, limit = self.options.rate, self.options.limit
        self._rate = self._least_rate = fixed or min(_RATE, limit or _RATE)
        self._most_rate = fixed or limit or _MOST_RATE
        self._credit, self._then = 1.0, time.monotonic()
        told = self._then
        try:
            while self._flying or self._again or self._resumed or self._next < self.order.size:
                self._start_some()
                self._listen(self._pause())
                self._give_up()
                if len(self._batch) >= 256 or time.monotonic() >= told + TICK:
                    told = time.monotonic()
                    yield self._hand_over()
            yield self._hand_over()
        finally:
            self._poll.close()
            for each in (used for several in self._sockets.values() for used in several):
                each.close()

    def _hand_over(self) -> list[Result]:
        batch, self._batch = self._batch, []
        return batch

    # what is sent

    def _start_some(self) -> None:
        """Send what the rate and the hosts' own limits allow."""
        now = time.monotonic()
        self._credit = min(self._credit + (now - self._then) * self._rate, max(self._rate * _BURST, 1.0))
        self._then = now
        for _ in range(_SLICE):
            if self._credit < 1.0:
                return
            probe = self._take(now)
            if probe is None:
                return
            self._send(probe, now)
            self._credit -= 1.0

    def _take(self, now: float) -> Probe | None:
        """Return the next probe that may go; one whose host limits waits for its turn."""
        while self._again and self._again[0].due <= now:
            probe = heapq.heappop(self._again)
            turn = probe.host.turn(now)
            if turn <= now:
                return probe
            probe.due = turn
            heapq.heappush(self._again, probe)
        while len(self._flying) + len(self._again) < _MOST_FLYING:
            if self._resumed:
                place = self._resumed.popleft()
            elif self._next < self.order.size:
                place = self._next
                self._next += 1
            else:
                return None
            raw, zone, port = self.order.space.at(self.order.number(place))
            probe = Probe(place, raw, zone, port, self._hosts.setdefault(raw, Host()))
            turn = probe.host.turn(now)
            if turn <= now:
                return probe
            probe.due = turn
            heapq.heappush(self._again, probe)
        return None

    def _send(self, probe: Probe, now: float) -> None:
        """Ask a port everything that is asked of it, in a datagram each."""
        host = probe.host
        host.sent(now)
        probe.sent, probe.slow = now, host.limits
        text = format_address(probe.raw)
        where: Any = (text, probe.port, 0, interface_index(probe.zone)) if probe.zone else (text, probe.port)
        asked = self._questions.get(probe.port)
        try:
            used = self._socket(len(probe.raw))
            for payload in [each.ask for each in asked] if asked else (b"",):
                self._put(used, payload, where)
        except OSError as error:
            self._not_sent(probe, error, now)
            return
        self.counters.sent += 1
        self.counters.retried += probe.tries > 0
        probe.due = now + self._wait(probe)
        self._flying[probe.raw, probe.port] = probe
        heapq.heappush(self._deadlines, (probe.due, probe.place, probe))

    def _put(self, used: socket.socket, payload: bytes, where: Any) -> None:
        """Send; an errno may be that of an earlier datagram's ICMP error, which is in the queue too."""
        for _ in range(_STALE_ERRORS):
            try:
                used.sendto(payload, where)
                return
            except BlockingIOError:
                raise
            except OSError:
                continue
        used.sendto(payload, where)

    def _not_sent(self, probe: Probe, error: OSError, now: float) -> None:
        probe.local += 1
        self.counters.local += 1
        if probe.local > _LOCAL_TRIES or isinstance(error, PermissionError):
            self._decide(probe, UNKNOWN, LOCAL_ERROR, None)
            return
        probe.due = now + 0.02
        heapq.heappush(self._again, probe)

    def _wait(self, probe: Probe) -> float:
        """Return how long an answer is waited for: as `pace.Waits` does, the last time the whole timeout.

        What is asked once more because the host may have kept its refusal back is waited for no longer than before.
        """
        timeout = self.options.timeout
        if probe.tries == self._attempts - 1 and not probe.host.slowest:
            return timeout
        known = 4 * probe.host.slowest + 0.1 if probe.host.slowest else timeout / 2
        return min(timeout, known * (1 << min(probe.tries, self._attempts - 1)))

    def _socket(self, width: int) -> socket.socket:
        several = self._sockets.setdefault(width, [])
        if len(several) < _SOCKETS:
            used = self._opener.open(width)
            used.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            if self._opener.width != width:
                used.bind(("::" if width == 16 else "0.0.0.0", 0))
            several.append(used)
            self._poll.register(used.fileno(), select.EPOLLIN | select.EPOLLERR)
        self._turn += 1
        return several[self._turn % len(several)]

    def _pause(self) -> float:
        now = time.monotonic()
        until = now + TICK
        if self._deadlines:
            until = min(until, self._deadlines[0][0])
        if self._again:
            until = min(until, max(self._again[0].due, now + (1.0 - self._credit) / self._rate))
        if (self._resumed or self._next < self.order.size) and len(self._flying) + len(
            self._again
        ) < _MOST_FLYING:
            until = min(until, now + (1.0 - self._credit) / self._rate)
        return max(0.0, until - now)

    # what comes back

    def _listen(self, pause: float) -> None:
        """Take in answers and ICMP errors."""
        ready = {descriptor for descriptor, _ in self._poll.poll(pause)}
        for width, several in self._sockets.items():
            for used in several:
                if used.fileno() in ready:
                    while self._error(used, width):
                        pass
                    while self._answer(used, width):
                        pass

    def _answer(self, used: socket.socket, width: int) -> bool:
        """Take one answer; tell whether there was any."""
        try:
            data, where = used.recvfrom(65_535)
        except OSError as error:
            return isinstance(error, ConnectionRefusedError)
        raw = parse_address(where[0].partition("%")[0])
        probe = self._flying.get((raw, where[1])) or self._flying.get((raw, _TFTP))
        if probe is None:
            return True
        asked = self._questions.get(probe.port, ())
        known = recognise(data, asked)
        self._learn(probe)
        self._decide(probe, OPEN, UDP_RESPONSE, time.monotonic() - probe.sent, known=known)
        return True

    def _error(self, used: socket.socket, width: int) -> bool:
        """Take one error out of the queue; tell whether there was any."""
        try:
            _, control, _, where = used.recvmsg(0, 512, MSG_ERRQUEUE)
        except OSError:
            return False
        told = icmp_of(control)
        if told is None or not where:
            return True
        probe = self._flying.get((parse_address(where[0].partition("%")[0]), where[1]))
        if probe is None:
            return True
        own = told.sender in ("", format_address(probe.raw))
        refused = own and (told.type, told.code) == _PORT_UNREACHABLE[width]
        self._learn(probe, refused=refused)
        reason = icmp_reason(width, told.type, told.code)
        sender = "" if own else told.sender
        self._decide(probe, CLOSED if refused else FILTERED, reason, time.monotonic() - probe.sent, sender)
        return True

    def _learn(self, probe: Probe, refused: bool = False) -> None:
        """Note that a host answers, how fast, and whether it keeps back some of its refusals."""
        self.counters.answered += 1
        self.counters.late += probe.tries > 0 and not probe.host.limits
        if not probe.tries:
            probe.host.slowest = max(probe.host.slowest, time.monotonic() - probe.sent)
            self._rate = min(self._rate + _FASTER, self._most_rate)
        if not refused:
            self._rate = max(self._rate * _SLOWER, self._least_rate) if probe.tries else self._rate
            return
        if probe.host.refused(time.monotonic(), again=bool(probe.tries), slow=probe.slow):
            name = format_address(probe.raw)
            self.counters.note(
                f"{name} limits its ICMP errors: its ports are asked one at a time, which takes long"
            )

    def _give_up(self) -> None:
        """Ask again, or decide, what nothing came back from in time."""
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            due, _, probe = heapq.heappop(self._deadlines)
            if self._flying.get((probe.raw, probe.port)) is not probe or probe.due != due:
                continue
            del self._flying[probe.raw, probe.port]
            if probe.host.limits and not probe.slow:
                # it was silent because the host's errors had run out, as far as anybody knows
                probe.tries, probe.doubted = 0, False
            else:
                probe.tries += 1
            again = now if probe.tries < self._attempts else 0.0
            if not again and not probe.doubted:
                again = probe.host.doubtful(now)
                probe.doubted = bool(again)
            if again:
                probe.due = again
                heapq.heappush(self._again, probe)
            else:
                self._decide(probe, OPEN_FILTERED, NO_RESPONSE, None)

    def _decide(
        self,
        probe: Probe,
        state: str,
        reason: str,
        rtt: float | None,
        sender: str = "",
        known: Service | None = None,
    ) -> None:
        self._flying.pop((probe.raw, probe.port), None)
        self.counters.decide(state, reason)
        if state in self.options.wanted:
            address = format_address(probe.raw)
            result = Result(address, "udp", probe.port, state, reason, rtt, source=sender)
            if known:
                result = result.replace(service=known.name, details=known.details)
            self._batch.append(result)
