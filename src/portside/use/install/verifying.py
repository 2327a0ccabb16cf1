"""Whether what was installed answers: by connecting, as its users will."""

from __future__ import annotations

import errno
import time

from portside.errors import BadRequest, PortsideError
from portside.system import reserving
from portside.use import sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.install.plan import Command, Plan

SECONDS = 10.0
STARTING = 20.0  # a program behind a proxy has ten seconds until it must listen
_PATIENCE = 5.0  # for one connection
_TICK = 0.1
_LOOK = 0.25  # between two questions to systemd
_SETTLED = 1.0  # the time in which a program fails that cannot bind its port


def answers(port: int, protocol: str, address: str = "", seconds: float = SECONDS) -> str:
    """Wait until a port is open; return why it is not, empty where it is.

    TCP is connected to, which starts what waits for a connection; a UDP port counts when it is bound.
    """
    deadline = time.monotonic() + seconds
    while True:
        why = _udp(port, address) if protocol == "udp" else _tcp(port, address)
        if not why or time.monotonic() > deadline:
            return why
        time.sleep(_TICK)


def taken(port: int, protocol: str, address: str = "") -> bool:
    """Whether something has the port already: it would answer in the place of what is installed.

    Raises BadRequest for an address that is none of this host's.
    """
    why = reserving.why_not_bindable(port, protocol, address, reuse=protocol == "tcp")
    if why == errno.EADDRNOTAVAIL and address:
        raise BadRequest("install", f"--address '{address}'", "it is none of this host's", "see 'ip address'")
    return why == errno.EADDRINUSE


def _tcp(port: int, address: str) -> str:
    try:
        places = sockets.resolve(address or "localhost", port, numeric=bool(address))
        sockets.connect_any(places, timeout=_PATIENCE).close()
    except PortsideError as error:
        return str(error)
    return ""


def _udp(port: int, address: str) -> str:
    return "" if taken(port, "udp", address) else f"nobody has bound port {port}/udp"


def trouble(
    plan: Plan, run: Callable[[Command], str], waiting: Callable[[], int], seconds: float = STARTING
) -> str:
    """Return what is wrong with a service that systemd was given and that was connected to; empty if nothing.

    The manager's own socket always answers: only its units tell whether the program came up, and the listener's
    accept queue (`waiting` connections) whether it takes what comes.  It is well once it has been so for a while.
    """
    units = [unit for file in plan.files if "@" not in (unit := file.path.rpartition("/")[2])]
    deadline = time.monotonic() + seconds
    well_since = 0.0
    while True:
        states = _states(units, run)
        for state in states:
            if state["ActiveState"] == "failed" or state.get("NRestarts", "0") != "0":
                return _failure(state, run)
            # one that nobody waited for, but that was started, has nothing to end for
            if state["ActiveState"] == "inactive" and ("systemctl", "start", state["Id"]) in plan.enable:
                return f"{state['Id']} has ended"
        starting = [state["Id"] for state in states if state["ActiveState"] == "activating"]
        why = f"{starting[0]} is still starting" if starting else ""
        why = why or ("the program has not accepted the connection" if waiting() else "")
        now = time.monotonic()
        well_since = 0.0 if why else well_since or now
        if now > deadline or (well_since and now - well_since >= _SETTLED):
            return why
        time.sleep(_LOOK)


def _states(units: list[str], run: Callable[[Command], str]) -> list[dict[str, str]]:
    """Ask systemd how its units are: of each a name and a value for what applies to its kind."""
    names = "Id,ActiveState,Result,NRestarts,ExecMainStatus"
    text = run(("systemctl", "show", f"--property={names}", *units))
    return [
        {"Id": "", "ActiveState": ""} | dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
        for part in text.split("\n\n")
    ]


def _failure(state: dict[str, str], run: Callable[[Command], str]) -> str:
    """Return that a unit has failed, with what its program wrote last."""
    unit, result = state["Id"], state.get("Result", "")
    if result == "exit-code":
        result = f"exit code {state.get('ExecMainStatus')}"
    why = f"{unit} has failed" + (f" ({result})" if result not in ("", "success") else "")
    try:  # by _SYSTEMD_UNIT: what the program wrote, not what the manager says of it
        asked = "--quiet", "--no-pager", "--output=cat", "--lines=1", f"_SYSTEMD_UNIT={unit}"
        words = run(("journalctl", *asked)).strip()
    except PortsideError:
        words = ""
    return why + (f": '{words[:200]}'" if words else "") + f"; see 'journalctl -u {unit}'"
