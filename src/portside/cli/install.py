"""`portside install PORT -- COMMAND`: a program on a port that survives a reboot."""

from __future__ import annotations

import os

from portside.cli.command import FOUND, NOTHING, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.use.install.applying import Installed
    from portside.use.install.plan import Plan
    from portside.use.install.wish import Wish

KINDS = ("systemd", "sysv", "openrc", "freebsd", "launchd", "inetd", "xinetd")
ARGUMENTS = (
    Argument(("words",), "the port, and behind -- the command; without both, what is installed is listed",
             "PORT -- COMMAND", many="*"),
    Argument(("--print",), "print the files and commands, and do nothing"),
    Argument(("--for",), "the service manager (default: this host's)", default="", choices=KINDS),
    Argument(("--inetd",), "start the program for each connection, as its standard input and output"),
    Argument(("--own",), "the program binds the port itself"),
    Argument(("--to",), "the program listens there by itself; connections are forwarded", "[HOST:]PORT", default=""),
    Argument(("--address",), "listen on this address alone", "ADDRESS", default=""),
    Argument(("--user",), "run the program as this user (default: one without any right)", "USER", default=""),
    Argument(("--name",), "what the service is called (portside-PORT)", "NAME", default=""),
    Argument(("--unit",), "enable and start a service that is there; see its ports come up", "NAME", default=""),
)  # fmt: skip


def run(arguments: SimpleNamespace, output: Output) -> int:
    """List, or install a program or a unit."""
    if arguments.unit:
        from portside.cli import install_unit

        return install_unit.run(arguments, output)
    if not arguments.words:
        return _list(output)
    from portside.cli import install_plan

    wish, kind = install_plan.wish_of(arguments)
    plan = install_plan.render(wish, kind)
    if arguments.print:
        return _print(wish, plan, output)
    install_plan.check_host(kind)
    return _install(wish, plan, output)


def _print(wish: Wish, plan: Plan, output: Output) -> int:
    if output.json:
        output.envelope("install", [item(wish.port, wish.protocol, plan)])
    else:
        lines = plan.text().splitlines()
        output.write("".join("\t".join(map(output.clean, line.split("\t"))) + "\n" for line in lines))
    for warning in (*plan.warnings, *_ephemeral_warning(wish), *_closed_warning(wish)):
        output.note(warning)
    return FOUND


def _ephemeral_warning(wish: Wish) -> tuple[str, ...]:
    from portside.system.port_ranges import read_host_ranges

    if os.uname().sysname != "Linux" or not read_host_ranges().is_ephemeral(wish.port):
        return ()
    return (
        f"port {wish.port} lies in the ephemeral range: any connection may be given it first; 'install' reserves it",
    )


def _closed_warning(wish: Wish) -> tuple[str, ...]:
    """Return a warning for what the command names and a user without any right cannot read."""
    from portside.system import service_tools

    if wish.user or (wish.how == "own" and wish.privileged):
        return ()
    named = [os.path.join(wish.directory, word) for word in wish.command if word]
    closed = [place for place in named if os.path.exists(place) and not service_tools.open_to_all(place)]
    return tuple(f"'{place}' is closed to other users; name one who may read it: --user" for place in closed)


