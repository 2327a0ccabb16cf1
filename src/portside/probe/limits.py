"""Hosts that limit how many ICMP errors they send, and how fast such a host is asked.

Found out by what happens: a probe is refused that was silent when it was asked before.  From then on the host gets
one probe at a time; the pause between them grows while that still happens and shrinks while refusals come at once.
"""

from __future__ import annotations

_FIRST_PAUSE = 0.1  # seconds
_LEAST_PAUSE = 0.01
_LONGEST_PAUSE = 1.1  # icmp_ratelimit of Linux is a second


class Host:
    """What is known of one host: `limits`; `slowest`, the longest that an answer took, in seconds (0: none yet)."""

    __slots__ = ("_next", "limits", "pause", "slowest")

    def __init__(self) -> None:
        self.limits = False
        self.pause = 0.0
        self.slowest = 0.0
        self._next = 0.0

    def turn(self, now: float) -> float:
        """Return when a probe may go: now, or when the pause is over."""
        return max(now, self._next)

    def sent(self, now: float) -> None:
        """Note that a probe goes."""
        self._next = now + self.pause

    def refused(self, again: bool, slow: bool) -> bool:
        """Take in a refusal, to a probe asked `again`, or in the `slow` way; tell whether the limit is news."""
        if again and not self.limits:
            self.limits, self.pause = True, _FIRST_PAUSE
            return True
        if again and slow:
            self.pause = min(self.pause * 2, _LONGEST_PAUSE)
        elif slow:
            self.pause = max(self.pause * 0.95, _LEAST_PAUSE)
        return False
