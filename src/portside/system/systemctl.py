"""systemctl(1): what portside asks of a running systemd beside reading.

Without a shell, with the environment's paging and colour off, and with a time limit: a stop job may take as long as
TimeoutStopSec (90 s), a start job as long as TimeoutStartSec.
"""

from __future__ import annotations

import os

from portside.errors import NotSupported, PortsideError, TimedOut
from portside.system import systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = systemd.SYSTEMCTL
SECONDS = 120.0


def booted(root: str = "") -> bool:
    """Whether systemd is the init system (sd_booted(3))."""
    return os.path.isdir(root + systemd.BOOTED)


def command(words: Sequence[str], user: int | None = None) -> tuple[str, ...]:
    """Return the command line as a person would type it; `user` is whose manager is meant (None: the system's).

    Root reaches another user's manager through systemd-machined's names (`--machine=UID@.host`, systemd 248).
    """
    if user is None:
        return ("systemctl", *words)
    machine = () if user == os.geteuid() else (f"--machine={user}@.host",)
    return ("systemctl", "--user", *machine, *words)


def run(line: Sequence[str], *, program: str = PROGRAM, seconds: float = SECONDS) -> str:
    """Run a `command` and return what it wrote; raises NotSupported, TimedOut, or PortsideError with its words."""
    import subprocess

    shown = f"'{' '.join(line)}'"
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"}
    environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")  # sudo drops it
    try:
        done = subprocess.run(
            [program, *line[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False,
            env=environment, text=True, errors="surrogateescape",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TimedOut(
            "run", shown, f"no end after {seconds:.0f} seconds", "see 'systemctl list-jobs'"
        ) from None
    except OSError as error:
        raise NotSupported("run", shown, os.strerror(error.errno or 0).lower(), errno=error.errno) from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise PortsideError("run", shown, said)
    return done.stdout
