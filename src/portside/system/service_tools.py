"""The host's service manager: which one it is, and what it has.

Reference: sd_booted(3); openrc(8); LSB 5.0, init scripts.
"""

from __future__ import annotations

import os

from portside.system import commands, systemctl

SYSTEMD, OPENRC, SYSV, FREEBSD, LAUNCHD, INETD, XINETD = (
    "systemd", "openrc", "sysv", "freebsd", "launchd", "inetd", "xinetd",
)  # fmt: skip

_INETDS = ("inetd", "openbsd-inetd", "inetutils-inetd")
_SCRIPTS = ("/etc/init.d/{}", "/etc/rc.d/{}")
_UNITS = ("/usr/lib/systemd/system/{}.service", "/lib/systemd/system/{}.service")
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


def superserver_service(kind: str, root: str = "") -> str:
    """Return what the host calls the service of its inetd (Debian's are named by who wrote them) or xinetd."""
    names = (XINETD,) if kind == XINETD else _INETDS
    directories = _UNITS if systemctl.booted(root) else _SCRIPTS
    places = [(name, f"{root}{place.format(name)}") for name in names for place in directories]
    return next((name for name, place in places if os.path.exists(place)), names[0])


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
