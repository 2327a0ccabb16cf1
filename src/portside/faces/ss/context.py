"""What the parts of the ss face share: the options, a line's cells, and what a table may ask.

The face is made of tables (one for each of ss's own), printed in ss's order.  A table is a function

    rows(options, reading) -> Iterator[Line]

that asks the kernel when it is called (it is not itself a generator), tells `reading.want` the inodes it has read,
and returns an iterator that makes the lines.  So everything is read before anybody asks who holds it, and before the
first line is printed.  The modules and what they offer to each other:

    families.rows(table, options, reading)    table: netlink, packet, unix, vsock, tipc or xdp
    replay.recorded(path)                     bytes of TCPDIAG_FILE: whole answers, for `inet` to print
    replay.rows(table, options, reading)      lines from PROC_NET_* or PROC_ROOT; None where no knob names the table
    info.text(attributes, row, options, protocol)   what -i and -m add to an IP socket: everything behind the
                                              newline and tab, `skmem:(...)` first; `attributes` as
                                              `wire.inet_diag.attributes` tells them, `row` an inet_diag.Row
    memory.text(skmeminfo)                    ` skmem:(...)` of the bytes of an array of u32

Foreign text in a cell has passed `portside.faces.printable`.  Reference: ss(8), misc/ss.c of iproute2 6.1.
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from portside.system.host import Host

    # netid, state, receive queue, send queue, local address with its delimiter (`0.0.0.0:`, `/run/x `), local port,
    # peer address with its delimiter, peer port, rest.  Queues are `f"{number:<6}"`.  The rest is what ss prints
    # behind the addresses, owners (`reading.users`) and extras in ss's order, each with the blank before it.
    Line = tuple[str, str, str, str, str, str, str, str, str]

# socket states (include/net/tcp_states.h) as ss prints them
STATES = (
    "UNKNOWN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT",
    "LAST-ACK", "LISTEN", "CLOSING",
)  # fmt: skip


class Stop(Exception):
    """The end of the run: an exit code, what is said on standard error, what is told on standard output."""

    def __init__(self, code: int, said: str = "", told: str = "") -> None:
        super().__init__(said)
        self.code, self.said, self.told = code, said, told


class Options(Record):
    """What was typed, and what follows from it.

    `tables` are the words of -A that apply, `families` the numbers of address families, `states` bits by kernel
    number.  `preferred` is the family whose name came last: IP tables are read in that one alone (0: both).
    """

    numeric: bool = False
    resolve: bool = False
    timers: bool = False
    details: bool = False
    memory: bool = False
    info: bool = False
    processes: bool = False
    threads: bool = False
    process_context: bool = False
    socket_context: bool = False
    bpf: bool = False
    events: bool = False
    summary: bool = False
    tipcinfo: bool = False
    tos: bool = False
    cgroup: bool = False
    sockopt: bool = False
    kill: bool = False
    header: bool = True
    oneline: bool = False
    queues: bool = True
    tables: frozenset[str] = frozenset()
    families: frozenset[int] = frozenset()
    states: int = 0
    preferred: int = 0


class Subject(Record):
    """A socket as the filter sees it.

    `local` and `remote` are the address as bytes; of a Unix socket the name as text, None without one; of a packet or
    netlink socket the protocol, of a vsock socket the context id, as four bytes in native order.
    """

    family: int
    local: bytes | str | None
    remote: bytes | str | None
    local_port: int = 0
    remote_port: int = 0
    interface: int = 0
    mark: int = 0
    cgroup: int = 0


if TYPE_CHECKING:

    class Reading(Protocol):
        """What a table may ask; one for the whole run."""

        host: Host
        environ: Mapping[str, str]

        def dump(self, request: bytes, what: str) -> bytes:
            """Send a sock_diag dump request; return whole answers.  Raises NotSupported, NotPermitted, BadReply."""

        def want(self, inodes: Iterable[int]) -> None:
            """Take the inodes of a table that has been read: their holders may be asked for."""

        def users(self, inode: int) -> str:
            """Return ` users:((...))`, empty where they are not asked for or nobody holds the socket."""

        def accepts(self, subject: Subject) -> bool:
            """Return whether the filter selects a socket."""

        def interface(self, index: int) -> str:
            """Return the name of an interface; `if7` where there is none of that number."""

        def cgroup(self, number: int) -> str:
            """Return the path of a cgroup; `unreachable:HEX` where it is gone."""

        def process(self, pid: int) -> str:
            """Return the name of a process, escaped; empty if it is gone."""

        def context(self, pid: int) -> str:
            """Return the SELinux context of a process, of the kernel for 0; `unavailable` where it is not told."""

        def end(
            self, family: int, raw: bytes, port: int, transport: str, v6only: bool = False, device: str = ""
        ) -> tuple[str, str]:
            """Return the two cells of one end of an IP socket: address with `:`, port or service."""

        def text(self, knob: str, name: str) -> str | None:
            """Return the text of the file that the environment names by `knob`, or PROC_ROOT/`name`, or /proc's.

            None where there is no such file.
            """
