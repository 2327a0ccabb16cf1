"""The sockets of this network namespace by inode, as lsof names them.

TCP, UDP and UDP-Lite come from sock_diag, in the states that are in /proc/net too: what is merely bound is no
Internet file to lsof.  Of Unix sockets the names come from unix_diag, where a line break in one cannot be taken for
another socket, and the address of the kernel's structure from /proc/net/unix, which alone tells it (hashed).
The rarer families are only read where files are listed by descriptor.
"""

from __future__ import annotations

from portside.faces.lsof.files import PROTOCOLS, TCP, File
from portside.faces.lsof.given import STATES
from portside.see.reading import IP_FAMILIES, Wish, read_parts
from portside.system import netns
from portside.system.host import LIVE
from portside.wire import tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.lsof.options import Options
    from portside.see.filter import Plan
    from portside.system.sockets import Answer
    from portside.wire.inet_diag import Row

# neither a state of /proc/net, nor one that has a descriptor
_NEVER = 1 << tcp_states.BOUND_INACTIVE | 1 << tcp_states.TIME_WAIT
# include/linux/net.h, enum sock_type, as lsof spells it
SOCKET_TYPES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET", 6: "DCCP", 10: "PACKET"}
_FEW_RANGES = 16
_LAST_PORT = 65535
_ESTABLISHED = 1
_LISTEN = 10


class Tables:
    """What was read; `rows` and `kinds` (other than TCP) of Internet sockets, `unix` the answers of unix_diag."""

    def __init__(self, options: Options, narrow: bool) -> None:
        """Read what the options ask for; with `narrow` Internet sockets that are not meant may be left out."""
        self.rows: dict[int, Row] = {}
        self.kinds: dict[int, int] = {}
        self.order: list[tuple[int, Row]] = []  # (kind, row), as the kernel told them
        self.unix: dict[int, Answer] = {}
        self.addresses: dict[int, str] = {}
        wanted = _wish(options, narrow)
        if not wanted.families:
            return
        (part,), _ = read_parts(LIVE, wanted, [netns.own(LIVE)])
        for dump in part.dumps:
            kind = PROTOCOLS.index(dump.protocol.name.upper())
            rows = [*part.rows(dump)]
            by_inode = {row[14]: row for row in reversed(rows)}  # of several (MPTCP) the first counts
            if kind != TCP:
                self.kinds.update(dict.fromkeys(by_inode.keys() - self.rows.keys(), kind))
            self.rows = by_inode | self.rows
            if options.endpoints:
                self.order += [(kind, row) for row in rows]
        self.rows.pop(0, None)
        for _, answers in part.answers:
            self.unix = {answer[0][4]: answer for answer in answers}
        if self.unix:
            self.addresses = dict(_addresses())

    def inodes(self) -> list[int]:
        """Return the inodes of everything that was read."""
        return [*self.rows, *self.unix]

    def unix_file(self, descriptor: int, inode: int, bits: int) -> File:
        """Return a Unix socket's file."""
        (_, kind, state, *_), told = self.unix[inode]
        name = told.get("name")
        path = unix_path(name if isinstance(name, bytes) else b"")
        known = SOCKET_TYPES.get(kind, "unknown")
        return File(
            descriptor, "unix", inode, bits, kind,
            name=f"{path} type={known}" if path else f"type={known}",
            device=self.addresses.get(inode, ""),
            state="LISTEN" if state == _LISTEN else "CONNECTED" if state == _ESTABLISHED else "UNCONNECTED",
        )  # fmt: skip

    def path(self, inode: int) -> str:
        """Return the path of a Unix socket."""
        name = self.unix[inode][1].get("name")
        return unix_path(name if isinstance(name, bytes) else b"")


def unix_path(name: bytes) -> str:
    """Return a Unix socket's name as /proc/net/unix writes it: `@` for each NUL of an abstract one."""
    if name.startswith(b"\0"):
        return name.replace(b"\0", b"@").decode("utf-8", "surrogateescape")
    return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def state_name(number: int) -> str:
    """Return what lsof calls a TCP socket's state."""
    return STATES[number] if number < len(STATES) else f"UNKNOWN_TCP_STATE_{number}"


def _wish(options: Options, narrow: bool) -> Wish:
    """Return what must be read: with `narrow` no more than the selected family, protocols and states."""
    # states count as found wherever they are, also where Unix sockets alone are listed
    internet = not narrow or options.net or bool(options.addresses or options.states or options.endpoints)
    families: tuple[str, ...] = IP_FAMILIES if internet and not options.not_tcp else ()
    protocols = tuple(name.lower() for name in PROTOCOLS)
    states = tcp_states.ALL & ~_NEVER
    if narrow and not options.endpoints:
        if options.family and not options.addresses:
            families = families and (IP_FAMILIES[options.family == 6],)
        named = {one.protocol for one in options.addresses}
        if named and not options.net and "" not in named:
            protocols = tuple(name for name in protocols if name in named)
        if options.states:
            states &= sum(1 << number for number in options.states)
        states &= ~sum(1 << number for number in options.other_states)
    unix = options.unix or bool(options.names) or not narrow or bool(options.endpoints)
    return Wish(
        plan=None if unix or not narrow else _plan(options),
        protocols=protocols,
        families=(*families, *(("unix",) if unix else ())),
        stream_states=states,
        datagram_states=states,
        everything=bool(options.endpoints),
    )


def _plan(options: Options) -> Plan | None:
    """Let the kernel leave out what has none of the ports that -i names, where ports are all it names."""
    ranges = [one.ports or (0, 0) for one in options.addresses]
    if options.net or not ranges or len(ranges) > _FEW_RANGES:
        return None
    if any(low < 1 or high > _LAST_PORT for low, high in ranges):  # 0 stands for any port
        return None
    from portside.see import filter as language  # nothing for the plain listing

    text = " or ".join(f"port = {low}-{high}" for low, high in ranges)
    return language.plan(language.parse(text, lambda _name: ()))


def _addresses() -> list[tuple[int, str]]:
    """Return (inode, address) of each line of /proc/net/unix, the last first: of an inode's the first counts."""
    try:
        text = LIVE.net("unix")
    except OSError:
        return []
    found = []
    for line in text.split("\n")[1:]:
        fields = line.split(None, 7)
        if len(fields) > 6 and fields[0].endswith(":") and fields[6].isdecimal():
            found.append((int(fields[6]), f"0x{fields[0][:-1]}"))
    return found[::-1]
