"""The table of Unix domain sockets as BSD's netstat draws it (usr.bin/netstat/unix.c, 64-bit columns).

BSD tells kernel addresses: a socket's, its peer's, the first one connected to it, the next one connected to the same.
Linux tells none, so that each column has the socket's inode instead: equal numbers are still the same socket.  Inode
is that of the file the socket is bound to.
"""

from __future__ import annotations

from portside.faces import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.see.records import Socket

_TYPES = ("stream", "dgram", "seqpacket")
_TITLES = (
    f"{'Address':<16} {'Type':<6} {'Recv-Q':<6} {'Send-Q':<6} {'Inode':>16} {'Conn':>16} {'Refs':>16} "
    f"{'Nextref':>16} Addr"
)


def table(sockets: Iterable[Socket], queues: bool) -> Iterator[str]:
    """Yield titles and lines by type; with `queues` a line for each listener, without titles."""
    found = [socket for socket in sockets if socket.family == "unix" and socket.type in _TYPES]
    found.sort(key=lambda socket: _TYPES.index(socket.type))
    if queues:
        for socket in found:
            if socket.backlog is not None:
                sizes = f"{socket.backlog.used}/0/{socket.backlog.limit or 0}"
                yield f"unix  {sizes:<14}{_path(socket)}"
        return
    if found:
        yield "Active UNIX domain sockets"
        yield _TITLES
    first, following = _chains(found)
    for socket in found:
        yield _line(socket, first, following)


def _chains(sockets: list[Socket]) -> tuple[dict[int, int], dict[int, int]]:
    """Return peer -> the first socket connected to it, and each such socket -> the next one."""
    first: dict[int, int] = {}
    following: dict[int, int] = {}
    last: dict[int, int] = {}
    for socket in sockets:
        peer = _number(socket, "peer")
        if peer:
            first.setdefault(peer, socket.inode)
            following[last.get(peer, 0)] = last[peer] = socket.inode
    return first, following


def _line(socket: Socket, first: dict[int, int], following: dict[int, int]) -> str:
    inode, peer = socket.inode, _number(socket, "peer")
    refs = 0 if peer else first.get(inode, 0)
    pointers = (_number(socket, "vfs"), peer, refs, following.get(inode, 0) if inode else 0)
    head = f"{inode:>16x} {socket.type[:6]:<6} {socket.queues.receive:>6} {socket.queues.send:>6} "
    return head + " ".join(f"{number:>16x}" for number in pointers) + _path(socket)


def _path(socket: Socket) -> str:
    return f" {printable(socket.local.address)}" if socket.local.address else ""


def _number(socket: Socket, name: str) -> int:
    """Return a number that the kernel told of a socket, the first of several; 0 where it told none."""
    for known, value in socket.attributes:
        if known == name:
            first = value[0] if isinstance(value, tuple) and value else value
            return first if isinstance(first, int) else 0
    return 0
