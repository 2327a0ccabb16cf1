"""Throw-away network namespaces, for tests: make one, run programs or Python functions inside, leave nothing behind.

    with Namespace() as scratch:
        scratch.add_link("left", peer="right", addresses=["192.0.2.1/24"])
        print(scratch.run(["ss", "-tan"]).stdout)
        rows = scratch.call(portside.sockets)

A child process (`holder`) keeps the namespace; its end, or ours, removes it with everything inside.  Root gets a
plain network namespace, anybody else one inside a user namespace where they are root (user_namespaces(7)).  What
enters is always another child, so the caller's own namespaces never change.  Links are made by ip(8).
"""

from __future__ import annotations

import os

from portside.errors import NotPermitted, NotSupported, TimedOut
from portside.system import forked, libc
from portside.system.libc import CLONE_NEWNET, CLONE_NEWUSER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from subprocess import CompletedProcess, Popen
    from typing import Any, Self, TypeVar

    Answer = TypeVar("Answer")

NAMED = "/run/netns"
TIMEOUT = 30.0


class Namespace:
    """One network namespace with lo up, from `with` to the end of the block; named under /run/netns if asked.

    `pid` is a process inside it and `inode` its number, the one `ls -l /proc/PID/ns/net` shows.  The thread that
    enters the block must outlive it: the kernel tells the holder when that thread ends.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.pid = 0
        self.inode = 0
        self._holder: Popen[bytes] | None = None

    def __enter__(self) -> Self:
        import subprocess
        import sys

        script = os.path.join(os.path.dirname(__file__), "holder.py")
        command = [sys.executable, "-I", "-S", script, str(os.getpid())]
        if self.name:
            command.append(os.path.join(NAMED, self.name))
        self._holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            self.pid = self._holder.pid
            self._await_ready()
            self.inode = os.stat(f"/proc/{self.pid}/ns/net").st_ino
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _await_ready(self) -> None:
        assert self._holder is not None
        assert self._holder.stdout is not None
        answer = forked.read_all(self._holder.stdout.fileno(), TIMEOUT, until=b"\n").decode().strip()
        if answer != "ready":
            number, _, reason = answer.partition(" ")
            raise NotPermitted(
                "create network namespace",
                repr(self.name) if self.name else "",
                reason or "its holder ended without a word",
                "run as root, or allow user namespaces (user.max_user_namespaces)",
                errno=int(number) if number.isdigit() else None,
            )

    def close(self) -> None:
        """End the holder and with it the namespace; processes still inside are the caller's to end."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        holder.terminate()
        try:
            holder.wait(TIMEOUT)
        finally:
            holder.kill()
            holder.wait()
            assert holder.stdout is not None
            holder.stdout.close()

    def add_link(
        self, name: str, kind: str = "veth", peer: str = "", addresses: Sequence[str] = (), options: str = ""
    ) -> None:
        """Add a link, up, with its addresses (`192.0.2.1/24`, usable at once); a veth's `peer` is brought up too."""
        both = [name, peer] if peer else [name]
        lines = [f"link add {name} type {kind} {options}" + (f" peer name {peer}" if peer else "")]
        lines += [f"link set {link} up" for link in both]
        for address in addresses:
            lines.append(f"address add {address} dev {name}" + (" nodad" if ":" in address else ""))
        self.ip(*lines)

    def ip(self, *lines: str) -> None:
        """Run ip(8) commands inside, in one batch: `ip("link set lo mtu 1500", "route add ...")`."""
        done = self.run(["ip", "-batch", "-"], input="\n".join(lines))
        if done.returncode:
            raise NotSupported("set up links", "", done.stderr.strip().replace("\n", ", "))

    def run(
        self, argv: Sequence[str], *, uid: int | None = None, input: str = "", timeout: float = TIMEOUT
    ) -> CompletedProcess[str]:
        """Run a program inside, as `uid` if given; its output is text, bytes that are none kept as surrogates."""
        import subprocess

        try:
            return subprocess.run(
                argv,
                input=input,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                preexec_fn=lambda: self.enter(uid),
            )
        except (
            FileNotFoundError,
            PermissionError,
        ) as error:  # the latter: a directory of PATH is closed to us
            raise NotSupported(f"run {argv[0]!r}", "", "no such program", "install it") from error
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"run {argv[0]!r}", "", f"no end in {timeout} s") from error

    def call(
        self, function: Callable[..., Answer], *args: Any, uid: int | None = None, timeout: float = TIMEOUT
    ) -> Answer:
        """Return `function(*args)`, run inside by a forked child, as `uid` if given; its exception is raised here."""
        return forked.call(lambda: self.enter(uid), function, *args, timeout=timeout)

    def enter(self, uid: int | None = None) -> None:
        """Move the calling process inside, for good, and become `uid`: for children that the caller forked."""
        if os.geteuid() != 0 and not _same_user_namespace(self.pid):
            setns(f"/proc/{self.pid}/ns/user", CLONE_NEWUSER)
        setns(f"/proc/{self.pid}/ns/net", CLONE_NEWNET)
        if uid is not None:
            become(uid)


def setns(path: str, kind: int) -> None:
    """Move the calling thread into the namespace behind `path` (setns(2)); raise `OSError` if the kernel refuses."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.setns(descriptor, kind)
    finally:
        os.close(descriptor)


def become(uid: int) -> None:
    """Turn the calling process into one of user and group `uid`, with no other groups, readable by that user's ps."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc.call(
        "prctl", libc.PR_SET_DUMPABLE, 1, 0, 0, 0
    )  # changing user cleared it: /proc/PID would stay root's


def _same_user_namespace(pid: int) -> bool:
    return os.stat(f"/proc/{pid}/ns/user").st_ino == os.stat("/proc/self/ns/user").st_ino
