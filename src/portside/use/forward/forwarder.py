"""The forwarder: all rules on one loop, changed without losing a connection, drained when it is to end.

Names are looked up in threads of their own, which tell the loop; health checks are connections on the loop that are
closed at once.  `reload`, `drain` and `stop` may be called from any thread and from signal handlers.
"""

from __future__ import annotations

import socket
from functools import partial

from portside.errors import BadRequest, PortsideError
from portside.use import sockets
from portside.use.forward import events
from portside.use.forward.events import Event
from portside.use.forward.flows import FlowService
from portside.use.forward.health import Checks
from portside.use.forward.rules import Configuration
from portside.use.forward.streams import StreamService
from portside.use.listening import addresses_of, forget_path, inherited, listen_at
from portside.use.places import FD, UDP
from portside.use.running import Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.use.forward.events import Statistics
    from portside.use.forward.pool import Target
    from portside.use.forward.rules import Rule
    from portside.use.forward.service import Service
    from portside.use.places import Place
    from portside.use.relay.driver import Timer

_LOOK = 0.05  # seconds between two looks whether all has drained


class Forwarder(Running):
    """Forwards by a configuration until stopped or drained.

    `grace` is how many seconds open connections have to end once it drains.  `addresses` are where it listens.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        on_event: Callable[[Event], None] | None = None,
        grace: float = 30.0,
    ) -> None:
        super().__init__()
        self._configuration = configuration
        self._on_event = on_event
        self._grace = grace
        self._services: dict[Place, Service] = {}
        self._leaving: list[Service] = []  # of rules that are gone: their connections end by themselves
        self._looking: set[Place] = set()
        self._lookups: dict[Place, Timer] = {}
        self._inherited: dict[str, list[socket.socket]] = {}
        self._checks: Checks | None = None
        self._draining = False
        self._begun = False

    @property
    def addresses(self) -> list[str]:
        """Where it listens, in the order of the rules; the real port where port 0 was asked for."""
        return [service.place for service in self._services.values()]

    def statistics(self) -> list[Statistics]:
        """Return the counters of each listener."""
        return [service.statistics() for service in self._services.values()]

    def _open(self) -> None:
        if any(rule.listen.transport == FD for rule in self._configuration.rules):
            self._inherited = inherited()
        self._checks = Checks(self.driver, self._tell)
        self._draining = False
        self._begun = False
        for rule in self._configuration.rules:
            self._begin(rule)
        self._begun = True

    def _close(self) -> None:
        for place, service in self._services.items():
            service.close()
            forget_path(place)
        for service in self._leaving:
            service.close()
        if self._checks is not None:
            self._checks.close()
        for passed in self._inherited.values():
            for each in passed:
                each.close()
        self._services, self._leaving, self._inherited = {}, [], {}
        self._looking, self._lookups = set(), {}

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def _begin(self, rule: Rule) -> None:
        """Listen for one rule."""
        listeners = listen_at(rule.listen, self._inherited)
        datagrams = listeners[0].type == socket.SOCK_DGRAM
        if any((target.transport == UDP) != datagrams for target in rule.targets):
            for each in listeners:
                each.close()
            raise BadRequest(
                "forward", f"'{rule.listen}'", "its targets are not of the inherited socket's kind"
            )
        made: Service = (FlowService if datagrams else StreamService)(
            self.driver, rule, listeners, self._tell
        )
        self._services[rule.listen] = made
        for each in listeners:
            self._tell(Event(events.LISTENING, _shown(each, made.place), made.protocol))
        self._look_up(made)
        assert self._checks is not None
        self._checks.follow(made)

    def _look_up(self, service: Service) -> None:
        """Find the addresses of a service's targets; once connections are open, no resolver may hold them up."""
        for target in service.pool.targets:
            if target.addresses:
                continue
            if not _has_name(target.place):
                target.addresses = addresses_of(target.place)
                continue
            if self._begun:
                self._ask(service, target)
                continue
            try:
                target.addresses = addresses_of(target.place)
            except PortsideError as error:  # it may be known later
                self._tell(Event(events.TROUBLE, service.place, target=str(target.place), reason=str(error)))
            self._again(service, target)

    def _again(self, service: Service, target: Target) -> None:
        """Look a name up again after the rule's time."""
        old = self._lookups.pop(target.place, None)
        if old is not None:
            self.driver.cancel(old)
        again = partial(self._ask, service, target)
        self._lookups[target.place] = self.driver.after(service.rule.resolve, again)

    def _ask(self, service: Service, target: Target) -> None:
        from threading import Thread

        self._lookups.pop(target.place, None)
        if target.place in self._looking or target not in service.pool.targets:
            return
        self._looking.add(target.place)
        Thread(target=self._resolve, args=(service, target), daemon=True).start()

    def _resolve(self, service: Service, target: Target) -> None:
        """In a thread: the resolver may take its time."""
        try:
            found = addresses_of(target.place)
        except PortsideError as error:
            self.post(partial(self._resolved, service, target, [], str(error)))
        else:
            self.post(partial(self._resolved, service, target, found, ""))

    def _resolved(self, service: Service, target: Target, found: list[sockets.Address], reason: str) -> None:
        self._looking.discard(target.place)
        if reason:
            self._tell(Event(events.TROUBLE, service.place, target=str(target.place), reason=reason))
        target.addresses = found or target.addresses
        self._again(service, target)

    def reload(self, configuration: Configuration) -> None:
        """Go on by another configuration: its new listeners open, those it lacks close, connections stay."""
        self.post(partial(self._reload, configuration))

    def _reload(self, configuration: Configuration) -> None:
        wanted = {rule.listen: rule for rule in configuration.rules}
        for place in [place for place in self._services if place not in wanted]:
            service = self._services.pop(place)
            service.stop_listening()
            forget_path(place)
            self._leaving.append(service)
        for service in [service for service in self._leaving if not service.open_now()]:
            service.close()
            self._leaving.remove(service)
        for place, rule in wanted.items():
            service_now = self._services.get(place)
            if service_now is None:
                self._try_begin(rule)
                continue
            service_now.change(rule)
            self._look_up(service_now)
            assert self._checks is not None
            self._checks.follow(service_now)
        self._configuration = configuration
        self._tell(Event(events.RELOADED, "", reason=f"{len(wanted)} rules"))

    def _try_begin(self, rule: Rule) -> None:
        try:
            self._begin(rule)
        except PortsideError as error:
            self._tell(Event(events.TROUBLE, str(rule.listen), reason=str(error)))

    def drain(self) -> None:
        """Listen no more, and end when the open connections have, or after the grace; a second call ends at once."""
        self.post(self._drain)

    def _drain(self) -> None:
        if self._draining:
            self._stop()
            return
        self._draining = True
        for place, service in self._services.items():
            service.stop_listening()
            forget_path(place)
        self._tell(Event(events.DRAINING, "", reason=f"{self._open_connections()} connections are open"))
        self._look_until(self.driver.now() + self._grace)

    def _look_until(self, end: float) -> None:
        if not self._open_connections() or self.driver.now() >= end:
            self._stop()
        else:
            self.driver.after(_LOOK, partial(self._look_until, end))

    def _open_connections(self) -> int:
        """Return how many connections an end would break; datagrams have no end to wait for."""
        services = [*self._services.values(), *self._leaving]
        return sum(service.open_now() for service in services if service.protocol != UDP)


def _has_name(place: Place) -> bool:
    """Whether a place's address has to be asked for."""
    if not place.host:
        return False
    try:
        socket.getaddrinfo(place.host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return True
    return False


def _shown(listener: socket.socket, place: str) -> str:
    from portside.use.forward.service import shown

    name: Any = listener.getsockname()
    return shown(name) if name else place
