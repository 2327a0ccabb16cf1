"""The netstat face: net-tools 2.10's netstat, byte for byte; with --bsd the look of BSD's.

`options` reads what was typed (`usage`: its texts), `sockets`, `sctp`, `unixes` and `groups` make the tables of
sockets and `programs` says who holds them, `routes`, `interfaces` (`hardware`) and `statistics` (`phrases`) are what
their options say, `names` looks names up.  What it does otherwise is listed in docs/comparison.md.
"""

from __future__ import annotations

import sys
import time

from portside.errors import PortsideError
from portside.faces import printable
from portside.faces.netstat.options import Ended, Options, parse
from portside.faces.netstat.usage import FAMILIES, NOTES, USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.system.host import Host

HELP = USAGE + FAMILIES + NOTES
_TOGETHER = 4096  # lines written at once
_SECONDS = 1  # between two listings of -c


def main(words: list[str]) -> int:
    """Run netstat with these words and return its exit code: 0, 1 for what this system has not, 3 for usage."""
    if "--bsd" in words:
        from portside.faces.netstat import bsd

        return bsd.main([word for word in words if word != "--bsd"])
    try:
        options = parse(words)
        return _run(options)
    except Ended as end:
        sys.stdout.write(end.out)
        sys.stdout.flush()
        sys.stderr.write(end.err)
        return end.code
    except PortsideError as error:
        print(f"netstat: {printable(str(error))}", file=sys.stderr)
        return 1
    except (FileNotFoundError, PermissionError) as error:  # a /proc without the file
        print(f"netstat: {printable(str(error.filename))}: {error.strerror}", file=sys.stderr)
        return 1


def _run(options: Options) -> int:
    """Show what was asked for, with -c until interrupted."""
    from portside.system.host import LIVE

    if options.what == "masquerade":  # the kernel told of it until 2.2
        raise Ended(1, err="netstat: no support for `ip_masquerade' on this system.\n")
    if options.what == "statistics":
        return _statistics(options, LIVE)
    if options.what == "interfaces":
        from portside.faces.netstat.interfaces import TITLE

        write([TITLE])
    while True:
        code = _show(options, LIVE)
        if code or not options.continuous:
            return code
        sys.stdout.flush()
        time.sleep(_SECONDS)


def _show(options: Options, host: Host) -> int:
    """Show it once."""
    if options.what == "routes":
        from portside.faces.netstat.names import Names
        from portside.faces.netstat.routes import tables

        write(tables(options, Names(options, host), host))
        return 0
    if options.what == "interfaces":
        from portside.faces.netstat.interfaces import table

        write(table(options, host))
        return 0
    from portside.faces.netstat.listing import listing

    return listing(options, host)


def _statistics(options: Options, host: Host) -> int:
    from portside.faces.netstat.statistics import lines

    family = ",".join(options.families)
    if family not in ("", "inet", "inet6"):
        raise Ended(1, f"netstat: No statistics support for specified address family: {family}\n")
    write(lines(options, host))
    return 0


def write(lines: Iterable[str]) -> None:
    """Write lines, many at once."""
    pieces: list[str] = []
    try:
        for line in lines:
            pieces.append(line)
            if len(pieces) == _TOGETHER:
                sys.stdout.write("\n".join(pieces) + "\n")
                pieces.clear()
    finally:
        if pieces:
            sys.stdout.write("\n".join(pieces) + "\n")
