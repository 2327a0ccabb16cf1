"""Two kernels with the same sockets: the running one, in a throw-away namespace, and the fake one.

A test puts a question, a function of a `Host`, to both: `kernel.ask(question)`.  It is run by a child
inside the namespace, or in this process before the fake kernel; what it returns names sockets by what both can tell.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from tests.golden.exchanges import readable

from portside.system.host import Host
from portside.system.netlink import Netlink
from portside.testing.fakekernel import FakeKernel, FakeSocket, FakeUnix
from portside.testing.namespaces import Namespace
from portside.wire import inet_diag, tcp_states, unix_diag

if TYPE_CHECKING:
    from collections.abc import Callable

V4, V6 = inet_diag.AF_INET, inet_diag.AF_INET6
HERE, HERE6, ALL4, ALL6 = "127.0.0.1", "::1", "0.0.0.0", "::"
ABSTRACT = b"\0portside-contract"

SOCKETS = {
    "listener": FakeSocket("tcp", "listen", (HERE, 7001), send=8),
    "listener of both": FakeSocket("tcp", "listen", (ALL6, 7002), send=8, v6only=False),
    "listener of IPv6": FakeSocket("tcp", "listen", (ALL6, 7003), send=8, v6only=True),
    "client": FakeSocket("tcp", "established", (HERE, 7101), (HERE, 7001)),
    "accepted": FakeSocket("tcp", "established", (HERE, 7001), (HERE, 7101)),
    "client6": FakeSocket("tcp", "established", (HERE6, 7102), (HERE6, 7003)),
    "accepted6": FakeSocket("tcp", "established", (HERE6, 7003), (HERE6, 7102)),
    "closing": FakeSocket("tcp", "fin-wait-2", (HERE, 7103), (HERE, 7001)),
    "closed by peer": FakeSocket("tcp", "close-wait", (HERE, 7001), (HERE, 7103), receive=1),
    "bound": FakeSocket("tcp", "bound-inactive", (HERE, 7004)),
    "bound6": FakeSocket("tcp", "bound-inactive", (HERE6, 7005), v6only=True),
    "udp": FakeSocket("udp", "unconnected", (ALL4, 7201)),
    "udp connected": FakeSocket("udp", "established", (HERE, 7202), (HERE, 7201)),
    "udp6": FakeSocket("udp", "unconnected", (HERE6, 7203), v6only=True),
    "udplite": FakeSocket("udplite", "unconnected", (HERE, 7204)),
    "raw": FakeSocket("raw", "unconnected", (ALL4, 253)),
}
UNIX = [
    FakeUnix(ABSTRACT, inode=90, limit=4),
    FakeUnix(b"", inode=91, state=tcp_states.ESTABLISHED, limit=0),
    FakeUnix(b"", inode=92, state=tcp_states.ESTABLISHED, limit=0),
    FakeUnix(ABSTRACT + b"-datagrams", inode=93, state=tcp_states.CLOSE, type=2, limit=0),
]


class Fake:
    """The fake kernel."""

    def ask(self, question: Callable[[Host], object]):
        told = (one.replace(inode=number) for number, one in enumerate(SOCKETS.values(), 1000))
        kernel = FakeKernel(told, UNIX)
        return question(Host(root="/nonexistent", netlink=kernel.open, bpf=False))


class Live:
    """The running kernel, in one namespace whose sockets a child holds."""

    def __init__(self, space: Namespace) -> None:
        self.space = space
        ready, told = os.pipe()
        wait, self._end = os.pipe()
        self._holder = os.fork()
        if self._holder == 0:
            os.close(self._end)
            _hold(space, told, wait)
        os.close(told)
        os.close(wait)
        problem = os.read(ready, 4096).decode()
        os.close(ready)
        assert problem == "ready", problem

    def ask(self, question: Callable[[Host], object]):
        return self.space.call(question, Host())

    def close(self) -> None:
        os.close(self._end)  # tells the holder to end
        os.waitpid(self._holder, 0)


def _hold(space: Namespace, told: int, wait: int) -> None:
    """Hold the sockets inside `space` until the parent, or the parent's end, closes the pipe."""
    try:
        space.enter()
        with contextlib.ExitStack() as held:
            open_all(held)
            os.write(told, b"ready")
            os.read(wait, 1)
    except BaseException as error:
        os.write(told, repr(error).encode())
    finally:
        os._exit(0)


