"""Read the sockets of one network namespace: sock_diag first, the text of /proc/net where that is not offered.

What is read stays as the kernel wrote it (`InetDump` holds one buffer per family and protocol); `see` decodes it.
A protocol that this kernel has not registered is not asked for: the question alone could load a module.
"""

from __future__ import annotations

import _socket  # see system.netlink

from portside.errors import NotSupported
from portside.record import Record
from portside.system.bound import none_merely_bound
from portside.system.netlink import NETLINK_SOCK_DIAG, Netlink, from_os
from portside.wire import inet_diag, procnet, tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from portside.system.host import Host

    Answer = tuple[tuple[int, ...], dict[str, object]]


class Protocol(Record):
    """One IP protocol: its number for sock_diag, its names in /proc/net/protocols and its files in /proc/net."""

    name: str
    number: int
    registered: tuple[str, str]
    files: tuple[str, str] | tuple[()]
    type: str


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("tcp", inet_diag.IPPROTO_TCP, ("TCP", "TCPv6"), ("tcp", "tcp6"), "stream"),
        Protocol("mptcp", inet_diag.IPPROTO_MPTCP, ("MPTCP", "MPTCPv6"), (), "stream"),
        Protocol("sctp", inet_diag.IPPROTO_SCTP, ("SCTP", "SCTPv6"), (), "stream"),
        Protocol("udp", inet_diag.IPPROTO_UDP, ("UDP", "UDPv6"), ("udp", "udp6"), "dgram"),
        Protocol(
            "udplite", inet_diag.IPPROTO_UDPLITE, ("UDP-Lite", "UDPLITEv6"), ("udplite", "udplite6"), "dgram"
        ),
        Protocol("raw", inet_diag.IPPROTO_RAW, ("RAW", "RAWv6"), ("raw", "raw6"), "raw"),
        Protocol("icmp", inet_diag.IPPROTO_ICMP, ("PING", "PINGv6"), ("icmp", "icmp6"), "dgram"),
    )
}
FAMILIES = (inet_diag.AF_INET, inet_diag.AF_INET6)


class Request(Record):
    """What to ask the kernel for one family and protocol: the state mask, ports, bytecode, extensions (idiag_ext)."""

    states: int = tcp_states.ALL
    sport: int = 0
    dport: int = 0
    bytecode: bytes = b""
    extensions: int = 0


class InetDump(Record):
    """The answers for one protocol and family (0: both): whole messages in `buffer`, or rows parsed from text."""

    family: int
    protocol: Protocol
    buffer: bytes
    text_rows: tuple[inet_diag.Row, ...] = ()
    text: bool = False

    def rows(self) -> Iterator[inet_diag.Row]:
        """Yield the rows; raises BadReply where the kernel's reply is malformed."""
        return iter(self.text_rows) if self.text_rows else inet_diag.rows(self.buffer)

    def inodes(self) -> list[int]:
        """Return the inode of every row, in order; 0 where a socket has none."""
        if self.text_rows:
            return [row[14] for row in self.text_rows]
        return inet_diag.column(self.buffer, inet_diag.INODE_WORD)

    def duplicated(self) -> bool:
        """Whether the dump, which is not atomic, tells a socket twice (by cookie; text tells none)."""
        low = inet_diag.column(self.buffer, inet_diag.COOKIE_WORDS[0])
        if len(set(low)) == len(low):
            return False
        high = inet_diag.column(self.buffer, inet_diag.COOKIE_WORDS[1])
        return len(set(zip(low, high, strict=True))) < len(low)