def _install(wish: Wish, plan: Plan, output: Output) -> int:
    """Write, check, enable, reserve, and see whether it answers."""
    from portside.cli import reservation
    from portside.errors import BadRequest
    from portside.system import commands, service_tools
    from portside.use.install import applying, verifying

    ours = applying.find(wish.port, wish.protocol)  # which 'applying' refuses, and names
    if ours is None and verifying.taken(wish.port, wish.protocol, wish.address):
        what, look = f"port {wish.port}/{wish.protocol}", f"see 'portside who {wish.port}'"
        raise BadRequest("install", what, "something has it already", look)
    inside = bool(_ephemeral_warning(wish))
    applying.install(applying.Installed(wish.port, wish.protocol, plan, reserved=inside))
    for warning in _closed_warning(wish):
        output.note(warning)
    if inside:
        output.note(reservation.reserve(wish.port))
    why = verifying.answers(wish.port, wish.protocol, wish.address)
    if plan.kind == service_tools.SYSTEMD and wish.how != "inetd":
        why = verifying.trouble(plan, commands.run, lambda: _waiting(wish)) or why
    for warning in plan.warnings if why or wish.how != "passed" else ():  # it does take its socket
        output.note(warning)
    if output.json:
        output.envelope(
            "install", [item(wish.port, wish.protocol, plan) | {"answers": not why, "why": why or None}]
        )
    else:
        lines = [f"wrote {file.path}" for file in plan.files] + [
            f"added a line to {line.path}" for line in plan.lines
        ]
        lines.append(
            f"{plan.service} is enabled" + ("" if why else f", and port {wish.port}/{wish.protocol} answers")
        )
        output.write("".join(f"{output.clean(line)}\n" for line in lines))
    if why:
        output.note(
            f"port {wish.port}/{wish.protocol} does not answer: {why}; take it back: portside uninstall {wish.port}"
        )
    return NOTHING if why else FOUND


def _waiting(wish: Wish) -> int:
    """Return how many connections wait for the program to accept them."""
    from portside.see.api import sockets

    if wish.protocol != "tcp":
        return 0
    listeners = sockets(f"state listening and sport = {wish.port}")
    return sum(one.backlog.used for one in listeners if one.backlog)


def item(port: int, protocol: str, plan: Plan) -> dict[str, Any]:
    """An item of `kind: install`."""
    return {
        "port": port or None,
        "protocol": protocol or None,
        "manager": plan.kind,
        "service": plan.service,
        "files": [{"path": file.path, "mode": f"{file.mode:04o}", "text": file.text} for file in plan.files],
        "lines": [dict(line.items()) for line in plan.lines],
        "enable": [list(command) for command in plan.enable],
        "disable": [list(command) for command in (*plan.disable, *plan.forget)],
        "warnings": list(plan.warnings),
    }


def _list(output: Output) -> int:
    """Print what is installed."""
    from portside.cli.output import Column
    from portside.use.install.applying import read_record

    record = read_record()
    if output.json:
        output.envelope("install", [item(one.port, one.protocol, one.plan) for one in record])
        return FOUND if record else NOTHING
    if not record:
        output.note("nothing is installed; 'portside install --help' tells how")
        return NOTHING
    columns = (
        Column("port", "PORT", lambda one: f"{one.port}/{one.protocol}" if one.port else "-"),
        Column("service", "SERVICE", lambda one: one.plan.service),
        Column("manager", "MANAGER", lambda one: one.plan.kind),
        Column("files", "FILES", _files_text, shrink=1),
    )
    output.table(record, columns)
    return FOUND


def _files_text(one: Installed) -> str:
    paths = [file.path for file in one.plan.files] + [line.path for line in one.plan.lines]
    return ", ".join(paths) or "its own"


COMMAND = Command(
    "install",
    "a program on a port that survives a reboot",
    ARGUMENTS,
    run,
    description=(
        "Write what brings a program up on a port at boot, check it, switch it on, and see whether it answers.\n"
        "systemd: a socket unit and a locked-down service; the manager binds the port and passes it\n"
        "(LISTEN_FDS), so that the program needs no right.  Others: an init script, a line of inetd, a launchd\n"
        "property list.  'portside uninstall PORT' takes all of it away again.  Exit 1 when the port does not answer."
    ),
    examples=(
        "  sudo portside install 80 -- /srv/site/server.py\n"
        "  portside install 8080 --own --print -- python3 -m http.server 8080\n"
        "  sudo portside install 7777 --inetd -- /bin/cat\n"
        "  sudo portside install 443 --to 9000 -- /srv/app/serve --port 9000\n"
        "  sudo portside install --unit apache2"
    ),
)
