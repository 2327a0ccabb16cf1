"""The IP tables of ss: tcp, udp, raw, mptcp, dccp, sctp, from sock_diag, a recording of it, or the text of /proc.

IPv4 is read first, then IPv6.  A table that sock_diag does not offer is read from the text of /proc/net, where there
is one.  The common listing, addresses and perhaps holders and nothing else, is made by a loop of its own that reads
no attribute it can do without: 100,000 connections are usual.  Reference: misc/ss.c of iproute2 6.1.
"""

from __future__ import annotations

import errno
import os
import sys

from portside.errors import BadReply, PortsideError
from portside.faces.ss import extras, replay
from portside.faces.ss.context import STATES, Subject
from portside.faces.ss.extras import NEW_LINE, signed
from portside.memo import Memo
from portside.wire import inet_diag
from portside.wire.inet_diag import AF_INET, AF_INET6, ntohs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options
    from portside.faces.ss.reading import Live
    from portside.wire.inet_diag import Row

    Told = dict[str, object]

PROTOCOLS = {
    "tcp": inet_diag.IPPROTO_TCP, "udp": inet_diag.IPPROTO_UDP, "raw": inet_diag.IPPROTO_RAW,
    "mptcp": inet_diag.IPPROTO_MPTCP, "dccp": 33, "sctp": inet_diag.IPPROTO_SCTP,
}  # fmt: skip
_NAMES = {0: "raw", 17: "udp", 6: "tcp", 262: "mptcp", 132: "sctp", 33: "dccp", 58: "icmp6"}
_UNNAMED = "???"
_ZERO = bytes(16)
_SILENT = (errno.ENOENT, errno.EOPNOTSUPP)  # ss does not tell that a protocol is not there
_MORE = ("timers", "details", "memory", "info", "tos", "cgroup", "sockopt", "kill")


def rows(table: str, options: Options, reading: Live, transport: str) -> Iterator[Line]:
    """Read the sockets of one table and return what makes its lines.

    `transport` says whose names the ports have: tcp, udp, raw, empty for anybody's.
    """
    if not options.families & {AF_INET, AF_INET6}:
        return iter(())
    recorded = reading.environ.get("TCPDIAG_FILE") if table == "tcp" else None
    if recorded is not None:
        buffers = [replay.recorded(recorded)]
    else:
        lines = replay.rows(table, options, reading)
        if lines is not None:
            return lines
        read = _read(table, options, reading)
        if read is None:  # from text nothing can be closed
            return iter(()) if options.kill else replay.text_rows(table, options, reading)
        buffers = [buffer for buffer in read if buffer and buffer[inet_diag.FAMILY_AT] in options.families]
    if options.processes or options.threads or options.process_context:
        for buffer in buffers:
            reading.want(inet_diag.column(buffer, inet_diag.INODE_WORD))
    if recorded is not None:
        options = options.replace(kill=False)  # what was recorded may be another socket's now
    maker = Maker(PROTOCOLS[table], options, reading, transport)
    special = table in ("raw", "sctp") or any(getattr(options, one) for one in _MORE)
    make = maker.full if special or recorded is not None or reading.filter else maker.plain
    return (line for buffer in buffers for line in make(buffer))


def _read(table: str, options: Options, reading: Live) -> list[bytes] | None:
    """Return the answers for IPv4 and IPv6, None where the kernel does not give them."""
    from portside.faces.ss import info

    buffers = []
    for family in (AF_INET, AF_INET6):
        if options.preferred in (AF_INET, AF_INET6) and options.preferred != family:
            continue
        request = inet_diag.request(
            family,
            PROTOCOLS[table],
            options.states,
            extensions=info.extensions(options),
            bytecode=reading.program,
        )
        try:
            buffers.append(reading.dump(request, f"{table} sockets"))
        except PortsideError as error:
            if error.errno and error.errno not in _SILENT:
                sys.stderr.write(f"RTNETLINK answers: {os.strerror(error.errno)}\n")
            return None
    return buffers


