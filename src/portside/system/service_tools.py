"""The host's service manager: which one it is, and running its commands.

Reference: sd_booted(3); openrc(8); LSB 5.0, init scripts.
"""

from __future__ import annotations

import os

from portside.errors import NotPermitted, NotSupported, PortsideError, TimedOut
from portside.system import commands, systemctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEMD, OPENRC, SYSV, FREEBSD, LAUNCHD, INETD, XINETD = (
    "systemd", "openrc", "sysv", "freebsd", "launchd", "inetd", "xinetd",
)  # fmt: skip

_LONGEST = 1 << 20  # of what a command says
SECONDS = 120.0  # a stop job may take 90 (TimeoutStopSec), and so may a start job
_PROXYD = ("/usr/lib/systemd/systemd-socket-proxyd", "/lib/systemd/systemd-socket-proxyd")


def kind_of_host(root: str = "", system: str = "") -> str:
    """Return which service manager runs here, empty where none is known."""
    system = system or os.uname().sysname
    if system in ("FreeBSD", "Darwin"):
        return FREEBSD if system == "FreeBSD" else LAUNCHD
    if systemctl.booted(root):
        return SYSTEMD
    if os.path.exists(f"{root}/run/openrc") or os.path.exists(f"{root}/sbin/openrc-run"):
        return OPENRC
    return SYSV if os.path.isdir(f"{root}/etc/init.d") else ""


def superserver_of_host(root: str = "") -> str:
    """Return which server starts programs for connections where the manager does not: xinetd before inetd."""
    if os.path.isdir(f"{root}/etc/xinetd.d"):
        return XINETD
    return INETD if os.path.exists(f"{root}/etc/inetd.conf") else ""


def has_chkconfig(root: str = "") -> bool:
    """Whether SysV scripts are switched on by chkconfig(8) here."""
    return any(os.path.exists(f"{root}{directory}/chkconfig") for directory in ("/sbin", "/usr/sbin"))


def proxyd(root: str = "") -> str:
    """Return the path of systemd-socket-proxyd, where distributions have it by default if it is nowhere."""
    return next((path for path in _PROXYD if os.path.exists(root + path)), _PROXYD[0])


def own_program() -> str:
    """Return the path of portside itself, if a service without any right can run it; else empty.

    What lies in a home is hidden from services (ProtectHome), whatever its modes.
    """
    import sys

    started = os.path.abspath(sys.argv[0])
    program = started if os.path.basename(started) == "portside" else commands.find("portside")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    needed = (program, sys.executable, os.path.join(package, "__init__.py"))
    in_home = any(os.path.realpath(place).startswith(("/home/", "/root/")) for place in needed)
    return program if program and not in_home and all(map(open_to_all, needed)) else ""


def open_to_all(path: str) -> bool:
    """Whether every user can get to a file and read it, by the modes of the file and of each directory above it."""
    for place in {os.path.abspath(path), os.path.realpath(path)}:
        try:
            if not os.stat(place).st_mode & 0o4:
                return False
            while place != "/":
                place = os.path.dirname(place)
                if not os.stat(place).st_mode & 0o1:
                    return False
        except OSError:
            return False
    return True


def run(argv: Sequence[str], *, seconds: float = SECONDS) -> str:
    """Run a command of the host's service manager and return what it wrote.

    Raises NotSupported where it is not installed, TimedOut, NotPermitted or PortsideError with its own words.
    """
    import subprocess
    import tempfile

    shown = f"'{' '.join(argv)}'"
    program = commands.find(argv[0])
    if not program:
        raise NotSupported("run", shown, f"there is no {argv[0]} here")
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"}
    environment.setdefault(
        "XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}"
    )  # sudo drops it; systemctl --user asks
    with (
        tempfile.TemporaryFile() as output
    ):  # of a pipe one would wait for the end of every program that is started
        try:
            code = subprocess.run(
                [program, *argv[1:]], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=seconds, check=False, env=environment,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimedOut("run", shown, f"no end after {seconds:.0f} seconds") from None
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise NotSupported("run", shown, reason, errno=error.errno) from error
        output.seek(0)
        text = output.read(_LONGEST).decode("utf-8", "surrogateescape")
    if code:
        said = " ".join(text.split())[:600] or f"it ended with {code}"
        if os.geteuid() and ("denied" in said or "permitted" in said):
            raise NotPermitted("run", shown, said, "run it with sudo")
        raise PortsideError("run", shown, said)
    return text
