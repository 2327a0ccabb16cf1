"""How fast probes go out.

A fixed rate is kept exactly: what may go is the rate times the time passed, less what went; a short stall is made up
for, in steps.  Without one the rate doubles while all is well; on signs of loss it halves, or falls to the rate of
the answers where that is less, and from then on grows by a twentieth at a time.  Signs of loss are: answers that the
ring had no room for, packets that could not be sent, and a share of answers that came to a repeated probe alone,
beyond what a bad line and chance explain.  That share is taken over the answers since the last slowing down: the few
of a twentieth of a second are often over it on a line that loses one in fifty, and would hold the rate down for good.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STEP = 0.005  # seconds of probes in one go
_CATCH_UP = 0.2  # seconds that a stall may be made up for
_WINDOW = 0.05  # seconds between two looks at the signs
_NEAR, _FAR = 200_000.0, 10_000.0  # probes per second to begin with: own networks, behind a gateway
_LEAST = 500.0
_MOST = 1e8
_BAD_LINE = 0.05  # share of answers to repeats that is not yet taken for our own doing
_CHANCE = 3.0  # standard deviations of such a share that chance is given (late answers are counted: Poisson)
_MEMORY = 20_000  # answers that the share is taken over, at most


class Pace:
    """`rate`: probes per second now.  Fixed where `fixed` is not 0, else adapting up to `limit` (0: none)."""

    def __init__(self, fixed: float, limit: float, now: float, say: Callable[[str], None]) -> None:
        self.fixed = fixed
        self._limit = limit or _MOST
        self.rate = fixed or min(_FAR, self._limit)
        self._say = say
        self._credit = 0.0
        self._then = self._looked = now
        self._lost = self._heard = 0
        self._late = self._answered = 0.0  # since the last slowing down; half is forgotten at `_MEMORY`
        self._careful = False

    def begin(self, now: float, near: bool) -> None:
        """Choose the rate to begin with, now that it is known how far the targets are."""
        if not self.fixed:
            self.rate = min(_NEAR if near else _FAR, self._limit)
        self._then = self._looked = now
        self._credit = 0.0

    def allow(self, now: float, most: int) -> int:
        """Return how many probes may go now: none, or a step's worth, never more than `most`."""
        self._credit += (now - self._then) * self.rate
        self._then = now
        self._credit = min(self._credit, max(self.rate * _CATCH_UP, 1.0))
        step = max(1, min(most, int(self.rate * _STEP)))
        return min(int(self._credit), most) if self._credit >= step else 0

    def spend(self, sent: int) -> None:
        """Note that probes went out."""
        self._credit -= sent

    def wait(self) -> float:
        """Return the seconds until `allow` may say more than none."""
        return max(0.0, (max(1.0, min(self.rate * _STEP, 1024.0)) - self._credit) / self.rate)

    def learn(self, now: float, *, lost: int = 0, answered: int = 0, late: int = 0) -> None:
        """Take in signs: packets lost here, answers, and those of them that came to a repeated probe."""
        self._lost += lost
        self._heard += answered
        self._answered += answered
        self._late += late
        if self.fixed or now - self._looked < _WINDOW:
            return
        heard = self._heard / (now - self._looked)
        self._looked = now
        usual = self._answered * _BAD_LINE
        congested = self._late > usual + _CHANCE * max(usual, 1.0) ** 0.5
        if self._lost or congested:
            self._slow(congested, heard)
        else:
            self.rate = min(self.rate * (1.05 if self._careful else 2.0), self._limit)
        self._lost = self._heard = 0
        if self._answered > _MEMORY:
            self._answered, self._late = self._answered / 2, self._late / 2

    def _slow(self, congested: bool, heard: float) -> None:
        """Halve the rate; where the way is narrow go at once to what it let through, `heard` answers per second."""
        self._careful = True
        self._answered = self._late = 0.0
        slower = min(self.rate / 2, heard) if congested else self.rate / 2
        self.rate = max(slower, min(_LEAST, self._limit))
        why = "answers came only to repeated probes" if congested else "packets were lost on this host"
        self._say(f"slowed down: {why}")
