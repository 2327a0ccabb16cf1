"""What the host does with its ports: how much of the ephemeral range is in use, and how full the backlogs are.

An outgoing connection needs a local port that no other connection from the same address to the same destination has:
the range runs dry for one destination at a time.  So connections are counted by (source, destination, port), those in
TIME_WAIT with them; a port without a connection (UDP, bind to port 0) is gone for everybody.
"""

from __future__ import annotations

from portside.ports.address import format_address
from portside.record import Record
from portside.see import query
from portside.see.ports import is_open
from portside.see.snapshot import take
from portside.system import sysctl
from portside.system.host import LIVE, Host
from portside.wire import inet_diag, tcp_info, tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.ports.number import HostRanges
    from portside.see.records import Gap, Socket

    # protocol, source and destination as raw bytes, local and remote port
    Connection = tuple[str, bytes, bytes, int, int]

_MAPPED = bytes(10) + b"\xff\xff"
_MOST = 10  # destinations that are told


class Destination(Record):
    """The connections from one address to one destination that have an ephemeral port."""

    source: str
    address: str
    port: int
    used: int


class Use(Record):
    """How much of the ephemeral range is in use: `size` ports can be given (reserved ones not counted).

    `tcp` and `udp` count ports that some socket has; `destinations` are the busiest, TCP alone, the busiest first.
    """

    size: int
    tcp: int = 0
    udp: int = 0
    destinations: tuple[Destination, ...] = ()


class Listener(Record):
    """A TCP listener: its backlog in use and its limit, how many connections it dropped, whose it is.

    `drops` is None where the kernel does not tell; `by_number` whether the program asked for this port.
    """

    address: str
    port: int
    used: int
    limit: int | None
    drops: int | None
    owner: str
    by_number: bool


class Facts(Record):
    """What is known beside the settings' values; `counters` are the namespace's TcpExt counters by name."""

    use: Use | None = None
    listeners: tuple[Listener, ...] = ()
    counters: dict[str, int] | None = None
    cookies: bool = True
    gaps: tuple[Gap, ...] = ()

    def count(self, name: str) -> int:
        """Return a counter, 0 where it is not told."""
        return (self.counters or {}).get(name, 0)


COUNTERS = ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPReqQFullDoCookies", "SyncookiesSent")


def look(ranges: HostRanges, host: Host = LIVE, *, connections: bool = True) -> Facts:
    """Read the listeners and counters, and the connections if they are asked for."""
    wish = query.build("", query.Selection(kinds=("tcp",))).wish
    wish = wish.replace(protocols=("tcp",), extensions=inet_diag.extension(inet_diag.INET_DIAG_SKMEMINFO))
    snapshot = take(wish, host)
    by_number = _asked_for(host)
    return Facts(
        use=_read_use(ranges, host) if connections else None,
        listeners=tuple(
            _listener(socket, by_number)
            for socket in snapshot
            if is_open(socket) and socket.state == "listen"
        ),
        counters=_counters(host),
        cookies=sysctl.read(host, "net.ipv4.tcp_syncookies") != "0",
        gaps=tuple(snapshot.gaps),
    )


def _asked_for(host: Host) -> set[int]:
    """Return the cookies of listeners whose port the kernel did not choose; it tells that in its filter alone."""
    selection = query.Selection(every=True, kinds=("tcp",))
    sought = query.build("not autobound and state listen", selection, host)
    snapshot = take(sought.wish.replace(owners=False), host)
    snapshot.accept = sought.accept
    return {socket.cookie for socket in snapshot}


def _listener(socket: Socket, by_number: set[int]) -> Listener:
    names = dict.fromkeys(f"{owner.process.name or '?'} {owner.pid}" for owner in socket.owners)
    memory = dict(socket.attributes).get("skmeminfo")
    backlog = socket.backlog
    return Listener(
        socket.local.address,
        socket.local.port,
        backlog.used if backlog else 0,
        backlog.limit if backlog else None,
        _drops(memory) if isinstance(memory, bytes) else None,
        ", ".join(names),
        socket.cookie in by_number,
    )


def _drops(memory: bytes) -> int | None:
    """Read the socket's own count of dropped connections (tcp_listendrop, include/net/tcp.h)."""
    import sys

    at = tcp_info.SK_MEMINFO_DROPS * 4
    return int.from_bytes(memory[at : at + 4], sys.byteorder) if len(memory) >= at + 4 else None


def _counters(host: Host) -> dict[str, int]:
    from portside.wire import counters

    try:
        extended = counters.groups(host.net("netstat"), "netstat").get("TcpExt", {})
    except OSError:
        return {}
    return {name: extended[name] for name in COUNTERS if name in extended}


def _read_use(ranges: HostRanges, host: Host) -> Use:
    states = tcp_states.ALL & ~(1 << tcp_states.LISTEN)
    wish = query.build("", query.Selection(every=True, kinds=("tcp", "udp"))).wish
    wish = wish.replace(protocols=("tcp", "udp"), owners=False, stream_states=states)
    snapshot = take(wish, host)
    connections = (
        (
            dump.protocol.name,
            _raw(row[0], row[6]),
            _raw(row[0], row[7]),
            inet_diag.ntohs(row[4]),
            inet_diag.ntohs(row[5]),
        )
        for part in snapshot.parts
        for dump in part.dumps
        for row in part.rows(dump)
    )
    return count(ranges, connections)


def count(ranges: HostRanges, connections: Iterable[Connection]) -> Use:
    """Count the connections whose local port is of the ephemeral range."""
    first, last = ranges.ephemeral.first, ranges.ephemeral.last
    ports: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    towards: dict[tuple[bytes, bytes, int], int] = {}
    for protocol, source, destination, local, remote in connections:
        if first <= local <= last:
            ports[protocol].add(local)
            if remote and protocol == "tcp":
                key = source, destination, remote
                towards[key] = towards.get(key, 0) + 1
    busiest = sorted(towards.items(), key=lambda item: (-item[1], item[0]))[:_MOST]
    return Use(
        given(ranges),
        len(ports["tcp"]),
        len(ports["udp"]),
        tuple(
            Destination(format_address(source), format_address(address), port, used)
            for (source, address, port), used in busiest
        ),
    )


def given(ranges: HostRanges) -> int:
    """Return how many ports of the ephemeral range the kernel may give: reserved ones it does not."""
    inside = ranges.ephemeral
    kept = (min(one.last, inside.last) - max(one.first, inside.first) + 1 for one in ranges.reserved)
    return len(inside) - sum(max(0, number) for number in kept)


def _raw(family: int, raw: bytes) -> bytes:
    """Return an address of a row; IPv4 on an IPv6 socket is IPv4's, and takes its ports."""
    if family == inet_diag.AF_INET:
        return raw[:4]
    return raw[12:] if raw.startswith(_MAPPED) else raw
