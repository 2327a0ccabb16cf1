"""How many probes at once, how fast, and how long to wait for each: what a scanner learns of the way.

`Window` grows while answers come and is halved on a sign of loss, as TCP's congestion window is (RFC 5681): a sign is
an answer that came to a repeated probe only, or a failure of this host.  Silence is none: filters are silent.
`Waits` keeps a round-trip time for each host that answered (RFC 6298); `Pace` holds a rate without bursts.
"""

from __future__ import annotations

FIRST_WINDOW = 128
LEAST_WINDOW = 4
LEAST_WAIT = 0.1  # seconds: RFC 6298 says 1, for transfers; nmap's own least is this
_MOST_HOSTS = 1 << 16
_BURST = 0.01  # seconds of a rate that may be made up for at once


class Window:
    """The most probes that may be on their way: `size`, never above `most`."""

    def __init__(self, most: int) -> None:
        self.most = max(most, 1)
        self.least = min(LEAST_WINDOW, self.most)
        self.size = float(min(FIRST_WINDOW, self.most))
        self._threshold = float(self.most)
        self._not_before = 0.0

    def grow(self) -> None:
        """Take an answer as the sign that more will do."""
        if self.size < self.most:
            self.size += 1.0 if self.size < self._threshold else 1.0 / self.size

    def shrink(self, now: float, pause: float) -> bool:
        """Halve on a sign of loss, once in `pause` seconds: one event is seen by many probes."""
        if now < self._not_before:
            return False
        self._not_before = now + pause
        self._threshold = max(self.size / 2, self.least)
        self.size = self._threshold
        return True


class Waits:
    """How long to wait for an answer of each host, from those it gave."""

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self._hosts: dict[bytes, tuple[float, float]] = {}

    def __contains__(self, host: bytes) -> bool:
        return host in self._hosts

    def learn(self, host: bytes, rtt: float) -> None:
        """Take a measured round-trip time in seconds into account."""
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= _MOST_HOSTS:  # memory stays bounded; what is forgotten is learnt again
                self._hosts.clear()
            self._hosts[host] = (rtt, rtt / 2)
            return
        smooth, spread = known
        spread += (abs(rtt - smooth) - spread) / 4
        self._hosts[host] = (smooth + (rtt - smooth) / 8, spread)

    def wait(self, host: bytes, attempt: int, attempts: int) -> float:
        """Return the seconds to wait for attempt number `attempt` (from 0) of `attempts`.

        A host that never answered is waited for with a quarter of the longest wait, doubled each time, and the last
        time with the whole of it; one that did, with what RFC 6298 makes of its answers, doubled each time.
        """
        known = self._hosts.get(host)
        if known is not None:
            wait = max(LEAST_WAIT, known[0] + 4 * known[1])
        elif attempt == attempts - 1:
            return self.longest
        else:
            wait = self.longest / 4
        return min(self.longest, wait * (1 << attempt))


class Pace:
    """A rate in probes per second, 0 without one: `due` is when the next may go (time.monotonic())."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.due = now

    def sent(self, now: float) -> None:
        """Count one probe as sent."""
        if self.rate:
            self.due = max(self.due, now - _BURST) + 1.0 / self.rate
