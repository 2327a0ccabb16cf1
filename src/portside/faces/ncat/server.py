"""ncat -l: one client or many; standard input and output, a program for each, a broker, a chat, an HTTP proxy."""

from __future__ import annotations

import errno
import os
import sys

from portside.errors import PortsideError
from portside.faces.ncat.common import child_relay, dumped, full, how, tls_wish
from portside.faces.ncat.words import Quit, loud, reason, wrong
from portside.use import sockets
from portside.use.access import Access, Network, parse_network
from portside.use.netcat.server import Server
from portside.use.netcat.talk import failed, lost, talk
from portside.use.relay.ends import SocketEnd
from portside.use.relay.rules import IDLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from socket import socket
    from typing import Any

    from portside.faces.ncat.options import Options
    from portside.use.netcat.dump import Dump
    from portside.wire.http_auth import Guard

_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # this host has one family alone
_TLS_WITHIN = 30.0  # seconds for a client's handshake


def run(options: Options) -> int:
    """Listen and serve; returns the exit code."""
    context = _context(options)
    access = _access(options)
    listeners = _listeners(options)
    if options.udp:
        from portside.faces.ncat.datagrams import serve

        return serve(options, listeners, access)
    with dumped(options) as dump:
        return _Listening(options, listeners, context, access, dump).run()


class _Listening:
    """A running server of streams."""

    def __init__(
        self,
        options: Options,
        listeners: list[socket],
        context: ssl.SSLContext | None,
        access: Access,
        dump: Dump,
    ) -> None:
        self._options = options
        self._context = context
        self._dump = dump
        self._guard = _guard(options)
        self._count = 0
        self._together = options.broker or (options.keep and not options.command and not options.proxy_type)
        self.server = Server(
            listeners,
            self._serve,
            keep=options.keep,
            most=options.most,
            access=access,
            on_accepted=self._told,
            on_refused=lambda _, why: self._note(f"New connection denied: {why}"),
            on_full=lambda error: loud(f"accept: {reason(error)}."),
        )

    def run(self) -> int:
        """Serve until the one client is gone, or for ever."""
        self.server.open()
        if self._together:
            self._make_hub()
        try:
            self.server.work()
        except OSError as error:
            raise full(error) from error
        finally:
            self.server.close()
        if self.server.failure is not None:
            raise self.server.failure
        return 0

    def _make_hub(self) -> None:
        from portside.use.netcat.hub import Hub
        from portside.use.netcat.talk import standard_end

        options = self._options
        change = None
        if options.crlf:
            from portside.wire.newlines import Crlf

            change = Crlf().translate
        self._hub = Hub(
            self.server.driver,
            standard_end(reads=not options.receive_only, writes=not (options.broker or options.send_only)),
            between=options.broker,
            chat=options.chat,
            change=change,
            seen=self._dump.write if self._dump else None,
            on_gone=lambda _: self.server.release(),
            tell=not (
                options.no_shutdown or options.broker
            ),  # the end of our input ends no conversation of others
        )

    def _told(self, peer: Any) -> None:
        if not self._options.verbose:
            return
        if not isinstance(peer, tuple):
            loud("Connection from a client on Unix domain socket.")
            return
        host = _shown(peer[0])
        loud(f"Connection from {host}.")
        loud(f"Connection from {host}:{peer[1]}.")

    def _note(self, text: str) -> None:
        if self._options.verbose:
            loud(text)

    def _serve(self, connection: socket, peer: Any) -> bool:
        """Serve one client, in its thread; return whether the loop goes on with it."""
        options = self._options
        try:
            end = self._end(connection)
        except PortsideError as error:
            if options.verbose or not options.keep:
                loud(f"Failed SSL connection from {_shown(peer[0])}: {error.reason}")
            if not options.keep:
                raise Quit("", 1) from error
            return False
        if options.proxy_type:
            from portside.use.netcat import proxy_server

            proxy_server.serve(end, self._guard, self._note, idle=options.idle)
        elif options.command:
            self._run_command(end)
        elif self._together:
            self._join(end, peer)
            return True
        else:
            self._talk(end)
        return False

    def _end(self, connection: socket) -> SocketEnd:
        if self._context is None:
            return SocketEnd(connection)
        from portside.use import tls

        return tls.shake(connection, self._context, server=True, timeout=_TLS_WITHIN)

    def _run_command(self, end: SocketEnd) -> None:
        try:
            child_relay(end, self._options)
        except PortsideError as error:
            end.close()
            loud(f"Error executing: {error}")

    def _join(self, end: SocketEnd, peer: Any) -> None:
        """Hand the client to the loop, which serves it together with the others."""

        def join() -> None:
            self._count += 1
            self._hub.join(end, self._count, _shown(peer[0]) if isinstance(peer, tuple) else "unix")

        self.server.post(join)

    def _talk(self, end: SocketEnd) -> None:
        relay = talk(end, how(self._options).replace(dump=self._dump))
        if relay.session.over == IDLE:
            raise Quit(f"Idle timeout expired ({round((self._options.idle or 0) * 1000)} ms). QUITTING.")
        if (gone := lost(relay)) is not None:
            raise full(gone)
        if isinstance(failed(relay), ConnectionResetError):
            raise Quit("", 1)


