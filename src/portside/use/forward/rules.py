"""What to forward, as data: each rule is one listener, its targets, and how connections are treated."""

from __future__ import annotations

from portside.errors import BadRequest
from portside.record import Record
from portside.use.places import FD, UDP, UNIX, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.use.access import Access, Network

ROUND, FIRST = "round", "first"  # how one of several targets is chosen: by turns; the first that works
V1, V2 = "v1", "v2"


class Rule(Record):
    """One listener and its targets.

    `access`: all of them must admit a source.  `per_source` and `most` are how many connections (UDP: flows) there
    may be of one source and in all.  `accept_proxy`: connections begin with a PROXY header, and may only come from
    these networks; `send_proxy` (V1, V2) has targets told one.  `idle` ends silent connections (UDP: flows) after so
    many seconds.  `health` is the interval of checks in seconds, `resolve` that of looking names up again.
    `source` is the address that connections to targets come from.
    """

    listen: Place
    targets: tuple[Place, ...]
    access: tuple[Access, ...] = ()
    per_source: int | None = None
    most: int | None = None
    accept_proxy: tuple[Network, ...] = ()
    send_proxy: str = ""
    idle: float | None = None
    connect_timeout: float = 10.0
    balance: str = ROUND
    health: float | None = None
    resolve: float = 60.0
    source: str = ""

    def checked(self) -> Rule:
        """Return the rule; raises BadRequest where it contradicts itself."""
        if not self.targets:
            raise self._wrong("there is no target")
        if any(target.transport == FD for target in self.targets):
            raise self._wrong("an inherited socket is no target")
        if any(target.port == 0 and target.transport != UNIX for target in self.targets):
            raise self._wrong("port 0 is no target")
        datagrams = self.listen.transport == UDP
        if (
            any((target.transport == UDP) != datagrams for target in self.targets)
            and self.listen.transport != FD
        ):
            raise self._wrong("it listens on one of stream and datagram, and its target is of the other")
        if datagrams and (self.send_proxy or self.accept_proxy or self.health):
            raise self._wrong("PROXY headers and health checks are for streams")
        return self

    def _wrong(self, reason: str) -> BadRequest:
        targets = ",".join(map(str, self.targets))
        return BadRequest("forward", f"'{self.listen}' to '{targets}'", reason)


class Configuration(Record):
    """All that one forwarder does; `log` and `pid_file` are what a rinetd file asks for."""

    rules: tuple[Rule, ...]
    log: str = ""
    log_common: bool = False
    pid_file: str = ""


def checked(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules; raises BadRequest where one contradicts itself, or two listen in one place."""
    found: dict[Place, Rule] = {}
    for rule in rules:
        if rule.listen in found and rule.listen.port != 0:
            raise BadRequest("forward", f"'{rule.listen}'", "two rules listen there")
        found[rule.listen] = rule.checked()
    return tuple(found.values())
