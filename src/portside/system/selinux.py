"""SELinux: whether it is in force, and the contexts of processes and files (selinux(8)).

Rule: a context that is not told is empty.  Read without libselinux, which reads the same files.
"""

from __future__ import annotations

import os

_MOUNT = "/sys/fs/selinux"
_ATTRIBUTE = "security.selinux"


def is_enabled() -> bool:
    """Whether the kernel has SELinux and its file system is mounted (is_selinux_enabled(3))."""
    return os.path.exists(f"{_MOUNT}/enforce")


def kernel_context() -> str:
    """Return the context in which the kernel itself began (security_get_initial_context(3))."""
    try:
        with open(f"{_MOUNT}/initial_contexts/kernel", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\0\n")
    except OSError:
        return ""


def process_context(pid: int, proc: str = "/proc") -> str:
    """Return the context of a process."""
    try:
        with open(f"{proc}/{pid}/attr/current", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\0\n")
    except OSError:
        return ""


def file_context(path: str) -> str:
    """Return the context of a file; of a link in /proc/PID/fd, that of the socket it leads to."""
    try:
        return os.fsdecode(os.getxattr(path, _ATTRIBUTE).rstrip(b"\0"))
    except OSError:
        return ""
