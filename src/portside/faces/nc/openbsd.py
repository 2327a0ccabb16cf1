"""OpenBSD's nc at work: which connections are made or waited for, in which order, and what is told of them.

The end-of-file rules, measured on Debian's 1.219: the end of standard input is told to the peer with -N or -q alone;
a client goes on sending after the peer has ended, a listener sends what its input has at hand; -q SECONDS bounds what
follows the end of standard input.
"""

from __future__ import annotations

import errno
import os
import sys

from portside.errors import PortsideError
from portside.faces.nc.options import Options, number, parse
from portside.faces.nc.words import Refused, judge, reason, tell
from portside.use import sockets
from portside.use.netcat.talk import Talk, talk
from portside.use.options import SocketOptions, apply, sign
from portside.use.relay.ends import SocketEnd
from portside.use.relay.flow import LINES
from portside.use.relay.rules import AtEof, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

_SCAN_SECONDS = 3  # how long a UDP port is given to refuse, without -w
_PIECE = 16384
_IN_PROGRESS = os.strerror(errno.EINPROGRESS)  # what the model finds in errno when its time has run out


def run(words: list[str]) -> int:
    """Run as nc.openbsd with these words; returns the exit code, raises Refused."""
    options = parse(words)
    if options.has("S"):
        options = options.replace(secret=_ask_secret())
    try:
        if options.has("l"):
            from portside.faces.nc.listening import serve

            return serve(options)
        if options.family == "unix":
            return _unix(options)
        return _scan(options) if options.has("z") else _each_port(options)
    except PortsideError as error:
        if error.operation == "set":
            raise Refused(f"nc: set {error.subject}: {reason(error)}") from error
        if error.operation == "bind to":
            raise Refused(f"nc: bind failed: {reason(error)}") from error
        raise Refused(f"nc: {reason(error)}") from error


def _ask_secret() -> str:
    from portside.system.terminal import ask_secret

    secret = ask_secret("TCP MD5SIG password: ")
    if secret is None:
        raise Refused("nc: Unable to read TCP MD5SIG password")
    return secret


def protocol(options: Options) -> str:
    """Return `tcp`, `udp` or `dccp`."""
    return "udp" if options.has("u") else "dccp" if options.has("Z") else "tcp"


def kind(options: Options) -> int:
    """Return the socket type."""
    return {"udp": sockets.DATAGRAM, "tcp": sockets.STREAM, "dccp": sockets.DCCP}[protocol(options)]


def family(options: Options) -> int:
    """Return the address family that was asked for, 0 for any."""
    return {"4": sockets.V4, "6": sockets.V6}.get(options.family, 0)


def socket_options(options: Options) -> SocketOptions:
    """Return what is put on every socket."""
    return SocketOptions(
        reuse_port=options.has("l"),
        broadcast=options.has("b"),
        debug=options.has("D"),
        tos=options.tos,
        ttl=options.ttl,
        least_ttl=options.least_ttl,
        receive_buffer=options.receive_buffer,
        send_buffer=options.send_buffer,
    )


def how(options: Options) -> Talk:
    """Return how a session runs: a client's or a listener's."""
    quits = options.quit_after if options.quit_after is not None and options.quit_after >= 0 else None
    tells = options.has("N") or quits is not None
    after_peer = 0.0 if options.has("l") or options.receives else None
    rules = Rules(
        at_eof=(
            AtEof(tells, None if quits is None else float(quits)),
            AtEof(False, after_peer, drains=not options.receives),
        ),
        idle=None if options.timeout is None or options.has("l") else float(options.timeout),
        pace=float(options.interval),
    )
    return Talk(
        rules=rules,
        reads=not options.has("d"),
        crlf=options.has("C"),
        telnet=options.has("t"),
        piece=_PIECE if options.has("u") or options.receives or options.interval else 0,
        pauses=(LINES, ""),
        receives=options.receives,
    )


def ports_of(words: tuple[str, ...], protocol: str, *, shuffled: bool) -> list[int]:
    """Return the ports that words name: services, numbers, ranges; raises Refused."""
    ports: list[int] = []
    for word in words:
        found = sockets.port_of(word, protocol)
        if found is not None:
            chosen = [found]
        elif "-" in word and word[0].isdecimal():
            first, _, last = word.partition("-")
            high, low = number(last, "port number ", 1, 65535), number(first, "port number ", 1, 65535)
            chosen = list(range(min(low, high), max(low, high) + 1))
        else:
            chosen = [number(word, "port number ", 1, 65535)]
        ports += chosen
    if shuffled:
        import random

        random.shuffle(ports)
    return ports


def end_of(connection: socket, options: Options) -> SocketEnd:
    """Return a connection as an end of the relay."""
    if not options.has("u"):
        return SocketEnd(connection)
    from portside.use.netcat.datagrams import DatagramEnd

    return DatagramEnd(connection)


