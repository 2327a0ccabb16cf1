"""` users:((...))`: who holds a socket, by the road that is quickest, in the order in which ss finds them.

ss walks /proc before it reads the sockets and puts what it finds last first: pids, threads and descriptors fall.
Here the sockets are read before (one opened meanwhile is not without holder then), and one pass of eBPF answers for
all; where it may not, /proc/PID/fd.  With -T every thread is listed: their tables are read from /proc.
"""

from __future__ import annotations

import os

from portside.errors import PortsideError
from portside.faces import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.faces.ss.context import Options
    from portside.system.host import Host

_MANY = 512  # more inodes than this are not compared one by one in the kernel
_UNAVAILABLE = "unavailable"


class Users:
    """The holders of the sockets of one run."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._options = options
        self._wanted: list[int] = []
        self._texts: dict[int, str] | None = None
        self._names: dict[int, str] = {}
        self._contexts: dict[int, str] = {}

    def want(self, inodes: Iterable[int]) -> None:
        """Take inodes that may be asked for."""
        self._wanted += inodes

    def text(self, inode: int) -> str:
        """Return ` users:((...))` of a socket, empty where nobody is seen to hold it."""
        if self._texts is None:
            self._texts = self._find()
        return self._texts.get(inode, "")

    def _find(self) -> dict[int, str]:
        if self._options.threads:
            return self._joined(self._threads())
        if self._options.process_context or self._options.socket_context:
            return self._joined(self._labelled())
        inodes, packed = self._pairs()
        if len(set(inodes)) != len(inodes):
            return self._joined(self._ordered(inodes, packed))
        heads = _Heads(self.head)
        return {
            inode: f"{heads[holder & 0xFFFFFFFF]}{holder >> 32}))"
            for inode, holder in zip(inodes, packed, strict=True)
        }

    def head(self, pid: int) -> str:
        """Return what stands before the descriptor of a sole holder."""
        return f' users:(("{self.name(pid)}",pid={pid},fd='

    def _ordered(self, inodes: list[int], packed: list[int]) -> Iterator[tuple[int, str]]:
        """Yield each inode with its holder's entry, the greatest pid and descriptor first, each pair once."""
        for pid, fd, inode in _falling(inodes, packed):
            yield inode, f'("{self.name(pid)}",pid={pid},fd={fd})'

    @staticmethod
    def _joined(entries: Iterable[tuple[int, str]]) -> dict[int, str]:
        found: dict[int, list[str]] = {}
        for inode, entry in entries:
            found.setdefault(inode, []).append(entry)
        return {inode: f" users:({','.join(held)})" for inode, held in found.items()}

    def _pairs(self) -> tuple[list[int], list[int]]:
        """Return parallel columns: inodes, and holders as `descriptor << 32 | pid`."""
        wanted = {inode for inode in self._wanted if inode}
        if self._host.live and self._host.bpf:
            from portside.system import taskfiles
            from portside.system.processes import proc_is_ours

            try:
                if proc_is_ours():
                    return taskfiles.socket_holders(wanted if len(wanted) <= _MANY else None)
            except PortsideError:
                pass  # the other road
        from portside.system import fds

        found = fds.find_holders(wanted, root=self._host.proc, thorough=True).holders
        pairs = [(inode, fd << 32 | pid) for inode, held in found.items() for pid, fd in held]
        return [inode for inode, _ in pairs], [holder for _, holder in pairs]

    def _threads(self) -> Iterator[tuple[int, str]]:
        """Yield what every thread holds, the last first."""
        from portside.system import tasks

        wanted = {inode for inode in self._wanted if inode}
        for pid in reversed(tasks.pids(self._host.proc)):
            process = tasks.process(pid, self._host.proc)
            if process is None:
                continue
            for task in reversed([process, *tasks.threads(process)]):
                name = printable(task.thread_name if task.thread else task.name)
                for fd, inode in reversed(tasks.descriptors(task)):
                    if inode in wanted:
                        tid = task.thread or pid
                        yield (
                            inode,
                            f'("{name}",pid={pid},tid={tid}{self._label(pid)},fd={fd}{self._file(pid, fd)})',
                        )

    def _labelled(self) -> Iterator[tuple[int, str]]:
        """Yield what each process holds with its SELinux context, and with -z the socket's."""
        for pid, fd, inode in _falling(*self._pairs()):
            yield inode, f'("{self.name(pid)}",pid={pid}{self._label(pid)},fd={fd}{self._file(pid, fd)})'

    def _label(self, pid: int) -> str:
        return f",proc_ctx={self.context(pid)}" if self._options.process_context else ""

    def context(self, pid: int) -> str:
        """Return the SELinux context of a process, of the kernel for 0; `unavailable` where it is not told."""
        if pid not in self._contexts:
            from portside.system import selinux

            told = selinux.process_context(pid, self._host.proc) if pid > 0 else ""
            told = selinux.kernel_context() if pid == 0 else told
            self._contexts[pid] = printable(told) if told else _UNAVAILABLE
        return self._contexts[pid]

    def _file(self, pid: int, fd: int) -> str:
        if not self._options.socket_context:
            return ""
        from portside.system import selinux

        told = selinux.file_context(f"{self._host.proc}/{pid}/fd/{fd}")
        return f",sock_ctx={printable(told) if told else _UNAVAILABLE}"

    def name(self, pid: int) -> str:
        """Return the name of a process, escaped; empty if it is gone."""
        known = self._names.get(pid)
        if known is None:
            known = self._names[pid] = self._read_name(pid)
        return known

    def _read_name(self, pid: int) -> str:
        try:
            with open(f"{self._host.proc}/{pid}/stat", "rb", buffering=0) as file:
                text = file.read(4096)
        except OSError:
            return ""
        name = text[text.find(b"(") + 1 : text.rfind(b")")]
        return printable(os.fsdecode(name))


def _falling(inodes: list[int], packed: list[int]) -> list[tuple[int, int, int]]:
    """Return (pid, descriptor, inode) of each holder once, the greatest first."""
    both = zip(inodes, packed, strict=True)
    return sorted({(holder & 0xFFFFFFFF, holder >> 32, inode) for inode, holder in both}, reverse=True)


class _Heads(dict):  # type: ignore[type-arg]
    """Texts made once per pid."""

    def __init__(self, make: object) -> None:
        self._make = make

    def __missing__(self, pid: int) -> str:
        text: str = self._make(pid)  # type: ignore[operator]
        self[pid] = text
        return text
