"""Which sockets sockstat shows, and what each line tells.

A socket has a line for each descriptor that refers to it, newest process first.  Those that nobody is seen to hold
come after, first those without a file (TIME_WAIT and the like), and say `??` for the holder.  A Unix socket is
listening where it is connected to none, its peers are told by path, else by `[pid fd]`.
"""

from __future__ import annotations

from portside.faces.bsd import TCP_STATES, ends
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.faces.sockstat.options import Options
    from portside.see.records import Owner, Socket

UNIX_TYPES = ("stream", "dgram", "seqpacket")
_TCP = ("tcp", "mptcp")


class End(Record):
    """One end of a socket: address and port, or a Unix socket's path, or the [pid, fd] of its peers.

    `known` is False where there is nothing to tell; `arrow` is what stands before it in text.
    """

    address: str = ""
    port: int = 0
    path: str = ""
    peers: tuple[tuple[int, int], ...] = ()
    arrow: str = ""
    known: bool = True


class Line(Record):
    """What is told of one socket, for one holder of it; the fields from `id` on are None where they do not apply."""

    owner: Owner | None
    proto: str
    local: End
    foreign: End
    id: str | None = None
    encaps: int | None = None
    state: str | None = None
    stack: str | None = None
    cc: str | None = None


def lines(sockets: Iterable[Socket], options: Options) -> list[Line]:
    """Return the lines in sockstat's order; `sockets` has every Unix socket, so that peers are found."""
    every = list(sockets)
    peers = _Peers(every) if options.unix else None
    held: list[tuple[Owner, Line]] = []
    without_file: list[Line] = []
    unheld: list[Line] = []
    for socket in every:
        line = _line(socket, options, peers)
        if line is None:
            continue
        held += [(owner, line) for owner in socket.owners]
        if not socket.owners:
            (unheld if socket.inode else without_file).append(line)
    held.sort(key=lambda pair: (-pair[0].process.start_ticks, -pair[0].pid, pair[0].fd))
    return [line.replace(owner=owner) for owner, line in held] + without_file + unheld


def _line(socket: Socket, options: Options, peers: _Peers | None) -> Line | None:
    """Return a socket's line without its holder, None where it is not wanted."""
    if socket.family == "unix":
        return _unix(socket, options, peers) if peers is not None and socket.type in UNIX_TYPES else None
    return _inet(socket, options) if socket.family in ("inet", "inet6") else None


def _inet(socket: Socket, options: Options) -> Line | None:
    local, remote = socket.local, socket.remote
    if not (options.connected if remote.port else options.listening):
        return None
    if not options.loopback and "loopback" in (local.scope, remote.scope):
        return None
    if options.ports is not None and options.ports.isdisjoint((local.port, remote.port)):
        return None
    told = ends(socket)
    if not ((options.v4 and "4" in told.versions) or (options.v6 and "6" in told.versions)):
        return None
    tcp = socket.protocol in _TCP
    state = socket.state.removeprefix("state-")
    return Line(
        None,
        socket.protocol + told.versions,
        End(told.local, local.port),
        End(told.remote, remote.port),
        str(socket.cookie) if socket.cookie and (tcp or socket.protocol.startswith("udp")) else None,
        0 if tcp and socket.state not in ("listen", "bound-inactive") else None,
        TCP_STATES.get(state, state) if tcp or socket.protocol == "sctp" else None,
        "linux" if tcp else None,
        _congestion_control(socket) if tcp else None,
    )


def _congestion_control(socket: Socket) -> str | None:
    for name, value in socket.attributes:
        if name == "cong":
            return str(value)
    return None


def _unix(socket: Socket, options: Options, peers: _Peers) -> Line | None:
    peer = peer_of(socket)
    if not (options.connected if peer else options.listening):
        return None
    local = End(
        path=socket.local.address, known=bool(socket.local.address), address="" if peer else "(not connected)"
    )
    return Line(None, socket.type, local, peers.foreign(socket, peer))


def peer_of(socket: Socket) -> int:
    """Return the inode of the Unix socket that one is connected to, 0 where there is none."""
    for name, value in socket.attributes:
        if name == "peer" and isinstance(value, int):
            return value
    return 0


class _Peers:
    """Unix sockets by inode, and who is connected to whom."""

    def __init__(self, sockets: list[Socket]) -> None:
        self._by_inode = {socket.inode: socket for socket in sockets if socket.family == "unix"}
        self._connected: dict[int, list[Socket]] = {}
        for socket in self._by_inode.values():
            peer = peer_of(socket)
            if peer:
                self._connected.setdefault(peer, []).append(socket)

    def foreign(self, socket: Socket, peer: int) -> End:
        """Return the other end: the peer's path, else its holder; or the holders of those connected to it."""
        if peer:
            other = self._by_inode.get(peer)
            if other is None:
                return End(arrow="-> ", known=False)
            if other.local.address:
                return End(path=other.local.address, arrow="-> ")
            return End(peers=_first_holders([other]), arrow="-> ")
        clients = self._connected.get(socket.inode, ())
        return End(peers=_first_holders(clients), arrow=" <- ") if clients else End(known=False)


def _first_holders(sockets: Iterable[Socket]) -> tuple[tuple[int, int], ...]:
    return tuple((socket.owners[0].pid, socket.owners[0].fd) for socket in sockets if socket.owners)
