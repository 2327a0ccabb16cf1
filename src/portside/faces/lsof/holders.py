"""Who holds the sockets: by eBPF in one pass, else every /proc/PID/fd that this user may read, as lsof does."""

from __future__ import annotations

from portside.errors import PortsideError
from portside.system.host import LIVE
from portside.system.processes import proc_is_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_FEW = 512  # that many inodes are compared in the kernel
_LOW = (1 << 32) - 1


def holders(inodes: list[int]) -> dict[int, list[int]]:
    """Return pid -> its descriptors among these inodes, each `number << 32 | inode`, in order; pids in order too."""
    from portside.system import taskfiles

    try:
        if not proc_is_ours():
            return _by_proc(inodes)
        found, packed = taskfiles.socket_holders(inodes if len(inodes) <= _FEW else None)
    except PortsideError:
        return _by_proc(inodes)
    return _by_pid(zip(found, packed, strict=True), frozenset(inodes))


def _by_proc(inodes: list[int]) -> dict[int, list[int]]:
    from portside.system import fds

    found = fds.find_holders(inodes, root=LIVE.proc, thorough=True).holders
    pairs = ((inode, fd << 32 | pid) for inode, held in found.items() for pid, fd in held)
    return _by_pid(pairs, frozenset(inodes))


def _by_pid(pairs: Iterable[tuple[int, int]], wanted: Container[int]) -> dict[int, list[int]]:
    """Sort (inode, `descriptor << 32 | pid`) pairs by pid and descriptor; a pair may come twice."""
    table: dict[int, list[int]] = {}
    for inode, holder in pairs:
        if inode in wanted:
            entry = holder >> 32 << 32 | inode
            known = table.get(holder & _LOW)
            if known is None:
                table[holder & _LOW] = [entry]
            else:
                known.append(entry)
    return {pid: sorted(set(table[pid])) for pid in sorted(table)}
