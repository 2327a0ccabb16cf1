"""Connections of one rule: let in, told of by a PROXY header if asked for, connected on, relayed.

While a target is being connected to nothing is read from the client, so what it has sent waits in the kernel.  An
address that refuses is followed by the next, another target's too.  Half-close is kept, and so is a reset: who reads
a stream that broke off does not take it for a whole one.
"""

from __future__ import annotations

import errno
import os
import socket

from portside.errors import BadReply
from portside.use.accepting import Acceptor
from portside.use.forward.events import TROUBLE, Event
from portside.use.forward.rules import V1
from portside.use.forward.service import Service, reason_of, shown, source_bytes
from portside.use.relay.driver import READ, WRITE
from portside.use.relay.ends import SocketEnd
from portside.use.relay.flows import choose
from portside.use.relay.relay import Relay
from portside.use.relay.rules import Rules
from portside.wire import proxy_protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from portside.use.forward.pool import Target
    from portside.use.forward.rules import Rule
    from portside.use.relay.driver import Driver, Timer
    from portside.use.sockets import Address

_QUICK = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
_HEADER_ROOM = 1 << 12
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class StreamService(Service):
    """One rule over TCP or a Unix socket."""

    protocol = "tcp"

    def __init__(
        self, driver: Driver, rule: Rule, listeners: list[socket.socket], tell: Callable[[Event], None]
    ) -> None:
        super().__init__(driver, rule, tell)
        self.protocol = "unix" if listeners[0].family == socket.AF_UNIX else "tcp"
        self.place = shown(listeners[0].getsockname())
        self.rules = Rules(idle=rule.idle, abort=True)
        self.connections: set[Connection] = set()
        self._acceptors = [self._accepting(listener) for listener in listeners]

    def _accepting(self, listener: socket.socket) -> Acceptor:
        if listener.family != socket.AF_UNIX:
            for level, option, value in _QUICK:  # what is accepted inherits them
                listener.setsockopt(level, option, value)
        return Acceptor(self.driver, listener, self._accepted, self._full)

    def change(self, rule: Rule) -> None:  # noqa: D102 (as Service says)
        super().change(rule)
        self.rules = Rules(idle=rule.idle, abort=True)

    def _full(self, error: OSError) -> None:
        self.tell(
            Event(TROUBLE, self.place, self.protocol, reason=f"accept: {reason_of(error)}; trying again")
        )

    def _accepted(self, client: socket.socket, peer: Any) -> None:
        rule = self.rule
        asked = rule.access or rule.per_source is not None or rule.accept_proxy
        source = source_bytes(peer) if asked else b""
        if rule.accept_proxy:
            trusted = not source or any(network.matches(source) for network in rule.accept_proxy)
            reason = self.objection(b"") if trusted else "no PROXY header is taken from there"
        else:
            reason = self.objection(source)
        if reason:
            client.close()
            self.refuse(peer, reason)
            return
        connection = Connection(self, client, peer, source)
        self.connections.add(connection)
        if rule.accept_proxy:
            connection.read_header()
        else:
            connection.admitted()

    def open_now(self) -> int:  # noqa: D102 (as Service says)
        return len(self.connections)

    def stop_listening(self) -> None:  # noqa: D102 (as Service says)
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors = []

    def close(self) -> None:  # noqa: D102 (as Service says)
        self.stop_listening()
        for connection in list(self.connections):
            connection.stop()


