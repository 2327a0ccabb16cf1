"""The table of `portside list -a` in bulk, for a pipe or a file: 100,000 sockets without 100,000 records.

The few fields shown are read straight from the kernel's answers; addresses and process names are made to text once
each.  Whatever is not plain (listeners, sockets without a holder, bound to a device) goes by way of its record, so
that there is one truth; a test holds both tables against each other.
"""

from __future__ import annotations

import sys

from portside.cli import socket_table
from portside.cli.output import clean
from portside.memo import Memo
from portside.ports.address import format_ipv4, format_ipv6
from portside.wire import inet_diag, tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.cli.output import Output
    from portside.see.attribution import Attribution
    from portside.see.reading import Part
    from portside.see.records import Socket
    from portside.see.snapshot import Snapshot
    from portside.system.sockets import InetDump

_LINES = 4096  # written at once
_FAMILY_WORD, _SRC_WORD, _DST_WORD = 4, 6, 10  # in a message, counted in 32-bit words
_RECORD_STATES = frozenset((tcp_states.LISTEN, tcp_states.CLOSE))
_V4_END = len("255.255.255.255:65535")
_NO_QUEUES = f"{0:>6}  {0:>6}  "
_HEADERS = tuple(socket_table.COLUMNS[name].header for name in socket_table.DEFAULT)
_CELLS = tuple(socket_table.COLUMNS[name].cell for name in socket_table.DEFAULT)


class Stream:
    """Writes one snapshot; `count` and `gaps` are known when it is done."""

    def __init__(self, snapshot: Snapshot, output: Output) -> None:
        self.count = 0
        self.gaps: dict[str, int] = {}
        self._snapshot = snapshot
        self._output = output
        self._widths = _widths(snapshot)
        self._names = Memo(_namer(snapshot.attribution))
        self._ports = Memo(lambda raw: str(inet_diag.ntohs(raw) or "*"))
        self._v4 = Memo(lambda raw: f"{format_ipv4(raw[:4])}:")
        self._v6 = Memo(lambda raw: f"[{format_ipv6(raw)}]:")
        self._lines: list[str] = []

    def write(self, *, header: bool) -> None:
        """Write every socket of the snapshot, in the kernel's order."""
        if header:
            self._output.write(self._line(_HEADERS))
        for part in self._snapshot.parts:
            for dump in part.dumps:
                self._dump(part, dump)
            for socket in part.others():
                self._lines.append(self._record(part, socket))
        self._flush()

    def _flush(self) -> None:
        self._output.write("".join(self._lines))
        self.count += len(self._lines)
        self._lines.clear()

    def _dump(self, part: Part, dump: InetDump) -> None:
        """Write one dump.  The loop is the hot path: everything in it is local, and made once where possible."""
        holder_of = self._snapshot.holders.packed.get if self._snapshot.holders is not None else _nobody
        heads = Memo(lambda state: self._head(dump, state))
        names, ports, v4, v6 = self._names, self._ports, self._v4, self._v6
        lines, local_width, remote_width = self._lines, self._widths[4], self._widths[5]
        for row in part.rows(dump):
            if len(lines) >= _LINES:
                self._flush()
            family, state, _, _, sport, dport, src, dst, interface, _, _, receive, send, _, inode, _ = row
            held = holder_of(inode)
            if (
                type(held) is not int
                or state in _RECORD_STATES
                or interface
                or not (name := names[held & 0xFFFFFFFF])
            ):
                lines.append(self._record(part, part.decoder.inet(dump, row)))
                continue
            texts = v4 if family == inet_diag.AF_INET else v6
            queues = f"{receive:>6}  {send:>6}  " if receive or send else _NO_QUEUES
            lines.append(
                f"{heads[state]}{queues}{(texts[src] + ports[sport]).ljust(local_width)}  "
                f"{(texts[dst] + ports[dport]).ljust(remote_width)}  {name}{held >> 32}\n"
            )

    def _head(self, dump: InetDump, state: int) -> str:
        name = tcp_states.stream_state if dump.protocol.type == "stream" else tcp_states.datagram_state
        return f"{dump.protocol.name:<{self._widths[0]}}  {name(state):<{self._widths[1]}}  "

    def _record(self, part: Part, socket: Socket) -> str:
        told = self._snapshot.decorate(socket, part)
        if told.owner_gap:
            self.gaps[told.owner_gap] = self.gaps.get(told.owner_gap, 0) + 1
        return self._line(tuple(clean(cell(told)) for cell in _CELLS))

    def _line(self, texts: tuple[str, ...]) -> str:
        widths = self._widths
        return (
            f"{texts[0]:<{widths[0]}}  {texts[1]:<{widths[1]}}  {texts[2]:>6}  {texts[3]:>6}  "
            f"{texts[4]:<{widths[4]}}  {texts[5]:<{widths[5]}}  {texts[6]}\n"
        )


def _namer(attribution: Attribution | None) -> Callable[[int], str]:
    """Return what makes `name[pid]:` of a holder, nothing of one that has ended: its record tells the gap."""

    def name(pid: int) -> str:
        process = attribution.holder(pid) if attribution is not None else None
        return f"{clean(process.name) or '?'}[{pid}]:" if process is not None else ""

    return name


def _nobody(inode: int) -> None:
    return None


def _widths(snapshot: Snapshot) -> tuple[int, ...]:
    """Return the columns' widths: enough for the longest address read and any port."""
    local, remote = len("LOCAL"), len("REMOTE")
    protocol = len("netlink")
    for part in snapshot.parts:
        for dump in part.dumps:
            local = max(local, _longest(dump, _SRC_WORD))
            remote = max(remote, _longest(dump, _DST_WORD))
        if part.answers:
            local, protocol = max(local, 24), len("unix-seqpacket")
    return protocol, len("bound-inactive"), 6, 6, local, remote, 0


def _longest(dump: InetDump, word: int) -> int:
    """Return the length of the longest `address:port` in a column of a dump; for IPv4 alone the longest there is."""
    if not dump.buffer:
        ends = [(row[0], row[6] if word == _SRC_WORD else row[7]) for row in dump.text_rows]
        return max((len(_end(family, raw)) for family, raw in ends), default=0)
    if all(first[:1] == b"\2" for first in _distinct_words(dump, (_FAMILY_WORD,))):
        return _V4_END
    both = _distinct_words(dump, (word, word + 1, word + 2, word + 3))
    return max(_V4_END, max(len(_end(inet_diag.AF_INET6, raw)) for raw in both))


def _distinct_words(dump: InetDump, words: tuple[int, ...]) -> list[bytes]:
    columns = [inet_diag.column(dump.buffer, word) for word in words]
    distinct = set(zip(*columns, strict=True))
    return [b"".join(word.to_bytes(4, sys.byteorder) for word in each) for each in distinct]


def _end(family: int, raw: bytes) -> str:
    return f"{format_ipv4(raw[:4])}:65535" if family == inet_diag.AF_INET else f"[{format_ipv6(raw)}]:65535"
