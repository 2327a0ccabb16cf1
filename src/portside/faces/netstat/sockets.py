"""The table of Internet sockets as netstat draws it, and the order in which it shows its tables of sockets.

The rows are those of /proc/net, in its order: unanswered probes stand there alone, and sock_diag tells more of a
listener's queue than netstat shows.  A table is read whole, then the holders of its sockets are looked for, then it
is written.  Without -a: with -l what has no remote end (TCP: no remote port), without it what has one.  An address is
cut so that 22 bytes hold it with its port, unless -W is given.  Reference: netstat.c of net-tools 2.10.
"""

from __future__ import annotations

import struct

from portside.errors import BadReply
from portside.wire import procnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.names import Names
    from portside.faces.netstat.options import Options
    from portside.system.host import Host

    # what stands before the owner, the inode (None: no owner column), what stands behind
    Line = tuple[str, int | None, str]

_TCP_STATES = (
    "", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING",
)  # fmt: skip
_ESTABLISHED, _CLOSE = 1, 7
_TCP_TIMERS = ("off", "on", "keepalive", "timewait", "probe")
_TICKS = 100  # USER_HZ on every architecture
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
    missing = False
    for v6, (wanted, (file, word)) in enumerate(zip((options.v4, options.v6), _FILES[table], strict=True)):
        text = read(host, file) if wanted else ""
        if text is None:
            missing = missing or not v6
            continue
        try:
            yield from _Drawing(table, word, options, names).lines(text)
        except (ValueError, IndexError, OverflowError, struct.error):
            raise BadReply("read", f"proc/net/{file}", "a line is not an entry") from None
    if missing:
        raise Missing(f"AF INET ({table})")


class _Drawing:
    """Draws the lines of one file; addresses, ports, queues and states are each turned into text once.

    A line reads `sl local remote st tx:rx tr:when retransmits uid probes inode ...` (net/ipv4/tcp_ipv4.c).
    """

    def __init__(self, table: str, word: str, options: Options, names: Names) -> None:
        self._table, self._word, self._options, self._names = table, f"{word:<5}", options, names
        self._transport = "udp" if table == "udplite" else table
        self._hosts: dict[str, str] = {}
        self._ports: dict[str, str] = {}
        self._queues: dict[str, str] = {}
        self._states: dict[str, str] = {}

    def lines(self, text: str) -> Iterator[Line]:
        """Yield what is to be shown of a file; raises ValueError and its like where a line is not an entry."""
        options = self._options
        listeners = self._table == "tcp" and options.listening and not options.every
        for line in text.split("\n")[1:]:
            if (listeners and ":0000 " not in line) or not line.strip():  # most of a busy host's lines
                continue
            fields = line.split()
            if options.every or self._connected(fields[2]) is not options.listening:
                yield self._line(fields)

    def _connected(self, remote: str) -> bool:
        """Whether there is a remote end: for TCP a port, else an address."""
        address, _, port = remote.partition(":")
        return bool(int(port if self._table == "tcp" else address, 16))

    def _line(self, fields: list[str]) -> Line:
        state, queues, inode = fields[3], fields[4], int(fields[9])
        head = (
            f"{self._word} {self._queues.get(queues) or self._draw_queues(queues)} {self._end(fields[1]):<23} "
            f"{self._end(fields[2]):<23} {self._states.get(state) or self._draw_state(state)}"
        )
        if self._options.extend:
            head += owner_columns(int(fields[7]), inode, self._names)
        return head, inode, f" {self._timer(fields)}" if self._options.timers else ""

    def _end(self, text: str) -> str:
        address, _, port = text.partition(":")
        return endpoint(
            self._hosts.get(address) or self._draw_host(address),
            self._ports.get(port) or self._draw_port(port),
            self._options.wide,
        )

    def _draw_host(self, digits: str) -> str:
        return self._hosts.setdefault(digits, self._names.host(procnet.raw_address(digits)))

    def _draw_port(self, digits: str) -> str:
        return self._ports.setdefault(digits, self._names.port(int(digits, 16), self._transport))

    def _draw_queues(self, text: str) -> str:
        send, receive = (int(part, 16) for part in text.split(":"))
        return self._queues.setdefault(text, f"{receive:>6} {send:>6}")

    def _draw_state(self, digits: str) -> str:
        return self._states.setdefault(digits, f"{_state(self._table, int(digits, 16)):<11}")

    def _timer(self, fields: list[str]) -> str:
        timer, when = (int(part, 16) for part in fields[5].split(":"))
        return _timer(self._table, timer, when / _TICKS, int(fields[6], 16), int(fields[8]))


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


def _timer(table: str, timer: int, seconds: float, retransmits: int, probes: int) -> str:
    """Return `NAME (seconds/retransmissions/probes)`."""
    if table != "tcp":
        retransmits = 0
    if not timer:
        return f"off (0.00/{retransmits}/{probes})"
    if table == "tcp":
        name = _TCP_TIMERS[timer] if timer < len(_TCP_TIMERS) else f"unkn-{timer}"
    else:
        name = f"on{timer}" if timer <= 2 else f"unkn-{timer}"
    return f"{name} ({seconds:.2f}/{retransmits}/{probes})"
