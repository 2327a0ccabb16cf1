"""A fake kernel: sock_diag as a function from requests to replies.

    kernel = FakeKernel([FakeSocket("tcp", "listen", ("127.0.0.1", 8080), inode=7)])
    host = Host(root=str(tree), netlink=kernel.open, bpf=False)
    portside.list_ports(host=host)

It selects as the kernel does (family, protocol, state mask, ports, bytecode) and answers in datagrams that end with
NLMSG_DONE.  `replies` put in front of that logic scripts any answer, also a broken one, for tests of the readers; an
`OSError` among the datagrams is raised to who reads.
"""

from __future__ import annotations

import struct
import sys

from portside.ports.address import parse_address
from portside.record import Record
from portside.wire import (
    bytecode,
    inet_diag,
    netlink,
    netlink_diag,
    packet_diag,
    sock_diag,
    tcp_states,
    unix_diag,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Reply = list[bytes | OSError]

ENOENT = 2
EINVAL = 22

_PROTOCOLS = {
    "tcp": inet_diag.IPPROTO_TCP,
    "udp": inet_diag.IPPROTO_UDP,
    "udplite": inet_diag.IPPROTO_UDPLITE,
    "raw": inet_diag.IPPROTO_RAW,
    "sctp": inet_diag.IPPROTO_SCTP,
    "mptcp": inet_diag.IPPROTO_MPTCP,
}
_STATES = {name: number for number, name in enumerate(tcp_states.NAMES) if name and number < 12} | {
    "unconnected": tcp_states.CLOSE,
    "bound-inactive": tcp_states.BOUND_INACTIVE,
}


class FakeSocket(Record):
    """One IP socket of a fake kernel, in plain words; addresses are text, ports numbers."""

    protocol: str
    state: str
    local: tuple[str, int]
    remote: tuple[str, int] = ("", 0)
    inode: int = 0
    cookie: int = 0
    uid: int = 0
    receive: int = 0
    send: int = 0
    interface: int = 0
    v6only: bool | None = None
    cgroup_id: int | None = None
    extra: bytes = b""

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6, by the local address."""
        return inet_diag.AF_INET6 if ":" in self.local[0] else inet_diag.AF_INET

    def entry(self) -> bytecode.Entry:
        """What the kernel's bytecode sees of the socket."""
        return bytecode.Entry(
            self.family, _raw(self.local[0]), _raw(self._far()), self.local[1], self.remote[1], self.interface
        )

    def _far(self) -> str:
        return self.remote[0] or ("::" if self.family == inet_diag.AF_INET6 else "0.0.0.0")

    def message(self, seq: int) -> bytes:
        """Return the socket as struct inet_diag_msg with its attributes, in a netlink message."""
        number = _STATES[self.state]
        where = inet_diag.SOCKID.write(
            idiag_sport=self.local[1].to_bytes(2, "big"), idiag_dport=self.remote[1].to_bytes(2, "big"),
            idiag_src=_raw(self.local[0]).ljust(16, b"\0"), idiag_dst=_raw(self._far()).ljust(16, b"\0"),
            idiag_if=self.interface, idiag_cookie=self.cookie or self.inode,
        )  # fmt: skip
        body = inet_diag.MESSAGE.write(
            idiag_family=self.family,
            idiag_state=tcp_states.CLOSE if number == tcp_states.BOUND_INACTIVE else number,
            id=where, idiag_rqueue=self.receive, idiag_wqueue=self.send, idiag_uid=self.uid,
            idiag_inode=self.inode,
        )  # fmt: skip
        if self.v6only is not None:
            body += netlink.attribute(inet_diag.INET_DIAG_SKV6ONLY, bytes([self.v6only]))
        if self.cgroup_id is not None:
            body += netlink.attribute(inet_diag.INET_DIAG_CGROUP_ID, struct.pack("=Q", self.cgroup_id))
        return netlink.message(sock_diag.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_MULTI, body + self.extra, seq=seq)


class FakeUnix(Record):
    """One Unix socket of a fake kernel; `name` is raw (a leading NUL for an abstract one)."""

    name: bytes
    inode: int
    state: int = tcp_states.LISTEN
    type: int = 1
    uid: int = 0
    waiting: int = 0
    limit: int = 128

    def message(self, seq: int) -> bytes:
        """Return the socket as struct unix_diag_msg with its attributes."""
        body = unix_diag.MESSAGE.write(
            udiag_family=unix_diag.AF_UNIX, udiag_type=self.type, udiag_state=self.state, udiag_ino=self.inode,
            udiag_cookie=self.inode,
        )  # fmt: skip
        if self.name:
            body += netlink.attribute(0, self.name)
        body += netlink.attribute(4, struct.pack("=II", self.waiting, self.limit))
        body += netlink.attribute(7, struct.pack("=I", self.uid))
        return netlink.message(sock_diag.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_MULTI, body, seq=seq)


class FakeKernel:
    """Answers sock_diag requests from lists of sockets, or as `replies` says.

    `replies` is called first with each request; `None` leaves the answer to the lists.  `requests` keeps what was
    asked, `transports` the sockets that were opened, closed ones too.
    """

    def __init__(
        self,
        sockets: Iterable[FakeSocket] = (),
        unix: Iterable[FakeUnix] = (),
        protocols: Iterable[str] = ("tcp", "udp", "udplite", "raw"),
        replies: Callable[[bytes], Reply | None] = lambda request: None,
    ) -> None:
        self.sockets = list(sockets)
        self.unix = list(unix)
        self.requests: list[bytes] = []
        self.transports: list[FakeTransport] = []
        self._protocols = {_PROTOCOLS[name] for name in protocols}
        self._replies = replies

    def open(self, protocol: int) -> FakeTransport:
        """Return a socket to this kernel: pass it as `Host(netlink=kernel.open)`."""
        self.transports.append(FakeTransport(self))
        return self.transports[-1]

    def answer(self, request: bytes) -> Reply:
        """Return the datagrams that answer one request."""
        self.requests.append(request)
        scripted = self._replies(request)
        if scripted is not None:
            return scripted
        _, kind, _, seq, _ = netlink.HEADER.read(request)
        if kind != sock_diag.SOCK_DIAG_BY_FAMILY:
            return [error(seq, EINVAL)]
        family = request[netlink.HEADER.size]
        if family in (inet_diag.AF_INET, inet_diag.AF_INET6):
            return self._inet(request, seq)
        if family == unix_diag.AF_UNIX:
            return self._unix(request, seq)
        if family in (packet_diag.AF_PACKET, netlink_diag.AF_NETLINK):
            return multipart([], seq)
        return [error(seq, ENOENT)]

    def _unix(self, request: bytes, seq: int) -> Reply:
        states = unix_diag.REQUEST.read(request, netlink.HEADER.size)[3]
        return multipart([socket.message(seq) for socket in self.unix if states >> socket.state & 1], seq)

    def _inet(self, request: bytes, seq: int) -> Reply:
        family, protocol, _, _, states, where = inet_diag.REQUEST.read(request, netlink.HEADER.size)
        start = netlink.HEADER.size + inet_diag.REQUEST.size
        asked = dict(netlink.attributes(request, start, len(request)))
        if inet_diag.INET_DIAG_REQ_PROTOCOL in asked:
            protocol = int.from_bytes(asked[inet_diag.INET_DIAG_REQ_PROTOCOL], sys.byteorder)
        if protocol not in self._protocols:
            return [error(seq, ENOENT)]
        program = asked.get(inet_diag.INET_DIAG_REQ_BYTECODE, b"")
        refused = bytecode.audit(program) if program else 0
        if refused:
            return [error(seq, refused)]
        chosen = [
            socket
            for socket in self.sockets
            if socket.family == family
            and _PROTOCOLS[socket.protocol] == protocol
            and states >> _STATES[socket.state] & 1
            and (socket.state == "bound-inactive" or _ports_match(socket, where))
            and (not program or bytecode.run(program, socket.entry()))
        ]
        return multipart([socket.message(seq) for socket in chosen], seq)


class FakeTransport:
    """One netlink socket of a fake kernel."""

    def __init__(self, kernel: FakeKernel) -> None:
        self.closed = False
        self._kernel = kernel
        self._waiting: Reply = []

    def send(self, data: bytes) -> int:
        """Take a request; its answers wait to be read."""
        self._waiting += self._kernel.answer(data)
        return len(data)

    def recvfrom_into(self, buffer: memoryview, nbytes: int, flags: int) -> tuple[int, tuple[int, int]]:
        """Give one datagram; return its real length and the kernel as sender; TimeoutError where none will come."""
        if not self._waiting:
            raise TimeoutError("the fake kernel has nothing more to say")
        data = self._waiting.pop(0)
        if isinstance(data, OSError):
            raise data
        buffer[: min(len(data), nbytes)] = data[:nbytes]
        return len(data), (0, 0)

    def close(self) -> None:
        """Forget what waits."""
        self.closed = True
        self._waiting.clear()


def multipart(messages: list[bytes], seq: int, per_datagram: int = 64) -> Reply:
    """Pack messages into datagrams; the end stands in the last one, as the kernel does it."""
    datagrams: Reply = [
        b"".join(messages[at : at + per_datagram]) for at in range(0, len(messages), per_datagram)
    ]
    return [*datagrams, done(seq)]


def done(seq: int, errno: int = 0, flags: int = netlink.NLM_F_MULTI) -> bytes:
    """Return NLMSG_DONE."""
    return netlink.message(netlink.NLMSG_DONE, flags, struct.pack("=i", -errno), seq=seq)


def error(seq: int, errno: int, text: str = "") -> bytes:
    """Return NLMSG_ERROR with an errno and, if there is a text, the extended ack."""
    body = struct.pack("=i", -errno) + netlink.HEADER.write(len=netlink.HEADER.size, seq=seq)
    flags = netlink.NLM_F_CAPPED
    if text:
        flags |= netlink.NLM_F_ACK_TLVS
        body += netlink.attribute(netlink.NLMSGERR_ATTR_MSG, text.encode() + b"\0")
    return netlink.message(netlink.NLMSG_ERROR, flags, body, seq=seq)


def _ports_match(socket: FakeSocket, where: bytes) -> bool:
    """Compare the ports of a request; the kernel does not for sockets that are only bound (inet_diag_dump_icsk)."""
    sport, dport = int.from_bytes(where[:2], "big"), int.from_bytes(where[2:4], "big")
    return sport in (0, socket.local[1]) and dport in (0, socket.remote[1])


def _raw(address: str) -> bytes:
    return parse_address(address)
