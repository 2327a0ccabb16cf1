"""launchd of macOS: a property list under /Library/LaunchDaemons.

launchd passes sockets in a way of its own (launch_activate_socket), so a program binds its port itself there, or is
started for each connection (`inetdCompatibility`).  Any user may bind ports below 1024 there (macOS 10.14).

Reference: launchd.plist(5), launchctl(1).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.use.install.plan import File, Plan
from portside.use.install.wish import INETD, OWN, Wish

DIRECTORY = "/Library/LaunchDaemons"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def render(wish: Wish) -> Plan:
    """Return the property list of a service, and the commands that load and unload it."""
    import plistlib

    if wish.how not in (OWN, INETD):
        raise BadRequest(
            "install", wish.name, "launchd passes sockets in a way of its own", "add --own, or --inetd"
        )
    path = f"{DIRECTORY}/{wish.name}.plist"
    text = plistlib.dumps(_described(wish), sort_keys=False).decode()
    return Plan(
        "launchd",
        wish.name,
        (File(path, text),),
        checks=(("plutil", "-lint", path),),
        enable=(("launchctl", "bootstrap", "system", path),),
        disable=(("launchctl", "bootout", f"system/{wish.name}"),),
    )


def _described(wish: Wish) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Label": wish.name,
        "ProgramArguments": list(wish.command),
        "UserName": wish.user or "nobody",
        "WorkingDirectory": wish.directory or "/",
        "StandardErrorPath": f"/var/log/{wish.name}.log",
    }
    if wish.how == OWN:
        return made | {"RunAtLoad": True, "KeepAlive": True, "StandardOutPath": f"/var/log/{wish.name}.log"}
    stream = wish.protocol == "tcp"
    listener: dict[str, Any] = {
        "SockServiceName": str(wish.port),
        "SockType": "stream" if stream else "dgram",
    } | ({"SockNodeName": wish.address} if wish.address else {})
    return made | {"Sockets": {"Listeners": listener}, "inetdCompatibility": {"Wait": not stream}}
