"""The small services at work: any number of them, over TCP and UDP, in one process.

Each listens on this host's loopback addresses unless told otherwise.  Connections run on the relay; datagrams are
answered one by one, as `guard` allows.  What happens is told to `on_event`, which prints it or not.
"""

from __future__ import annotations

import errno
import time
from socket import IPPROTO_TCP, SOCK_DGRAM, SOCK_STREAM, TCP_NODELAY

from portside.errors import BadRequest, NotSupported, PortsideError
from portside.record import Record
from portside.use import sockets
from portside.use.accepting import Acceptor
from portside.use.datagrams import Datagrams, is_loopback, show
from portside.use.relay.driver import READ
from portside.use.relay.ends import SocketEnd
from portside.use.relay.relay import Relay
from portside.use.running import Running
from portside.use.small import flows
from portside.use.small.guard import Guard, source_of
from portside.use.small.services import SERVICES, TEXT, Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from socket import socket
    from typing import Any

    from portside.use.small.services import Service

LOOPBACK = ("127.0.0.1", "::1")
ANYWHERE = "any"
TCP, UDP = "tcp", "udp"
_DATAGRAMS = 64  # answered, then others have their turn
_PORT_TRIES = 20  # ports asked for, until one is free for TCP and UDP on each address
_PEERS_TOLD = 1024
_SOCKET_TYPES = {TCP: SOCK_STREAM, UDP: SOCK_DGRAM}
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

LISTENING, CONNECTED, CLOSED, DATAGRAMS, REFUSED = "listening", "connected", "closed", "datagrams", "refused"


class Wanted(Record):
    """One service to serve: on which port (0: any free one), over which protocols."""

    service: Service
    port: int
    protocols: tuple[str, ...] = (TCP, UDP)


class Event(Record):
    """What happened: `kind` is one of the words above; a closed connection has its bytes in and out, and seconds."""

    kind: str
    service: str
    protocol: str
    address: str
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    reason: str = ""


def parse_wanted(text: str) -> Wanted:
    """Read `SERVICE[:PORT][/tcp|/udp]`; raises BadRequest."""
    rest, _, protocol = text.partition("/")
    name, colon, port = rest.partition(":")
    service = SERVICES.get(name)
    if service is None:
        raise BadRequest(
            "serve", f"'{text}'", f"there is no service '{name}'", f"one of {', '.join(SERVICES)}"
        )
    if protocol not in ("", TCP, UDP):
        raise BadRequest("serve", f"'{text}'", f"there is no protocol '{protocol}'", "tcp or udp")
    if colon and not (port.isdecimal() and int(port) <= 65535):
        raise BadRequest("serve", f"'{text}'", f"'{port}' is no port", "0 to 65535")
    return Wanted(service, int(port) if colon else service.port, (protocol,) if protocol else (TCP, UDP))


