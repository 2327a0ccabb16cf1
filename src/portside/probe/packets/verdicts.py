"""From answers to results: which probe each belongs to, what it says, and how long answers take.

States and reasons are `probe.records`'s.  An answer that no probe in flight accounts for is nobody's business here:
late, repeated or made up.
"""

from __future__ import annotations

import time

import numpy as np

from portside.ports.address import format_address
from portside.probe import records
from portside.probe.packets.expand import column, raw
from portside.probe.records import Result, icmp_reason
from portside.wire.packets import TCP, tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from portside.probe.method import Counters, Options
    from portside.probe.packets.answers import Answers, Refusal
    from portside.probe.packets.chunk import Chunk
    from portside.probe.space import Space

    Ints = NDArray[np.int64]

_QUICKEST = 0.1  # seconds between two attempts, at least
_LEAST_GRACE = 0.3  # seconds after the last
_MORE_TRIES = 4  # at most, on a way that loses
_MISSED = 0.01  # answers that may be left out, as far as the loss that shows can tell
_FEW_HOSTS = 4096  # so many hosts are remembered one by one


class Verdicts:
    """Decides probes: counts each, keeps a `Result` of those that are wanted in `results`.

    `tries`: how often a silent probe is sent; more, up to `most_tries`, once answers show that the way loses.
    """

    def __init__(self, space: Space, options: Options, counters: Counters) -> None:
        self.results: list[Result] = []
        self._protocol = space.protocol
        self._options, self._counters = options, counters
        self._slowest = 0.0  # the longest that an answer to a first attempt took
        self._hosts = space.addresses.size
        self._heard: set[object] = set()
        self._answered = self._late = 0
        self.tries = 1 + options.retries
        self.most_tries = self.tries + (_MORE_TRIES if options.retries else 0)

    def take(self) -> list[Result]:
        """Return the results since the last call."""
        results, self.results = self.results, []
        return results

    def signs(self) -> tuple[int, int]:
        """Return how many answers came since the last call, and how many of them to a repeated probe."""
        signs = self._answered, self._late
        self._answered = self._late = 0
        return signs

    def patience(self) -> float:
        """Return how long to wait, in seconds, before a probe is repeated."""
        if not self._slowest:
            return self._options.timeout
        return min(max(2 * self._slowest, _QUICKEST), self._options.timeout)

    def grace(self) -> float:
        """Return how long to wait after the last attempt: the timeout, less only where all hosts are known."""
        if self._hosts > _FEW_HOSTS or len(self._heard) < self._hosts:
            return self._options.timeout
        return min(max(4 * self._slowest, _LEAST_GRACE), self._options.timeout)

    def take_in(self, answers: list[Answers], refusals: list[Refusal], flying: dict[int, Chunk]) -> None:
        """Decide the probes that these answers and ICMP errors belong to."""
        shift = time.time() - time.monotonic()  # the kernel stamps packets by the clock on the wall
        for each in answers:
            lowest = int(each.mine.min())  # the filter lets few ports through: a short table
            for port in (np.flatnonzero(np.bincount(each.mine - lowest)) + lowest).tolist():
                chunk = flying.get(port)
                if chunk and chunk.width == each.width:
                    self._answers(chunk, each, np.flatnonzero(each.mine == port), shift)
        sorted_out: dict[int, list[Refusal]] = {}
        for refusal in refusals:
            if refusal.quoted.transport == TCP:
                sorted_out.setdefault(refusal.quoted.source_port, []).append(refusal)
        for port, several in sorted_out.items():
            chunk = flying.get(port)
            if chunk:
                several = [each for each in several if len(each.quoted.target) == chunk.width]
                self._refusals(chunk, several, shift)

    def _answers(self, chunk: Chunk, answers: Answers, rows: Ints, shift: float) -> None:
        hosts, ports, flags = answers.hosts[rows], answers.ports[rows], answers.flags[rows]
        at = chunk.match(hosts, ports, answers.numbers[rows])
        resets = flags & tcp.RST != 0
        odd = np.flatnonzero((at < 0) & resets)  # some stacks repeat the number instead of acknowledging it
        if len(odd):
            at[odd] = chunk.match(hosts[odd], ports[odd], answers.repeated[rows][odd])
        first = chunk.decide(at)
        if not len(first):
            return
        at, closed, rows = at[first], resets[first], rows[first]
        delays = answers.times[rows] - shift - chunk.sent[at]
        self._learn(chunk, at, delays)
        delays = np.maximum(delays, 0.0)
        hops = answers.hops[rows]
        for mask, state, reason in (
            (~closed, records.OPEN, records.SYN_ACK),
            (closed, records.CLOSED, records.RESET),
        ):
            if mask.any():
                self._tell(chunk, at[mask], state, reason, delays[mask], hops[mask])

    def _learn(self, chunk: Chunk, at: Ints, delays: NDArray[np.float64]) -> None:
        """Take in how long answers took; of repeated probes nobody knows which attempt was answered (P. Karn).

        An answer that is older than the last attempt shows no loss, but that it was too early for another.
        """
        once = chunk.attempts[at] == 1
        early = ~once & (delays < 0)
        self._answered += len(at)
        late = len(at) - int(once.sum()) - int(early.sum())
        self._late += late
        self._counters.late += late
        self._counters.answered += len(at)
        if late:
            self._try_more()
        if once.any():
            self._slowest = max(self._slowest, float(delays[once].max()))
        if early.any():
            self._slowest = max(self._slowest, self.patience())
        if self._hosts <= _FEW_HOSTS and len(self._heard) < self._hosts:
            self._heard.update(raw(chunk.width, host) for host in np.unique(chunk.hosts[at], axis=0))

    def _try_more(self) -> None:
        """Raise `tries` (it never falls) where the loss that shows would leave answers out."""
        counters = self._counters
        loss = counters.late / counters.answered
        while self.tries < self.most_tries and counters.answered * loss**self.tries > _MISSED:
            self.tries += 1

    def _refusals(self, chunk: Chunk, refusals: list[Refusal], shift: float) -> None:
        if not refusals:
            return
        quoted = [each.quoted for each in refusals]
        hosts = column(chunk.width, [each.target for each in quoted])
        ports = np.array([each.target_port for each in quoted], np.uint16)
        at = chunk.match(hosts, ports, np.array([each.sequence for each in quoted], np.uint32))
        for row in chunk.decide(at):
            refusal, place = refusals[row], at[row : row + 1]
            reason = icmp_reason(chunk.width, refusal.quoted.type, refusal.quoted.code)
            sender = "" if refusal.sender == refusal.quoted.target else format_address(refusal.sender)
            delay = np.maximum(np.array([refusal.time - shift]) - chunk.sent[place], 0.0)
            self._counters.answered += 1
            hops = np.array([refusal.hops], np.uint8)
            self._tell(chunk, place, records.FILTERED, reason, delay, hops, sender)

    def decide(self, chunk: Chunk, at: Ints, state: str, reason: str) -> None:
        """Decide probes that had no answer."""
        at = at[chunk.decide(at)]
        if len(at):
            self._tell(chunk, at, state, reason)

    def _tell(
        self, chunk: Chunk, at: Ints, state: str, reason: str, delays: NDArray[np.float64] | None = None,
        hops: NDArray[np.uint8] | None = None, sender: str = "",
    ) -> None:  # fmt: skip
        """Count decided probes, and make their results where the state is wanted."""
        self._counters.decide(state, reason, len(at))
        if state not in self._options.wanted:
            return
        waits = [None] * len(at) if delays is None else delays.tolist()
        limits = [None] * len(at) if hops is None else hops.tolist()
        ports = chunk.ports[at].tolist()
        for host, port, wait, limit in zip(chunk.hosts[at], ports, waits, limits, strict=True):
            address = format_address(raw(chunk.width, host))
            self.results.append(
                Result(address, self._protocol, port, state, reason, wait, source=sender, ttl=limit)
            )
