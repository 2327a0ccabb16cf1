"""Hosts that limit how many ICMP errors they send, and how fast such a host is asked.

Found out by what happens: a probe is refused that was silent when it was asked before.  From then on the host gets
one probe at a time; the pause between them grows while that still happens and shrinks while refusals come at once.
Before silence of a host that refused others is believed, it is asked once more when its errors may have come back.
"""

from __future__ import annotations

_FIRST_PAUSE = 0.1  # seconds
_LEAST_PAUSE = 0.01
_LONGEST_PAUSE = 1.1  # icmp_ratelimit of Linux is a second


class Host:
    """What is known of one host.

    `limits`; `slowest`, the longest that an answer took, in seconds, and `refusal`, when it last refused a probe (0:
    none yet).
    """

    __slots__ = ("_next", "limits", "pause", "refusal", "slowest")

    def __init__(self) -> None:
        self.limits = False
        self.pause = 0.0
        self.slowest = self.refusal = 0.0
        self._next = 0.0

    def turn(self, now: float) -> float:
        """Return when a probe may go: now, or when the pause is over."""
        return max(now, self._next)

    def sent(self, now: float) -> None:
        """Note that a probe goes."""
        self._next = now + self.pause

    def doubtful(self, now: float) -> float:
        """Return when silence may be asked about once more, 0 where it need not be: this host never refused."""
        return max(now, self.refusal + _LONGEST_PAUSE) if self.refusal else 0.0

    def refused(self, now: float, again: bool, slow: bool) -> bool:
        """Take in a refusal, to a probe asked `again`, or in the `slow` way; tell whether the limit is news."""
        self.refusal = now
        if again and not self.limits:
            self.limits, self.pause = True, _FIRST_PAUSE
            return True
        if again and slow:
            self.pause = min(self.pause * 2, _LONGEST_PAUSE)
        elif slow:
            self.pause = max(self.pause * 0.95, _LEAST_PAUSE)
        return False
