"""sockstat's table: columns sized to what they hold, but COMMAND (10) and, without -w, the addresses (21).

Widths as in usr.bin/sockstat/main.c of FreeBSD, October 2025.  Where that would cut `(not connected)` by a letter
under -w, this does not.
"""

from __future__ import annotations

from portside.faces import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.faces.sockstat.options import Options
    from portside.faces.sockstat.rows import End, Line

_NOTHING = "??"
_COMMAND = 10
_ADDRESS = 21
_PROTOCOLS = {"seqpacket": "seqpack"}

# letter of the option -> header, whether the column is right-aligned, what it tells
_DETAILS: dict[str, tuple[str, bool, Callable[[Line], object]]] = {
    "i": ("ID", True, lambda line: line.id),
    "U": ("ENCAPS", True, lambda line: line.encaps),
    "s": ("CONN STATE", False, lambda line: line.state),
    "S": ("STACK", False, lambda line: line.stack),
    "C": ("CC", False, lambda line: line.cc),
}


def table(lines: list[Line], options: Options) -> Iterator[str]:
    """Yield the header and a line for each, without the line's end."""
    rows = [_cells(line, options) for line in lines]
    headers = ["USER", "COMMAND", "PID", "FD", "PROTO", "LOCAL ADDRESS", "FOREIGN ADDRESS"]
    headers += [_DETAILS[letter][0] for letter in options.columns]
    right = [False, False, True, True, False, False, False]
    right += [_DETAILS[letter][1] for letter in options.columns]
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    widths[1] = _COMMAND
    if not options.wide:
        widths[5] = widths[6] = _ADDRESS
    shapes = [
        f"%{width}s" if end else f"%-{width}.{width}s" for width, end in zip(widths, right, strict=True)
    ]
    shape = " ".join(shapes)
    if options.header:
        yield shape % tuple(headers)
    for row in rows:
        yield shape % tuple(row)


def _cells(line: Line, options: Options) -> list[str]:
    cells = [_NOTHING] * 4
    if line.owner is not None:
        process = line.owner.process
        user = "" if options.numeric else process.user
        uid = _NOTHING if process.uid is None else str(process.uid)
        cells = [user or uid, printable(process.name), str(line.owner.pid), str(line.owner.fd)]
    cells += [_PROTOCOLS.get(line.proto, line.proto), _end(line.local), _end(line.foreign)]
    values = (_DETAILS[letter][2](line) for letter in options.columns)
    return cells + [_NOTHING if value is None else str(value) for value in values]


def _end(end: End) -> str:
    if end.path:
        return end.arrow + printable(end.path)
    if end.arrow:
        return end.arrow + (",".join(f"[{pid} {fd}]" for pid, fd in end.peers) or _NOTHING)
    if not end.known:
        return end.address or _NOTHING
    return f"{end.address}:{end.port or '*'}"
