"""Whether what was installed answers: by connecting, as its users will."""

from __future__ import annotations

import errno
import time

from portside.errors import PortsideError
from portside.system import reserving
from portside.use import sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.install.plan import Command, Plan
    from portside.use.install.wish import Wish

SECONDS = 10.0
_PATIENCE = 5.0  # for one connection
_TICK = 0.1


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
    """Whether something has the port already: it would answer in the place of what is installed."""
    return reserving.why_not_bindable(port, protocol, address, reuse=protocol == "tcp") == errno.EADDRINUSE


def _tcp(port: int, address: str) -> str:
    try:
        places = sockets.resolve(address or "localhost", port, numeric=bool(address))
        sockets.connect_any(places, timeout=_PATIENCE).close()
    except PortsideError as error:
        return str(error)
    return ""


def _udp(port: int, address: str) -> str:
    return "" if taken(port, "udp", address) else f"nobody has bound port {port}/udp"


def failed(wish: Wish, plan: Plan, run: Callable[[Command], str]) -> str:
    """Return what systemd says of a program that was started and has ended in failure; empty where it has not.

    A connection to a port that the manager holds always succeeds: only the service tells whether the program came up.
    """
    units = [file.path.rpartition("/")[2] for file in plan.files if file.path.endswith(".service")]
    if plan.kind != "systemd" or wish.how == "inetd":
        return ""
    time.sleep(1)  # the time in which a program fails that cannot bind its port
    for unit in units:
        try:
            run(("systemctl", "is-failed", "--quiet", unit))
        except PortsideError:
            continue
        return f"{unit} has failed: see 'journalctl -u {unit}'"
    return ""
