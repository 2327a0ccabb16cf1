"""The IP tables of ss read from the text of /proc/net: of a recorded machine, or of a kernel without sock_diag.

The text is read as ss reads it, so that one recording gives the same lines in both: a line that is too long or has no
end stops the reading.  What the text does not tell is not shown: v6only, a listener's limit, the cgroup; `sk:` is an
address in the kernel and no cookie.  Reference: misc/ss.c, proc_pid_net(5).
"""

from __future__ import annotations

import struct

from portside.faces import printable
from portside.faces.ss import extras, info
from portside.faces.ss.context import STATES, Subject
from portside.faces.ss.extras import signed
from portside.record import Record
from portside.wire.sock_diag import AF_INET, AF_INET6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

_LONGEST = 255  # characters of a line, its end included
_TICKS = 100  # USER_HZ, on every architecture
_WORD = (1 << 32) - 1

# The numbers of a line behind its addresses, by base: state, send and receive queue, timer and its time,
# retransmissions, uid, probes, inode, references, address; of TCP also rto, ato, quick acks, window, threshold.
_BASES = (16, 16, 16, 16, 16, 16, 10, 10, 10, 10, 16, 10, 10, 10, 10, 10)
_OLDEST = 11  # numbers of a line without the last five
_UNTOLD = (0, 0, 0, 2, -1)  # what ss takes for them


class _Entry(Record):
    """A line taken apart: the ends, the state, the numbers behind them as far as they could be read, what follows."""

    family: int
    state: int
    ends: tuple[tuple[bytes, int], tuple[bytes, int]]
    numbers: tuple[int, ...]
    more: str


def rows(table: str, options: Options, reading: Reading) -> Iterator[Line]:
    """Read tcp, udp or raw, of the chosen families and states."""
    entries: list[_Entry] = []
    for family, suffix in ((AF_INET, ""), (AF_INET6, "6")):
        if family not in options.families:
            continue
        text = reading.text(f"PROC_NET_{table.upper()}{suffix}", f"net/{table}{suffix}")
        if text is None and family == AF_INET:
            break  # ss leaves the whole table out
        if not _take(entries, text or "", family):
            break
    shown = [one for one in entries if options.states >> one.state & 1]
    reading.want(one.numbers[8] & _WORD for one in shown)
    return _lines(shown, table, options, reading)


def readable(text: str) -> tuple[list[str], bool]:
    """Return the lines behind the heading as far as ss reads them, and whether it reads them all."""
    *lines, unended = text.split("\n")
    for number, line in enumerate(lines[1:], 1):
        if len(line) >= _LONGEST:
            return lines[1:number], False
    return lines[1:], not unended or not lines


def _take(entries: list[_Entry], text: str, family: int) -> bool:
    """Add the entries of a file; return False for one with a line after which ss reads no other file."""
    lines, whole = readable(text)
    for line in lines:
        entry = _entry(line, family)
        if entry is None:
            return True
        entries.append(entry)
    return whole


def _entry(line: str, family: int) -> _Entry | None:
    """Take a line apart at its colons: number, local end, remote end; a port has four digits."""
    first = line.find(":")
    second = line.find(":", first + 2)
    third = line.find(":", second + 6)
    if min(first, second, third) < 0:
        return None
    data = line[third + 6 :]
    local, remote = line[first + 2 : second], line[second + 6 : third]
    ports = [number(line[at + 1 : at + 5], 16) or 0 for at in (second, third)]
    fields = data.replace(":", " ", 2).split(None, len(_BASES))
    more = fields[len(_BASES)] if len(fields) > len(_BASES) else ""
    return _Entry(
        family,
        max("0123456789ABCDEF".find(data[1:2]), 0),
        ((_address(local, family), ports[0]), (_address(remote, family), ports[1])),
        _numbers(fields),
        more,
    )


def _numbers(fields: list[str]) -> tuple[int, ...]:
    """Return the numbers of a line, up to the first that is none; zero, or what ss takes for them, for the rest."""
    found: list[int] = []
    for field, base in zip(fields, _BASES, strict=False):
        value = number(field, base)
        if value is None:
            break
        found.append(value)
    told = found + [0] * (_OLDEST - len(found))
    return (*told, *_UNTOLD) if len(told) == _OLDEST else (*told, *[0] * (len(_BASES) - len(told)))


def number(text: str, base: int) -> int | None:
    """Return the number that a field is; None where it is none."""
    try:
        return int(text, base)
    except ValueError:
        return None


def _address(text: str, family: int) -> bytes:
    """Return the bytes of an address that is written as words in native order."""
    words = [text[at : at + 8] for at in range(0, 8 if family == AF_INET else 32, 8)]
    return struct.pack(f"={len(words)}I", *((number(word, 16) or 0) & _WORD for word in words))


def _lines(entries: list[_Entry], table: str, options: Options, reading: Reading) -> Iterator[Line]:
    for one in entries:
        (local, local_port), (remote, remote_port) = one.ends
        if not reading.accepts(Subject(one.family, local, remote, local_port, remote_port)):
            continue
        state, send, receive, inode = one.numbers[0], one.numbers[1], one.numbers[2], one.numbers[8] & _WORD
        yield (
            table,
            STATES[state] if 0 <= state < len(STATES) else STATES[0],
            f"{signed(receive):<6}",
            f"{signed(send):<6}",
            *reading.end(one.family, local, local_port, table),
            *reading.end(one.family, remote, remote_port, table),
            reading.users(inode) + (_more(one, options) if table == "tcp" else ""),
        )


def _more(one: _Entry, options: Options) -> str:
    """Return what -o, -e and -i add to a line of TCP."""
    _, _, _, timer, when, retransmits, uid, probes, inode, _, address, *inside = one.numbers
    tries = signed(retransmits if timer == 1 else probes)
    written = ""
    if options.timers:
        written += extras.timer(timer, (when * 1000 + _TICKS - 1 & _WORD) // _TICKS, tries)
    if options.details:
        written += extras.details(uid & _WORD, inode & _WORD, address)
        written += f' opt:"{printable(one.more)}"' if one.more else ""
    if options.info:
        written += info.of_proc(inside, tries)
    return written
