"""`portside install --unit NAME`: a service that is there, enabled and started, and whether its ports come up."""

from __future__ import annotations

import time

from portside.cli.command import FOUND, NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.see.ports import OpenPort

_PATIENCE = 10.0


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Enable and start the unit, and tell its ports; exit 1 when there are none."""
    from portside.cli.install import item
    from portside.errors import BadRequest
    from portside.system import commands, service_tools
    from portside.use.install import applying, units

    if arguments.words:
        raise BadRequest("install", f"--unit {arguments.unit}", "a unit has its own command and ports")
    kind = getattr(arguments, "for") or service_tools.kind_of_host()
    name = units.unit_name(kind, arguments.unit)
    enabled, running = units.state(kind, name, commands.run)
    plan = units.plan(kind, name, enabled=enabled, running=running, chkconfig=service_tools.has_chkconfig())
    if arguments.print:
        output.write(plan.text()) if not output.json else output.envelope("install", [item(0, "", plan)])
        return FOUND
    before = None if running else {_key(row) for row in _rows()}
    if applying.find(0, "", unit=name) is None:
        applying.install(applying.Installed(0, "", plan, unit=name))
    else:
        for command in plan.enable:
            commands.run(command)
    found = _come_up(name, before)
    if output.json:
        output.envelope(
            "install", [item(0, "", plan) | {"ports": [f"{row.port}/{row.protocol}" for row in found]}]
        )
    else:
        ports = ", ".join(sorted(f"{row.port}/{row.protocol}" for row in found))
        output.write(f"{name} is enabled and started" + (f": {ports}\n" if found else "\n"))
    if not found:
        output.note(f"no port of {name} came up in {_PATIENCE:.0f} s")
    return FOUND if found else NOTHING


def _come_up(name: str, before: set[tuple[str, int]] | None) -> list[OpenPort]:
    """Wait for ports of the unit, or (where units are not known) for ports that were not there `before`."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        rows = _rows()
        found = [row for row in rows if name in (row.unit, row.socket_unit)]
        if before is not None and not found:
            found = [row for row in rows if _key(row) not in before]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.25)


def _rows() -> list[OpenPort]:
    from portside.see.api import list_ports

    return list_ports()


def _key(row: OpenPort) -> tuple[str, int]:
    return row.protocol, row.port