def open_all(held: contextlib.ExitStack) -> None:
    """Open SOCKETS and UNIX in the caller's namespace; they are closed with `held`."""

    def make(family, kind, address, number=0, protocol=0, only=None):
        made = held.enter_context(socket.socket(family, kind, protocol))
        if only is not None:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        made.bind((address, number))
        return made

    def tcp(address, number, only=None):
        return make(V6 if ":" in address else V4, socket.SOCK_STREAM, address, number, only=only)

    listener, both, six = tcp(HERE, 7001), tcp(ALL6, 7002, 0), tcp(ALL6, 7003, 1)
    for one in (listener, both, six):
        one.listen(8)
    for address, number, to in ((HERE, 7101, listener), (HERE6, 7102, six), (HERE, 7103, listener)):
        client = tcp(address, number)
        client.connect((address, to.getsockname()[1]))
        held.enter_context(to.accept()[0])
    client.shutdown(socket.SHUT_WR)
    tcp(HERE, 7004)
    tcp(HERE6, 7005)
    make(V4, socket.SOCK_DGRAM, ALL4, 7201)
    make(V4, socket.SOCK_DGRAM, HERE, 7202).connect((HERE, 7201))
    make(V6, socket.SOCK_DGRAM, HERE6, 7203)
    make(V4, socket.SOCK_DGRAM, HERE, 7204, socket.IPPROTO_UDPLITE)
    make(V4, socket.SOCK_RAW, ALL4, protocol=253)
    unix = held.enter_context(socket.socket(socket.AF_UNIX))
    unix.bind(ABSTRACT)
    unix.listen(4)
    for one in socket.socketpair():
        held.enter_context(one)
    held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(ABSTRACT + b"-datagrams")


class Told(NamedTuple):
    """A socket as either kernel tells it; inodes and cookies are its own."""

    family: int
    state: int
    local: str
    port: int
    remote: str
    remote_port: int
    receive: int
    send: int
    uid: int
    v6only: object


def told(row: inet_diag.Row) -> Told:
    """A row without what differs between kernels."""
    family, _, _, _, local, port, remote, remote_port, _, _, _, receive, send, uid, _ = readable(row)
    attributes = inet_diag.attributes(row[15])
    return Told(
        family, row[1], local, port, remote, remote_port, receive, send, uid, attributes.get("v6only")
    )


def names(rows) -> list[str]:
    """Which of SOCKETS these rows are, sorted; a row that is none of them is named as it is."""
    known = {told(next(inet_diag.rows(one.message(1)))): name for name, one in SOCKETS.items()}
    return sorted(known.get(told(row), str(told(row))) for row in rows)


def asked(protocol: int, family: int, states: int = tcp_states.ALL, **more):
    """The question which sockets a dump gives, by name."""

    def question(host: Host) -> list[str]:
        with Netlink(opener=host.netlink) as link:
            return names(
                inet_diag.rows(link.dump(inet_diag.request(family, protocol, states, **more), "test"))
            )

    return question


def unix_sockets(host: Host) -> list[tuple[object, ...]]:
    """The question which Unix sockets there are: type, state, name, queue."""
    with Netlink(opener=host.netlink) as link:
        answers = list(unix_diag.answers(link.dump(unix_diag.request((1 << 32) - 1), "test")))
    return sorted((n[1], n[2], told.get("name", b""), told["rqlen"], told["uid"]) for n, told in answers)
