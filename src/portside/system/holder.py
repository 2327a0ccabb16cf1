"""A process of its own that outlives us: it is started before a change is made, and holds the way back.

It belongs to no terminal and no session, so neither a dropped link nor the end of the login takes it away: where
systemd runs, it gets a scope outside the user's session (systemd-run(1)), because logind may kill what a session
leaves (KillUserProcesses= in logind.conf(5)).  Its standard input is a pipe whose other end we hold: `done` on it
means that the change was made and written down; its end without that means that we died.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from portside.errors import NotSupported
from portside.system import commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

BOOTED = "/run/systemd/system"  # sd_booted(3)
PATIENCE = 10.0  # seconds for it to start
_DONE = b"done\n"
_SOURCE = """\
import sys
sys.path.insert(0, sys.argv[1])
from portside.guard.changes import hold
hold.main(sys.argv[2:])
"""


class Holder:
    """The process that holds the way back of one change, seen from the one that makes the change.

    It starts when this is made; `await_ready` before anything is done.
    """

    def __init__(self, number: int) -> None:
        self._argv = _argv(number)
        self._process = _start(_outside_session(number) + self._argv)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def await_ready(self) -> None:
        """Wait until it holds the way back; raises NotSupported where it does not start."""
        if not _is_ready(self._process):
            self._process = _start(self._argv)  # without systemd-run, which does not do it here
            if not _is_ready(self._process):
                raise NotSupported(
                    "start", "the holder of the way back", "it did not start", "nothing was changed"
                )

    def release(self) -> None:
        """Tell it that the change was made and written down, or taken back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(_DONE)
            self._process.stdin.close()
        except OSError:  # it was killed: who comes next looks at the journal
            pass
        self._process.stdout.close()
        self._process.returncode = 0  # it is nobody's child for long: no warning that it still runs


def _argv(number: int) -> list[str]:
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, "-I", "-S", "-c", _SOURCE, package, str(number)]


def _outside_session(number: int) -> list[str]:
    """Return the words that start a command in a scope of its own, where systemd runs."""
    run = commands.find("systemd-run") if os.path.isdir(BOOTED) and os.geteuid() == 0 else ""
    unit = f"--unit=portside-change-{number}-{os.getpid()}"
    return [run, "--quiet", "--scope", "--collect", unit] if run else []


def _start(argv: list[str]) -> Popen[bytes]:
    import subprocess

    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/",
        start_new_session=True, bufsize=0,
    )  # fmt: skip


def _is_ready(process: Popen[bytes]) -> bool:
    """Wait for it to say so; one that does not is ended."""
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    if ready and os.read(process.stdout.fileno(), 16) == b"ready\n":
        return True
    process.kill()
    process.wait()
    process.stdout.close()
    return False


def announce() -> None:
    """In the holder: leave terminal and signals behind, and say that it is there."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.write(1, b"ready\n")
    except BrokenPipeError:  # the maker is dead already: there is something to do
        pass
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def await_maker() -> bool:
    """In the holder: wait for the maker of the change; return whether it finished (False: it died)."""
    said = b""
    while True:
        chunk = os.read(0, 64)
        if not chunk:
            return said == _DONE
        said += chunk


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
