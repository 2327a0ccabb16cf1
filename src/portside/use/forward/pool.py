"""The targets of one rule: their addresses, who is in order, and whose turn it is.  Without I/O: it is told.

A target that a connection could not be made to, or that a health check found dead, is put behind the others for a
while, never left out: where all are dead one may have come back.
"""

from __future__ import annotations

from portside.use.forward.rules import ROUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.use.places import Place
    from portside.use.sockets import Address

_SHUNNED = 5.0  # seconds behind the others after a failure
_FALL = 2  # health checks that must fail in a row


class Target:
    """One target: its `place`, the `addresses` its name has now, what checks found."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.addresses: list[Address] = []
        self.failures = 0
        self.shunned_until = 0.0
        self.healthy = True

    def works(self, now: float) -> bool:
        """Whether nothing is known against it."""
        return self.healthy and now >= self.shunned_until

    def failed(self, now: float) -> None:
        """Take note of a connection that could not be made."""
        self.shunned_until = now + _SHUNNED

    def checked(self, *, good: bool) -> bool:
        """Take note of a health check; return whether that changed the verdict."""
        before = self.healthy
        self.failures = 0 if good else self.failures + 1
        if good or self.failures >= _FALL:
            self.healthy = good
        if good:
            self.shunned_until = 0.0
        return self.healthy != before


class Pool:
    """The targets of one rule, in the order written."""

    def __init__(self, places: Sequence[Place], balance: str) -> None:
        self.targets = [Target(place) for place in places]
        self._balance = balance
        self._turn = 0

    def candidates(self, now: float) -> list[tuple[Target, Address]]:
        """Return the addresses to try, in order: those of the target whose turn it is, then the others'."""
        targets = self.targets
        if self._balance == ROUND and len(targets) > 1:
            targets = targets[self._turn :] + targets[: self._turn]
            self._turn = (self._turn + 1) % len(targets)
        if len(targets) > 1:
            targets = sorted(targets, key=lambda target: not target.works(now))
        return [(target, address) for target in targets for address in target.addresses]