class Maker:
    """Makes the lines of one table."""

    def __init__(self, protocol: int, options: Options, reading: Live, transport: str) -> None:
        self._protocol = protocol
        self._options = options
        self._reading = reading
        self._transport = transport
        self._ports = Memo(lambda raw: reading.services.name(ntohs(raw), transport))
        self._queues = Memo(lambda number: f"{signed(number):<6}")
        self._states = Memo(lambda state: STATES[state] if state < len(STATES) else STATES[0])
        self._last_inode = 0  # an SCTP association has its endpoint's

    def plain(self, buffer: bytes) -> Iterator[Line]:
        """Yield lines without anything behind the holders.  Everything in the loop is local, and made once."""
        netid = _NAMES[self._protocol]
        ports, queues, states = self._ports, self._queues, self._states
        text = self._reading.services.host
        family = buffer[inet_diag.FAMILY_AT]
        ends = (
            Memo(lambda raw: f"{text(raw[:4])}:")
            if family == AF_INET
            else Memo(lambda raw: f"{_bracketed(text(raw))}:" if raw != _ZERO else "")
        )
        users = self._reading.users
        for row in inet_diag.rows(buffer):
            _, state, _, _, sport, dport, src, dst, interface, _, _, receive, send, _, inode, _ = row
            local, peer = ends[src], ends[dst]
            if interface or not local or not peer:
                yield self._line(row, netid, self._told(row))
                continue
            yield (
                netid, states[state], queues[receive], queues[send], local, ports[sport], peer, ports[dport],
                users(inode),
            )  # fmt: skip

    def full(self, buffer: bytes) -> Iterator[Line]:
        """Yield the lines of the sockets that the filter selects, with everything that is asked for."""
        for row in inet_diag.rows(buffer):
            told = self._told(row)
            if not self._reading.accepts(_subject(row, told)):
                continue
            if self._options.kill and not self._reading.destroy(self._protocol, row, told):
                continue
            kind = told.get("protocol", self._protocol)
            yield self._line(row, _NAMES.get(kind, _UNNAMED) if isinstance(kind, int) else _UNNAMED, told)
            self._last_inode = row[14]

    def _told(self, row: Row) -> Told:
        try:
            return inet_diag.attributes(row[15])
        except BadReply:
            return {}

    def _line(self, row: Row, netid: str, told: Told) -> Line:
        family, state, _, _, sport, dport, src, dst, interface, _, _, receive, send, _, inode, _ = row
        size = 4 if family == AF_INET else 16
        v6only = bool(told.get("v6only")) if family == AF_INET6 else False
        device = self._reading.interface(interface) if interface else ""
        end, transport = self._reading.end, self._transport
        name = self._states[state]
        if netid == "sctp" and self._last_inode and self._last_inode == inode:
            from portside.faces.ss import sctp

            netid, name = "", f"`- {sctp.STATES[state] if state < len(sctp.STATES) else state}"
        return (
            netid,
            name,
            self._queues[receive],
            self._queues[send],
            *end(family, src[:size], ntohs(sport), transport, v6only, device),
            *end(family, dst[:size], ntohs(dport), transport, v6only),
            self._reading.users(inode) + self._more(row, told),
        )

    def _more(self, row: Row, told: Told) -> str:
        """Return what -o, -e, --tos, --cgroup, --inet-sockopt, -m and -i add."""
        options = self._options
        kind = told.get("protocol", self._protocol)
        text = ""
        if options.timers:
            timer = extras.sctp_timer if kind == inet_diag.IPPROTO_SCTP else extras.timer
            text += timer(row[2], row[10], row[3])
        if options.details:
            text += self._details(row, told)
        if options.tos:
            text += extras.tos(told)
        cgroup = told.get("cgroup_id")
        if options.cgroup and isinstance(cgroup, int):
            text += f" cgroup:{self._reading.cgroup(cgroup)}"
        option_bits = told.get("sockopt")
        if options.sockopt and isinstance(option_bits, bytes):
            text += extras.sockopt(option_bits, options.oneline)
        if options.memory or (options.info and kind != inet_diag.IPPROTO_UDP):
            from portside.faces.ss import info

            first = "" if options.oneline else NEW_LINE
            text += first + info.text(told, row, options, kind if isinstance(kind, int) else self._protocol)
        return text

    def _details(self, row: Row, told: Told) -> str:
        mark, cgroup, mask = told.get("mark"), told.get("cgroup_id"), told.get("shutdown")
        text = extras.details(
            row[13],
            row[14],
            row[9],
            mark if isinstance(mark, int) else 0,
            self._reading.cgroup(cgroup) if isinstance(cgroup, int) and cgroup else "",
        )
        v6only = told.get("v6only")
        if row[0] == AF_INET6:
            text += extras.v6only(v6only if isinstance(v6only, bool) else None)
        return text + extras.shutdown(mask if isinstance(mask, int) else None)


def _bracketed(text: str) -> str:
    return f"[{text}]" if ":" in text else text


def _subject(row: Row, told: Told) -> Subject:
    """Return a socket as the filter sees it."""
    size = 4 if row[0] == AF_INET else 16
    mark, cgroup = told.get("mark"), told.get("cgroup_id")
    return Subject(
        row[0],
        row[6][:size],
        row[7][:size],
        ntohs(row[4]),
        ntohs(row[5]),
        row[8],
        mark if isinstance(mark, int) else 0,
        cgroup if isinstance(cgroup, int) else 0,
    )
