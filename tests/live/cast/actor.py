"""What a role is given: it notes sockets, forks helpers, says what this kernel does not offer.

Notes go up one shared pipe (standard output), one line of base64 pickle each: a write below PIPE_BUF is atomic, so
the processes need no lock.  Every process asks for SIGKILL at its parent's death; no process outlives the stage.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import os
import pickle
import signal
import socket
import struct
import time
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME = 1, 4, 15  # include/uapi/linux/prctl.h
SO_PROTOCOL, SO_COOKIE = 38, 57  # include/uapi/asm-generic/socket.h
IPPROTO_UDPLITE, IPPROTO_MPTCP = 136, 262
PIPE_BUF = 4096
NOT_OFFERED = {
    errno.EPROTONOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.EPERM,
    errno.EACCES,
    errno.ENODEV,
    errno.ENOPROTOOPT,
}
TCP_STATES = {  # include/net/tcp_states.h
    1: "established",
    2: "syn-sent",
    3: "syn-recv",
    4: "fin-wait-1",
    5: "fin-wait-2",
    6: "time-wait",
    7: "close",
    8: "close-wait",
    9: "last-ack",
    10: "listen",
    11: "closing",
}
FAMILIES = {
    socket.AF_INET: "inet",
    socket.AF_INET6: "inet6",
    socket.AF_UNIX: "unix",
    socket.AF_PACKET: "packet",
    socket.AF_NETLINK: "netlink",
    socket.AF_VSOCK: "vsock",
}
TYPES = {
    socket.SOCK_STREAM: "stream",
    socket.SOCK_DGRAM: "dgram",
    socket.SOCK_RAW: "raw",
    socket.SOCK_SEQPACKET: "seqpacket",
}
PROTOCOLS = {6: "tcp", 17: "udp", 136: "udplite", 262: "mptcp", 132: "sctp"}

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Entry:
    """One socket somebody opened, and what every observer should say of it.

    `None` means that the value is not known or not to be compared.  `holders` are all (pid, fd) as the stage's pid
    namespace numbers them; `gap` is the owner_gap root should see (several, if `|` separates them).  `visible` is
    False for what no kernel interface lists.  `number` is the protocol's number of a raw or packet socket.
    """

    what: str
    family: str
    type: str
    protocol: str
    state: str
    local: tuple[str, int | None] | None = None
    remote: tuple[str, int | None] | None = None
    inode: int | None = None
    cookie: int | None = None
    holders: frozenset[tuple[int, int]] = frozenset()
    uid: int | None = None
    device: str | None = None
    v6only: bool | None = None
    backlog: tuple[int, int] | None = None
    queues: tuple[int, int] | None = None
    gap: str = ""
    netns: int = 0
    visible: bool = True
    comm: bytes | None = None
    number: int | None = None
    why: str = ""


class Missing(Exception):
    """This kernel or this user cannot make the thing; the text says why."""


class Actor:
    """One process of the cast; keeps its sockets open until it is killed."""

    def __init__(self, role: str, directory: str) -> None:
        self.role = role
        self.directory = directory
        self.kept: list[object] = []
        self.ready = lambda: (
            None
        )  # says that the part is done; called by `perform`, or earlier by the part itself

    def note(self, what: str, sock: socket.socket | None, state: str, **facts: object) -> Entry:
        """Tell of a socket; the facts not given are read from the descriptor, those given are believed."""
        found: dict[str, object] = {"netns": os.stat("/proc/self/ns/net").st_ino}
        if sock is not None:
            self.kept.append(sock)
            if sock.family in (socket.AF_INET, socket.AF_INET6) and PROTOCOLS.get(protocol(sock)) == "tcp":
                settle(sock, "close" if state == "bound-inactive" else state)
            found |= describe(sock)
            found |= {"uid": os.geteuid(), "holders": frozenset({(outer_pid(), sock.fileno())})}
        entry = Entry(what, state=state, **(found | facts))  # type: ignore[arg-type]
        self._tell("entry", entry)
        return entry

    def missing(self, what: str, why: object) -> None:
        """Tell that a thing could not be made."""
        self._tell("missing", (what, str(why)))

    def attempt(self, what: str, make: object, *arguments: object) -> None:
        """Do one part of a role; what this kernel or user cannot do becomes a `missing` note."""
        try:
            make(self, *arguments)  # type: ignore[operator]
        except Missing as error:
            self.missing(what, error)
        except OSError as error:
            if error.errno not in NOT_OFFERED:
                raise
            self.missing(what, error)

    def fork(self, part: object, *arguments: object) -> int:
        """Run `part(actor, *arguments)` in a child that stays; return its pid once the part is done."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            perform(self, part, arguments, lambda: (os.write(writer, b"."), os.close(writer)))
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        self.kept.append(child)
        return child

    def done(self) -> None:
        """Tell that this role is ready."""
        self._tell("done", self.role)

    def _tell(self, kind: str, value: object) -> None:
        line = base64.b64encode(pickle.dumps((kind, value))) + b"\n"
        assert len(line) <= PIPE_BUF, f"note of {self.role} is too long for one atomic write"
        os.write(1, line)