def _shown(host: str) -> str:
    return host.removeprefix("::ffff:")


def _context(options: Options) -> ssl.SSLContext | None:
    if not options.ssl:
        return None
    from portside.system.tls import server_context

    if not options.certificate and options.verbose:
        loud("Generating a temporary 2048-bit RSA key. Use --ssl-key and --ssl-cert to use a permanent one.")
    try:
        return server_context(tls_wish(options).replace(ca=""))[0]  # it asks no client for one
    except PortsideError as error:
        raise wrong(f"{error}.") from error


def _guard(options: Options) -> Guard | None:
    if not (options.proxy_type and options.proxy_auth):
        return None
    from portside.wire.http_auth import Guard

    user, _, password = options.proxy_auth.partition(":")
    return Guard(user, password, os.urandom(32))


def _access(options: Options) -> Access:
    return Access(
        allow=_networks(options.allow, options.allow_files), deny=_networks(options.deny, options.deny_files)
    )


def _networks(given: tuple[str, ...], files: tuple[str, ...]) -> tuple[Network, ...]:
    found = [network for word in given for network in _network(word, f'error in host specification "{word}"')]
    for path in files:
        try:
            with open(path) as file:
                words = [word for line in file for word in line.partition("#")[0].split()]
        except OSError as error:
            raise wrong(f"can't open {path}: {reason(error)}.") from error
        found += [network for word in words for network in _network(word, f"error in hosts file {path}")]
    return tuple(found)


def _network(word: str, complaint: str) -> list[Network]:
    """Read an address, a network or a host's name, which stands for all its addresses."""
    try:
        return [parse_network(word)]
    except PortsideError:
        host, slash, bits = word.partition("/")
    try:
        found = sorted({each.place[0] for each in sockets.resolve(host, 0)})
        return [parse_network(each + slash + bits) for each in found]
    except PortsideError as error:
        if error.operation == "resolve":
            loud(f'Error resolving name "{host}": {reason(error)}')
        raise wrong(f"{complaint}.") from error


def _listeners(options: Options) -> list[socket]:
    """Return the bound sockets: both families where none was named, with one port."""
    kind = sockets.DATAGRAM if options.udp else sockets.STREAM
    if options.unix:
        try:
            made = [sockets.listen(sockets.unix_address(options.host or "", kind))]
        except PortsideError as error:
            raise wrong(f"bind to {options.host}: {reason(error)}.") from error
        _listens(options, options.host or "")
        return made
    found: list[socket] = []
    port = options.port or 0
    for address in _places(options, kind):
        place = (address.place[0], port, *address.place[2:])
        try:
            found.append(sockets.listen(address.replace(place=place), v6only=True))
        except PortsideError as error:
            if options.host is None and error.errno in _NOT_HERE:
                continue
            raise wrong(f"bind to {place[0]}:{port}: {reason(error)}.") from error
        port = found[-1].getsockname()[1]
        _listens(options, f"{place[0]}:{port}")
    if not found:
        raise wrong("Unable to open any listening sockets.")
    return found


def _places(options: Options, kind: int) -> list[sockets.Address]:
    family = {"": 0, "4": sockets.V4, "6": sockets.V6}[options.family]
    try:
        found = sockets.resolve(
            options.host, options.port or 0, type=kind, family=family, numeric=options.numeric, passive=True
        )
    except PortsideError as error:
        raise wrong(f'Could not resolve hostname "{options.host}": {reason(error)}.') from error
    return sorted(found, key=lambda each: each.family, reverse=True)


def _listens(options: Options, shown: str) -> None:
    if options.verbose:
        loud(f"Listening on {shown}")
    if options.test:
        sys.stderr.write("NCAT TEST: LISTEN\n")
        sys.stderr.flush()
