"""The process that keeps a throw-away network namespace alive.  Run as a script: `holder.py PARENT [PATH]`.

It unshares the namespace (and, without root, a user namespace that maps the caller to root), brings lo up, binds
the namespace under PATH if one is given, writes `ready` and waits.  SIGTERM ends it, and so does the death of its
parent (PR_SET_PDEATHSIG), so nothing is left behind even when the parent is killed.  A fresh interpreter and not a
fork, so that the holder shares no descriptor with its parent.  Constants: sched.h, prctl.h, mount.h, if.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SHARED = 1 << 20
MNT_DETACH = 2
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


def main(parent: int, path: str = "") -> None:
    """Make the namespace, say `ready` (or the errno and what failed), hold it until told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    call(libc.prctl, PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    try:
        unshare()
        raise_loopback()
        if path:
            bind(path)
    except OSError as error:
        os.write(1, f"{error.errno} {error.strerror}\n".encode())
        return
    try:
        os.write(1, b"ready\n")
        if os.getppid() == parent:  # else it died before PR_SET_PDEATHSIG was in force
            signal.sigwait({signal.SIGTERM})
    finally:
        if path:
            libc.umount2(path.encode(), MNT_DETACH)
            os.unlink(path)


def unshare() -> None:
    """Leave the parent's network namespace, through a user namespace of our own unless root (unshare(2))."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        call(libc.unshare, CLONE_NEWNET)
        return
    call(libc.unshare, CLONE_NEWUSER | CLONE_NEWNET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def raise_loopback() -> None:
    """Bring lo up, as `ip link set lo up` does (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as request:
        reply = fcntl.ioctl(request, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack_from("16sH", reply)[1] | IFF_UP
        fcntl.ioctl(request, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags))


def bind(path: str) -> None:
    """Give the namespace a name, as `ip netns add` does: a bind mount of it on an empty file."""
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    share(directory.encode())
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        call(libc.mount, b"/proc/self/ns/net", path.encode(), b"none", MS_BIND, None)
    except OSError:
        os.unlink(path)
        raise


def share(directory: bytes) -> None:
    """Make the directory a shared mount point: the first `ip netns add` would cover what was bound in a plain one."""
    try:
        call(libc.mount, b"", directory, b"none", MS_SHARED | MS_REC, None)
    except OSError as error:
        if error.errno != errno.EINVAL:  # not a mount point
            raise
        call(libc.mount, directory, directory, b"none", MS_BIND | MS_REC, None)
        call(libc.mount, b"", directory, b"none", MS_SHARED | MS_REC, None)


def call(function: ctypes._NamedFuncPointer, *arguments: object) -> None:
    """Call into libc; raise what errno says."""
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3])
