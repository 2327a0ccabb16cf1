"""A snapshot: the sockets of one or all network namespaces at one moment, with their owners.

Theory of operation.  `take` reads first, namespace by namespace, and keeps what the kernel wrote; then it asks who
holds the inodes it read (never the other way round: a socket opened in between would have no owner).  What is still
unexplained is looked up once more, and then asked for again, to tell a socket that has gone from one that the
kernel owns.  Records are made when they are read: a snapshot of 100,000 sockets is a few buffers until somebody
iterates over it.
"""

from __future__ import annotations

import time

from portside.errors import PortsideError
from portside.see import owners
from portside.see.attribution import Attribution
from portside.see.processes import ProcessTable
from portside.see.reading import Wish, namespaces, read_again, read_parts
from portside.see.records import OTHER_PID_NAMESPACE, PERMISSION, Gap, Socket
from portside.system.containers import ContainerFiles
from portside.system.host import LIVE, Host
from portside.system.privilege import how_to_see_more
from portside.system.processes import ProcessReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.see.owners import Holders
    from portside.see.reading import Part


class Snapshot:
    """Sockets at one moment.  Iterate over it, or over `sockets` for a list; every socket comes with its owners.

    `at` is the moment in seconds since the epoch, `accept` the filter's check of what the kernel did not decide,
    `attribution` what tells whose a socket is (None where owners were not asked for).
    Where there are very many sockets, the facts of processes are read when the sockets are: a holder that ended
    before is told as `gone`.
    """

    def __init__(
        self, host: Host, parts: list[Part], gaps: list[Gap], wish: Wish, processes: ProcessTable
    ) -> None:
        self.at = time.time()
        self.host = host
        self.parts = parts
        self.wish = wish
        self.holders: Holders | None = None
        self.processes = processes
        self.accept: Callable[[Socket], bool] | None = None
        self._static_gaps = gaps
        self.attribution: Attribution | None = None
        self._sockets: list[Socket] | None = None

    @property
    def sockets(self) -> list[Socket]:
        """Every socket that the filter accepts, as a list made once."""
        if self._sockets is None:
            self._sockets = list(iter(self))  # iter: list(self) would ask for the length first
        return self._sockets

    def __iter__(self) -> Iterator[Socket]:
        found = (socket for part in self.parts for socket in self._read(part))
        return found if self.accept is None else filter(self.accept, found)

    def __len__(self) -> int:
        return len(self.sockets)

    def __getitem__(self, index: int) -> Socket:
        return self.sockets[index]

    def _read(self, part: Part) -> Iterator[Socket]:
        """Yield the sockets of one part with their owners; the plain case, one holder, goes straight."""
        attribution = self.attribution
        if attribution is None:
            yield from part.sockets()
            return
        inet, plain, namespace = part.decoder.inet, attribution.plain, part.namespace
        for dump in part.dumps:
            for row in part.rows(dump):
                held = plain(row[14], row[13])
                yield (
                    inet(dump, row, held) if held is not None else attribution.of(inet(dump, row), namespace)
                )
        for socket in part.others():
            yield attribution.of(socket, namespace)

    def decorate(self, socket: Socket, part: Part) -> Socket:
        """Return a socket that was read in `part` with its owners."""
        return socket if self.attribution is None else self.attribution.of(socket, part.namespace)

    @property
    def gaps(self) -> list[Gap]:
        """What could not be seen, counted: reads every socket."""
        counts: dict[str, int] = {}
        for socket in self.sockets:
            if socket.owner_gap:
                counts[socket.owner_gap] = counts.get(socket.owner_gap, 0) + 1
        return self.count_gaps(counts)

    def count_gaps(self, owner_gaps: dict[str, int]) -> list[Gap]:
        """Return the gaps of the reading and those of `owner_gaps` that another user or road could fill."""
        spoiling = [(why, owner_gaps[why]) for why in _SPOILING if why in owner_gaps]
        return self._static_gaps + [Gap("owners", why, count, _next_step(why)) for why, count in spoiling]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing that another user or another road could have seen."""
        return not self.gaps

    @property
    def roads(self) -> dict[str, str]:
        """Which road each kind of answer took: protocol, family or `owners` -> `sock_diag`, `proc` or `bpf`."""
        taken: dict[str, str] = {}
        for part in self.parts:
            taken |= part.roads
        if self.holders is not None:
            taken["owners"] = self.holders.road
        return taken

    def find_owners(self) -> None:
        """Ask who holds what was read; ask once more for what nobody seems to hold."""
        wanted: list[int] = []
        for part in self.parts:
            wanted += part.inodes()
        holders = self.holders = owners.find(self.host, wanted, self._creators)
        self.attribution = Attribution(self.host, self.processes, holders)
        if len(wanted) <= _FEW:  # facts at the moment of the look; of very many, when they are read
            for inode in wanted:
                for pid, _ in holders.of(inode):
                    self.processes.process(pid)
        missing = holders.missing(wanted)
        if missing:
            self.attribution.gone = self._look_again(holders, missing)

    def _look_again(self, holders: Holders, missing: set[int]) -> set[int]:
        """Explain the sockets that nobody seems to hold: held after all, out of this user's sight, or gone."""
        if not holders.denied:
            holders.merge(owners.find(self.host, missing))
            missing = holders.missing(missing)
        if holders.denied and len(missing) > _FEW:  # other users': most of them are there, and hidden
            return set()
        gone = {inode for part in self.parts for inode in self._vanished(part, missing)}
        if missing - gone and not holders.denied:
            holders.denied = owners.unreadable(self.host)
        return gone

    def _vanished(self, part: Part, missing: set[int]) -> set[int]:
        """Return those of the `missing` inodes of a part that a second reading does not tell any more."""
        here = missing.intersection(part.inodes())
        if not here:
            return here
        try:
            return here.difference(read_again(self.host, self.wish, part, here).inodes())
        except PortsideError:  # the whole namespace has gone, or cannot be read any more
            return here

    def _creators(self) -> tuple[set[int], set[str]]:
        """Return the uids and cgroups that created the sockets: their processes are the likely holders."""
        sockets = [socket for part in self.parts for socket in part.sockets()]
        uids = {socket.uid for socket in sockets if socket.uid is not None}
        return uids, {socket.cgroup for socket in sockets if socket.cgroup}


_FEW = 512
_SPOILING = (PERMISSION, OTHER_PID_NAMESPACE)


def _next_step(why: str) -> str:
    return "run it in the host's pid namespace" if why == OTHER_PID_NAMESPACE else how_to_see_more()


_EVERYTHING = Wish()


def take(wish: Wish = _EVERYTHING, host: Host = LIVE) -> Snapshot:
    """Read the sockets of `host` that `wish` names, and their owners.

    Raises NotSupported where neither sock_diag nor /proc/net can be read at all, BadReply where an answer is
    malformed.  What could not be seen is told by `Snapshot.gaps`, never raised.
    """
    processes = ProcessTable(ProcessReader(host.proc), ContainerFiles(host.root or "/"))
    spaces, gaps = namespaces(host, wish.every_netns, processes.container_of)
    parts, unread = read_parts(host, wish, spaces)
    snapshot = Snapshot(host, parts, gaps + unread, wish, processes)
    if wish.owners:
        snapshot.find_owners()
    return snapshot