def perform(actor: Actor, part: object, arguments: tuple[object, ...], ready: object) -> None:
    """Be one process of the cast: do the part, say so, stay until killed.  Never returns."""
    try:
        die_with_parent()
        set_name(actor.role.encode())
        actor.ready = ready  # type: ignore[assignment]
        part(actor, *arguments)  # type: ignore[operator]
        actor.ready()
        while True:
            signal.pause()
    except BaseException as error:
        import traceback

        actor._tell("failed", (actor.role, "".join(traceback.format_exception(error))[-2000:]))
    finally:
        os._exit(1)


def die_with_parent(by: int = signal.SIGKILL) -> None:
    """Have the kernel end this process when its parent (that thread) ends; a change of user takes it back."""
    libc.prctl(PR_SET_PDEATHSIG, by, 0, 0, 0)


def set_name(name: bytes) -> None:
    """Set comm, any bytes but NUL; the kernel keeps 15."""
    libc.prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)


def outer_pid() -> int:
    """This process's number in the namespace /proc was mounted in, also from inside another."""
    return int(os.readlink("/proc/self"))


def protocol(sock: socket.socket) -> int:
    """The protocol number; 6 or 17 where socket(2) was given 0."""
    return sock.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL)


def cookie(sock: socket.socket) -> int:
    """The kernel's 64-bit identity of the socket."""
    value: int = struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
    return value


def describe(sock: socket.socket) -> dict[str, object]:
    """What the descriptor itself tells: identity, kind, names."""
    facts: dict[str, object] = {
        "family": FAMILIES[sock.family],
        "type": TYPES[socket.SocketKind(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))],
        "protocol": FAMILIES[sock.family],
        "inode": os.fstat(sock.fileno()).st_ino,
    }
    if sock.family != socket.AF_VSOCK:  # for which Python refuses the option
        facts["cookie"] = cookie(sock)
    if sock.family == socket.AF_UNIX:
        facts["local"] = (unix_text(sock.getsockname()), None)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        facts["protocol"] = PROTOCOLS.get(protocol(sock), "raw")
        facts["local"] = plain(sock.getsockname())
        try:
            facts["remote"] = plain(sock.getpeername())
        except OSError:
            facts["remote"] = ("0.0.0.0" if sock.family == socket.AF_INET else "::", 0)
    return facts


def plain(address: tuple[object, ...]) -> tuple[str, int]:
    """(address, port) without the scope that Python glues to a link-local address."""
    return str(address[0]).partition("%")[0], int(address[1])  # type: ignore[call-overload]


def unix_text(name: str | bytes | None) -> str:
    """A Unix name as our records have it: bytes as surrogates, `@` for the NUL that starts an abstract name."""
    if not name:
        return ""
    text = os.fsdecode(name)
    return "@" + text[1:] if text.startswith("\0") else text


def tcp_state(sock: socket.socket) -> str:
    """The state the kernel has the socket in, by TCP_INFO."""
    return TCP_STATES[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]


def settle(sock: socket.socket, state: str) -> None:
    """Wait, for at most a second, until TCP has come to `state`."""
    deadline = time.monotonic() + 1.0
    while tcp_state(sock) != state:
        if time.monotonic() > deadline:
            raise Missing(f"TCP stays in {tcp_state(sock)} and does not come to {state}")
        time.sleep(0.001)
