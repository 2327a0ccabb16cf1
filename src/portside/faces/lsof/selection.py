"""Which processes and files are meant: lsof's own logic of options that are or-ed, or with -a and-ed.

Every option that selects is a bit.  A process gets the bits it fits (`process`), its files those and their own; a
file is listed if it has any of the wanted bits, with -a all of them (`lists`).  Exclusions (`^`) come first and
always win.  What was found is kept in `Found`, over all rounds: the end of the run tells what was not.
"""

from __future__ import annotations

import os
import stat

from portside.faces.lsof.options import ONLY_NETWORK
from portside.faces.lsof.text import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.lsof.addresses import Address
    from portside.faces.lsof.given import Id
    from portside.faces.lsof.options import Options
    from portside.system.tasks import Task

COMMAND, DESCRIPTOR, ADDRESS, NET, NFS, LINKS = 1, 2, 4, 8, 16, 32
NAME, GROUP, PID, USER, UNIX, TASK = 64, 128, 256, 512, 1024, 2048
_NUMBERS = GROUP | PID | USER | TASK
_NETWORK = ADDRESS | NET | UNIX
_EVERYTHING = (
    f"would list every kind of open file, and {ONLY_NETWORK}; add -a -i (Internet) or -a -U (Unix domain)"
)


class Found:
    """What of the selection was found so far."""

    def __init__(self) -> None:
        self.commands: set[int] = set()
        self.patterns: set[int] = set()
        self.addresses: set[int] = set()
        self.states: set[int] = set()
        self.pids: set[int] = set()
        self.groups: set[int] = set()
        self.users: set[int] = set()
        self.names: set[str] = set()
        self.net = self.task = False


class Selection:
    """The options' selection; `flags` are the bits that were asked for, `every` whether all are needed."""

    def __init__(self, options: Options) -> None:
        self.found = Found()
        self.flags = _flags(options)
        self.every = options.every
        self._options = options
        self._unwanted = tuple(one.name for one in options.commands if one.excluded)
        # the last given is compared first, and alone counts as found
        commands = enumerate(options.commands)
        self._commands = [(at, one.name) for at, one in commands if not one.excluded][::-1]
        self._addresses: list[tuple[int, Address]] = [*enumerate(options.addresses)][::-1]

    def refusal(self) -> str:
        """Say why this would list other files than network files, empty where it would not."""
        listed = self.flags & ~self._narrow()
        if self.every:
            return "" if self.flags & self._narrow() else _EVERYTHING
        return _EVERYTHING if listed or not self.flags else ""

    def _narrow(self) -> int:
        """Return the bits that none but network files can have, as far as it can be told before looking."""
        options, bits = self._options, _NETWORK
        if self.by_number():
            bits |= DESCRIPTOR  # told file by file
        if options.nfs and not _nfs_is_mounted():
            bits |= NFS
        return bits | NAME

    def by_number(self) -> bool:
        """Whether -d asks for numbers of descriptors alone, and not for `cwd` and the like."""
        given = self._options.descriptors
        return given is not None and not given.excluded and not given.names

    def asks_everybody(self) -> bool:
        """Whether processes are looked for by what each of them must be asked."""
        options = self._options
        return bool(self.flags & (GROUP | USER | COMMAND | TASK)) or bool(options.commands)

    def process(self, task: Task) -> tuple[bool, int]:
        """Return whether a process (or thread) is left out, and its bits."""
        options, found = self._options, self.found
        for number, ids in (
            (task.uid, options.users),
            (task.group, options.groups),
            (task.pid, options.pids),
        ):
            if any(one.excluded and one.number == number for one in ids):
                return True, 0
        bits = _mark(options.groups, task.group, found.groups, GROUP)
        bits |= _mark(options.pids, task.pid, found.pids, PID)
        bits |= _mark(options.users, task.uid, found.users, USER)
        if self.flags & TASK and task.thread:
            bits |= TASK
        if self.every and self.flags & _NUMBERS != bits:
            return True, bits
        return self._by_command(task.name, bits)

    def _by_command(self, name: str, bits: int) -> tuple[bool, int]:
        if name.startswith(self._unwanted) and self._unwanted:
            return True, bits
        if not self.flags & COMMAND:
            return False, bits
        for at, start in self._commands:
            if name.startswith(start):
                self.found.commands.add(at)
                return False, bits | COMMAND
        for at, pattern in enumerate(self._options.patterns):
            if pattern.compiled.found_in(os.fsencode(name)):
                self.found.patterns.add(at)
                return False, bits | COMMAND
        return self.every, bits

    def descriptor(self, number: int) -> bool:
        """Whether -d means this descriptor."""
        given = self._options.descriptors
        if given is None:
            return False
        return given.excluded != any(low <= number <= high for low, high in given.ranges)

    def state(self, number: int) -> bool:
        """Whether a state is wanted; lsof compares UDP's with the names of TCP's."""
        wanted = self._options.states
        if number in self._options.other_states or (wanted and number not in wanted):
            return False
        self.found.states.add(number)
        return True

    def address(self, protocol: str, family: int, raw: bytes, port: int) -> bool:
        """Whether -i means this end of a socket."""
        for at, one in self._addresses:
            if one.covers(protocol, family, raw, port):
                self.found.addresses.add(at)
                return True
        return False

    def lists(self, bits: int) -> bool:
        """Whether a file with these bits is listed."""
        return bits & self.flags == self.flags if self.every else bits != 0


def _flags(options: Options) -> int:
    def included(ids: list[Id]) -> bool:
        return any(not one.excluded for one in ids)

    commands = any(not one.excluded for one in options.commands)
    asked = (
        (COMMAND, commands or options.patterns), (DESCRIPTOR, options.descriptors), (ADDRESS, options.addresses),
        (NET, options.net), (NFS, options.nfs), (LINKS, options.links), (NAME, options.names),
        (GROUP, included(options.groups)), (PID, included(options.pids)), (USER, included(options.users)),
        (UNIX, options.unix), (TASK, options.tasks),
    )  # fmt: skip
    return sum(bit for bit, given in asked if given)


def _mark(ids: list[Id], number: int, found: set[int], bit: int) -> int:
    if any(one.number == number and not one.excluded for one in ids):
        found.add(number)
        return bit
    return 0


def _nfs_is_mounted() -> bool:
    from portside.system.mounts import kinds  # few ask

    return any(kind.startswith("nfs") for kind in kinds())


def check_names(options: Options) -> tuple[list[str], str]:
    """Return what is to be said of files that are not there, and why others cannot be honoured.

    A socket's path can: it stands for the Unix domain sockets that are bound to it.
    """
    said, sockets = [], []
    for name in options.names:
        try:
            mode = os.stat(name).st_mode
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            said.append(f"status error on {safe(name)}: {reason}")
            continue
        if not stat.S_ISSOCK(mode):
            return said, f"{safe(name)} is no socket: {ONLY_NETWORK}"
        if options.only_systems:
            said.append(f"not a file system: {safe(name)}")
        else:
            sockets.append(name)
    options.names = sockets
    return (said if options.search_fails else []), ""
