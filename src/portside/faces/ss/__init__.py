"""The ss face: ss of iproute2 6.1, byte for byte.

`words` and `selection` take the command line apart, `grammar`, `operands` and `condition` the filter; `inet` and
`families` read the tables from the kernel, `replay` from recordings; `info`, `memory` and `extras` make what stands
behind the addresses, `holders` who holds a socket, `columns` the lines.  `context` says what they share.  What is
drawn otherwise than by ss is listed in docs/comparison.md.
"""

from __future__ import annotations

import os
import sys

from portside.faces.ss.context import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.columns import Columns
    from portside.faces.ss.context import Line, Options
    from portside.faces.ss.reading import Live
    from portside.faces.ss.words import Request

# in ss's order
_TABLES = ("netlink", "packet", "unix", "raw", "udp", "tcp", "dccp", "sctp", "vsock", "tipc", "xdp", "mptcp")
_MEMBERS = {"packet": ("p_raw", "p_dgr"), "unix": ("u_str", "u_dgr", "u_seq"), "vsock": ("v_str", "v_dgr")}
_IP = ("raw", "udp", "tcp", "dccp", "sctp", "mptcp")
_NAMERS = ("raw", "udp", "tcp")  # tables whose protocol names the ports, their own and later tables'


def main(words: list[str]) -> int:
    """Run ss with these words and return its exit code."""
    try:
        return _start(words)
    except Stop as end:
        sys.stdout.write(end.told)
        sys.stdout.flush()
        sys.stderr.write(end.said)
        return end.code


def _start(words: list[str]) -> int:
    if words == ["-s"]:
        return _only_summary()
    from portside.faces.ss.words import parse

    request = parse(words)
    if request.options.process_context:
        from portside.system import selinux

        if not selinux.is_enabled():
            raise Stop(1, "ss: SELinux is not enabled.\n")
    if request.netns is None:
        return _run(request)
    from portside.faces.ss.namespace import run_in

    return run_in(request.netns, lambda: _run(request))


def _only_summary() -> int:
    from portside.faces.ss import summary
    from portside.faces.ss.texts import host_of, text

    host = host_of(os.environ)
    told, said = summary.text(lambda knob, name: text(host, os.environ, knob, name))
    raise Stop(0, said, told)


def _run(request: Request) -> int:
    """Print what was asked for."""
    from portside.faces.ss.reading import Live
    from portside.faces.ss.texts import host_of
    from portside.faces.ss.words import check, final

    options = request.options
    live = Live(options, host_of(os.environ), os.environ)
    if options.summary:
        from portside.faces.ss import summary

        told, said = summary.text(live.text)
        sys.stdout.write(told)
        sys.stderr.write(said)
        if request.only_summary:
            return 0
    check(request.selection)
    if request.dump_file is not None:
        from portside.faces.ss import recording

        return recording.write(request.dump_file, final(request), live)
    if request.words or request.filter_file is not None:
        _take_filter(request, live)
    options = final(request)
    if options.events:
        from portside.faces.ss import events

        return events.follow(options, live, _columns(options))
    return _list(options, live)


def _take_filter(request: Request, live: Live) -> None:
    from portside.faces.ss.grammar import parse
    from portside.faces.ss.operands import Operands
    from portside.faces.ss.texts import lines

    operands = Operands(live.host, request.selection, live.services)
    live.select(parse(request.words, lines(request.filter_file), operands))


def _columns(options: Options) -> Columns:
    from portside.faces.ss import columns

    hidden = set()
    if len(options.tables) == 1:
        hidden.add(columns.NETID)
    if options.states & (options.states - 1) == 0:
        hidden.add(columns.STATE)
    if not options.queues:
        hidden |= {columns.RECEIVE, columns.SEND}
    made = columns.Columns(sys.stdout.write, frozenset(hidden), _screen())
    if options.header:
        made.header()
    return made


def _screen() -> int:
    """Return the width of the terminal, 0 where standard output is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    except (OSError, ValueError):
        return 0


def _list(options: Options, live: Live) -> int:
    """Read every table, then print them all: who holds a socket is asked when all have been read."""
    drawn = _columns(options)
    tables = [table for table in _TABLES if options.tables.intersection(_MEMBERS.get(table, (table,)))]
    namer = ""
    read: list[Iterator[Line]] = []
    for table in tables:
        namer = table if table in _NAMERS else namer
        read.append(_rows(table, options, live, namer))
    try:
        for lines in read:
            drawn.add(lines)
    finally:
        drawn.draw()
    return 0


def _rows(table: str, options: Options, live: Live, namer: str) -> Iterator[Line]:
    if table in _IP:
        from portside.faces.ss import inet

        return inet.rows(table, options, live, namer)
    from portside.faces.ss import families, replay

    recorded = replay.rows(table, options, live)
    return families.rows(table, options, live) if recorded is None else recorded
