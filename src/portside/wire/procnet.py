"""The text of /proc/net (proc_pid_net(5)): the second road to the sockets, and the second source in tests.

Every parser takes the file's text and yields what the sock_diag decoder of that family yields, so that one
conversion serves both.  The text does not tell cookies, cgroups, v6only or a listener's limit, never lists
bound-inactive sockets, and prints addresses as native-endian hexadecimal words.
"""

from __future__ import annotations

import struct
import sys

from portside.errors import BadReply
from portside.record import Record
from portside.wire.sock_diag import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX
from portside.wire.tcp_states import CLOSE, ESTABLISHED, LISTEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.wire.inet_diag import Row

    Answer = tuple[tuple[int, ...], dict[str, object]]

_TICK_MS = 10  # USER_HZ is 100 on every architecture
_LARGEST = (1 << 32) - 1  # of every number in inet's columns
SO_ACCEPTCON = 0x10000  # include/linux/net.h, __SO_ACCEPTCON in the flags column
_SS_CONNECTED = (
    2,
    3,
)  # 2, SS_CONNECTING: connected, and not yet accepted (net/unix/af_unix.c, unix_seq_show)


class UnixEntry(Record):
    """A line of /proc/net/unix: references, protocol, flags (`SO_ACCEPTCON`), type, state, inode, path or `@name`."""

    references: int
    protocol: int
    flags: int
    type: int
    state: int
    inode: int
    path: str


def inet(text: str, name: str) -> Iterator[Row]:
    """Yield the rows of tcp, tcp6, udp, udp6, udplite, raw, icmp and their kin; `name` is for errors."""
    for number, line in enumerate(text.splitlines()[1:], 2):
        if line.strip():
            try:
                yield _inet_row(line.split())
            except (ValueError, IndexError, OverflowError, struct.error):
                raise _bad(name, number, line) from None


def raw_address(digits: str) -> bytes:
    """Return the 4 or 16 bytes of an address as these files print it; raises ValueError for anything else."""
    if len(digits) not in (8, 32):
        raise ValueError(digits)
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    return struct.pack(f"={len(words)}I", *words)


def _inet_row(fields: list[str]) -> Row:
    """Turn `sl local remote st tx:rx tr:when retransmits uid timeout inode ...` into a row."""
    src, sport = _endpoint(fields[1])
    dst, dport = _endpoint(fields[2])
    family = AF_INET if len(fields[1].partition(":")[0]) == 8 else AF_INET6
    state, retransmits, uid, inode = int(fields[3], 16), int(fields[6], 16), int(fields[7]), int(fields[9])
    send, receive = (int(part, 16) for part in fields[4].split(":"))
    timer, when = (int(part, 16) for part in fields[5].split(":"))
    numbers = (state, retransmits, uid, inode, send, receive, timer, when)
    if min(numbers) < 0 or max(numbers) > _LARGEST or state > 0xFF:
        raise ValueError(numbers)
    return (
        family, state, timer, retransmits, sport, dport, src, dst, 0, 0,
        when * _TICK_MS, receive, send, uid, inode, b"",
    )  # fmt: skip


def _endpoint(text: str) -> tuple[bytes, int]:
    """Turn `0100007F:1F90` into 16 raw address bytes and a port as a row holds it (network order, read natively)."""
    address, _, port = text.partition(":")
    return raw_address(address).ljust(16, b"\0"), int.from_bytes(
        int(port, 16).to_bytes(2, "big"), sys.byteorder
    )


def unix(text: str) -> Iterator[Answer]:
    """Yield the sockets of /proc/net/unix as the decoder of unix_diag yields them."""
    for entry in unix_entries(text):
        yield _unix_answer(entry)


def unix_entries(text: str) -> Iterator[UnixEntry]:
    """Yield the lines of /proc/net/unix.  One that is no entry belongs to the path before it (`\\n` in it)."""
    pending: UnixEntry | None = None
    for line in text.removesuffix("\n").split("\n")[1:]:
        entry = _unix_entry(line)
        if entry is None and pending is not None:
            pending = pending.replace(path=f"{pending.path}\n{line}")
            continue
        if pending is not None:
            yield pending
        pending = entry
    if pending is not None:
        yield pending