class Reader:
    """Reads the sockets of the calling thread's network namespace; use it as a context manager.

    `roads` collects which road each answer took: protocol or family name -> `sock_diag` or `proc`.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._link = _open(host)
        self._registered: frozenset[str] | None = None
        self.roads: dict[str, str] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._link is not None:
            self._link.close()

    def check_sighted(self) -> None:
        """Raise NotSupported where there is neither sock_diag nor /proc/net: no answer is not an empty one."""
        if self._link is None and self._text("tcp") is None and self._text("unix") is None:
            raise NotSupported(
                "read", "sockets", "this system offers neither sock_diag nor /proc/net", "see docs/support.md"
            )

    def inet(self, family: int, protocol: Protocol, request: Request) -> InetDump | None:
        """Return the sockets of one IP family and protocol, or None where this kernel has no such protocol.

        Text holds every state and port: what `request` left to the kernel must be checked again by the caller.
        """
        if not self._has(protocol.registered[family == inet_diag.AF_INET6]):
            return None
        what = f"{protocol.name} sockets"
        if self._link is not None and protocol.name != "icmp":
            question = inet_diag.request(
                family, protocol.number, request.states, extensions=request.extensions,
                sport=request.sport, dport=request.dport, bytecode=request.bytecode,
            )  # fmt: skip
            try:
                buffer = self._link.dump(question, what)
            except NotSupported:
                if not protocol.files:
                    raise
            else:
                self.roads[protocol.name] = "sock_diag"
                return InetDump(family, protocol, buffer)
        return self._inet_text(family, protocol, request.states)

    def tcp_of_both(self, request: Request) -> InetDump | None:
        """Return the TCP sockets of both IP families from one dump, None where that is not offered."""
        if self._link is None:
            return None
        question = inet_diag.request_of_both(
            self._without_bound(request.states), extensions=request.extensions,
            sport=request.sport, dport=request.dport, bytecode=request.bytecode,
        )  # fmt: skip
        try:
            buffer = self._link.dump(question, "tcp sockets")
        except NotSupported:
            return None
        self.roads["tcp"] = "sock_diag"
        return InetDump(0, PROTOCOLS["tcp"], buffer)

    def _without_bound(self, states: int) -> int:
        """Leave bound-inactive out of a mask when there is no such socket: looking for them is dear."""
        bit = 1 << tcp_states.BOUND_INACTIVE
        return states & ~bit if states & bit and none_merely_bound(self._host) else states

    def _inet_text(self, family: int, protocol: Protocol, states: int) -> InetDump | None:
        if not protocol.files:
            return None
        name = protocol.files[family == inet_diag.AF_INET6]
        text = self._text(name)
        if text is None:
            if self._host.live and not self._registered:  # no /proc/net at all
                raise NotSupported(
                    "read", f"{protocol.name} sockets", "neither sock_diag nor /proc/net tells them"
                )
            return None
        self.roads[protocol.name] = "proc"
        rows = tuple(row for row in procnet.inet(text, name) if states >> row[1] & 1)
        return InetDump(family, protocol, b"", rows, text=True)

    def unix(self, everything: bool = False) -> list[Answer]:
        """Return every Unix socket: (numbers, attributes) as `wire.unix_diag.answers` yields them."""
        from portside.wire import unix_diag  # each of these families is imported where it is asked for

        show = unix_diag.SHOW_EVERYTHING if everything else unix_diag.SHOW
        return self._answers("unix", unix_diag.request((1 << 32) - 1, show), unix_diag.answers, procnet.unix)

    def packet(self, everything: bool = False) -> list[Answer]:
        """Return every packet socket, as `wire.packet_diag.answers` yields them."""
        from portside.wire import packet_diag

        show = packet_diag.SHOW_EVERYTHING if everything else packet_diag.SHOW
        return self._answers("packet", packet_diag.request(show), packet_diag.answers, procnet.packet)

    def netlink(self, everything: bool = False) -> list[Answer]:
        """Return every netlink socket but the one that asks, as `wire.netlink_diag.answers` yields them."""
        from portside.wire import netlink_diag

        show = netlink_diag.SHOW_EVERYTHING if everything else netlink_diag.SHOW
        found = self._answers("netlink", netlink_diag.request(show), netlink_diag.answers, procnet.netlink)
        asking = (NETLINK_SOCK_DIAG, self._link.port_id if self._link is not None else -1)
        return [answer for answer in found if (answer[0][2], answer[0][4]) != asking]

    def _answers(
        self,
        name: str,
        question: bytes,
        decode: Callable[[bytes], Iterable[Answer]],
        parse: Callable[[str], Iterable[Answer]],
    ) -> list[Answer]:
        if self._link is not None:
            try:
                buffer = self._link.dump(question, f"{name} sockets")
            except NotSupported:
                pass
            else:
                self.roads[name] = "sock_diag"
                return _each_once(decode(buffer))
        text = self._text(name)
        self.roads[name] = "proc"
        return list(parse(text)) if text is not None else []

    def _text(self, name: str) -> str | None:
        """Return a file of /proc/net, None where it does not exist."""
        try:
            return self._host.net(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os(error, "read", f"proc/net/{name}") from error

    def _has(self, name: str) -> bool:
        """Whether the kernel has registered a protocol; a tree without the list is taken to have all."""
        if self._registered is None:
            self._registered = procnet.protocols(self._text("protocols") or "")
        return not self._registered or name in self._registered

    def interfaces(self) -> dict[int, str]:
        """Return index -> name of this namespace's interfaces (empty for a recorded tree)."""
        try:
            return dict(_socket.if_nameindex()) if self._host.live else {}
        except OSError as error:
            raise from_os(error, "read", "interfaces") from error


def _each_once(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers without repetition: a netlink socket that joined groups is told once for each table."""
    found: dict[int, Answer] = {}
    for numbers, told in answers:
        found.setdefault(numbers[-1], (numbers, told))  # the cookie
    return list(found.values())


def interface_index(name: str) -> int:
    """Return the number of an interface of the calling thread's namespace, 0 if there is none of that name."""
    try:
        return _socket.if_nametoindex(name)
    except OSError:
        return 0


def _open(host: Host) -> Netlink | None:
    if host.netlink is None:
        return None
    try:
        return Netlink(opener=host.netlink)
    except NotSupported:
        return None
