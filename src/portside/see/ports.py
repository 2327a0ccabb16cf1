"""One row per open port: the sockets of one service merged.

Open means: a stream socket that listens or is bound without listening (it is why bind() fails), or a datagram socket
that is bound and not connected to one peer.  Sockets of one port, state and namespace are one row when they are the
same program's: they share a holder or an inode (fork, systemd), or their holders are the same executable of the same
user, unit and container (IPv4 beside IPv6, SO_REUSEPORT workers).  Where no holder can be seen, the creator's uid
and cgroup stand in.
"""

from __future__ import annotations

from portside.record import Record
from portside.see.processes import is_manager
from portside.see.reach import NOT_LISTENING, Reach, by_scope
from portside.see.records import Backlog, Container, Endpoint, Process, Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portside.see.reach import Judge

DATAGRAM = ("udp", "udplite")
STREAM = ("tcp", "mptcp", "sctp")


class Holder(Record):
    """One process that holds a port, and its descriptors for it."""

    process: Process
    fds: tuple[int, ...]


class OpenPort(Record):
    """One open port of one service.

    `service` is guessed from the number (empty: the registries know none).  `started` is when the oldest holder
    started, in seconds since the epoch.  `unit`, `container` and `user` are the first holder's, else the creator's.
    `protocol` is tcp for an MPTCP listener too, `mptcp` says so.  `socket_unit` and `kernel` are as in `Socket`.
    """

    protocol: str
    port: int
    service: str
    addresses: tuple[Endpoint, ...]
    state: str
    backlog: Backlog | None
    holders: tuple[Holder, ...]
    owner_gap: str
    netns: str
    reach: Reach
    uid: int | None
    user: str
    unit: str
    container: Container | None
    socket_unit: str
    kernel: str
    started: float | None
    mptcp: bool
    sockets: tuple[Socket, ...]


def is_open(socket: Socket) -> bool:
    """Whether a socket makes its port open, by the definition above."""
    if not socket.local.port:
        return False
    if socket.protocol in STREAM:
        return socket.state in ("listen", "bound-inactive")
    return socket.protocol in DATAGRAM and socket.state == "unconnected"


def open_ports(
    sockets: Iterable[Socket],
    service_name: Callable[[int, str], str] = lambda port, protocol: "",
    judge: Judge = by_scope,
) -> list[OpenPort]:
    """Merge the open ones of `sockets` to rows, in order of namespace, port and protocol.

    `service_name` gives a name for (port, transport); `judge` decides the reach.
    """
    kins: dict[tuple[str, str, int, str], list[Socket]] = {}
    for socket in sockets:
        if is_open(socket):
            key = (socket.netns, _transport(socket), socket.local.port, socket.state)
            kins.setdefault(key, []).append(socket)
    rows = [_row(group, service_name, judge) for kin in kins.values() for group in _services(kin)]
    return sorted(rows, key=lambda row: (row.netns, row.port, row.protocol, row.state != "listen"))


def _transport(socket: Socket) -> str:
    return "tcp" if socket.protocol == "mptcp" else socket.protocol


def _services(kin: list[Socket]) -> list[list[Socket]]:
    """Split the sockets of one port into services: groups that share a mark, directly or through others."""
    group_of: dict[object, list[Socket]] = {}
    marks_of: dict[int, set[object]] = {}  # id of a group -> its marks
    for socket in kin:
        marks = _marks(socket)
        touched = {id(group): group for mark in marks if (group := group_of.get(mark)) is not None}
        home = max(touched.values(), key=len, default=[])
        home.append(socket)
        gathered = marks_of.setdefault(id(home), set())
        for other in touched.values():
            if other is not home:
                home += other
                marks |= marks_of.pop(id(other))
        gathered |= marks
        group_of.update(dict.fromkeys(marks, home))
    return list({id(group): group for group in group_of.values()}.values())


def _marks(socket: Socket) -> set[object]:
    """Return what makes two sockets of a port the same service's.

    A manager (systemd) holds sockets of many services: there the socket unit, or the address, takes its place.
    """
    marks: set[object] = {("inode", socket.inode)} if socket.inode else set()
    managers = [owner for owner in socket.owners if is_manager(owner.process)]
    if managers:
        marks.add(("unit", socket.socket_unit) if socket.socket_unit else ("address", socket.local))
    for owner in socket.owners:
        process = owner.process
        if owner in managers:
            continue
        marks.add(("pid", owner.pid))
        container = process.container.id if process.container else ""
        marks.add(("program", process.exe or process.name, process.uid, process.unit, container))
    if not socket.owners:
        marks.add(("creator", socket.uid, socket.cgroup, socket.owner_gap))
    return marks


def _row(group: list[Socket], service_name: Callable[[int, str], str], judge: Judge) -> OpenPort:
    first = group[0]
    protocol = _transport(first)
    addresses = _distinct_addresses(group)
    holders = _holders(group)
    processes = [holder.process for holder in holders]
    gaps = [socket.owner_gap for socket in group if socket.owner_gap]
    starts = [process.started for process in processes if process.started is not None]
    return OpenPort(
        protocol=protocol,
        port=first.local.port,
        service=service_name(first.local.port, protocol),
        addresses=addresses,
        state=first.state,
        backlog=_fullest(group),
        holders=holders,
        owner_gap=gaps[0] if gaps else "",
        netns=first.netns,
        reach=NOT_LISTENING if first.state == "bound-inactive" else judge(group),
        uid=processes[0].uid if processes else first.uid,
        user=processes[0].user if processes else first.user,
        unit=next((socket.unit for socket in group if socket.unit), ""),
        container=next((socket.container for socket in group if socket.container), None),
        socket_unit=next((socket.socket_unit for socket in group if socket.socket_unit), ""),
        kernel=next((socket.kernel for socket in group if socket.kernel), ""),
        started=min(starts, default=None),
        mptcp=any(socket.protocol == "mptcp" for socket in group),
        sockets=tuple(group),
    )


def _distinct_addresses(group: list[Socket]) -> tuple[Endpoint, ...]:
    """Return each address once, IPv4 first; one that tells v6only stands for the same one that does not (MPTCP's)."""
    found: dict[tuple[str, str, bool | None], Endpoint] = {}
    told = {
        (socket.local.address, socket.local.device) for socket in group if socket.local.v6only is not None
    }
    for socket in group:
        local = socket.local
        if local.v6only is not None or (local.address, local.device) not in told:
            found.setdefault((local.address, local.device, local.v6only), local)
    return tuple(sorted(found.values(), key=lambda end: (":" in end.address, end.address, end.device)))


def _holders(group: list[Socket]) -> tuple[Holder, ...]:
    """Return each process once with all its descriptors of this port, in order of pid."""
    fds: dict[int, set[int]] = {}
    processes: dict[int, Process] = {}
    for socket in group:
        for owner in socket.owners:
            fds.setdefault(owner.pid, set()).add(owner.fd)
            processes[owner.pid] = owner.process
    return tuple(Holder(processes[pid], tuple(sorted(fds[pid]))) for pid in sorted(fds))


def _fullest(group: list[Socket]) -> Backlog | None:
    """Return the accept queue that is nearest to its limit."""
    backlogs = [socket.backlog for socket in group if socket.backlog is not None]
    return max(backlogs, key=lambda backlog: backlog.used / max(backlog.limit or 1, 1), default=None)
