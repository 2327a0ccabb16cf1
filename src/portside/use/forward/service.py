"""What streams and datagrams of one rule share: who is let in, how many there are, what is counted and told."""

from __future__ import annotations

import os
from collections import Counter

from portside.use.access import raw_address
from portside.use.datagrams import show
from portside.use.forward.events import FAILED, OVER, REFUSED, Counters, Event, Statistics
from portside.use.forward.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.use.forward.rules import Rule
    from portside.use.relay.driver import Driver


class Service:
    """One rule at work; `place` is where it really listens, as text."""

    protocol = ""

    def __init__(self, driver: Driver, rule: Rule, tell: Callable[[Event], None]) -> None:
        self.driver = driver
        self.rule = rule
        self.tell = tell
        self.pool = Pool(rule.targets, rule.balance)
        self.counters = Counters()
        self.place = str(rule.listen)
        self._sources: Counter[bytes] = Counter()

    def open_now(self) -> int:
        """Return how many connections there are."""
        raise NotImplementedError

    def stop_listening(self) -> None:
        """Take nothing new."""
        raise NotImplementedError

    def close(self) -> None:
        """End everything."""
        raise NotImplementedError

    def statistics(self) -> Statistics:
        """Return the counters as they are now."""
        told = self.counters
        return Statistics(
            self.place, self.open_now(), told.taken, told.refused, told.failed, told.received, told.sent
        )

    def change(self, rule: Rule) -> None:
        """Go on by another rule with the same listener; connections that are open stay as they are."""
        if (rule.targets, rule.balance) != (self.rule.targets, self.rule.balance):
            known = {target.place: target for target in self.pool.targets}
            self.pool = Pool(rule.targets, rule.balance)
            self.pool.targets = [known.get(target.place, target) for target in self.pool.targets]
        self.rule = rule

    def objection(self, source: bytes, counted: int = 0) -> str:
        """Return why a source is not let in, empty if it is; `counted` of those open are its own."""
        rule = self.rule
        if source and not all(access.admits(source) for access in rule.access):
            return "not allowed"
        if rule.most is not None and self.open_now() - counted >= rule.most:
            return f"{rule.most} connections are open"
        if source and rule.per_source is not None and self._sources[source] >= rule.per_source:
            return f"{rule.per_source} connections of this source are open"
        return ""

    def enter(self, source: bytes) -> None:
        """Count one more of a source."""
        self.counters.taken += 1
        if self.rule.per_source is not None:
            self._sources[source] += 1

    def leave(self, source: bytes) -> None:
        """Count one less."""
        left = self._sources.get(source, 0) - 1
        if left > 0:
            self._sources[source] = left
        else:
            self._sources.pop(source, None)

    def refuse(self, peer: Any, reason: str) -> None:
        """Tell that a connection was not taken."""
        self.counters.refused += 1
        self.tell(Event(REFUSED, self.place, self.protocol, shown(peer), reason=reason))

    def fail(self, client: str, target: str, reason: str) -> None:
        """Tell that no target could be reached."""
        self.counters.failed += 1
        self.tell(Event(FAILED, self.place, self.protocol, client, target, reason=reason))

    def over(self, client: str, target: str, moved: tuple[int, int], began: float, reason: str) -> None:
        """Count and tell what a connection has moved."""
        received, sent = moved
        self.counters.received += received
        self.counters.sent += sent
        seconds = self.driver.now() - began
        self.tell(Event(OVER, self.place, self.protocol, client, target, received, sent, seconds, reason))


def source_bytes(peer: Any) -> bytes:
    """Return a peer's address as bytes, empty for a Unix socket's."""
    return raw_address(peer[0]) if isinstance(peer, tuple) else b""


def shown(peer: Any) -> str:
    """Return a peer as text."""
    return show(peer) if peer else "unix"


def reason_of(error: OSError) -> str:
    """Return what the kernel said."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