def _each_port(options: Options) -> int:
    """Connect to each port in turn and talk; exit 0 if one could be reached."""
    code = 1
    for port in ports_of(options.ports, protocol(options), shuffled=options.has("r")):
        connection = _connection(options, port)
        if connection is None:
            continue
        code = 0
        if options.has("v") and not _told(options, connection, port):
            code = 1
            connection.close()
        elif options.has("F"):
            _pass_on(connection)
            break
        else:
            judge(talk(end_of(connection, options), how(options)))
    return code


def _scan(options: Options) -> int:
    """Connect to each port and close; exit 0 if one was open."""
    import time

    code = 1
    for place, port in enumerate(ports_of(options.ports, protocol(options), shuffled=options.has("r"))):
        if place and options.interval:
            time.sleep(options.interval)
        connection = _connection(options, port)
        if connection is None:
            continue
        with connection:
            code = 0 if _told(options, connection, port) else 1
    return code


def _connection(options: Options, port: int) -> socket | None:
    """Return a connection to one port, None after saying (with -v) why there is none."""
    if options.proxy:
        from portside.faces.nc.proxying import through

        return through(options, port)
    host = options.host or ""
    return reach(options, host, str(port))


def reach(options: Options, host: str, port: str) -> socket | None:
    """Connect to the first of a host's addresses that answers."""
    addresses = _resolved(options, host, port)
    try:
        return sockets.connect_any(
            addresses,
            timeout=None if options.timeout is None else float(options.timeout),
            source=_source(options, addresses[0].family),
            prepare=prepare(options),
            on_failure=_teller(options, host, port),
        )
    except PortsideError as error:
        if error.operation not in ("connect", "connect to"):
            raise
        return None


def _resolved(options: Options, host: str, port: str) -> list[sockets.Address]:
    try:
        return sockets.resolve(
            host, port, type=kind(options), family=family(options), numeric=options.has("n")
        )
    except PortsideError as error:
        raise Refused(f'nc: getaddrinfo for host "{host}" port {port}: {reason(error)}') from error


def _source(options: Options, of_family: int) -> sockets.Address | None:
    if options.source is None and options.source_port is None:
        return None
    try:
        return sockets.resolve(
            options.source, options.source_port or 0, type=kind(options), family=of_family, passive=True
        )[0]
    except PortsideError as error:
        raise Refused(f"nc: getaddrinfo: {reason(error)}") from error


def prepare(options: Options) -> Callable[[socket, sockets.Address], None]:
    """Return what puts the options on a socket that is being made."""

    def put(made: socket, address: sockets.Address) -> None:
        apply(made, socket_options(options))
        if options.secret:
            sign(made, address.place, options.secret.encode())

    return put


def _teller(
    options: Options, host: str, port: str
) -> Callable[[sockets.Address, PortsideError], None] | None:
    if not options.has("v"):
        return None
    named = protocol(options)

    def told(address: sockets.Address, error: PortsideError) -> None:
        numeric = address.place[0]
        shown = host if host == numeric else f"{host} ({numeric})"
        said = reason(error)
        said = f"timed out: {_IN_PROGRESS}" if said == "timed out" else f"failed: {said}"
        tell(f"nc: connect to {shown} port {port} ({named}) {said}")

    return told


def _told(options: Options, connection: socket, port: int) -> bool:
    """Tell of a connection (-v); for UDP only after it was not refused.  Returns whether it stands."""
    named = protocol(options)
    if named == "udp":
        from portside.use.netcat.datagrams import probe

        if not probe(connection, options.timeout if options.timeout is not None else _SCAN_SECONDS):
            return False
    if options.has("v"):
        numeric, _ = sockets.names(connection.getpeername(), numeric=True)
        host = options.host or ""
        shown = host if host == numeric or options.has("n") or options.proxy else f"{host} ({numeric})"
        service = "*" if options.has("n") else sockets.service_of(port, named) or "*"
        tell(f"Connection to {shown} {port} port [{named}/{service}] succeeded!")
    return True


def _unix(options: Options) -> int:
    """Connect to a Unix socket; a datagram one is bound first, so that answers find it."""
    from portside.faces.nc.unixes import Client

    with Client(options) as connection:
        if options.has("z"):
            connection.close()
        else:
            judge(talk(end_of(connection, options), how(options)))
    return 0


def _pass_on(connection: socket) -> None:
    """Hand the connected socket to whoever reads standard output (-F)."""
    if sys.stdout.isatty():
        raise Refused("nc: Cannot pass file descriptor to tty")
    try:
        sockets.pass_descriptor(1, connection)
    except OSError as error:
        raise Refused(f"nc: sendmsg: {reason(error)}") from error
