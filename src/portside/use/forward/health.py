"""Health checks: a connection to each target at each interval, closed as soon as it is there."""

from __future__ import annotations

import errno
import os
import socket
from functools import partial

from portside.use.forward.events import TARGET_DOWN, TARGET_UP, Event
from portside.use.relay.driver import WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.forward.pool import Target
    from portside.use.forward.service import Service
    from portside.use.relay.driver import Driver, Timer


class Checks:
    """The checks of all rules that want them."""

    def __init__(self, driver: Driver, tell: Callable[[Event], None]) -> None:
        self._driver = driver
        self._tell = tell
        self._timers: dict[Service, Timer] = {}
        self._open: dict[socket.socket, Timer] = {}

    def follow(self, service: Service) -> None:
        """Begin to check a service's targets, or go on by a changed rule."""
        old = self._timers.pop(service, None)
        if old is not None:
            self._driver.cancel(old)
        if service.rule.health:
            self._round(service)

    def _round(self, service: Service) -> None:
        if service.rule.health is None:
            return
        for target in service.pool.targets:
            self._begin(service, target)
        self._timers[service] = self._driver.after(service.rule.health, partial(self._round, service))

    def _begin(self, service: Service, target: Target) -> None:
        if not target.addresses:
            self._verdict(service, target, "it has no address")
            return
        address = target.addresses[0]
        try:
            made = socket.socket(
                address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        except OSError:  # no descriptors: says nothing of the target
            return
        number = made.connect_ex(address.place)
        if number != errno.EINPROGRESS:
            made.close()
            self._verdict(service, target, os.strerror(number).lower() if number else "")
            return
        late = partial(self._end, service, target, made, "no answer in time")
        self._open[made] = self._driver.after(service.rule.connect_timeout, late)
        self._driver.watch(made.fileno(), WRITE, lambda _: self._came(service, target, made))

    def _came(self, service: Service, target: Target, made: socket.socket) -> None:
        number = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._end(service, target, made, os.strerror(number).lower() if number else "")

    def _end(self, service: Service, target: Target, made: socket.socket, reason: str) -> None:
        self._driver.cancel(self._open.pop(made))
        self._driver.forget(made.fileno())
        made.close()
        self._verdict(service, target, reason)

    def _verdict(self, service: Service, target: Target, reason: str) -> None:
        if target.checked(good=not reason):
            kind = TARGET_DOWN if reason else TARGET_UP
            self._tell(Event(kind, service.place, service.protocol, target=str(target.place), reason=reason))

    def close(self) -> None:
        """Check no more."""
        for timer in self._timers.values():
            self._driver.cancel(timer)
        for made in self._open:
            self._driver.forget(made.fileno())
            made.close()
        self._timers, self._open = {}, {}
