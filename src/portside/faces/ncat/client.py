"""ncat that connects: directly or through a proxy, with TLS or not; the standard streams or a program at our end."""

from __future__ import annotations

import time

from portside.errors import PortsideError
from portside.faces.ncat.common import child_relay, dumped, how, tls_wish
from portside.faces.ncat.words import Quit, loud, reason, wrong
from portside.use import sockets
from portside.use.netcat.talk import failed, talk
from portside.use.relay.ends import SocketEnd
from portside.use.relay.rules import IDLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from portside.faces.ncat.options import Options
    from portside.use.relay.relay import Relay

_FAMILIES = {"": 0, "4": sockets.V4, "6": sockets.V6}


def run(options: Options) -> int:
    """Connect and talk; returns the exit code."""
    began = time.monotonic()
    connection, shown = _connected(options)
    try:
        end = _end(options, connection)
    except PortsideError as error:
        raise Quit(f"{error.reason}.", 1) from error
    if options.verbose:
        loud(f"{'SSL connection' if options.ssl else 'Connected'} to {shown}.")
    if options.scan:
        end.close()
        return 0
    if options.command:
        relay = child_relay(end, options)
    else:
        with dumped(options) as dump:
            relay = talk(end, how(options).replace(dump=dump))
    return _verdict(options, relay, time.monotonic() - began)


def _verdict(options: Options, relay: Relay, seconds: float) -> int:
    sent, received = relay.totals
    if relay.session.over == IDLE:
        raise Quit(f"Idle timeout expired ({round((options.idle or 0) * 1000)} ms). QUITTING.")
    error = failed(relay)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise Quit(f"{reason(error)}.", 1)
    if options.verbose:
        loud(f"{sent} bytes sent, {received} bytes received in {seconds:.2f} seconds.")
    return 0


def _connected(options: Options) -> tuple[socket, str]:
    """Return the connection and how its far end is told."""
    if options.unix:
        path = options.host or ""
        kind = sockets.DATAGRAM if options.udp else sockets.STREAM
        return sockets.connect(sockets.unix_address(path, kind), timeout=options.wait), path
    if options.proxy:
        from portside.faces.ncat.proxying import through

        return through(options), f"proxy {options.proxy}:{options.proxy_port}"
    connection = direct(options, options.host or "", options.port or 0)
    place = connection.getpeername()
    return connection, f"{place[0]}:{place[1]}"


def direct(options: Options, host: str, port: int) -> socket:
    """Connect to the first address of a host that answers; raises Quit for a name, PortsideError for the rest."""
    kind = sockets.DATAGRAM if options.udp and not options.proxy else sockets.STREAM
    try:
        addresses = sockets.resolve(
            host, port, type=kind, family=_FAMILIES[options.family], numeric=options.numeric
        )
    except PortsideError as error:
        raise wrong(f'Could not resolve hostname "{host}": {reason(error)}.') from error
    return sockets.connect_any(addresses, timeout=options.wait, source=_source(options, addresses[0], kind))


def _source(options: Options, address: sockets.Address, kind: int) -> sockets.Address | None:
    if options.source is None and options.source_port is None:
        return None
    try:
        return sockets.resolve(
            options.source, options.source_port or 0, type=kind, family=address.family, passive=True
        )[0]
    except PortsideError as error:
        raise wrong(f'Could not resolve source address "{options.source}": {reason(error)}.') from error


def _end(options: Options, connection: socket) -> SocketEnd:
    if options.ssl:
        from portside.system.tls import client_context
        from portside.use import tls

        try:
            context = client_context(tls_wish(options))
            context.hostname_checks_common_name = True  # ncat_ssl.c, where a certificate has no other name
        except PortsideError as error:
            connection.close()
            raise wrong(f"{error}.") from error
        name = options.servername or (options.host if not options.unix else "") or "localhost"
        return tls.shake(connection, context, hostname=name, timeout=options.wait)
    if options.udp:
        from portside.use.netcat.datagrams import DatagramEnd

        return DatagramEnd(connection)
    return SocketEnd(connection)
