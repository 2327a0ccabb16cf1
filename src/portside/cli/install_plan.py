"""What was typed behind `install`, as a wish; and the plan by which this host's manager has it done."""

from __future__ import annotations

import os
import pwd

from portside.cli.install import KINDS
from portside.cli.typed import typed_port
from portside.errors import BadRequest
from portside.system import commands, service_tools
from portside.use.install import launchd, scripts, superservers, systemd, units
from portside.use.install.wish import INETD, OWN, PASSED, PROXY, Wish, check, default_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.use.install.plan import Plan


def wish_of(arguments: SimpleNamespace) -> tuple[Wish, str]:
    """Turn the words into what is wanted, and the manager that shall do it."""
    if len(arguments.words) < 2:
        raise BadRequest("install", f"'{arguments.words[0]}'", "there is no command", "write it behind --")
    port, protocol = typed_port(arguments.words[0])
    if not 1 <= port <= 65535 or protocol not in ("", "tcp", "udp"):
        raise BadRequest("install", f"'{arguments.words[0]}'", "a TCP or UDP port from 1 to 65535 is meant")
    if arguments.inetd + arguments.own + bool(arguments.to) > 1:
        raise BadRequest("install", f"port {port}", "--inetd, --own and --to exclude each other")
    kind = _kind(arguments)
    command, directory = _command(arguments.words[1:])
    made = Wish(
        port, protocol or "tcp", command,
        name=arguments.name or default_name(port, protocol or "tcp"),
        how=_how(arguments, kind),
        address=arguments.address, user=arguments.user, directory=directory, target=_target(arguments.to),
    )  # fmt: skip
    if arguments.user:
        _check_user(arguments.user, service_tools.kind_of_host() == kind)
    return check(made), kind


def _kind(arguments: SimpleNamespace) -> str:
    """Return the manager that was named, else this host's."""
    named: str = getattr(arguments, "for")
    kind = named or service_tools.kind_of_host()
    if arguments.inetd and not named and kind in ("sysv", "openrc", "freebsd", ""):
        kind = service_tools.superserver_of_host() or ("inetd" if kind == "freebsd" else "")
        if not kind:
            raise BadRequest(
                "install", "--inetd", "there is neither xinetd nor inetd here", "install one of them"
            )
    if not kind:
        raise BadRequest(
            "install", "", "no service manager is known here", f"name one: --for {'|'.join(KINDS)}"
        )
    return kind


def _how(arguments: SimpleNamespace, kind: str) -> str:
    """Return how the program and its port come together, where nothing was said as is usual for the manager."""
    if kind in (service_tools.INETD, service_tools.XINETD) and (arguments.own or arguments.to):
        option = "--own" if arguments.own else "--to"
        raise BadRequest(
            "install",
            option,
            f"{kind} starts a program for each connection",
            f"leave {option} out, or --for {kind}",
        )
    if arguments.inetd or kind in (service_tools.INETD, service_tools.XINETD):
        return INETD
    if arguments.to:
        return PROXY
    return OWN if arguments.own or kind != "systemd" else PASSED


def _command(words: list[str]) -> tuple[tuple[str, ...], str]:
    """Return the command with its program's path, and where it must run for its relative paths to hold."""
    program = os.path.abspath(words[0]) if "/" in words[0] else commands.find(words[0])
    if not program or not os.access(program, os.X_OK) or os.path.isdir(program):
        raise BadRequest("install", f"'{words[0]}'", "there is no such program, or it is not executable")
    relative = any(not word.startswith(("/", "-")) and os.path.exists(word) for word in words[1:])
    return (program, *words[1:]), os.getcwd() if relative else ""


def _target(text: str) -> str:
    """Return `HOST:PORT` of what was typed: a port alone is on loopback."""
    host, _, port = text.rpartition(":")
    if text and not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):
        raise BadRequest("install", f"--to '{text}'", "that is no [HOST:]PORT", "for instance 127.0.0.1:9000")
    return f"{host or '127.0.0.1'}:{port}" if text else ""


def _check_user(name: str, here: bool) -> None:

    try:
        pwd.getpwnam(name)
    except KeyError:
        if here:
            raise BadRequest("install", f"--user '{name}'", "there is no such user") from None


def render(wish: Wish, kind: str) -> Plan:
    """Return the plan by which a manager installs it on this host."""
    if kind == "systemd":
        return systemd.render(wish, service_tools.proxyd(), service_tools.own_program())
    if kind == "sysv":
        return scripts.sysv(wish, chkconfig=service_tools.has_chkconfig())
    if kind == service_tools.XINETD:
        return superservers.xinetd(wish, *_superserver(kind))
    if kind == service_tools.INETD:
        freebsd = service_tools.kind_of_host() == service_tools.FREEBSD
        return superservers.inetd(wish, *_superserver(kind), freebsd=freebsd)
    return {"openrc": scripts.openrc, "freebsd": scripts.freebsd, "launchd": launchd.render}[kind](wish)


def _superserver(kind: str) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Return what the host calls its inetd or xinetd, and how to start it where it does not run."""
    service, host = service_tools.superserver_service(kind), service_tools.kind_of_host()
    if service_tools.superserver_of_host() != kind or not host:
        return service, ()
    enabled, running = units.state(host, service, commands.run)
    plan = units.plan(
        host, service, enabled=enabled, running=running, chkconfig=service_tools.has_chkconfig()
    )
    return service, () if running else plan.enable


def check_host(kind: str) -> None:
    """Refuse to write the files of a manager that does not run here."""
    here = service_tools.kind_of_host()
    present = service_tools.superserver_of_host() if kind in ("inetd", "xinetd") else here
    if kind not in (here, present):
        raise BadRequest(
            "install",
            f"--for {kind}",
            f"{here or 'another manager'} runs here",
            "look at the files with --print",
        )
