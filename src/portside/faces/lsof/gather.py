"""From processes and sockets to the files that are listed.

Where network files alone are meant, their holders are found in one pass over the inodes; where descriptors are asked
for by number, or threads, each process that is meant is looked at as lsof does.
"""

from __future__ import annotations

import os

from portside.faces.lsof import selection as bits_of
from portside.faces.lsof.files import PROTOCOLS, File, Holder
from portside.faces.lsof.holders import holders
from portside.faces.lsof.options import ONLY_NETWORK
from portside.faces.lsof.tables import Tables
from portside.system import tasks
from portside.system.host import LIVE
from portside.wire.inet_diag import AF_INET, AF_INET6, ntohs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.faces.lsof.options import Options
    from portside.faces.lsof.others import Others
    from portside.faces.lsof.selection import Selection
    from portside.system.tasks import Task
    from portside.wire.inet_diag import Row

_LOW = (1 << 32) - 1
_MAPPED = bytes(10) + b"\xff\xff"
_ANY = bytes(16)


class OtherFile(Exception):
    """A file is meant that is no network file."""


class Gathering:
    """One round: what was read, and the holders that were found."""

    def __init__(self, options: Options, selection: Selection) -> None:
        self.options = options
        self.selection = selection
        flags = selection.flags
        narrowed = selection.every and flags & (bits_of.NET | bits_of.ADDRESS | bits_of.UNIX | bits_of.NAME)
        self.walks = bool(flags & bits_of.TASK or (flags & bits_of.DESCRIPTOR and not narrowed))
        self.tables = Tables(options, narrow=not self.walks)
        self._others: Others | None = None

    def holders(self) -> list[Holder]:
        """Return the processes with files that may be listed, in order.  Raises OtherFile."""
        found: list[Holder] = []
        if self.walks:
            for pid in tasks.pids(LIVE.proc):
                found += self._walk(pid)
            return sorted(found, key=lambda one: (one.task.pid, one.task.thread))
        held = holders(self.tables.inodes())
        for pid in self._candidates(held):
            task = tasks.process(pid, LIVE.proc)
            if task is not None:
                found += self._add(task, held.get(pid, []))
        return found

    def _candidates(self, held: dict[int, list[int]]) -> Iterable[int]:
        """Return the processes to look at: holders, and those that the options ask something of."""
        if self.selection.asks_everybody():
            return tasks.pids(LIVE.proc)
        asked = {one.number for one in self.options.pids if not one.excluded}
        return sorted({*held, *asked}) if asked else held

    def _add(self, task: Task, entries: list[int], threads: bool = False) -> list[Holder]:
        """Return a process with its files, if it has any that may be listed."""
        left_out, bits = self.selection.process(task.replace(thread=task.pid) if threads else task)
        if left_out and not self.options.endpoints:
            return []
        files = self._files(task, bits, entries)
        return [Holder(task, bits, files)] if files else []

    def _walk(self, pid: int) -> list[Holder]:
        task = tasks.process(pid, LIVE.proc)
        if task is None:
            return []
        found: list[Holder] = []
        if self.options.tasks:
            for thread in tasks.threads(task):
                found += self._add(thread, self._entries(thread))
        if not task.ended:
            found += self._add(task, self._entries(task), threads=bool(found) and self.selection.every)
        return found

    def _entries(self, task: Task) -> list[int]:
        return [number << 32 | inode for number, inode in tasks.descriptors(task)]

    def _files(self, task: Task, bits: int, entries: list[int]) -> list[File]:
        options, selection = self.options, self.selection
        rows, unix, keep = self.tables.rows, self.tables.unix, bool(options.endpoints)
        found = []
        for entry in entries:
            descriptor, inode = entry >> 32, entry & _LOW
            own = bits
            if options.descriptors is not None and selection.descriptor(descriptor):
                own |= bits_of.DESCRIPTOR
            file: File | None
            row = rows.get(inode)
            if row is not None:
                file = self._internet(descriptor, inode, row, own)
            elif inode in unix:
                file = self._unix(descriptor, inode, own)
            else:
                file = self._other(task, descriptor, inode, own)
            if file is not None and (file.bits or keep):
                if options.flags:
                    file.flags = tasks.flags(task, descriptor)
                found.append(file)
        self._note(found)
        return found

    def _note(self, files: list[File]) -> None:
        """Note what was found of -i and -K."""
        found = self.selection.found
        if self.options.net and not found.net:
            found.net = any(file.bits & bits_of.NET for file in files)
        if self.options.tasks and not found.task:
            found.task = any(file.bits & bits_of.TASK for file in files)

    def _internet(self, descriptor: int, inode: int, row: Row, bits: int) -> File | None:
        options = self.options
        if (options.states or options.other_states) and not self.selection.state(row[1]):
            return None
        version = 6 if row[0] == AF_INET6 else 4
        if options.net and options.family in (0, version):
            bits |= bits_of.NET
        kind = self.tables.kinds.get(inode, 0)
        if options.addresses and self._addressed(row, kind):
            bits |= bits_of.ADDRESS
        name = "IPv6" if version == 6 else "IPv4"
        return File(descriptor, name, inode, bits, kind, PROTOCOLS[kind], row, device=str(inode))

    def _addressed(self, row: Row, kind: int) -> bool:
        """Whether one of the addresses of -i covers an end: both are compared, for what they say of being found."""
        protocol, hit = PROTOCOLS[kind].lower(), False
        mapped = row[0] == AF_INET6 and _MAPPED in (row[6][:12], row[7][:12])
        for raw, number in ((row[7], row[5]), (row[6], row[4])):
            if raw == _ANY and not number:
                continue
            if row[0] == AF_INET:
                family, raw = AF_INET, raw[:4]
            else:
                family, raw = (AF_INET, raw[12:]) if mapped else (AF_INET6, raw)
            hit = self.selection.address(protocol, family, raw, ntohs(number)) or hit
        return hit

    def _unix(self, descriptor: int, inode: int, bits: int) -> File:
        options = self.options
        if options.unix:
            bits |= bits_of.UNIX
        if options.names:
            path = self.tables.path(inode)
            if path in options.names:
                self.selection.found.names.add(path)
                bits |= bits_of.NAME
        return self.tables.unix_file(descriptor, inode, bits)

    def _other(self, task: Task, descriptor: int, inode: int, bits: int) -> File | None:
        """Return a file of another family; one that is no socket and is meant ends it all."""
        if not self.walks or not self.selection.lists(bits):
            return None
        if not inode:
            if task.pid == os.getpid():  # what this program reads from is nobody's question
                return None
            raise OtherFile(f"descriptor {descriptor} of process {task.pid} is no socket, and {ONLY_NETWORK}")
        if self._others is None:
            from portside.faces.lsof.others import Others

            self._others = Others(self.options.not_tcp)
        return self._others.file(task, descriptor, inode, bits)
