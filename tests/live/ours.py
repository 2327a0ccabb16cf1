"""What Portside says of a namespace: `take` run by a child inside it, on a chosen road, as a chosen user."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from tests.live.peers import Row

from portside.see.snapshot import Wish, take
from portside.system.host import Host
from portside.testing.namespaces import Namespace, become

if TYPE_CHECKING:
    from portside.see.records import Gap, Socket

ROADS = {
    "bpf": Host(),
    "proc": Host(bpf=False),
    "text": Host(bpf=False, netlink=None),
}
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000  # include/uapi/linux/sched.h
MS_REC, MS_PRIVATE = 0x4000, 0x40000  # include/uapi/linux/mount.h


class Look(NamedTuple):
    """What one snapshot told: sockets without the observer's own, gaps, roads."""

    sockets: list[Socket]
    gaps: list[Gap]
    roads: dict[str, str]


def look(
    space: Namespace,
    road: str = "bpf",
    uid: int | None = None,
    wish: Wish | None = None,
    new_pid: bool = False,
) -> Look:
    """Take a snapshot inside `space`; with `new_pid`, from a pid namespace of its own where nobody else is."""
    late = space.call(_modules) if uid is not None else []
    function = _in_new_pid_namespace if new_pid else _look
    return space.call(function, road, wish or Wish(), uid, late)


def _look(road: str, wish: Wish, uid: int | None, late: list[str]) -> Look:
    for module in late:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    if uid is not None:
        become(uid)
    snapshot = take(wish, ROADS[road])
    sockets = [socket for socket in snapshot.sockets if not _observers_own(socket)]
    return Look(sockets, snapshot.gaps, snapshot.roads)


def _observers_own(socket: Socket) -> bool:
    """Whether this process alone holds it: the netlink socket the question itself was asked through."""
    return {owner.pid for owner in socket.owners} == {os.getpid()}


def _modules() -> list[str]:
    """What a snapshot imports: to be imported before a change of user hides the interpreter's files."""
    for road in ROADS.values():
        list(take(Wish(), road).gaps)
    return [*sys.modules, "encodings.ascii", "encodings.latin_1", "pwd", "portside.system.fds"]


def _in_new_pid_namespace(road: str, wish: Wish, uid: int | None, late: list[str]) -> Look:
    """Be pid 1 of a new pid namespace with its own /proc, as a program in a container is."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")

    def inside() -> Look:
        libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        if libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
            raise OSError(ctypes.get_errno(), "mount /proc")
        return _look(road, wish, uid, late)

    return _Here().call(inside)


class _Here(Namespace):
    """No other namespace: `call` forks and stays."""

    def enter(self, uid: int | None = None) -> None:
        """Stay."""


def row(socket: Socket) -> Row:
    """Our socket in the form the peers' rows have."""
    listening = socket.backlog is not None
    used, limit = (socket.backlog.used, socket.backlog.limit) if socket.backlog else (0, 0)
    return Row(
        socket.protocol,
        socket.family,
        socket.state,
        socket.local.address,
        socket.local.port,
        socket.remote.address,
        socket.remote.port,
        device=socket.local.device,
        v6only=socket.local.v6only,
        inode=socket.inode,
        cookie=socket.cookie,
        uid=socket.uid,
        receive=used if listening else socket.queues.receive,
        send=limit if listening else socket.queues.send,
        holders=frozenset((owner.pid, owner.fd) for owner in socket.owners),
        names=frozenset(owner.process.name for owner in socket.owners),
    )
