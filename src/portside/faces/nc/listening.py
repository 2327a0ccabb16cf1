"""nc -l: wait for a peer, talk to it, and with -k wait for the next; one at a time, as the model does."""

from __future__ import annotations

from portside.errors import PortsideError
from portside.faces.nc.openbsd import end_of, family, how, kind, prepare
from portside.faces.nc.words import Refused, judge, reason, tell
from portside.use import sockets
from portside.use.netcat.talk import talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from portside.faces.nc.options import Options

_BACKLOG = 1


def serve(options: Options) -> int:
    """Listen and talk; returns the exit code, never with -k."""
    with _listener(options) as listener:
        if options.has("u"):
            return _datagrams(options, listener)
        while True:
            connection, peer = listener.accept()
            _report(options, peer)
            judge(talk(end_of(connection, options), how(options)))
            if not options.has("k"):
                return 0


def _datagrams(options: Options, listener: socket) -> int:
    """Talk to the first sender; with -k take datagrams of all, answering none."""
    from portside.use.netcat.datagrams import wait_for_peer

    while True:
        if not options.has("k"):
            try:
                peer = wait_for_peer(listener)
            except OSError as error:
                raise Refused(f"nc: connect: {reason(error)}") from error
            _report(options, peer)
        judge(talk(end_of(listener.dup(), options), how(options)))
        if not options.has("k"):
            return 0


def _listener(options: Options) -> socket:
    if options.family == "unix":
        from portside.faces.nc.unixes import listen

        return listen(options, options.host or "")
    made = _first_bound(options)
    if options.has("v"):
        host, port = sockets.names(made.getsockname(), numeric=options.has("n"))
        tell(f"{'Bound' if options.has('u') else 'Listening'} on {host} {port}")
    return made


def _first_bound(options: Options) -> socket:
    """Bind the first address that lets us: IPv4 where none was named."""
    wanted = family(options) or (sockets.V4 if options.host is None else 0)
    try:
        addresses = sockets.resolve(
            options.host,
            options.ports[0],
            type=kind(options),
            family=wanted,
            numeric=options.has("n"),
            passive=True,
        )
    except PortsideError as error:
        raise Refused(f"nc: getaddrinfo: {reason(error)}") from error
    last: PortsideError | None = None
    for address in addresses:
        try:
            return sockets.listen(address, backlog=_BACKLOG, prepare=prepare(options))
        except PortsideError as error:
            if error.operation == "set":
                raise
            last = error
    assert last is not None
    raise last


def _report(options: Options, peer: Any) -> None:
    if not options.has("v"):
        return
    if options.family == "unix":
        tell(f"Connection received on {options.host}")
        return
    host, port = sockets.names(peer, numeric=options.has("n"))
    tell(f"Connection received on {host} {port}")
