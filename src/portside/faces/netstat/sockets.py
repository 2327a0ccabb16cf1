"""The table of Internet sockets as netstat draws it, and the order in which it shows its tables of sockets.

The rows are those of /proc/net, in its order: unanswered probes stand there alone, and sock_diag tells more of a
listener's queue than netstat shows.  A table is read whole, then the holders of its sockets are looked for, then it
is written.  Without -a: with -l what has no remote end (TCP: no remote port), without it what has one.  An address is
cut so that 22 bytes hold it with its port, unless -W is given.  Reference: netstat.c of net-tools 2.10.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.wire import procnet
from portside.wire.inet_diag import AF_INET, ntohs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.names import Names
    from portside.faces.netstat.options import Options
    from portside.system.host import Host
    from portside.wire.inet_diag import Row

    # what stands before the owner, the inode (None: no owner column), what stands behind
    Line = tuple[str, int | None, str]

_TCP_STATES = (
    "", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING",
)  # fmt: skip
_ESTABLISHED, _CLOSE = 1, 7
_TCP_TIMERS = ("off", "on", "keepalive", "timewait", "probe")
_SHORT = 22  # bytes of an address with its port
# table -> the files of both families and the words of their rows
_FILES = {
    "tcp": (("tcp", "tcp"), ("tcp6", "tcp6")),
    "udp": (("udp", "udp"), ("udp6", "udp6")),
    "udplite": (("udplite", "udpl"), ("udplite6", "udpl6")),
    "raw": (("raw", "raw"), ("raw6", "raw6")),
}


class Missing(Exception):
    """A kind of socket that was asked for and that this kernel does not have; the text is netstat's name of it."""


def title(options: Options) -> Iterator[str]:
    """Yield the two lines above the Internet sockets."""
    from portside.faces.netstat.programs import BANNER

    yield f"Active Internet connections {which(options)}"
    line = "Proto Recv-Q Send-Q Local Address           Foreign Address         State      "
    line += " User       Inode     " if options.extend else ""
    yield line + (BANNER if options.programs else "") + (" Timer" if options.timers else "")


def which(options: Options) -> str:
    """Return the words in a title that say which sockets are shown."""
    if options.every:
        return "(servers and established)"
    return "(only servers)" if options.listening else "(w/o servers)"


def read(host: Host, name: str) -> str | None:
    """Return a file of /proc/net, None where this kernel has none of that name or hides it."""
    try:
        return host.net(name)
    except (FileNotFoundError, PermissionError):
        return None


def inet(table: str, options: Options, names: Names, host: Host) -> Iterator[Line]:
    """Yield the lines of tcp, udp, udplite or raw; raises Missing at its end where the kernel has none."""
    shown = (options.v4, options.v6)
    missing = False
    for wanted, (file, word) in zip(shown, _FILES[table], strict=True):
        text = read(host, file) if wanted else None
        if text is None:
            missing = missing or (wanted and file == _FILES[table][0][0])
            continue
        try:
            for row, probes in procnet.inet_with_probes(text, file):
                if _wanted(table, row, options):
                    yield _line(table, word, row, probes, options, names)
        except BadReply:
            raise BadReply("read", f"proc/net/{file}", "a line is not an entry") from None
    if missing:
        raise Missing(f"AF INET ({table})")


def _wanted(table: str, row: Row, options: Options) -> bool:
    if options.every:
        return True
    connected = row[5] if table == "tcp" else any(row[7])
    return bool(connected) is not options.listening


def _line(table: str, word: str, row: Row, probes: int, options: Options, names: Names) -> Line:
    family, state, timer, retransmits, sport, dport, src, dst, _, _, when, receive, send, uid, inode, _ = row
    size = 4 if family == AF_INET else 16
    transport = table if table != "udplite" else "udp"
    local, remote = (
        endpoint(names.host(raw[:size]), names.port(ntohs(port), transport), options.wide)
        for raw, port in ((src, sport), (dst, dport))
    )
    head = f"{word:<5} {receive:>6} {send:>6} {local:<23} {remote:<23} {_state(table, state):<11}"
    return (
        head + (owner_columns(uid, inode, names) if options.extend else ""),
        inode,
        f" {_timer(table, timer, when, retransmits, probes)}" if options.timers else "",
    )


def endpoint(host: str, port: str, wide: bool) -> str:
    """Return address and port, the address cut where both are too long; the port keeps 18 bytes."""
    if not wide and len(host) + len(port) > _SHORT:
        port = port[: _SHORT - 4]
        host = host[: _SHORT - len(port)]
    return f"{host}:{port}"


def owner_columns(uid: int, inode: int, names: Names) -> str:
    """Return what -e adds."""
    return f" {names.user(uid):<10} {inode:<10}"


def _state(table: str, state: int) -> str:
    if table == "tcp":
        return _TCP_STATES[state] if state < len(_TCP_STATES) else str(state)
    if table == "raw":
        return str(state)
    return {_ESTABLISHED: "ESTABLISHED", _CLOSE: ""}.get(state, "UNKNOWN")


def _timer(table: str, timer: int, when: int, retransmits: int, probes: int) -> str:
    """Return `NAME (seconds/retransmissions/probes)`."""
    if table != "tcp":
        retransmits = 0
    if not timer:
        return f"off (0.00/{retransmits}/{probes})"
    if table == "tcp":
        name = _TCP_TIMERS[timer] if timer < len(_TCP_TIMERS) else f"unkn-{timer}"
    else:
        name = f"on{timer}" if timer <= 2 else f"unkn-{timer}"
    return f"{name} ({when / 1000:.2f}/{retransmits}/{probes})"
