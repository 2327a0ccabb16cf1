"""Network namespaces: which there are, what they are called, and running a function inside one.

A namespace's identity is the inode of its nsfs file.  They are found where they can be: held by a process
(/proc/PID/ns/net) or kept alive by a bind mount (/run/netns, as ip-netns(8) makes them, and Docker's directory).
A function runs inside one on a thread of its own that calls setns(2) and ends: the caller's namespace never
changes, whatever goes wrong.
"""

from __future__ import annotations

import os

from portside.errors import NotPermitted, NotSupported, PortsideError, Vanished
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from portside.system.host import Host

    T = TypeVar("T")

_SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h
_HERE = "/proc/thread-self/ns/net"
_NAMED = ("/run/netns", "/run/docker/netns")


class NetworkNamespace(Record):
    """One network namespace: nsfs inode, a name (empty if nobody gave one), a path to open it by, a member's pid."""

    inode: int
    name: str = ""
    path: str = ""
    pid: int = 0

    def __str__(self) -> str:
        return self.name or f"net:[{self.inode}]"


def own(host: Host) -> NetworkNamespace:
    """Return the calling thread's network namespace, with its name under /run/netns if it has one."""
    return _own(_bound()) if host.live else NetworkNamespace(0, "recorded")


def _own(bound: dict[int, tuple[str, str]]) -> NetworkNamespace:
    inode = _own_inode()
    name, path = bound.get(inode, ("", _HERE if inode else ""))
    return NetworkNamespace(inode, name, path)


def _own_inode() -> int:
    """Return the inode of the calling thread's namespace, 0 where /proc does not tell it."""
    try:
        return os.stat(_HERE).st_ino
    except OSError:
        return 0


def cookie() -> int:
    """Return the number of the calling thread's network namespace: unique until the next boot, unlike its inode.

    SO_NETNS_COOKIE (5.14, commit e8b9eab99232); its inode where that is not offered.
    """
    import _socket
    import sys

    try:
        asked = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    except OSError:
        return _own_inode()
    try:
        return int.from_bytes(asked.getsockopt(_socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
    except OSError:
        return _own_inode()
    finally:
        asked.close()


def is_of_init() -> bool:
    """Whether the calling thread is in the init process's network namespace, for which the files in /etc are read.

    Where that may not be looked at: whether it is the first namespace, which alone has some settings.
    """
    try:
        return os.stat("/proc/1/ns/net").st_ino == _own_inode()
    except OSError:
        return os.path.exists(
            "/proc/sys/net/core/netdev_max_backlog"
        )  # net/core/sysctl_net_core.c, net_core_table


def every(host: Host) -> tuple[list[NetworkNamespace], int]:
    """Return every network namespace that can be found, own first, and how many processes would not say theirs."""
    if not host.live:
        return [own(host)], 0
    bound = _bound()
    here = _own(bound)
    found = {here.inode: here}
    for inode, (name, path) in bound.items():
        found.setdefault(inode, NetworkNamespace(inode, name, path))
    denied = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        path = f"/proc/{entry}/ns/net"
        try:
            inode = int(os.readlink(path)[5:-1])
        except PermissionError:
            denied += 1
            continue
        except (OSError, ValueError):
            continue
        known = found.get(inode)
        if known is None:
            found[inode] = NetworkNamespace(inode, "", path, int(entry))
        elif not known.pid:
            found[inode] = known.replace(pid=int(entry))
    return list(found.values()), denied


def _bound() -> dict[int, tuple[str, str]]:
    """Return inode -> (name, path) of the namespaces that have a bind mount with a name.

    A file of another file system is what is left of one that was unmounted.
    """
    found: dict[int, tuple[str, str]] = {}
    try:
        device = os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return found
    for directory in _NAMED:
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            try:
                status = os.stat(entry.path)
            except OSError:
                continue
            if status.st_dev == device:
                found.setdefault(status.st_ino, (entry.name, entry.path))
    return found


def run_inside(namespace: NetworkNamespace, function: Callable[[], T]) -> T:
    """Run `function` on a thread inside `namespace` and return its result; its exceptions are raised here.

    Raises NotPermitted without CAP_SYS_ADMIN over the namespace, Vanished when it is gone.
    """
    import threading  # only this road needs it

    outcome: list[T] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            _enter(namespace)
            outcome.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body, name=f"netns {namespace}", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # a limit on threads
        raise NotSupported("enter", f"network namespace '{namespace}'", str(error)) from error
    thread.join()
    if failed:
        raise failed[0]
    return outcome[0]


def run_inside_or_here(namespace: NetworkNamespace, function: Callable[[], T], host: Host) -> T:
    """Run `function` in `namespace`: directly where the calling thread is in it already."""
    here = _own_inode() if host.live else 0
    return function() if namespace.inode == here else run_inside(namespace, function)


def _enter(namespace: NetworkNamespace) -> None:
    """Move the calling thread into `namespace`; refuse if the path now leads to another one."""
    from portside.system import libc  # only this road needs it

    try:
        descriptor = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _failed(namespace, error) from error
    try:
        if os.fstat(descriptor).st_ino != namespace.inode:
            raise Vanished("enter", f"network namespace '{namespace}'", "its path now names another one")
        libc.setns(descriptor, libc.CLONE_NEWNET)
    except OSError as error:
        raise _failed(namespace, error) from error
    finally:
        os.close(descriptor)


def _failed(namespace: NetworkNamespace, error: OSError) -> PortsideError:
    what = f"network namespace '{namespace}'"
    if isinstance(error, PermissionError):
        return NotPermitted("enter", what, "it takes CAP_SYS_ADMIN", "run it with sudo", errno=error.errno)
    return Vanished("enter", what, (os.strerror(error.errno or 0)).lower(), errno=error.errno)
