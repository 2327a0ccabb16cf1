"""Which kinds of file systems are mounted: proc_pid_mounts(5)."""

from __future__ import annotations

MOUNTS = "/proc/self/mounts"


def kinds(path: str = MOUNTS) -> frozenset[str]:
    """Return the types of the file systems this process sees (`ext4`, `nfs4`, `selinuxfs`); none where not told."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return frozenset(line.split(" ")[2] for line in file if line.count(" ") > 2)
    except OSError:
        return frozenset()