class Connection:
    """One connection on its way: first to a target, then relayed."""

    __slots__ = (
        "_began", "_candidates", "_client", "_counted", "_header", "_last", "_origin", "_peer", "_relay", "_rest",
        "_service", "_source", "_target", "_timer", "_trying",
    )  # fmt: skip

    def __init__(self, service: StreamService, client: socket.socket, peer: Any, source: bytes) -> None:
        self._service = service
        self._client = client
        self._peer = peer
        self._source = source
        self._began = service.driver.now()
        self._candidates: Iterator[tuple[Target, Address]] = iter(())
        self._trying: tuple[socket.socket, Target, Address] | None = None
        self._timer: Timer | None = None
        self._relay: Relay | None = None
        self._origin: proxy_protocol.Origin | None = None
        self._header = b""
        self._rest = b""
        self._target = ""
        self._last = "there is no target's address"
        self._counted = False

    def read_header(self) -> None:
        """Wait for the PROXY header, for as long as a connection may take."""
        driver = self._service.driver
        self._client.setblocking(False)
        driver.watch(self._client.fileno(), READ, self._header_came)
        self._timer = driver.after(self._service.rule.connect_timeout, self._no_header)

    def _header_came(self, descriptor: int) -> None:
        try:
            data = self._client.recv(_HEADER_ROOM)
            self._header += data
            parsed = proxy_protocol.parse(self._header)
        except BlockingIOError:
            return
        except (OSError, BadReply) as error:
            self._turn_away(error.reason if isinstance(error, BadReply) else reason_of(error))
            return
        if parsed is None:
            if not data:
                self._turn_away("it ended within its PROXY header")
            return
        self._service.driver.forget(descriptor)
        self._stop_timer()
        self._rest = self._header[parsed.size :]
        self._origin = parsed.origin
        if parsed.origin is not None:
            self._peer = (parsed.origin.source, parsed.origin.source_port)
            self._source = source_bytes(self._peer) if parsed.origin.source_port else b""
        reason = self._service.objection(self._source, counted=1)
        if reason:
            self._turn_away(reason)
        else:
            self.admitted()

    def _no_header(self) -> None:
        self._timer = None
        self._turn_away("no PROXY header came")

    def _turn_away(self, reason: str) -> None:
        self._service.refuse(self._peer, reason)
        self._drop()

    def admitted(self) -> None:
        """Go on to a target."""
        service = self._service
        service.enter(self._source)
        self._counted = True
        self._candidates = iter(service.pool.candidates(service.driver.now()))
        self._next()

    def _next(self) -> None:
        """Try the next address; when there is none left, give the client up."""
        for target, address in self._candidates:
            made = self._begin(target, address)
            if made is None:
                continue
            self._trying = (made, target, address)
            return
        self._service.fail(shown(self._peer), self._target, self._last)
        SocketEnd(self._client).abort()
        self._drop()

    def _begin(self, target: Target, address: Address) -> socket.socket | None:
        """Begin to connect; None where that failed at once.  One that has connected is relayed already."""
        service = self._service
        self._target = str(address)
        try:
            made = socket.socket(address.family, _STREAM)
        except OSError as error:  # no descriptors: no fault of the target's
            self._last = reason_of(error)
            return None
        if address.family != socket.AF_UNIX:
            for option in _QUICK:
                made.setsockopt(*option)
            if service.rule.source:
                self._bind(made)
        number = made.connect_ex(address.place)
        if (
            number == errno.EINPROGRESS
        ):  # over loopback it is done by now, and a second call says so (connect(2))
            number = made.connect_ex(address.place)
            number = errno.EINPROGRESS if number == errno.EALREADY else number
        if number and number != errno.EINPROGRESS:
            self._failed(made, target, os.strerror(number).lower())
            return None
        if number:
            service.driver.watch(made.fileno(), WRITE, self._connected)
            self._timer = service.driver.after(service.rule.connect_timeout, self._too_late)
        else:
            self._established(made)
        return made

    def _bind(self, made: socket.socket) -> None:
        try:
            made.bind((self._service.rule.source, 0))
        except OSError:  # connecting will say so
            pass

    def _failed(self, made: socket.socket, target: Target, reason: str) -> None:
        self._last = reason
        target.failed(self._service.driver.now())
        made.close()

    def _connected(self, descriptor: int) -> None:
        assert self._trying is not None
        made, target, _ = self._trying
        self._stop_timer()
        number = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._service.driver.forget(descriptor)
            self._failed(made, target, os.strerror(number).lower())
            self._next()
        else:
            self._established(made)

    def _too_late(self) -> None:
        self._timer = None
        assert self._trying is not None
        made, target, _ = self._trying
        self._service.driver.forget(made.fileno())
        self._failed(made, target, f"no answer in {self._service.rule.connect_timeout:g} s")
        self._next()

    def _established(self, made: socket.socket) -> None:
        """Tell the target who is coming, and relay."""
        service = self._service
        if service.rule.send_proxy:
            self._announce(made)
        first, second = SocketEnd(self._client), SocketEnd(made)
        flows = choose(first, second, rest=self._rest), choose(second, first)
        self._relay = Relay(service.driver, first, second, service.rules, flows=flows, on_over=self._over)
        self._relay.start()

    def _announce(self, made: socket.socket) -> None:
        """Send a PROXY header; a connection's first bytes always fit."""
        origin = self._origin or self._own_origin()
        encode = proxy_protocol.encode_v1 if self._service.rule.send_proxy == V1 else proxy_protocol.encode_v2
        try:
            made.send(encode(origin))
        except OSError:  # it broke already: the relay will see
            pass

    def _own_origin(self) -> proxy_protocol.Origin | None:
        try:
            here = self._client.getsockname()
        except OSError:
            return None
        if not (isinstance(here, tuple) and isinstance(self._peer, tuple)):
            return None
        host, there = (each[0].removeprefix("::ffff:").partition("%")[0] for each in (self._peer, here))
        return proxy_protocol.Origin(host, self._peer[1], there, here[1])

    def _over(self, relay: Relay) -> None:
        failed = relay.session.failures
        reason = reason_of(failed[0]) if failed else relay.session.over
        self._service.over(shown(self._peer), self._target, relay.totals, self._began, reason)
        self._leave()

    def stop(self) -> None:
        """End it now."""
        if self._relay is not None:
            self._relay.stop()
            return
        if self._trying is not None:
            self._service.driver.forget(self._trying[0].fileno())
            self._trying[0].close()
        self._drop()

    def _drop(self) -> None:
        """Close a client that is not relayed."""
        self._stop_timer()
        self._service.driver.forget(self._client.fileno())
        self._client.close()
        self._leave()

    def _leave(self) -> None:
        self._service.connections.discard(self)
        if self._counted:
            self._service.leave(self._source)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._service.driver.cancel(self._timer)
            self._timer = None
