"""Everything about one port: who holds it, their process trees, its listeners, its connections by peer."""

from __future__ import annotations

from portside.record import Record
from portside.see.ports import OpenPort, is_open, open_ports
from portside.see.records import Process, Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portside.see.reach import Judge
    from portside.see.snapshot import Snapshot


class Peer(Record):
    """The connections of a port with one remote address: how many, in which states, held by which processes."""

    address: str
    scope: str
    count: int
    states: tuple[tuple[str, int], ...]
    processes: tuple[Process, ...]


class Report(Record):
    """What `who` found for a port: open ports, the ancestry of their holders (parent first), and the peers."""

    port: int
    ports: tuple[OpenPort, ...]
    ancestry: tuple[tuple[int, tuple[Process, ...]], ...]
    peers: tuple[Peer, ...]

    @property
    def connections(self) -> int:
        """How many connections use the port as their local port."""
        return sum(peer.count for peer in self.peers)

    @property
    def found(self) -> bool:
        """Whether anything uses the port at all."""
        return bool(self.ports or self.peers)


def report(snapshot: Snapshot, port: int, service_name: Callable[[int, str], str], judge: Judge) -> Report:
    """Sort a snapshot's sockets of one local port into listeners and connections."""
    sockets = [socket for socket in snapshot.sockets if socket.local.port == port]
    ports = tuple(open_ports(sockets, service_name, judge))
    pids = {holder.process.pid for row in ports for holder in row.holders}
    ancestry = tuple((pid, snapshot.processes.parents(pid)) for pid in sorted(pids))
    return Report(port, ports, ancestry, tuple(_peers(socket for socket in sockets if not is_open(socket))))


def _peers(sockets: Iterable[Socket]) -> list[Peer]:
    """Group connections by remote address, the busiest first; subflows of an MPTCP connection count once."""
    groups: dict[str, list[Socket]] = {}
    seen: set[int] = set()
    for socket in sockets:
        if socket.inode and socket.inode in seen:
            continue
        seen.add(socket.inode)
        groups.setdefault(socket.remote.address, []).append(socket)
    peers = [_peer(address, group) for address, group in groups.items()]
    return sorted(peers, key=lambda peer: (-peer.count, peer.address))


def _peer(address: str, group: list[Socket]) -> Peer:
    states: dict[str, int] = {}
    processes: dict[int, Process] = {}
    for socket in group:
        states[socket.state] = states.get(socket.state, 0) + 1
        for owner in socket.owners:
            processes.setdefault(owner.pid, owner.process)
    return Peer(
        address, group[0].remote.scope, len(group), tuple(sorted(states.items())), tuple(processes.values())
    )
