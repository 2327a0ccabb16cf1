"""The column `PID/Program name`: the first process that holds a socket, and what it was started as.

The name is the first word of the command line, a path's last part of it, cut to nineteen bytes together with the pid.
Sockets are read before their holders are looked for (netstat does it the other way round, so that one opened
meanwhile has none), by the road that `see.owners` finds.  What the terminal would act on is escaped.
"""

from __future__ import annotations

import os
import sys

from portside.faces import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from portside.system.host import Host

WIDTH = 20  # PROGNAME_WIDTH, with the byte that ends the string
BANNER = f" {'PID/Program name':<{WIDTH}}"
_SOME = (
    "(Not all processes could be identified, non-owned process info\n"
    " will not be shown, you would have to be root to see it all.)\n"
)
_NONE = '(No info could be read for "-p": geteuid()={} but you should be root.)\n'


class Programs:
    """Who holds the sockets of one listing; `note` is what is to be said of those that could not be looked at."""

    def __init__(self, host: Host, inodes: Collection[int]) -> None:
        from portside.see import owners
        from portside.system.processes import ProcessReader

        self._holders = owners.find(host, inodes)
        self._reader = ProcessReader(host.proc)
        self._cells: dict[int, str] = {}
        self.note = self._note(host)

    def _note(self, host: Host) -> str:
        from portside.system import fds

        if self._holders.road != "proc" or not fds.unreadable(host.proc):
            return ""
        return _SOME if self._holders.packed or fds.any_socket(host.proc) else _NONE.format(os.geteuid())

    def cell(self, inode: int) -> str:
        """Return the column for a socket, with the blank before it."""
        held = self._holders.of(inode) if inode else ()
        if not held:
            return f" {'-':<{WIDTH}}"
        pid = held[0][0]
        known = self._cells.get(pid)
        if known is None:
            known = self._cells[pid] = self._draw(pid)
        return known

    def _draw(self, pid: int) -> str:
        facts = self._reader.read(pid)
        if facts is None or "cmdline" in facts.denied:
            return f" {'-':<{WIDTH}}"
        word = os.fsencode(facts.cmdline[0])[:511] if facts.cmdline else b""
        name = word.rpartition(b"/")[2] if word.startswith(b"/") else word
        cut = b"%d/%s" % (pid, name)
        raw = cut[: WIDTH - 1]
        return f" {printable(raw.decode('utf-8', 'surrogateescape'))}{' ' * (WIDTH - len(raw))}"


def tell(note: str) -> None:
    """Say it on standard error, after what was already printed and before what comes."""
    if note:
        sys.stdout.flush()
        sys.stderr.write(note)
        sys.stderr.flush()