def _unix_entry(line: str) -> UnixEntry | None:
    """Read `sk: refs protocol flags type state inode path`; None where a line is something else."""
    fields = line.split(None, 7)
    if len(fields) < 7 or not fields[0].endswith(":"):
        return None
    try:
        references, protocol, flags, kind, state = (int(field, 16) for field in fields[1:6])
        inode = int(fields[6])
    except ValueError:
        return None
    path = line.partition(f" {fields[6]} ")[2]  # blanks belong to it
    return UnixEntry(references, protocol, flags, kind, state, inode, path)


def _unix_answer(entry: UnixEntry) -> Answer:
    state = LISTEN if entry.flags & SO_ACCEPTCON else ESTABLISHED if entry.state in _SS_CONNECTED else CLOSE
    raw = entry.path.encode("utf-8", "surrogateescape")
    if raw.startswith(b"@"):
        raw = b"\0" + raw[1:]
    return (AF_UNIX, entry.type, state, 0, entry.inode, 0), {"name": raw} if raw else {}


def packet(text: str) -> Iterator[Answer]:
    """Yield the sockets of /proc/net/packet: `sk refs type proto iface running rmem user inode`."""
    for number, line in enumerate(text.splitlines()[1:], 2):
        fields = line.split()
        try:
            kind, protocol, interface = int(fields[2]), int(fields[3], 16), int(fields[4])
            memory, uid, inode = int(fields[6]), int(fields[7]), int(fields[8])
        except (ValueError, IndexError):
            raise _bad("packet", number, line) from None
        yield (
            (AF_PACKET, kind, protocol, inode, 0),
            {"info": (interface, 0, 0, 0, 0, 0), "uid": uid, "meminfo": (memory,)},
        )


def netlink(text: str) -> Iterator[Answer]:
    """Yield the sockets of /proc/net/netlink: `sk protocol portid groups rmem wmem dump locks drops inode`."""
    for number, line in enumerate(text.splitlines()[1:], 2):
        fields = line.split()
        try:
            protocol, portid, groups = int(fields[1]), int(fields[2]), int(fields[3], 16)
            receive, send, inode = int(fields[4]), int(fields[5]), int(fields[9])
            mask = groups.to_bytes(4, sys.byteorder)
        except (ValueError, IndexError, OverflowError):
            raise _bad("netlink", number, line) from None
        memory = (receive, 0, send, 0)
        yield (
            (AF_NETLINK, 3, protocol, CLOSE, portid & 0xFFFFFFFF, 0, 0, inode, 0),
            {"meminfo": memory, "groups": mask},
        )


def protocols(text: str) -> frozenset[str]:
    """Return the names of the protocols this kernel has registered (/proc/net/protocols, first column)."""
    return frozenset(line.split()[0] for line in text.splitlines()[1:] if line.strip())


def sockstat(text: str) -> dict[tuple[str, str], int]:
    """Return the counters of /proc/net/sockstat and sockstat6: (`TCP`, `inuse`) -> number."""
    counters: dict[tuple[str, str], int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        for word, value in zip(words[::2], words[1::2], strict=False):
            if value.isdecimal() and value.isascii():
                counters[name, word] = int(value)
    return counters


def tcp_opened(text: str) -> int:
    """Return how many TCP connections were ever opened, by either side, as /proc/net/snmp counts them."""
    lines = [line.split() for line in text.splitlines() if line.startswith("Tcp:")]
    counters = dict(zip(*lines[:2], strict=False)) if len(lines) > 1 else {}
    return int(counters["ActiveOpens"]) + int(counters["PassiveOpens"])


def _bad(name: str, number: int, line: str) -> BadReply:
    return BadReply("read", f"proc/net/{name}", f"line {number} is not an entry: {line[:60]!r}")
