"""A service that is there already: switched on for good and started, and put back as it was.

Reference: systemctl(1), service(8), chkconfig(8), update-rc.d(8), rc-update(8), sysrc(8).
"""

from __future__ import annotations

from portside.errors import BadRequest, NotSupported, PortsideError
from portside.use.install.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.install.plan import Command


def unit_name(kind: str, name: str) -> str:
    """Return the name by which a manager knows a service."""
    if (
        not name
        or name.startswith("-")
        or "/" in name
        or any(not character.isprintable() for character in name)
    ):
        raise BadRequest("install", f"--unit '{name}'", "that is no name of a service")
    return name if kind != "systemd" or "." in name else f"{name}.service"


def plan(kind: str, name: str, *, enabled: bool, running: bool, chkconfig: bool = False) -> Plan:
    """Return how to switch a service on; what it was before (`enabled`, `running`) is the way back."""
    on, off, start, stop = _commands(kind, name, chkconfig)
    return Plan(
        kind,
        name,
        enable=(on, start),
        disable=(stop,) * (not running) + (off,) * (not enabled),
    )


def _commands(kind: str, name: str, chkconfig: bool) -> tuple[Command, Command, Command, Command]:
    """Return the commands that enable, disable, start and stop."""
    if kind == "systemd":
        return tuple(("systemctl", word, name) for word in ("enable", "disable", "start", "stop"))  # type: ignore[return-value]
    start, stop = ("service", name, "start"), ("service", name, "stop")
    if kind == "sysv" and chkconfig:
        return ("chkconfig", name, "on"), ("chkconfig", name, "off"), start, stop
    if kind == "sysv":
        return ("update-rc.d", name, "enable"), ("update-rc.d", name, "disable"), start, stop
    if kind == "freebsd":
        return ("sysrc", f"{name}_enable=YES"), ("sysrc", f"{name}_enable=NO"), start, stop
    if kind == "openrc":
        return (
            ("rc-update", "add", name, "default"), ("rc-update", "del", name, "default"),
            ("rc-service", name, "start"), ("rc-service", name, "stop"),
        )  # fmt: skip
    raise NotSupported("install", f"--unit {name}", f"{kind} has no units", "choose a manager: --for KIND")


def state(kind: str, name: str, run: Callable[[Command], str]) -> tuple[bool, bool]:
    """Ask whether a service is enabled and whether it runs; what cannot be asked counts as no."""
    if kind == "systemd":
        asked: tuple[Command, Command] = (("systemctl", "is-enabled", name), ("systemctl", "is-active", name))
    elif kind == "openrc":
        asked = (("rc-update", "show", "default"), ("rc-service", name, "status"))
    elif kind == "freebsd":
        asked = (("service", name, "enabled"), ("service", name, "status"))
    else:
        asked = (("sh", "-c", 'ls /etc/rc[2-5].d/S[0-9][0-9]"$0"', name), ("service", name, "status"))
    enabled, running = _says(asked[0], run), _says(asked[1], run)
    if kind == "openrc":
        return f" {name} " in f" {enabled} ".replace("\n", " "), running is not None
    return enabled is not None, running is not None


def _says(command: Command, run: Callable[[Command], str]) -> str | None:
    try:
        return run(command)
    except PortsideError:
        return None
