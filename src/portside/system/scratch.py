"""Scratch network namespaces: a child process of its own, where rules are loaded and packets sent that touch nobody.

The child gets a network namespace, and without root a user namespace in which it is root (user_namespaces(7)); both
vanish with it.  `run` brings back what a function returned there.  `Spaces` are further network namespaces of the
same child, which hops between them by setns(2): sockets stay where they were opened.
"""

from __future__ import annotations

import os
import re

from portside.errors import NotPermitted
from portside.system import commands, forked, libc
from portside.system.libc import CLONE_NEWNET, CLONE_NEWUSER
from portside.wire.nft_text import has_anonymous_chains, name_anonymous_chains

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Answer = TypeVar("Answer")

TIMEOUT = 60.0
_SIOCSIFFLAGS = 0x8914  # include/uapi/linux/sockios.h
_IFF_UP = 1  # include/uapi/linux/if.h
_FIB_WORDS = ("oif", "exists", "missing")  # what follows `iif` and `oif` in a fib expression


def run(function: Callable[..., Answer], *arguments: Any, timeout: float = TIMEOUT) -> Answer:
    """Return what `function(*arguments)` returns in a fresh namespace; raises its exception, or NotPermitted."""
    return forked.call(_enter, function, *arguments, timeout=timeout)


def _enter() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        libc.call("unshare", CLONE_NEWNET if uid == 0 else CLONE_NEWUSER | CLONE_NEWNET)
    except OSError as error:
        raise NotPermitted(
            "create scratch namespace", "", (error.strerror or "").lower(),
            "run it with sudo, or allow user namespaces (user.max_user_namespaces)", errno=error.errno,
        ) from error  # fmt: skip
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _raise_loopback()


class Spaces:
    """Network namespaces by name; the first, `host`, is the one that the child started in."""

    def __init__(self) -> None:
        self._descriptors = {"host": _here()}

    def add(self, name: str) -> None:
        """Make one more, lo up, and come back."""
        libc.call("unshare", CLONE_NEWNET)
        self._descriptors[name] = _here()
        _raise_loopback()
        self.enter("host")

    def enter(self, name: str) -> None:
        """Move into a namespace."""
        libc.setns(self._descriptors[name], CLONE_NEWNET)

    def path(self, name: str) -> str:
        """Return a path by which other programs may name a namespace."""
        return f"/proc/{os.getpid()}/fd/{self._descriptors[name]}"


def _raise_loopback() -> None:
    """Bring lo up, as `ip link set lo up` does (netdevice(7))."""
    import _socket  # see system.netlink
    import fcntl
    import struct

    request = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        fcntl.ioctl(request, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
    finally:
        request.close()


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def nft_json_of(text: str) -> str:
    """Return the JSON that nft lists after loading a ruleset's text, anonymous chains under names of their own.

    Raises PortsideError where the text does not load.
    """
    return run(_load, text)


def _load(text: str) -> str:
    names = sorted(
        set(re.findall(r'\b[io]if\s+(?:!=\s*)?"?([A-Za-z][\w.@-]{0,14})"?', text)) - {"lo", *_FIB_WORDS}
    )
    for number, name in enumerate(names):
        commands.run(("ip", "link", "add", name, "type", "veth", "peer", "name", f"portside{number}"))
    commands.run(("nft", "-f", "-"), text)
    listed = commands.run(("nft", "list", "ruleset"))
    if has_anonymous_chains(listed):
        commands.run(("nft", "-f", "-"), "flush ruleset\n" + name_anonymous_chains(listed))
    return commands.run(("nft", "-j", "list", "ruleset"))
