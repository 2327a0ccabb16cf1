"""ncat that connects: directly or through a proxy, with TLS or not; the standard streams or a program at our end."""

from __future__ import annotations

import os
import time

from portside.errors import PortsideError
from portside.faces.ncat.common import child_relay, dumped, full, how, tls_wish
from portside.faces.ncat.words import Quit, loud, reason, wrong
from portside.use import sockets
from portside.use.netcat.talk import failed, lost, talk
from portside.use.relay.ends import SocketEnd
from portside.use.relay.rules import IDLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from socket import socket

    from portside.faces.ncat.options import Options
    from portside.use.relay.relay import Relay

_SCAN_SECONDS = 2.0
_FAMILIES = {"": 0, "4": sockets.V4, "6": sockets.V6}


def run(options: Options) -> int:
    """Connect and talk; returns the exit code."""
    with dumped(options) as dump, _AnswersAt(options) as source:
        context = _context(options)
        began = time.monotonic()
        connection, shown = _connected(options, source)
        try:
            end = _end(options, connection, context)
        except PortsideError as error:
            raise Quit(f"{error.reason}.", 1) from error
        if options.verbose:
            loud(f"{'SSL connection' if options.ssl else 'Connected'} to {shown}.")
        if options.scan:
            return _scan(options, end, began)
        relay = child_relay(end, options) if options.command else talk(end, how(options).replace(dump=dump))
    return _verdict(options, relay, time.monotonic() - began)


def _scan(options: Options, end: SocketEnd, began: float) -> int:
    """Tell of a connection that was made; of UDP, whether a datagram is refused within two seconds."""
    with end.connection as connection:
        if not options.udp:
            return 0
        connection.settimeout(_SCAN_SECONDS)
        try:
            connection.send(b"\0")
            received = len(connection.recv(1))
        except TimeoutError:
            received = 0
        except OSError as error:
            raise Quit(f"{reason(error)}." if options.verbose else "", 1) from error
    if options.verbose:
        loud("UDP packet sent successfully")
        loud(f"1 bytes sent, {received} bytes received in {time.monotonic() - began:.2f} seconds.")
    return 0


def _verdict(options: Options, relay: Relay, seconds: float) -> int:
    sent, received = relay.totals
    if relay.session.over == IDLE:
        raise Quit(f"Idle timeout expired ({round((options.idle or 0) * 1000)} ms).", 1)
    if (gone := lost(relay)) is not None:
        raise full(gone)
    error = failed(relay)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise Quit(f"{reason(error)}.", 1)
    if options.verbose:
        loud(f"{sent} bytes sent, {received} bytes received in {seconds:.2f} seconds.")
    return 0


class _AnswersAt:
    """The path that a datagram client of a Unix socket binds, so that answers find it: that of -s, else our own."""

    def __init__(self, options: Options) -> None:
        self._path = self._made = ""
        if options.unix and options.udp:
            from portside.use.netcat.datagrams import receiving_path

            self._made = "" if options.source else receiving_path("ncat.")
            self._path = options.source or self._made
            if options.verbose:
                loud(f"[{self._path}] used as source DGRAM Unix domain socket.")

    def __enter__(self) -> sockets.Address | None:
        return sockets.unix_address(self._path, sockets.DATAGRAM) if self._path else None

    def __exit__(self, *_: object) -> None:
        if self._made:
            try:
                os.unlink(self._made)
            except OSError:  # nothing was bound there
                pass
            os.rmdir(os.path.dirname(self._made))


def _connected(options: Options, source: sockets.Address | None) -> tuple[socket, str]:
    """Return the connection and how its far end is told."""
    if options.unix:
        path = options.host or ""
        kind = sockets.DATAGRAM if options.udp else sockets.STREAM
        return sockets.connect(sockets.unix_address(path, kind), timeout=options.wait, source=source), path
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
    source = _source(options, addresses[0], kind)
    route = _route(options, addresses[0])
    return sockets.connect_any(
        addresses[: 1 if route else None], timeout=options.wait, source=source, prepare=route
    )


def _route(options: Options, target: sockets.Address) -> sockets.Prepare | None:
    """Return what puts the source route of -g on a socket."""
    if not options.hops:
        return None
    if options.family != "4":
        raise wrong("Sorry, -g can only currently be used with IPv4.")
    places = [_hop(options, hop) for hop in options.hops]
    from portside.use.options import SocketOptions, apply

    wanted = SocketOptions(route=(*places, target.place[0]), route_pointer=options.hop_pointer)
    return lambda made, _address: apply(made, wanted)


def _hop(options: Options, hop: str) -> str:
    try:
        return str(sockets.resolve(hop, 0, family=sockets.V4, numeric=options.numeric)[0].place[0])
    except PortsideError as error:
        raise wrong(f'Sorry, could not resolve source route hop "{hop}": {reason(error)}.') from error


def _source(options: Options, address: sockets.Address, kind: int) -> sockets.Address | None:
    if options.source is None and options.source_port is None:
        return None
    try:
        return sockets.resolve(
            options.source, options.source_port or 0, type=kind, family=address.family, passive=True
        )[0]
    except PortsideError as error:
        raise wrong(f'Could not resolve source address "{options.source}": {reason(error)}.') from error


def _context(options: Options) -> ssl.SSLContext | None:
    if not options.ssl:
        return None
    from portside.system.tls import client_context

    try:
        context = client_context(tls_wish(options))
    except PortsideError as error:
        raise wrong(f"{error}.") from error
    context.hostname_checks_common_name = True  # ncat_ssl.c, where a certificate has no other name
    return context


def _end(options: Options, connection: socket, context: ssl.SSLContext | None) -> SocketEnd:
    if context is not None:
        from portside.use import tls

        name = options.servername or options.host or "localhost"
        return tls.shake(connection, context, hostname=name, timeout=options.wait)
    if options.udp:
        from portside.use.netcat.datagrams import DatagramEnd

        return DatagramEnd(connection)
    return SocketEnd(connection)
