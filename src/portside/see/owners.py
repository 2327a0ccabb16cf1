"""Who holds which socket: the eBPF road, else /proc/PID/fd, and how complete the view was.

The question is asked after the dump and for the dumped inodes, so a socket that is opened in between is simply
not in the answer.  A holder is kept as one number, descriptor above pid, because 100,000 of them are usual;
`Holders.of` gives the pairs.
"""

from __future__ import annotations

import os
import time

from portside.errors import NotSupported, PortsideError
from portside.see import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portside.system.host import Host

_MANY = 512  # more wanted inodes than this: let the kernel tell all sockets instead of comparing each


class Holders:
    """inode -> holders, the road they came by, and what stood in the way.

    `packed` maps an inode to its holder as one number, to a tuple of numbers where there are several.
    `road` is `bpf` or `proc`; `why_not_bpf` is empty on the first; `denied` holds the pids whose descriptors could
    not be read; `whole` says whether every process of every pid namespace was seen.  `ticks` is when the look ended,
    in clock ticks since boot (None before a recorded machine), `later` the same for inodes that a second look found:
    a process that started afterwards is not the holder.
    """

    __slots__ = ("denied", "later", "packed", "road", "ticks", "whole", "why_not_bpf")

    def __init__(
        self, road: str, why_not_bpf: str = "", denied: Collection[int] = (), whole: bool = True
    ) -> None:
        self.packed: dict[int, int | tuple[int, ...]] = {}
        self.road = road
        self.why_not_bpf = why_not_bpf
        self.denied = denied
        self.whole = whole
        self.ticks: int | None = None
        self.later: dict[int, int] = {}

    def add_packed(self, inodes: list[int], packed: list[int]) -> None:
        """Take parallel columns of inodes and holders (`fd << 32 | pid`)."""
        known = self.packed
        known.update(zip(inodes, packed, strict=True))
        if len(known) == len(inodes):
            return
        several: dict[int, dict[int, None]] = {}  # in order, each once, however many there are
        for inode, holder in zip(inodes, packed, strict=True):
            if known[inode] != holder:
                several.setdefault(inode, {})[holder] = None
        for inode, holders in several.items():
            last = known[inode]
            known[inode] = (*holders, last) if isinstance(last, int) else last

    def merge(self, other: Holders) -> None:
        """Take what a second look found; its holders may have started after the first."""
        if other.ticks is not None:
            self.later.update(dict.fromkeys(other.packed.keys() - self.packed.keys(), other.ticks))
        for inode, packed in other.packed.items():
            self.packed.setdefault(inode, packed)

    def of(self, inode: int) -> tuple[tuple[int, int], ...]:
        """Return the (pid, fd) pairs that hold `inode`, in order of pid."""
        packed = self.packed.get(inode)
        if packed is None:
            return ()
        if isinstance(packed, int):
            return ((packed & 0xFFFFFFFF, packed >> 32),)
        return tuple(sorted((one & 0xFFFFFFFF, one >> 32) for one in packed))

    def missing(self, wanted: Collection[int]) -> set[int]:
        """Return the inodes of `wanted` that nobody was seen to hold; 0 is nobody's."""
        left = set(wanted)
        left.difference_update(self.packed)
        left.discard(0)
        return left


def find(
    host: Host, wanted: Collection[int], creators: Callable[[], tuple[set[int], set[str]]] | None = None
) -> Holders:
    """Return who holds the `wanted` inodes; `creators` tells uids and cgroups: which processes to look at first.

    Never raises for a missing right or kernel feature: the other road is taken and says so.
    """
    holders = _by_any_road(host, wanted, creators)
    if host.live:
        holders.ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    return holders


def _by_any_road(
    host: Host, wanted: Collection[int], creators: Callable[[], tuple[set[int], set[str]]] | None
) -> Holders:
    refused = "not asked for"
    if host.bpf and host.live:
        try:
            return _by_bpf(wanted)
        except PortsideError as error:
            refused = error.reason or str(error)
    return _by_proc(host, wanted, creators, refused)


def _by_bpf(wanted: Collection[int]) -> Holders:
    from portside.system import taskfiles
    from portside.system.processes import proc_is_ours

    if not proc_is_ours():
        raise NotSupported("read", "socket holders", "/proc shows another pid namespace than this process's")
    holders = Holders("bpf", whole=_initial_pid_namespace())
    holders.add_packed(*taskfiles.socket_holders(None if len(wanted) > _MANY else wanted))
    return holders


def _by_proc(
    host: Host,
    wanted: Collection[int],
    creators: Callable[[], tuple[set[int], set[str]]] | None,
    refused: str,
) -> Holders:
    from portside.system import fds

    uids, cgroups = creators() if creators is not None and len(wanted) <= _MANY else (set(), set())
    found = fds.find_holders(wanted, root=host.proc, uids=uids, cgroups=cgroups)
    whole = not host.live or _initial_pid_namespace()
    unseen = found.hidden or (host.live and not found.scanned)  # hidepid, or no /proc to look at
    holders = Holders("proc", refused, found.denied or (_HIDDEN if unseen else ()), whole)
    pairs = [(inode, fd << 32 | pid) for inode, held in found.holders.items() for pid, fd in held]
    holders.add_packed([inode for inode, _ in pairs], [packed for _, packed in pairs])
    return holders


_HIDDEN = (1,)  # hidepid: not even pid 1 can be seen, so others cannot either


def unreadable(host: Host) -> Collection[int]:
    """Return the processes whose descriptors may not be read; a kernel may hide them from an iterator as well."""
    from portside.system import fds

    return fds.unreadable(host.proc)


def any_in_flight(host: Host) -> bool:
    """Return whether a Unix socket carries descriptors that nobody has received yet."""
    from portside.system import fds

    return fds.any_in_flight(host.proc)


def _initial_pid_namespace() -> bool:
    from portside.system.processes import in_initial_pid_namespace

    return in_initial_pid_namespace()


def gap(socket: records.Socket, holders: Holders, gone: Collection[int]) -> str:
    """Say why a socket without visible holders has none: one of the words of `see.records`."""
    if socket.state == "time-wait":
        return records.TIME_WAIT
    if socket.state == "syn-recv":
        return records.SYN_QUEUE
    if socket.family == "netlink" and not socket.local.port:
        return records.KERNEL  # the kernel's own end of a netlink protocol
    if not socket.inode:
        return records.ACCEPT_QUEUE if socket.state in ("established", "close-wait") else records.ORPHAN
    if socket.inode in gone:
        return records.GONE
    if holders.denied:
        return records.PERMISSION
    return records.KERNEL if holders.whole else records.OTHER_PID_NAMESPACE
