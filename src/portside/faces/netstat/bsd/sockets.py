"""The table of sockets as BSD's netstat draws it: `tcp4       0      0  *.80   *.*   LISTEN`.

Widths are those of FreeBSD up to 9 and of macOS to this day: PROTO 5, the queues 6, the addresses 22, an address cut
to 16 before its port; with -W whole addresses in columns of 45 (22 for IPv4 alone).  Without -a, sockets that listen
or are bound to any address are left out.  -L tells each listener's queue: the connections that wait to be accepted,
those whose handshake is under way, and the limit.  Reference: usr.bin/netstat/inet.c, inet6.c.
"""

from __future__ import annotations

from portside.faces.bsd import TCP_STATES, ends
from portside.faces.netstat.bsd.names import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.faces.netstat.bsd.options import Options
    from portside.see.records import Socket

# protocols in the order they are shown, with the word before the family's digit; raw sockets by their protocol
_SHOWN = ("tcp", "udp", "udplite", "sctp", "ip", "icmp", "igmp", "ip6", "icmp6")
_RAW = {1: "icmp", 2: "igmp", 58: "icmp6"}
_WORDS = {"sctp": "sct", "icmp": "icm", "igmp": "igm", "icmp6": "icm", "ip6": "ip"}
READ = {
    "tcp": ("tcp",), "udp": ("udp",), "udplite": ("udplite",), "sctp": ("sctp",),
    "": ("tcp", "udp", "udplite", "sctp", "raw", "icmp"),
}  # fmt: skip
_IP_PROTOCOLS = ("raw", "icmp")


def protocols(options: Options) -> tuple[str, ...]:
    """Return Portside's words for what must be read."""
    return READ.get(options.protocol, _IP_PROTOCOLS)


def table(sockets: Iterable[Socket], options: Options, names: Names) -> Iterator[str]:
    """Yield the titles and a line for each socket; nothing where there is none."""
    found = [socket for socket in sockets if socket.family in ("inet", "inet6")]
    pending = [socket for socket in found if socket.state == "syn-recv"]
    rows = sorted(
        (
            (_SHOWN.index(protocol), socket)
            for socket in found
            if (protocol := _protocol(socket)) and _wanted(socket, protocol, options)
        ),
        key=lambda pair: pair[0],
    )
    if rows:
        yield from _titles(options)
    for place, socket in rows:
        if not options.queues:
            yield _line(socket, _SHOWN[place], options, names)
        elif socket.backlog is not None:
            yield _queue_line(socket, _SHOWN[place], pending, options, names)


def _protocol(socket: Socket) -> str:
    """Return the protocol a socket is listed under, empty where it is not (MPTCP: its subflows are)."""
    if socket.protocol == "raw":
        return _RAW.get(socket.local.port, "ip" if socket.family == "inet" else "ip6")
    if socket.protocol == "icmp":
        return "icmp" if socket.family == "inet" else "icmp6"
    return socket.protocol if socket.protocol in _SHOWN else ""


def _wanted(socket: Socket, protocol: str, options: Options) -> bool:
    if options.protocol and protocol != options.protocol:
        return False
    told = ends(socket)
    if options.family and {"inet": "4", "inet6": "6"}[options.family] not in told.versions:
        return False
    return options.every or options.queues or not (socket.state == "listen" or told.local == "*")


def _titles(options: Options) -> Iterator[str]:
    local, foreign = "Local Address", "Foreign Address"
    width = _width(options)
    if options.queues:
        yield "Current listen queue sizes (qlen/incqlen/maxqlen)"
        yield f"{'Proto':<5} {'Listen':<14} {local:<{width}}"
        return
    yield "Active Internet connections" + (" (including servers)" if options.every else "")
    yield f"{'Proto':<5} {'Recv-Q':<6} {'Send-Q':<6}  {local:<{width}} {foreign:<{width}} (state)"


def _width(options: Options) -> int:
    return 45 if options.wide and options.family != "inet" else 22


def _line(socket: Socket, protocol: str, options: Options, names: Names) -> str:
    queues = socket.queues
    receive, send = (0, 0) if socket.backlog is not None else (queues.receive, queues.send)
    state = TCP_STATES.get(socket.state, socket.state) if protocol in ("tcp", "sctp") else ""
    local, foreign = _addresses(socket, protocol, options, names)
    return f"{_proto(socket, protocol)} {receive:>6} {send:>6}  {local} {foreign} {state}"


def _queue_line(socket: Socket, protocol: str, pending: list[Socket], options: Options, names: Names) -> str:
    assert socket.backlog is not None
    coming = sum(
        one.local.port == socket.local.port and socket.local.address in (one.local.address, "0.0.0.0", "::")
        for one in pending
    )
    sizes = f"{socket.backlog.used}/{coming}/{socket.backlog.limit or 0}"
    return f"{_proto(socket, protocol)} {sizes:<14} {_addresses(socket, protocol, options, names)[0]} "


def _proto(socket: Socket, protocol: str) -> str:
    return f"{_WORDS.get(protocol, protocol)}{ends(socket).versions}".ljust(5)


def _addresses(socket: Socket, protocol: str, options: Options, names: Names) -> tuple[str, str]:
    """Return both address columns.

    The local port is named unless the kernel chose it, the foreign one where the local one is not or is the same.
    """
    told = ends(socket)
    raw = protocol not in ("tcp", "udp", "udplite", "sctp")
    ports = (0, 0) if raw else (socket.local.port, socket.remote.port)
    chosen = names.chosen_by_kernel(ports[0])
    named = (not chosen, chosen or ports[0] == ports[1])
    width = _width(options)
    cells = []
    for address, port, by_name in zip((told.local, told.remote), ports, named, strict=True):
        host = names.host(address)
        service = names.service(port, protocol) if by_name else ""
        text = f"{host if options.wide else host[:16]}.{service[:15] or port or '*'}"
        cells.append(text.ljust(width) if options.wide else text[:width].ljust(width))
    return cells[0], cells[1]
