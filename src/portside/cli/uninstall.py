"""`portside uninstall PORT`: takes away what `portside install` made, and only that."""

from __future__ import annotations

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.typed import typed_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.use.install.applying import Installed, Removed

ARGUMENTS = (
    Argument(("port",), "the port it was installed on", "PORT", many="*"),
    Argument(("--unit",), "put a unit back as it was before 'install --unit'", "NAME", default=""),
    Argument(("--print",), "print what would be done, and do nothing"),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Find what was installed and take it away; exit 1 when there is none, or something had to be left."""
    from portside.errors import BadRequest
    from portside.use.install import applying

    if len(arguments.port) + bool(arguments.unit) != 1:
        raise BadRequest("uninstall", "", "one port, or one --unit, is taken away at a time")
    port, protocol = typed_port(arguments.port[0]) if arguments.port else (0, "")
    installed = _find(port, protocol, arguments.unit)
    if installed is None:
        output.note(
            f"nothing was installed {'as ' + arguments.unit if arguments.unit else f'on port {port}'} by portside"
        )
        if output.json:
            output.envelope("uninstall", [])
        return NOTHING
    if arguments.print:
        if output.json:
            from portside.cli.install import item

            output.envelope("uninstall", [item(installed.port, installed.protocol, installed.plan)])
        else:
            output.write("".join(f"{output.clean(line)}\n" for line in _lines(installed)))
        return FOUND
    removed = applying.uninstall(installed)
    if installed.reserved:
        from portside.cli import reservation

        output.note(reservation.give_back(installed.port))
    return _tell(installed, removed, output)


def _find(port: int, protocol: str, unit: str) -> Installed | None:
    """Find by port, or by the unit's name with or without `.service`."""
    from portside.use.install import applying

    return applying.find(port, protocol, unit) or (
        applying.find(0, "", f"{unit}.service") if unit and "." not in unit else None
    )


def _lines(installed: Installed) -> list[str]:
    from portside.use.install.plan import sh_line

    plan = installed.plan
    files = [f"remove {file.path}" for file in plan.files] + [
        f"remove one line of {line.path}" for line in plan.lines
    ]
    return (
        [f"$ {sh_line(one)}" for one in plan.disable] + files + [f"$ {sh_line(one)}" for one in plan.forget]
    )


def _tell(installed: Installed, removed: Removed, output: Output) -> int:
    if output.json:
        output.envelope(
            "uninstall",
            [{
                "port": installed.port or None, "protocol": installed.protocol or None,
                "service": installed.plan.service, "removed": list(removed.gone), "kept": list(removed.kept),
                "failed": list(removed.failed),
            }],
        )  # fmt: skip
    else:
        output.write("".join(f"{output.clean(line)}\n" for line in [
            *(f"removed {path}" for path in removed.gone),
            f"{installed.plan.service} is {'as it was before' if installed.unit else 'switched off'}",
        ]))  # fmt: skip
    for path in removed.kept:
        output.note(f"kept {path}: it was changed since; remove it by hand")
    for text in removed.failed:
        output.note(text)
    return NOTHING if removed.kept else FOUND


COMMAND = Command(
    "uninstall",
    "take away what 'portside install' made, and only that",
    ARGUMENTS,
    run,
    description=(
        "Switch a service off that 'portside install' made, remove its files, and give its port back\n"
        "to the ephemeral range if it was reserved for it.  A file that was changed since is kept, and told (exit 1)."
    ),
    examples="  sudo portside uninstall 8080\n  portside uninstall 8080 --print",
)
