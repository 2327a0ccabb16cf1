"""A bound UDP socket that answers from the address it was asked at, also where it is bound to every address.

The kernel tells the destination of each datagram (IP_PKTINFO, IPV6_PKTINFO: ip(7), RFC 3542 section 6), and takes the
same record as the source of the answer.  It also tells what was sent to a group: broadcast and multicast.
"""

from __future__ import annotations

import socket
import struct

from portside.ports.scope import ANY, LOOPBACK, scope_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 65_535
_IP_PKTINFO = 8  # include/uapi/linux/in.h
_V4 = struct.Struct("=i4s4s")  # struct in_pktinfo: interface, local address, destination of the header
_V6 = struct.Struct("=16si")  # struct in6_pktinfo
_ROOM = socket.CMSG_SPACE(_V4.size) + socket.CMSG_SPACE(_V6.size)


class Datagram:
    """One datagram: `data`, the `peer` it came from, `to_group` (broadcast or multicast), and how to answer it."""

    __slots__ = ("answer_from", "data", "peer", "to_group")

    def __init__(self, data: bytes, peer: Any, answer_from: list[Any], to_group: bool) -> None:
        self.data = data
        self.peer = peer
        self.answer_from = answer_from
        self.to_group = to_group


class Datagrams:
    """A bound UDP socket."""

    def __init__(self, bound: socket.socket) -> None:
        bound.setblocking(False)
        self.socket = bound
        self._everywhere = scope_of(socket.inet_pton(bound.family, bound.getsockname()[0])) == ANY
        if self._everywhere:
            bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            if bound.family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def receive(self) -> Datagram:
        """Return the next datagram; raises BlockingIOError, or what ICMP said of an answer of ours."""
        if not self._everywhere:
            data, peer = self.socket.recvfrom(LARGEST)
            return Datagram(data, peer, [], False)
        data, notes, _flags, peer = self.socket.recvmsg(LARGEST, _ROOM)
        for level, kind, content in reversed(notes):  # of IPv4 on an IPv6 socket both are told, IPv4's last
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                _, local, header = _V4.unpack_from(content)
                return Datagram(data, peer, [(level, kind, _V4.pack(0, local, bytes(4)))], local != header)
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                address, interface = _V6.unpack_from(content)
                if address[0] == 0xFF:
                    return Datagram(data, peer, [], True)
                interface = interface if address[:2] == b"\xfe\x80" else 0
                return Datagram(data, peer, [(level, kind, _V6.pack(address, interface))], False)
        return Datagram(data, peer, [], False)

    def answer(self, datagram: Datagram, data: bytes) -> None:
        """Send to where a datagram came from; what the kernel cannot take now is lost, as UDP is."""
        try:
            self.socket.sendmsg([data], datagram.answer_from, 0, datagram.peer)
        except OSError:  # full, unreachable, too long: UDP promises nothing
            pass


def is_loopback(host: str) -> bool:
    """Whether an address is of this host alone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return scope_of(socket.inet_pton(family, host.partition("%")[0])) == LOOPBACK


def show(peer: Any) -> str:
    """Return a peer's address as text: `192.0.2.1:7`, `[2001:db8::1]:7`; a Unix socket's is its path."""
    if isinstance(peer, tuple):
        host = peer[0].removeprefix("::ffff:") if "." in peer[0] else peer[0]
        return f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"
    name = peer.decode("utf-8", "surrogateescape") if isinstance(peer, bytes) else peer
    return "@" + name[1:] if name.startswith("\0") else name or "unix"
