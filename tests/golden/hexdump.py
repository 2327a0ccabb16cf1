"""The form of a golden reply: bytes in hex, one field to a line, and what they mean.

    # what it is, and how it was made
    >> 48 00 00 00                                        nlmsghdr.len = 72
     > 14 00                                              nlmsghdr.type = 20
    << 7c 00 00 00                                        nlmsghdr.len = 124
     < ...
    = ((2, 10, ...), {'cgroup_id': 1})

`>` was sent, `<` received; a doubled sign begins a datagram.  Only the sign and the hex count, the names are for the
reader.  `=` is one value that the decoder must give.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

from portside.wire import inet_diag, netlink, rtnetlink
from portside.wire.layout import _codes

WIDTH = 16  # bytes to a line
MEANS = "=== it means\n"  # ends the text in a golden file of /proc/net


class Golden(NamedTuple):
    """A recorded exchange: datagrams sent and received, and the values they mean."""

    sent: list[bytes]
    received: list[bytes]
    values: list[object]


def load(path: Path) -> Golden:
    """Read a golden file."""
    golden = Golden([], [], [])
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            golden.values.append(ast.literal_eval(line[2:]))
        elif found := re.match(r"([<>]| )([<>]) ((?:[0-9a-f]{2} ?)+)", line):
            datagrams = golden.sent if found[2] == ">" else golden.received
            if found[1] == found[2]:
                datagrams.append(b"")
            datagrams[-1] += bytes.fromhex(found[3])
    return golden


def escape(data: bytes) -> str:
    """Write bytes as ASCII: what is not printable, and the backslash, as \\xNN; newlines stay."""
    return "".join(chr(b) if (32 <= b < 127 and b != 92) or b == 10 else f"\\x{b:02x}" for b in data)


def load_text(path: Path) -> tuple[str, list[object]]:
    """Read a golden file of /proc/net: the text as Portside reads it, and what it means."""
    text, _, values = path.read_text(encoding="ascii").partition(MEANS)
    raw = re.sub(rb"\\x(..)", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return raw.decode("utf-8", "surrogateescape"), [
        ast.literal_eval(line[2:]) for line in values.splitlines()
    ]


def lines(sign: str, data: bytes, layout, tables) -> list[str]:
    """Write one datagram: a line for each field of its messages."""
    written: list[str] = []
    for part in netlink.messages(data):
        written += _struct(data, part.start - netlink.HEADER.size, netlink.HEADER)
        at = part.start
        if part.type in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
            written += _raw(data[at : at + 4], "errno")
            at += 4
            if part.type == netlink.NLMSG_ERROR:
                length = netlink.HEADER.read(data, at)[0]
                written += _struct(data, at, netlink.HEADER)
                at += netlink.HEADER.size
                if not part.flags & netlink.NLM_F_CAPPED:
                    written += _raw(data[at : part.start + 4 + length], "the request's payload")
                    at = part.start + 4 + netlink.align(length)
            written += _attributes(data, at, part.end, {netlink.NLMSGERR_ATTR_MSG: "text"})
        else:
            written += _struct(data, at, layout)
            written += _attributes(data, at + netlink.align(layout.size), part.end, tables)
    return [f"{(sign * 2 if not index else sign):>2} {line}".rstrip() for index, line in enumerate(written)]


def _struct(data: bytes, at: int, layout) -> list[str]:
    written = []
    names = iter(layout.fields)
    values = iter(layout.read(data, at))
    for code in _codes(layout.codes):
        size = inet_diag.struct.calcsize("=" + code)
        if code.endswith("x"):
            written += _raw(data[at : at + size], "(padding)")
        elif (name := next(names)) == "id":
            written += _struct(data, at, inet_diag.SOCKID)
            next(values)
        else:
            value = next(values)
            shown = "" if isinstance(value, bytes) else f" = {value}"
            written += _raw(data[at : at + size], f"{layout.name}.{name}{shown}")
        at += size
    return written


def _attributes(data: bytes, at: int, end: int, names) -> list[str]:
    written = []
    while end - at >= netlink.ATTRIBUTE.size:
        length, kind = netlink.ATTRIBUTE.read(data, at)
        name = names.get(kind & netlink.NLA_TYPE_MASK, "attribute")
        written += _raw(data[at : at + 4], f"{name} ({kind & netlink.NLA_TYPE_MASK}), {length} bytes")
        if kind & netlink.NLA_TYPE_MASK == rtnetlink.IFLA_LINKINFO and name == "linkinfo":
            written += _attributes(data, at + 4, at + length, {1: "kind", 2: "data", 3: "xstats"})
        else:
            written += _raw(data[at + 4 : min(at + netlink.align(length), end)], f"  {name}")
        at += netlink.align(length)
    return written


def _raw(data: bytes, name: str) -> list[str]:
    """Write bytes, their name behind the first of them."""
    chunks = [data[at : at + WIDTH] for at in range(0, len(data), WIDTH)]
    text = [f"{chunk.hex(' '):<{3 * WIDTH}}{name if not at else ''}" for at, chunk in enumerate(chunks)]
    if any(data) and name.strip() in ("name", "ifname", "kind", "text", "qdisc"):
        text[0] += f" = {data.rstrip(bytes(1))!r}"
    return text


def side_by_side(got: bytes, wanted: bytes) -> str:
    """Show two byte strings beside each other, with a mark where they differ: for a test that fails."""
    shown = [f"      {'got':{3 * WIDTH}}wanted"]
    for at in range(0, max(len(got), len(wanted)), WIDTH):
        ours, theirs = got[at : at + WIDTH], wanted[at : at + WIDTH]
        sign = " " if ours == theirs else "*"
        shown.append(f"{at:4} {sign}{ours.hex(' '):{3 * WIDTH}}{theirs.hex(' ')}")
    return "\n".join(shown)
