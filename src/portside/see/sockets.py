"""From what the kernel answered to `Socket` records, one function per family.

A `Decoder` knows one namespace's facts (interface names, the namespace's own name) and keeps the endpoints it has
made: on a busy host most sockets share them.
"""

from __future__ import annotations

from portside.ports.address import format_ipv4, format_ipv6
from portside.ports.scope import scope_of
from portside.see.records import Backlog, Endpoint, Queues, Socket, Timer
from portside.wire import inet_diag, tcp_states
from portside.wire.inet_diag import ntohs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.see.records import Container, Owner
    from portside.system.sockets import Answer, InetDump
    from portside.wire.inet_diag import Row

    Ownership = tuple[tuple[Owner, ...], str, str, Container | None]  # owners, user, unit, container
    Tail = tuple[bool | None, str, tuple[tuple[str, object], ...]]

# include/linux/net.h, enum sock_type
SOCKET_TYPES = {1: "stream", 2: "dgram", 3: "raw", 4: "rdm", 5: "seqpacket", 6: "dccp", 10: "packet"}

_NOTHING = Queues()
_UNKNOWN: Ownership = ((), "", "", None)
_MOST_TAILS = 4096  # with tcp_info asked for, every tail is another


class Decoder:
    """Makes records of the sockets of one network namespace."""

    def __init__(
        self, netns: str, interfaces: dict[int, str], cgroup_path: Callable[[int], str | None]
    ) -> None:
        self._netns = netns
        self._interfaces = interfaces
        self._cgroup_path = cgroup_path
        self._tails: dict[bytes, Tail] = {}
        self._endpoints: dict[tuple[object, ...], Endpoint] = {}

    def inet(self, dump: InetDump, row: Row, held: Ownership = _UNKNOWN) -> Socket:
        """Return the record of one row of an IP dump, with what is known of its owners."""
        (family, number, timer, retransmits, sport, dport, src, dst, interface, cookie, expires, receive, send, uid,
         inode, tail) = row  # fmt: skip
        v6only, cgroup, attributes = self._tails.get(tail) or self._tail(tail)
        protocol = dump.protocol
        stream = protocol.type == "stream"
        listening = stream and number == tcp_states.LISTEN
        owners, user, unit, container = held
        return Socket(
            "inet" if family == inet_diag.AF_INET else "inet6",
            protocol.type,
            protocol.name,
            tcp_states.stream_state(number) if stream else tcp_states.datagram_state(number),
            self._endpoint(family, src, sport, interface, v6only),
            self._endpoint(family, dst, dport, 0, None),
            _NOTHING if listening or not (receive or send) else Queues(receive, send),
            Backlog(receive, send if cookie else None) if listening else None,
            uid,
            user,
            inode,
            cookie,
            self._netns,
            cgroup,
            unit,
            container,
            Timer(_timer_name(timer), expires / 1000, retransmits) if timer else None,
            owners,
            attributes=attributes,
        )

    def _tail(self, tail: bytes) -> Tail:
        """Decode a row's attributes: v6only, the cgroup's path, and all of them; most sockets share theirs."""
        told = inet_diag.attributes(tail)
        cgroup, v6only = told.get("cgroup_id"), told.get("v6only")
        path = (self._cgroup_path(cgroup) or "") if isinstance(cgroup, int) else ""
        decoded = (v6only if isinstance(v6only, bool) else None, path, tuple(told.items()))
        if len(self._tails) < _MOST_TAILS:
            self._tails[tail] = decoded
        return decoded

    def _endpoint(self, family: int, raw: bytes, port: int, interface: int, v6only: bool | None) -> Endpoint:
        key = (family, raw, port, interface, v6only)
        known = self._endpoints.get(key)
        if known is None:
            short = raw[:4] if family == inet_diag.AF_INET else raw
            address = format_ipv4(short) if len(short) == 4 else format_ipv6(short)
            known = Endpoint(address, ntohs(port), scope_of(short), self._device(interface), v6only)
            self._endpoints[key] = known
        return known

    def _device(self, interface: int) -> str:
        """Return an interface's name; one without a name (gone, or another namespace's) keeps its index."""
        return self._interfaces.get(interface, f"if{interface}") if interface else ""

    def unix(self, answer: Answer) -> Socket:
        """Return the record of one Unix socket; `attributes` has `peer` (an inode) where there is one."""
        (_, kind, number, _, inode, cookie), told = answer
        name = told.pop("name", b"")
        waiting = told.get("rqlen")
        used, limit = waiting if isinstance(waiting, tuple) and len(waiting) == 2 else (0, 0)
        listening = number == tcp_states.LISTEN
        peer = told.get("peer")
        return Socket(
            "unix",
            SOCKET_TYPES.get(kind, str(kind)),
            "unix",
            tcp_states.datagram_state(number),
            Endpoint(unix_name(name if isinstance(name, bytes) else b"")),
            Endpoint(f"inode {peer}" if isinstance(peer, int) and peer else ""),
            _NOTHING if listening else Queues(used, limit),
            Backlog(used, limit if cookie else None) if listening else None,
            _number(told.get("uid")),
            inode=inode,
            cookie=cookie,
            netns=self._netns,
            attributes=tuple(told.items()),
        )

    def packet(self, answer: Answer) -> Socket:
        """Return the record of one packet socket: the local address is the ethertype's hexadecimal name."""
        (_, kind, ethertype, inode, cookie), told = answer
        info, memory = told.get("info"), told.get("meminfo")
        interface = info[0] if isinstance(info, tuple) and info else 0
        return Socket(
            "packet",
            SOCKET_TYPES.get(kind, str(kind)),
            "packet",
            "unconnected",
            Endpoint(
                "*" if ethertype == _ETH_P_ALL else f"0x{ethertype:04x}", 0, "", self._device(interface)
            ),
            Endpoint(""),
            Queues(memory[0]) if isinstance(memory, tuple) and memory else _NOTHING,
            uid=_number(told.get("uid")),
            inode=inode,
            cookie=cookie,
            netns=self._netns,
            attributes=tuple(told.items()),
        )

    def netlink(self, answer: Answer) -> Socket:
        """Return the record of one netlink socket: local address the protocol's name, local port the port id."""
        from portside.wire.netlink_diag import PROTOCOLS  # only this family needs the table

        (_, kind, protocol, number, portid, dst_portid, _, inode, cookie), told = answer
        memory = told.get("meminfo")
        used = memory if isinstance(memory, tuple) and len(memory) > 2 else (0, 0, 0)
        return Socket(
            "netlink",
            SOCKET_TYPES.get(kind, str(kind)),
            "netlink",
            tcp_states.datagram_state(number or tcp_states.CLOSE),
            Endpoint(PROTOCOLS.get(protocol, str(protocol)), portid),
            Endpoint("", dst_portid),
            Queues(used[0], used[2]),
            inode=inode,
            cookie=cookie,
            netns=self._netns,
            attributes=tuple(told.items()),
        )


_ETH_P_ALL = 0x0003  # include/uapi/linux/if_ether.h


def unix_name(raw: bytes) -> str:
    """Return a Unix socket's name as text: a path, `@name` for an abstract one; odd bytes as surrogates."""
    if raw.startswith(b"\0"):
        return "@" + raw[1:].decode("utf-8", "surrogateescape").replace("\0", "@")
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _timer_name(number: int) -> str:
    return inet_diag.TIMERS[number] if number < len(inet_diag.TIMERS) else f"timer-{number}"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
