"""The library's entrances to using ports: connect, serve, forward; send and receive are beside their protocol.

What serves or forwards is one object for all kinds of programs (`running`): `.run()` blocks, `with` runs it in a
thread, `async with` and `await` in the running asyncio loop.
"""

from __future__ import annotations

import socket

from portside.errors import BadRequest
from portside.use import sockets
from portside.use.forward.forwarder import Forwarder
from portside.use.forward.rules import Configuration, checked
from portside.use.forward.toml_file import rules_of
from portside.use.listening import addresses_of
from portside.use.places import UDP, UNIX, parse_place
from portside.use.small.server import LOOPBACK, Server, parse_wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

    from portside.system.tls import Tls
    from portside.use.forward import events
    from portside.use.small.server import Event


def connect(
    target: str, *, timeout: float | None = 10.0, tls: bool | Tls | ssl.SSLContext = False, source: str = ""
) -> socket.socket:
    """Return a connected socket: `HOST:PORT`, `[ADDRESS]:PORT`, `PORT/udp`, the path of a Unix socket.

    Every address of a name is tried, in the resolver's order, for `timeout` seconds each.  `tls` verifies the
    certificate and the name, or does what a `Tls` (its pin, say) or a context of your own says, and returns an
    ssl.SSLSocket.  `source` is the address to connect from.  The socket blocks and has no timeout.  Raises
    PortsideError: TimedOut, NotPermitted, NotSupported with the kernel's or the certificate's reason, BadRequest for
    a text that is no place.
    """
    place = parse_place(target)
    if tls and place.transport in (UDP, UNIX):
        raise BadRequest("connect to", f"'{target}'", "TLS takes TCP")
    kind = socket.SOCK_DGRAM if place.transport == UDP else socket.SOCK_STREAM
    bound = sockets.resolve(source, 0, type=kind)[0] if source else None
    if not tls:
        return sockets.connect_any(addresses_of(place), timeout=timeout, source=bound)
    from portside.use.tls import asked, secured

    context, wish = asked(tls)
    made = sockets.connect_any(addresses_of(place), timeout=timeout, source=bound)
    return secured(made, place.host, context, wish, subject=f"'{target}'", timeout=timeout)


def serve(
    *services: str,
    bind: str | tuple[str, ...] = LOOPBACK,
    idle: float | None = 600.0,
    most: int = 1000,
    rate: float = 10.0,
    on_event: Callable[[Event], None] | None = None,
) -> Server:
    """Return a server of small services, not running yet: `echo:8888`, `daytime/tcp`, `time:0/udp`, any number.

    `bind` is an address, some, or `any`; the others are as `portside serve` has them.  Once it runs, `addresses` are
    (service, protocol, address), with the real port where 0 was asked for.  Raises BadRequest.
    """
    addresses = (bind,) if isinstance(bind, str) else bind
    wanted = [parse_wanted(text) for text in services]
    return Server(wanted, bind=addresses, idle=idle, most=most, rate=rate, on_event=on_event)


def forward(
    listen: str = "",
    target: str = "",
    *,
    config: str = "",
    grace: float = 30.0,
    on_event: Callable[[events.Event], None] | None = None,
    **settings: Any,
) -> Forwarder:
    """Return a forwarder, not running yet: from one place to another (several targets with commas), or by a file.

    `config` is the path of a TOML or rinetd file; `settings` are the keys of a TOML table (`allow`, `send_proxy`,
    `idle` and so on).  Once it runs, `addresses` are where it listens; `statistics()`, `reload()`, `drain()` and
    `stop()` may be called from any thread.  Raises BadRequest.
    """
    rules = rules_of(listen, target, **settings) if listen else []
    configuration = Configuration(checked(rules))
    if config:
        from portside.use.forward.files import read_configuration

        read = read_configuration(config)
        configuration = read.replace(rules=checked([*rules, *read.rules]))
    if not configuration.rules:
        raise BadRequest("forward", "", "there is nothing to forward")
    return Forwarder(configuration, on_event=on_event, grace=grace)