class Server(Running):
    """Serves until stopped.  `addresses` are where it listens, as (service, protocol, address) once it is open.

    `bind` are addresses, or `any` for all.  `idle` ends silent connections after so many seconds, `most` is how many
    there may be at once, `rate` how many datagrams a second each source that is not this host is answered.
    """

    def __init__(
        self,
        wanted: Iterable[Wanted],
        *,
        bind: tuple[str, ...] = LOOPBACK,
        idle: float | None = 600.0,
        most: int = 1000,
        rate: float = 10.0,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        super().__init__()
        self._wanted = tuple(wanted)
        self._bind = bind
        self._idle = idle
        self._most = most
        self._on_event = on_event
        self._guard = Guard(rate)
        self._acceptors: list[Acceptor] = []
        self._udp: list[Datagrams] = []
        self._relays: set[Relay] = set()
        self._told: dict[tuple[str, str], None] = {}
        self.addresses: list[tuple[str, str, str]] = []

    def _open(self) -> None:
        for wanted in self._wanted:
            for protocol, bound in _bound(wanted, self._bind):
                self._serve(wanted.service, protocol, bound)

    def _serve(self, service: Service, protocol: str, bound: socket) -> None:
        place = bound.getsockname()
        self.addresses.append((service.name, protocol, show(place)))
        if protocol == UDP:
            self._guard.own_ports.add(place[1])
            end = Datagrams(bound)
            self._udp.append(end)
            self.driver.watch(bound.fileno(), READ, lambda _: self._datagrams(service, end))
        else:
            bound.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # what is accepted inherits it
            self._acceptors.append(
                Acceptor(
                    self.driver, bound, lambda connection, peer: self._connected(service, connection, peer)
                )
            )
        self._tell(Event(LISTENING, service.name, protocol, show(place)))

    def _close(self) -> None:
        for relay in list(self._relays):
            relay.stop()
        for acceptor in self._acceptors:
            acceptor.close()
        for end in self._udp:
            self.driver.forget(end.socket.fileno())
            end.socket.close()
        self._acceptors, self._udp, self.addresses = [], [], []

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def _connected(self, service: Service, connection: socket, peer: Any) -> None:
        place = show(peer)
        if len(self._relays) >= self._most:
            connection.close()
            self._tell(Event(REFUSED, service.name, TCP, place, reason=f"{self._most} connections are open"))
            return
        began = self.driver.now()
        self._tell(Event(CONNECTED, service.name, TCP, place))
        end = SocketEnd(connection)
        text = service.text(_facts()) if service.stream == TEXT and service.text else b""
        other, rules, both = flows.session(service, end, text, self._idle)
        made = flows.EchoRelay if other is end else Relay
        relay = made(
            self.driver,
            end,
            other,
            rules,
            flows=both,
            on_over=lambda over: self._over(over, service, place, began),
        )
        self._relays.add(relay)
        relay.start()

    def _over(self, relay: Relay, service: Service, place: str, began: float) -> None:
        self._relays.discard(relay)
        received, sent = relay.totals
        if relay.session.rules.carries == (True, False) and relay.ends[0] is relay.ends[1]:
            sent = received
        seconds = self.driver.now() - began
        failed = next((str(error.strerror).lower() for error in relay.session.failures), "")
        self._tell(
            Event(CLOSED, service.name, TCP, place, received, sent, seconds, failed or relay.session.over)
        )

    def _datagrams(self, service: Service, end: Datagrams) -> None:
        for _ in range(_DATAGRAMS):
            try:
                datagram = end.receive()
            except BlockingIOError:
                return
            except OSError:  # what ICMP said of an earlier answer
                continue
            answer = self._answer(service, datagram.data, datagram.peer[:2], to_group=datagram.to_group)
            if answer is not None:
                end.answer(datagram, answer)

    def _answer(
        self, service: Service, data: bytes, peer: tuple[str, int], *, to_group: bool
    ) -> bytes | None:
        """Return the answer to a datagram, None where there is to be none."""
        local = is_loopback(peer[0])
        reason = ""
        if to_group:
            reason = "sent to a group"
        elif self._guard.loops(*peer, local=local):
            reason = "its source port is a small service's: the answer would be answered"
        elif not local and not self._guard.allows(source_of(peer[0]), time.monotonic()):
            reason = "too many"
        self._tell_once(
            Event(REFUSED if reason else DATAGRAMS, service.name, UDP, show(peer), len(data), reason=reason)
        )
        answer = None if reason else service.answer(data, _facts)
        return answer if answer is None or local else self._guard.cut(len(data), answer)

    def _tell_once(self, event: Event) -> None:
        """Tell of a peer's first datagram to a service, and of the first that is refused."""
        key = (event.service + event.kind, event.address)
        if key not in self._told:
            self._told[key] = None
            if len(self._told) > _PEERS_TOLD:
                self._told.pop(next(iter(self._told)))
            self._tell(event)


def _facts() -> Facts:
    from portside.system.logins import logged_in

    return Facts(time.time(), logged_in())


def _bound(wanted: Wanted, bind: tuple[str, ...]) -> list[tuple[str, socket]]:
    """Return a bound socket for each protocol and address, all on one port."""
    for last in range(_PORT_TRIES - 1, -1, -1):
        made: list[tuple[str, socket]] = []
        port = wanted.port
        try:
            for protocol in wanted.protocols:
                for host in bind:
                    found = _bind(host, port, protocol, optional=host == "::1" and "127.0.0.1" in bind)
                    made += [(protocol, each) for each in found]
                    port = made[0][1].getsockname()[1] if made else port
        except PortsideError:
            for _, each in made:
                each.close()
            if wanted.port or not last:
                raise
        else:
            return made
    raise AssertionError("the last try returned or raised")


def _bind(host: str, port: int, protocol: str, *, optional: bool) -> list[socket]:
    kind = _SOCKET_TYPES[protocol]
    if host == ANYWHERE:
        return sockets.listen_everywhere(port, type=kind)
    try:
        return [
            sockets.listen(address, v6only=":" in host or None)
            for address in sockets.resolve(host, port, type=kind, passive=True)
        ]
    except NotSupported as error:
        if optional and error.errno in _NO_IPV6:
            return []
        raise
