"""The facts of a process, read from /proc/PID with as few system calls as possible.

Rule: a process that is gone is `None`, a file that may not be read is an empty field and its name in `denied`;
neither raises (too many open files does: NotSupported).  Each process is read through a descriptor of its directory,
which stays bound to that process: the facts can never be a mixture of a process and the later owner of its pid.  A
reader keeps what it read: make a new one for each snapshot.  Cost: about 20 us for a full read, 2 us for a name.

The parsing is in `portside.wire.procpid`.  Reference: proc_pid(5), pid_namespaces(7).
"""

from __future__ import annotations

import errno
import os

from portside.errors import NotSupported, PortsideError
from portside.record import Record
from portside.wire import procpid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from portside.wire.procpid import CgroupFile

    T = TypeVar("T")

ROOT = "/proc"
PROC_PID_INIT_INO = 0xEFFFFFFC  # include/linux/proc_ns.h: inode of the first pid namespace

_CHUNK = 4096
_LONGEST = 1 << 20  # of a command line (the kernel allows 2 MiB): enough for any reader
_ANCESTORS = 128  # bound of the parent chain


class ProcessFacts(Record):
    """What /proc tells of one process; `pid` and `start_ticks` together are its identity.

    `uid` is the effective uid.  `pids` is the pid in each nested pid namespace, from the reader's inwards.  `exe` may
    end in ` (deleted)`.  `denied` names the files that this user may not read; their fields are empty or `None`.
    """

    pid: int
    name: str = ""
    state: str = ""
    parent: int = 0
    group: int = 0
    session: int = 0
    start_ticks: int = 0
    started: float | None = None
    uid: int | None = None
    real_uid: int | None = None
    pids: tuple[int, ...] = ()
    threads: int = 0
    kernel_thread: bool = False
    exe: str = ""
    cmdline: tuple[str, ...] = ()
    cgroup: CgroupFile = procpid.CgroupFile()
    denied: tuple[str, ...] = ()


class ProcessReader:
    """Reads processes below a /proc root and remembers them."""

    def __init__(self, root: str = ROOT) -> None:
        self.root = root
        self._prefix = os.fsencode(root).rstrip(b"/") + b"/"
        self._facts: dict[int, ProcessFacts | None] = {}
        self._clock: tuple[int, int] | None = None

    def comm(self, pid: int) -> str | None:
        """Return the name of a process by one short read; `None` if it is gone, empty if it may not be read."""
        known = self._facts.get(pid)
        if known is not None:
            return known.name
        try:
            return procpid.parse_comm(_read(b"%s%d/comm" % (self._prefix, pid)))
        except PermissionError:
            return ""
        except OSError:
            return None

    def stat(self, pid: int) -> procpid.ProcStat | None:
        """Read `/proc/PID/stat` afresh: the cheap way to ask whether a pid is still the same process."""
        try:
            data = _read(b"%s%d/stat" % (self._prefix, pid))
        except OSError:
            return None
        return procpid.parse_stat(data) if data else None

    def read(self, pid: int) -> ProcessFacts | None:
        """Return all facts of a process, `None` if there is no such process (or hidepid hides it)."""
        try:
            return self._facts[pid]
        except KeyError:
            facts = self._facts[pid] = self._read(pid)
            return facts

    def parents(self, pid: int) -> tuple[ProcessFacts, ...]:
        """Return the ancestors of a process, its parent first, up to pid 1 or the last that can be seen."""
        chain: list[ProcessFacts] = []
        seen = {pid, 0}
        facts = self.read(pid)
        while facts is not None and facts.parent not in seen and len(chain) < _ANCESTORS:
            seen.add(facts.parent)
            facts = self.read(facts.parent)
            if facts is not None:
                chain.append(facts)
        return tuple(chain)

    def _read(self, pid: int) -> ProcessFacts | None:
        try:
            directory = os.open(b"%s%d" % (self._prefix, pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return self._facts_of(pid, directory)
            finally:
                os.close(directory)
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError, PermissionError):
            return None
        except OSError as error:  # too many open files, say: that is no answer
            reason = os.strerror(error.errno or 0).lower()
            raise NotSupported(
                "read", f"process {pid}", reason, _next_step(error), errno=error.errno
            ) from error

    def _facts_of(self, pid: int, directory: int) -> ProcessFacts | None:
        denied: list[str] = []

        def load(name: bytes, parse: Callable[[bytes], T]) -> T | None:
            try:
                data = _read(name, directory)
            except PermissionError:
                denied.append(name.decode())
                return None
            return parse(data) if data else None

        stat = load(b"stat", procpid.parse_stat)
        if stat is None and not denied:  # it ended between open and read
            return None
        status = load(b"status", procpid.parse_status)
        cmdline = load(b"cmdline", procpid.parse_cmdline)
        cgroup = load(b"cgroup", procpid.parse_cgroup)
        exe = _exe(directory, denied)
        return ProcessFacts(
            pid=pid,
            name=stat.comm if stat else "",
            state=stat.state if stat else "",
            parent=stat.ppid if stat else 0,
            group=stat.pgrp if stat else 0,
            session=stat.session if stat else 0,
            start_ticks=stat.starttime if stat else 0,
            started=self._started(stat.starttime) if stat else None,
            uid=status.uids[1] if status else os.stat(directory).st_uid,
            real_uid=status.uids[0] if status else None,
            pids=status.nspids if status else (),
            threads=stat.num_threads if stat else 0,
            kernel_thread=stat.kernel_thread if stat else False,
            exe=exe,
            cmdline=cmdline or (),
            cgroup=cgroup or procpid.CgroupFile(),
            denied=tuple(denied),
        )

    def _started(self, ticks: int) -> float | None:
        if self._clock is None:
            try:
                boot = procpid.parse_btime(_read(self._prefix + b"stat"))
            except (OSError, PortsideError):
                return None
            self._clock = boot, os.sysconf("SC_CLK_TCK")
        return procpid.start_epoch(ticks, *self._clock)


def _next_step(error: OSError) -> str:
    return "raise the limit on open files (ulimit -n)" if error.errno in (errno.EMFILE, errno.ENFILE) else ""


def proc_is_ours(root: str = ROOT) -> bool:
    """Whether /proc shows the pid namespace of this process: if not, its pids name others than ours do."""
    try:
        return os.readlink(f"{root}/self") == str(os.getpid())
    except OSError:
        return False


def in_initial_pid_namespace(root: str = ROOT) -> bool:
    """Whether this process sees every process of the host: it is in the first pid namespace."""
    try:
        return os.stat(f"{root}/self/ns/pid").st_ino == PROC_PID_INIT_INO
    except OSError:
        return False


def _exe(directory: int, denied: list[str]) -> str:
    try:
        return os.fsdecode(os.readlink(b"exe", dir_fd=directory))
    except PermissionError:
        denied.append("exe")
    except OSError:  # kernel threads and zombies have none
        pass
    return ""


def _read(path: bytes, directory: int | None = None) -> bytes:
    """Read a whole /proc file; the kernel gives it in one piece unless it is longer than the buffer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        data = os.read(descriptor, _CHUNK)
        if len(data) == _CHUNK:
            pieces = [data]
            while data and len(pieces) * _CHUNK < _LONGEST:
                data = os.read(descriptor, _CHUNK)
                pieces.append(data)
            data = b"".join(pieces)
        return data
    finally:
        os.close(descriptor)
