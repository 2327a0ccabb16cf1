"""The second road to the owners of sockets: the links in /proc/PID/fd, for the wanted inodes alone.

How it works.  A link of a socket reads `socket:[INODE]`.  readlink(2) is used and not stat(2): it costs the same
(about 2 us per descriptor) and can never hang on a file of a dead NFS server.  Processes are looked at in an order:

1. the likely ones: pid 1 (socket activation), processes with the uid or the cgroup of a wanted socket;
2. the others, until every wanted socket has been found;
3. then, because a socket may have several holders, the kin of the holders found: same session or process group,
   ancestors, descendants, and processes of the same cgroup; until no new holder turns up.

What this can miss when everything wanted was found early: a *further* holder with another uid than the socket's
creator, in another cgroup and session and not related, i.e. one that was given the descriptor over a Unix socket
(SCM_RIGHTS) or by pidfd_getfd(2).  `thorough=True` looks at every process.

Never seen by this road: descriptors in flight over SCM_RIGHTS; threads that gave up sharing their process's table
(unshare(CLONE_FILES)), whose own /proc/PID/task/TID/fd is not read; processes of a pid namespace that is not ours
or below; those that `hidepid` hides (`hidden`), and those in `denied`.  A process whose first thread has ended while
others run has an empty /proc/PID/fd: the first living thread's is read instead.

Reference: proc_pid_fd(5), fs/proc/fd.c.  Reading needs PTRACE_MODE_READ: same uid and dumpable, or CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os

from portside.record import Record
from portside.wire import procpid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ROOT = "/proc"

# From Linux 6.2 (f1f1f2569901, "proc: report open files as size in stat() for /proc/pid/fd") the size of the
# directory is the number of descriptors.  Tables this large are read by number: it saves the readdir, which costs
# as much as half of the links.
_MANY = 128


class Found(Record):
    """The outcome of a search: inode -> (pid, fd) pairs, and what could not be looked at.

    `denied`: pid -> uid of processes whose descriptors may not be read.  `scanned` counts those that were read.
    `hidden` is true when /proc does not even show pid 1: hidepid is in force.
    """

    holders: dict[int, list[tuple[int, int]]]
    denied: dict[int, int]
    scanned: int
    hidden: bool


def find_holders(
    wanted: Collection[int],
    *,
    root: str = ROOT,
    uids: Collection[int] = (),
    cgroups: Collection[str] = (),
    thorough: bool = False,
) -> Found:
    """Find who holds the sockets with the `wanted` inodes, as the head of this file says.

    `uids` and `cgroups` are those of the wanted sockets, as sock_diag tells them: they say where to look first.
    """
    search = _Search(wanted, root)
    pids = search.pids() if search.links else []
    others = []
    for pid in pids:
        if pid == 1 or (uids and search.uid(pid) in uids) or (cgroups and search.cgroup(pid) in cgroups):
            search.scan(pid)
        else:
            others.append(pid)
    unread = search.scan_until_found(others, thorough)
    if search.holders:
        search.scan_kin(unread, pids)
    for held in search.holders.values():
        held.sort()
    return Found(search.holders, search.denied, search.scanned, bool(pids) and 1 not in pids)


def unreadable(root: str = ROOT) -> dict[int, int]:
    """Return pid -> uid of the processes whose descriptors this user may not read (root may be refused too)."""
    search = _Search((), root)
    for pid in search.pids():
        try:
            with os.scandir(b"%s%d/fd" % (search.root, pid)) as entries:
                for entry in entries:  # one link tells for all
                    os.readlink(entry.path)
                    break
        except PermissionError:
            search.denied[pid] = search.uid(pid)
        except OSError:
            continue
    return search.denied


def any_socket(root: str = ROOT) -> bool:
    """Whether a process whose descriptors this user may read holds a socket of any kind."""
    search = _Search((), root)
    return any(_holds_socket(b"%s%d/fd" % (search.root, pid)) for pid in search.pids())


def _holds_socket(directory: bytes) -> bool:
    try:
        return any(os.readlink(entry.path).startswith(b"socket:") for entry in os.scandir(directory))
    except OSError:  # gone, or not to be read
        return False


def any_in_flight(root: str = ROOT) -> bool:
    """Whether some Unix socket carries descriptors that were sent and not yet received (SCM_RIGHTS, unix(7)).

    The kernel tells it per socket, as `scm_fds` in /proc/PID/fdinfo/FD (5.10, commit 3c32da19a858).
    """
    search = _Search((), root)
    return any(_carries(b"%s%d" % (search.root, pid)) for pid in search.pids())


def _carries(process: bytes) -> bool:
    try:
        for name in os.listdir(process + b"/fd"):
            if os.readlink(process + b"/fd/" + name).startswith(b"socket:"):
                with open(process + b"/fdinfo/" + name, "rb", buffering=0) as info:
                    _, told, rest = info.read(1024).partition(b"scm_fds:")
                if told and rest.split()[0] != b"0":
                    return True
    except OSError:
        pass  # gone, or not to be read: counted elsewhere
    return False


class _Search:
    """One search: where it looks, what it has found."""

    def __init__(self, wanted: Collection[int], root: str) -> None:
        self.links = {b"socket:[%d]" % inode: inode for inode in wanted if inode}
        self.missing = set(self.links.values())
        self.holders: dict[int, list[tuple[int, int]]] = {}
        self.denied: dict[int, int] = {}
        self.scanned = 0
        self.holding: set[int] = set()
        self.root = os.fsencode(root).rstrip(b"/") + b"/"

    def pids(self) -> list[int]:
        """List the processes that can be seen, in order."""
        try:
            return sorted(int(name) for name in os.listdir(self.root) if name.isdigit())
        except OSError:
            return []

    def uid(self, pid: int) -> int:
        """Return the effective uid: the kernel gives this directory to it, dumpable or not."""
        try:
            return os.stat(b"%s%d" % (self.root, pid)).st_uid
        except OSError:
            return -1

    def cgroup(self, pid: int) -> str:
        data = self._file(pid, b"cgroup")
        return procpid.parse_cgroup(data).path if data else ""

    def scan_until_found(self, pids: list[int], thorough: bool) -> list[int]:
        """Scan in order until nothing is missing; return the processes not looked at."""
        for index, pid in enumerate(pids):
            if not self.missing and not thorough:
                return pids[index:]
            self.scan(pid)
        return []

    def scan_kin(self, unread: list[int], everyone: list[int]) -> None:
        """Scan the relatives of holders among `unread`, and theirs, until there are no more."""
        if not unread:
            return
        stats = {pid: procpid.parse_stat(data) for pid in everyone if (data := self._file(pid, b"stat"))}
        left = [pid for pid in unread if pid in stats and not stats[pid].kernel_thread]
        known: set[int] = set()
        while left and self.holding != known:
            known = set(self.holding)
            kin = _kin(known, left, stats) | self._cgroup_mates(known, left)
            left = [pid for pid in left if pid not in kin]
            for pid in kin:
                self.scan(pid)

    def _cgroup_mates(self, holding: set[int], pids: list[int]) -> set[int]:
        paths = {self.cgroup(pid) for pid in holding} - {"", "/"}
        return {pid for pid in pids if self.cgroup(pid) in paths} if paths else set()

    def scan(self, pid: int) -> None:
        """Look at every descriptor of one process."""
        try:
            found = self._wanted_of(pid)
        except (FileNotFoundError, ProcessLookupError):
            return
        except OSError:
            self.denied[pid] = self.uid(pid)
            return
        self.scanned += 1
        for inode, fd in found:
            self.holders.setdefault(inode, []).append((pid, fd))
            self.missing.discard(inode)
        if found:
            self.holding.add(pid)

    def _wanted_of(self, pid: int) -> list[tuple[int, int]]:
        """Return the wanted (inode, fd) of a process.

        A first thread that has ended while others run has no descriptors, and refuses anybody but root.
        """
        try:
            found = self._wanted_in(b"%s%d/fd" % (self.root, pid))
        except PermissionError:
            if b") Z " not in self._file(pid, b"stat"):
                raise
            found = None
        return self._wanted_in_threads(pid) if found is None else found

    def _wanted_in_threads(self, pid: int) -> list[tuple[int, int]]:
        """Look at the first thread that has descriptors: the first one of the process has ended."""
        tasks = b"%s%d/task" % (self.root, pid)
        for thread in os.listdir(tasks):
            if int(thread) != pid:
                found = self._wanted_in(b"%s/%s/fd" % (tasks, thread))
                if found is not None:
                    return found
        return []

    def _wanted_in(self, path: bytes) -> list[tuple[int, int]] | None:
        """Return the wanted (inode, fd) in one fd directory; `None` if it is empty."""
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            count = os.fstat(directory).st_size
            if count >= _MANY:
                found, complete = self._by_number(directory, count)
                if complete:
                    return found
            names = os.listdir(path)
            return self._by_name(directory, names) if names else None
        finally:
            os.close(directory)

    def _by_name(self, directory: int, names: list[bytes]) -> list[tuple[int, int]]:
        found = []
        links, readlink = self.links, os.readlink
        for name in names:
            try:
                inode = links.get(readlink(name, dir_fd=directory))
            except FileNotFoundError:
                continue
            if inode is not None:
                found.append((inode, int(name)))
        return found

    def _by_number(self, directory: int, count: int) -> tuple[list[tuple[int, int]], bool]:
        """Read descriptors 0, 1, 2, ... until `count` were seen; false if the table is too full of holes."""
        found = []
        links, readlink = self.links, os.readlink
        number, misses = 0, count // 8
        while count and misses:
            try:
                inode = links.get(readlink(b"%d" % number, dir_fd=directory))
            except FileNotFoundError:
                misses -= 1
            else:
                count -= 1
                if inode is not None:
                    found.append((inode, number))
            number += 1
        return found, not count

    def _file(self, pid: int, name: bytes) -> bytes:
        try:
            descriptor = os.open(b"%s%d/%s" % (self.root, pid, name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.read(descriptor, 8192)
        except OSError:
            return b""
        finally:
            os.close(descriptor)


def _kin(holding: Iterable[int], pids: list[int], stats: dict[int, procpid.ProcStat]) -> set[int]:
    """Return those of `pids` that share a session or process group with a holder, descend from one, or begot one."""
    holding = set(holding)
    held = [stats[pid] for pid in holding if pid in stats]
    sessions = {stat.session for stat in held} - {0}
    groups = {stat.pgrp for stat in held} - {0}
    ancestors = {pid for holder in holding for pid in _ancestors(holder, stats)}
    return {
        pid
        for pid in pids
        if stats[pid].session in sessions
        or stats[pid].pgrp in groups
        or pid in ancestors
        or not holding.isdisjoint(_ancestors(pid, stats))
    }


def _ancestors(pid: int, stats: dict[int, procpid.ProcStat]) -> list[int]:
    """Return the ancestors of a process below pid 1 (everybody descends from that one)."""
    chain: list[int] = []
    while pid in stats and stats[pid].ppid > 1 and stats[pid].ppid not in chain:
        pid = stats[pid].ppid
        chain.append(pid)
    return chain
