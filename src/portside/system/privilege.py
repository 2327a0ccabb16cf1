"""What a user may do to see more: the next step that messages name."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.host import Host

_EVERYBODY = ["0", "0", "4294967295"]  # the uid map of the first user namespace (user_namespaces(7))


def how_to_see_more() -> str:
    """Return the next step for one who was refused: sudo, or why that would not help."""
    if os.geteuid():
        return "run it with sudo"
    if _in_user_namespace():
        return "run it as root outside this user namespace"
    return "these processes refuse even root: see 'portside doctor'"


def _in_user_namespace() -> bool:
    try:
        with open("/proc/self/uid_map") as file:
            return file.read().split() != _EVERYBODY
    except OSError:
        return False


def has_selinux(host: Host) -> bool:
    """Whether SELinux rules on this machine (selinux(8)): its file system is mounted."""
    return bool(host.read_or("/sys/fs/selinux/enforce"))
