"""Signals to one process and no other.

A pid is a number that the kernel gives away again, so "look who it is, then kill(2)" may hit a stranger.  Here the
process is taken hold of first (pidfd_open(2)), looked at then (start time, descriptor), and signalled through the
same hold (pidfd_send_signal(2)): whoever has the number by now, the signal goes to the one that was looked at, or to
nobody.

Reference: pidfd_open(2) (5.3), pidfd_send_signal(2) (5.1), proc_pid_stat(5).
"""

from __future__ import annotations

import errno
import os
import select
import signal

from portside.errors import NotPermitted, NotSupported, Vanished
from portside.system.netlink import from_os
from portside.system.processes import ROOT, ProcessReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

TERM, KILL, CONT = signal.SIGTERM, signal.SIGKILL, signal.SIGCONT


class Held:
    """One process, taken hold of; use it as a context manager.  `start_ticks` says which one was meant.

    Raises Vanished where that process has ended, even if its pid is another's by now.
    """

    def __init__(self, pid: int, start_ticks: int, root: str = ROOT) -> None:
        self.pid = pid
        self._root = root
        self._reader = ProcessReader(root)
        try:
            self._descriptor = os.pidfd_open(pid)
        except AttributeError:
            raise NotSupported("signal", f"process {pid}", "this platform has no pidfd_open(2)") from None
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL: the number is a thread's by now
                raise self._vanished("it has ended") from None
            raise from_os(error, "signal", f"process {pid}") from error
        stat = self._reader.stat(pid)
        if stat is None or stat.starttime != start_ticks:
            self.close()
            raise self._vanished("another process has its pid by now" if stat else "it has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._descriptor)

    def has_socket(self, held: Iterable[tuple[int, int]]) -> bool:
        """Whether one of the (descriptor, inode) pairs is still true: a descriptor, too, is given away again."""
        return any(self._link(number) == f"socket:[{inode}]" for number, inode in held)

    def _link(self, number: int) -> str:
        try:
            return os.readlink(f"{self._root}/{self.pid}/fd/{number}")
        except OSError:
            return ""

    def send(self, number: int) -> bool:
        """Send a signal, 0 for none; False where the process has ended.  Raises NotPermitted."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return False
        except PermissionError as error:
            raise NotPermitted(
                "signal", f"process {self.pid}", "it is another user's", "run it with sudo", errno=error.errno
            ) from None
        return True

    def end(self) -> bool:
        """Send TERM, and CONT, without which a stopped process would never see it; False where it has ended."""
        return self.send(TERM) and self.send(CONT)

    def ended(self) -> bool:
        """Whether the process has ended (a zombie has: it holds nothing)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def stuck(self) -> bool:
        """Whether the process sleeps where no signal wakes it (state D)."""
        stat = self._reader.stat(self.pid)
        return stat is not None and stat.state == "D"

    def _vanished(self, reason: str) -> Vanished:
        return Vanished("signal", f"process {self.pid}", reason)


def refuses(pid: int, start_ticks: int) -> bool:
    """Whether this user may not signal a process; one that has ended refuses nobody."""
    try:
        with Held(pid, start_ticks) as held:
            held.send(0)
    except NotPermitted:
        return True
    except Vanished:
        pass
    return False
