"""The cgroup v2 tree: its mount, and from a socket's cgroup id to the path.

sock_diag names a socket's cgroup by id (INET_DIAG_CGROUP_ID), which is the inode of the cgroup's directory.  So the
tree is walked, which needs no right, instead of open_by_handle_at(2), which needs CAP_DAC_READ_SEARCH.  The walk is
lazy and goes on only until the id is found; a directory without children is known by its link count (kernfs keeps
it exact) and never listed.  A cgroup that was removed has no path: `None`.  Make a new tree for each snapshot.

Reference: cgroups(7), Documentation/admin-guide/cgroup-v2.rst, fs/kernfs/inode.c; mountinfo: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTINFO = "/proc/self/mountinfo"


class CgroupTree:
    """Directory ids of a cgroup v2 mount; `root` is its mount point, empty where there is none."""

    def __init__(self, root: str = "") -> None:
        self.root = root
        self._paths: dict[int, str] = {}
        self._walk = _walk(root) if root else iter(())
        self._walking = allocate_lock()  # one generator, and a snapshot may be read by several threads

    def path_of(self, cgroup_id: int) -> str | None:
        """Return the path of a cgroup id, as /proc/PID/cgroup writes it; `None` if the cgroup is gone."""
        paths = self._paths
        if cgroup_id in paths:
            return paths[cgroup_id]
        with self._walking:
            if cgroup_id in paths:
                return paths[cgroup_id]
            for inode, path in self._walk:
                paths[inode] = path
                if inode == cgroup_id:
                    return path
        return None


def find_root(mountinfo: str = MOUNTINFO) -> str:
    """Return where cgroup v2 is mounted: `/sys/fs/cgroup`, on hybrid hosts `/sys/fs/cgroup/unified`; else empty."""
    try:
        with open(mountinfo, "rb") as file:
            return find_mount(file.read())
    except OSError:
        return ""


def find_mount(mountinfo: bytes) -> str:
    """Return the mount point of the first whole cgroup v2 hierarchy in the text of mountinfo."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        fields = left.split()
        if right.split(b" ", 1)[0] == b"cgroup2" and len(fields) >= 5 and fields[3] == b"/":
            return os.fsdecode(_unescape(fields[4]))
    return ""


def _walk(root: str) -> Iterator[tuple[int, str]]:
    """Yield the inode and path of every directory, parents first."""
    try:
        top = os.stat(root)
    except OSError:
        return
    yield top.st_ino, "/"
    waiting = [""] if top.st_nlink != 2 else []
    while waiting:
        parent = waiting.pop()
        for inode, path, is_leaf in _children(root, parent):
            yield inode, path
            if not is_leaf:
                waiting.append(path)


def _children(root: str, parent: str) -> list[tuple[int, str, bool]]:
    """List the directories in a directory: inode, path, and whether it has none itself."""
    found = []
    try:
        with os.scandir(root + parent) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    found.append((stat.st_ino, f"{parent}/{entry.name}", stat.st_nlink == 2))
    except OSError:  # removed meanwhile
        pass
    return found


def _unescape(path: bytes) -> bytes:
    r"""Undo mountinfo's octal escapes of blank, tab, newline and backslash."""
    if b"\\" not in path:
        return path
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        path = path.replace(code, bytes([int(code[1:], 8)]))
    return path
