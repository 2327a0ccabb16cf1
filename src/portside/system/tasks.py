"""What lsof asks of processes and threads: whose they are, and what each of their descriptors is.

Rule: what is gone or may not be read is None or empty, never an error.  A path is read anew each time: a round of a
repeated listing must see what changed.  Reference: proc_pid(5), proc_pid_fdinfo(5), `sockfs_xattr_get` in
net/socket.c for the name of a socket's protocol.
"""

from __future__ import annotations

import os

from portside.errors import BadReply
from portside.record import Record
from portside.wire import procpid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/proc"
PROTOCOL_NAME = "system.sockprotoname"

_SOCKET = b"socket:["


class Task(Record):
    """A process, or with `thread` one of its threads.

    `uid` is the owner of its directory: the effective one, root where the process may not be dumped.  `path` is that
    directory.  `ended` ones have no descriptors; a process's first thread may end before the others.
    """

    pid: int
    uid: int
    name: str
    parent: int
    group: int
    path: bytes
    thread: int = 0
    thread_name: str = ""
    ended: bool = False


def pids(root: str = ROOT) -> list[int]:
    """List the processes that can be seen, in order."""
    return _numbers(os.fsencode(root))


def process(pid: int, root: str = ROOT) -> Task | None:
    """Return a process, None for one that is gone."""
    path = b"%s/%d" % (os.fsencode(root), pid)
    try:
        uid = os.stat(path).st_uid
    except OSError:
        return None
    stat = _stat(path)
    if stat is None:
        return None
    return Task(pid, uid, stat.comm, stat.ppid, stat.pgrp, path, ended=stat.state == "Z")


def threads(task: Task) -> Iterator[Task]:
    """Yield the further threads of a process, those that have ended left out."""
    for number in _numbers(task.path + b"/task"):
        path = b"%s/task/%d" % (task.path, number)
        stat = _stat(path) if number != task.pid else None
        if stat is not None and stat.state != "Z":
            yield task.replace(
                parent=stat.ppid,
                group=stat.pgrp,
                path=path,
                thread=number,
                thread_name=stat.comm,
                ended=False,
            )


def descriptors(task: Task) -> list[tuple[int, int]]:
    """Return (number, inode) of each descriptor in order; inode is 0 for what is no socket."""
    found = []
    for number in _numbers(task.path + b"/fd"):
        try:
            link = os.readlink(b"%s/fd/%d" % (task.path, number))
        except OSError:
            continue
        inode = link[len(_SOCKET) : -1] if link.startswith(_SOCKET) else b"0"
        found.append((number, int(inode) if inode.isdigit() else 0))
    return found


def flags(task: Task, number: int) -> int | None:
    """Return a descriptor's open flags, close-on-exec included."""
    try:
        with open(b"%s/fdinfo/%d" % (task.path, number), "rb", buffering=0) as file:
            _, told, rest = file.read(1024).partition(b"flags:")
    except OSError:
        return None
    value = rest.split(None, 1)[0] if told and rest.strip() else b""
    return int(value, 8) if value.isdigit() else None


def device(task: Task, number: int) -> int:
    """Return the device of a descriptor's file, 0 where it has gone."""
    try:
        return os.stat(b"%s/fd/%d" % (task.path, number)).st_dev
    except OSError:
        return 0


def protocol_name(task: Task, number: int) -> str:
    """Return the name of the protocol of a socket, empty where it is not told."""
    try:
        name = os.getxattr(b"%s/fd/%d" % (task.path, number), PROTOCOL_NAME)
    except OSError:
        return ""
    return os.fsdecode(name.rstrip(b"\0"))


def _numbers(path: bytes) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(path) if name.isdigit())
    except OSError:
        return []


def _stat(path: bytes) -> procpid.ProcStat | None:
    try:
        with open(path + b"/stat", "rb", buffering=0) as file:
            return procpid.parse_stat(file.read(4096))
    except (OSError, BadReply):
        return None
