"""ss's replay: recorded files in the place of the kernel, named by the environment.

    TCPDIAG_FILE                     TCP: answers of sock_diag, as `ss -D FILE` writes them
    PROC_NET_TCP, _UDP, _RAW         that table from text, IPv6 from PROC_NET_TCP6 and its kin or /proc's own file
    PROC_NET_UNIX, _PACKET, _NETLINK the same for these tables
    PROC_ROOT                        all of these below PROC_ROOT/net, and the holders below PROC_ROOT/PID/fd

PROC_NET_TCP6 alone changes nothing, and under PROC_ROOT there are no MPTCP, DCCP and SCTP sockets: so in ss.  Of a
recording the first dump alone is shown, IPv4; options on families and states do not apply, the filter does.
Reference: misc/ss.c of iproute2 6.1.
"""

from __future__ import annotations

import os
import sys

from portside.faces.ss import info
from portside.wire import inet_diag, netlink, sock_diag
from portside.wire.sock_diag import AF_INET, AF_INET6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

_KNOBS = {
    table: f"PROC_NET_{table.upper()}"
    for table in ("tcp", "udp", "raw", "mptcp", "dccp", "sctp", "unix", "packet", "netlink")
}
_WITHOUT_TEXT = ("mptcp", "dccp", "sctp")


def rows(table: str, options: Options, reading: Reading) -> Iterator[Line] | None:
    """Return a table's lines from the text that the environment names; None where it names none for it."""
    if table not in _KNOBS or not (_KNOBS[table] in reading.environ or "PROC_ROOT" in reading.environ):
        return None
    return text_rows(table, options, reading)


def text_rows(table: str, options: Options, reading: Reading) -> Iterator[Line]:
    """Return a table's lines from the text of /proc/net; none for a table that has none."""
    if table in ("tcp", "udp", "raw"):
        from portside.faces.ss import proctext

        return proctext.rows(table, options, reading)
    from portside.faces.ss import proctables

    read = {
        "unix": proctables.unix_rows,
        "packet": proctables.packet_rows,
        "netlink": proctables.netlink_rows,
    }.get(table)
    return read(options, reading) if read is not None else iter(())


def recorded(path: str) -> bytes:
    """Return the answers in a recording of sock_diag, up to its end mark; what is wrong with it is told.

    Every answer has the type that `wire.inet_diag.rows` expects: ss does not look at it.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        _tell(f"fopen($TCPDIAG_FILE): {error.strerror}\n")
        return b""
    answers, said = _answers(data)
    _tell(said)
    return answers


def recording(options: Options, reading: Reading) -> bytes:
    """Return what `ss -D FILE` writes: the answers for TCP of each family, each with its end mark.

    Families and states are what `options` says, attributes what -m, -i and --tos ask for; the filter does not apply.
    """
    written = b""
    for family in (AF_INET, AF_INET6):
        if options.preferred in (AF_INET, AF_INET6) and options.preferred != family:
            continue
        request = inet_diag.request(
            family, inet_diag.IPPROTO_TCP, options.states, extensions=info.extensions(options)
        )
        written += reading.dump(request, "tcp sockets")
        written += netlink.message(netlink.NLMSG_DONE, netlink.NLM_F_MULTI, bytes(4))
    return written


def _tell(said: str) -> None:
    sys.stderr.write(said)


_EOF = "Unexpected EOF reading $TCPDIAG_FILE"
_SHORTEST = netlink.HEADER.size + inet_diag.MESSAGE.size


def _answers(data: bytes) -> tuple[bytes, str]:
    """Return whole answers up to the end mark, and what ss says of how they end."""
    answers = bytearray()
    at = 0
    while True:
        if len(data) - at < netlink.HEADER.size:
            return bytes(answers), _EOF
        length, kind, *_ = netlink.HEADER.read(data, at)
        end = at + netlink.align(max(length, netlink.HEADER.size))
        if end > len(data) or length < netlink.HEADER.size:
            return bytes(answers), _EOF
        if kind == netlink.NLMSG_DONE:
            return bytes(answers), ""
        if kind == netlink.NLMSG_ERROR:
            return bytes(answers), _refusal(data[at:end], length)
        if length < _SHORTEST:
            return bytes(answers), f"ss: an answer of {length} bytes in $TCPDIAG_FILE\n"
        answers += (
            data[at : at + 4] + sock_diag.SOCK_DIAG_BY_FAMILY.to_bytes(2, sys.byteorder) + data[at + 6 : end]
        )
        at = end


def _refusal(message: bytes, length: int) -> str:
    if length < 2 * netlink.HEADER.size + 4:
        return "ERROR truncated\n"
    number = int.from_bytes(message[16:20], sys.byteorder, signed=True)
    return f"TCPDIAG answered: {os.strerror(-number)}\n"
