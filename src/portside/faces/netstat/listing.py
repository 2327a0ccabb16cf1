"""One listing of sockets: netstat's tables in netstat's order, read whole before anything is written.

The first kind that was asked for and that this system has not ends it with 1; what comes before it is shown.
"""

from __future__ import annotations

import sys

from portside.faces.netstat import sockets
from portside.faces.netstat.names import Names
from portside.faces.netstat.options import IP_TABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.faces.netstat.options import Options
    from portside.faces.netstat.sockets import Line
    from portside.system.host import Host

# families without a table here: the file that a kernel which has them shows, and netstat's name of them
_OTHERS = {
    "ipx": ("ipx/socket", "AF IPX"),
    "ax25": ("ax25", "AF AX25"),
    "x25": ("x25", "AF X25"),
    "netrom": ("nr", "AF NETROM"),
    "rose": ("rose", "AF ROSE"),
}
_NO_SUPPORT = "netstat: no support for `{}' on this system.\n"
_BLUETOOTH = (
    "netstat: feature `AF BLUETOOTH' not supported.\n"
    "Please recompile `net-tools' with newer kernel source or full configuration.\n"
)


class _Listing:
    """What is going to be written: text without an owner column, or lines with the inode that it is for."""

    def __init__(self, options: Options, host: Host) -> None:
        self.options, self.host = options, host
        self.names = Names(options, host)
        self.lines: list[Line] = []
        self.said: list[str] = []
        self.code = 0

    def plain(self, lines: Iterable[str]) -> None:
        self.lines += [(line, None, "") for line in lines]

    def held(self, lines: Iterable[Line]) -> bool:
        """Take the lines of a table; return whether the listing goes on."""
        try:
            for line in lines:
                self.lines.append(line)
        except sockets.Missing as missing:
            return self.missing(str(missing), quiet=self.options.whole)
        return True

    def missing(self, name: str, *, quiet: bool = False) -> bool:
        """Say that this system has not what was asked for; return whether the listing goes on."""
        asked = bool(self.options.tables)
        if not quiet and (asked or self.options.verbose):
            self.said.append(_NO_SUPPORT.format(name))
        if asked and not quiet:
            self.code = 1
        return not self.code

    def write(self) -> None:
        """Look for the holders, say who could not be looked at, and write it all."""
        cell = None
        if self.options.programs:
            from portside.faces.netstat.programs import Programs, tell

            programs = Programs(self.host, [line[1] for line in self.lines if line[1]])
            tell(programs.note)
            cell = programs.cell
        from portside.faces.netstat import write

        write(
            head + cell(inode) + tail if cell and inode is not None else head + tail
            for head, inode, tail in self.lines
        )
        if self.said:
            sys.stdout.flush()
            sys.stderr.write("".join(self.said))


def listing(options: Options, host: Host) -> int:
    """Write the tables that were asked for and return the exit code."""
    found = _Listing(options, host)
    for part in _PARTS:
        if not part(found, options):
            break
    found.write()
    return found.code


def _internet(found: _Listing, options: Options) -> bool:
    if not options.tables or options.tables.intersection(IP_TABLES):
        found.plain(sockets.title(options))
    return all(
        found.held(_table(name, found))
        for name in ("tcp", "sctp", "udp", "udplite", "raw")
        if options.shows(name)
    )


def _table(name: str, found: _Listing) -> Iterator[Line]:
    if name == "sctp":
        from portside.faces.netstat.sctp import lines

        return lines(found.options, found.names, found.host)
    return sockets.inet(name, found.options, found.names, found.host)


def _groups(found: _Listing, options: Options) -> bool:
    if "igmp" in options.tables:
        from portside.faces.netstat import groups

        found.plain(groups.TITLE)
        found.plain(groups.lines(options, found.names, found.host))
    return True


def _unix(found: _Listing, options: Options) -> bool:
    if not options.shows("unix"):
        return True
    from portside.faces.netstat import unixes

    found.plain(unixes.title(options))
    text = sockets.read(found.host, "unix")
    if text is None:
        return found.missing("AF UNIX")
    return found.held(unixes.lines(text, options))


def _others(found: _Listing, options: Options) -> bool:
    for family, (file, name) in _OTHERS.items():
        if not options.shows(family):
            continue
        if not found.host.net_exists(file):
            if not found.missing(name):
                return False
        elif options.tables or options.verbose:
            found.said.append(f"netstat: the sockets of `{name}' cannot be honoured here\n")
            found.code = int(bool(options.tables))
            if found.code:
                return False
    return True


def _bluetooth(found: _Listing, options: Options) -> bool:
    if options.tables.intersection(("l2cap", "rfcomm")):
        found.said.append(_BLUETOOTH)
        found.code = 1
    return True


_PARTS = (_internet, _groups, _unix, _others, _bluetooth)
