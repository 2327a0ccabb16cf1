"""The text files of one process under /proc: bytes in, records out.

Rule: no I/O, and any bytes give a record or `BadReply`.  Names are the kernel's bytes decoded with `surrogateescape`,
so `os.fsencode` gives them back; escape them before a terminal sees them.

A process chooses its own name (prctl(2) PR_SET_NAME): it may hold `)`, blanks, newlines, escape sequences or nothing
at all.  In `stat` it stands raw between the first `(` and the *last* `)`; in `status` the kernel escapes newline and
backslash.  Reference: proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5), cgroups(7), fs/proc/array.c.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.record import Record

PF_KTHREAD = 0x00200000  # include/linux/sched.h: "I am a kernel thread", in the flags field of stat

DELETED = " (deleted)"  # appended to the path of a removed cgroup, and to the exe of a replaced program


class ProcStat(Record):
    """What `/proc/PID/stat` says: names as in proc_pid_stat(5), times in clock ticks since boot."""

    pid: int
    comm: str
    state: str
    ppid: int
    pgrp: int
    session: int
    flags: int
    num_threads: int
    starttime: int

    @property
    def kernel_thread(self) -> bool:
        """Whether the process is the kernel's own (kthreadd and its children)."""
        return bool(self.flags & PF_KTHREAD)


class ProcStatus(Record):
    """What we use of `/proc/PID/status`: `uids` are real, effective, saved and file system uid.

    `nspids` is the process's pid in each pid namespace it is in, from the reader's inwards (one entry: not nested).
    """

    name: str
    tgid: int
    pid: int
    ppid: int
    uids: tuple[int, int, int, int]
    nspids: tuple[int, ...]


class CgroupFile(Record):
    """The hierarchies of `/proc/PID/cgroup`: path in each, `None` where the process has none of that kind.

    `unified` is cgroup v2's, `systemd` that of the v1 hierarchy `name=systemd`, `controllers` the other v1 lines as
    (controllers, path).
    """

    unified: str | None = None
    systemd: str | None = None
    controllers: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The path that says most: v2's, unless that is only the root and a v1 hierarchy knows better."""
        return next((path for path in self.paths() if path != "/"), self.unified or self.systemd or "")

    def paths(self) -> tuple[str, ...]:
        """Every distinct path, the most telling hierarchy first."""
        named = [path for path in (self.unified, self.systemd) if path is not None]
        return tuple(dict.fromkeys(named + [path for _, path in self.controllers]))


def parse_stat(data: bytes) -> ProcStat:
    """Read `/proc/PID/stat`; raises `BadReply`."""
    opening, closing = data.find(b"("), data.rfind(b")")
    rest = data[closing + 1 :].split(None, 20)
    if not 0 < opening < closing or len(rest) < 20:
        raise _bad("stat", "no `pid (comm) state ...` line of 22 fields or more", data)
    try:
        return ProcStat(
            pid=int(data[:opening]),
            comm=data[opening + 1 : closing].decode("utf-8", "surrogateescape"),
            state=rest[0].decode("ascii"),
            ppid=int(rest[1]),
            pgrp=int(rest[2]),
            session=int(rest[3]),
            flags=int(rest[6]),
            num_threads=int(rest[17]),
            starttime=int(rest[19]),
        )
    except ValueError:
        raise _bad("stat", "a field is not a number", data) from None


def parse_status(data: bytes) -> ProcStatus:
    """Read `/proc/PID/status`; raises `BadReply`."""
    name, _, _ = data.partition(b"\n")
    if not name.startswith(b"Name:\t"):
        raise _bad("status", "does not begin with 'Name:'", data)
    pid = _numbers(data, b"Pid:")[:1]
    uids = _numbers(data, b"Uid:")
    if not pid or len(uids) != 4:
        raise _bad("status", "no line 'Pid:' or no line 'Uid:' with four numbers", data)
    return ProcStatus(
        name=_unescape_name(name[6:]).decode("utf-8", "surrogateescape"),
        tgid=next(iter(_numbers(data, b"Tgid:")), pid[0]),
        pid=pid[0],
        ppid=next(iter(_numbers(data, b"PPid:")), 0),
        uids=(uids[0], uids[1], uids[2], uids[3]),
        nspids=_numbers(data, b"NSpid:") or pid,
    )


def parse_cmdline(data: bytes) -> tuple[str, ...]:
    """Split `/proc/PID/cmdline` into arguments; empty for kernel threads and zombies.

    A program may overwrite its arguments with one line of text (`nginx: master process ...`) and pad with NULs:
    when nothing but NULs follows the first argument, it is the only one.
    """
    if not data:
        return ()
    text = data.decode("utf-8", "surrogateescape")
    first = text.rstrip("\0")
    if "\0" not in first:
        return (first,)
    return tuple(text.removesuffix("\0").split("\0"))


def parse_comm(data: bytes) -> str:
    """Read `/proc/PID/comm`: the name and one newline."""
    return data.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def parse_cgroup(data: bytes) -> CgroupFile:
    """Read `/proc/PID/cgroup`, in its v1, v2 and hybrid forms; raises `BadReply`."""
    unified = systemd = None
    controllers = []
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if not line:
            continue
        hierarchy, colon, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        if not colon or not path.startswith("/"):
            raise _bad("cgroup", "a line is not `id:controllers:/path`", data)
        path = path.removesuffix(DELETED)
        if hierarchy == "0" and not names:
            unified = path
        elif names == "name=systemd":
            systemd = path
        else:
            controllers.append((names, path))
    return CgroupFile(unified, systemd, tuple(controllers))


def parse_btime(data: bytes) -> int:
    """Find the boot time, in seconds since the epoch, in `/proc/stat`; raises `BadReply`."""
    numbers = _numbers(b"\n" + data, b"btime")
    if len(numbers) != 1:
        raise _bad("stat", "no line `btime SECONDS`", data[-200:])
    return numbers[0]


def start_epoch(start_ticks: int, boot_time: int, ticks_per_second: int) -> float:
    """Turn a start time in ticks since boot into seconds since the epoch.

    The kernel gives the boot time in whole seconds, so the result may be up to a second early.
    """
    return boot_time + start_ticks / ticks_per_second


def _numbers(data: bytes, label: bytes) -> tuple[int, ...]:
    """Read the numbers of the line that begins with `label`; empty if there is none."""
    start = data.find(b"\n" + label)
    if start < 0:
        return ()
    start += len(label) + 1
    end = data.find(b"\n", start)
    try:
        return tuple(map(int, data[start : end if end >= 0 else None].split()))
    except ValueError:
        raise _bad("status", f"line '{label.decode()}' holds something that is not a number", data) from None


def _unescape_name(name: bytes) -> bytes:
    r"""Undo the kernel's escaping of the name in `status`: `\n` and `\\` alone."""
    if b"\\" not in name:
        return name
    return b"\\".join(part.replace(b"\\n", b"\n") for part in name.split(b"\\\\"))


def _bad(file: str, reason: str, data: bytes) -> BadReply:
    return BadReply(f"read the process file {file}", repr(data[:60]), reason)
