"""The columns of `portside list`: one row per open port."""

from __future__ import annotations

import time

from portside.cli.listing import Listing
from portside.cli.output import Column
from portside.see import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.see.ports import OpenPort
    from portside.see.records import Endpoint

_GAPS = {
    records.PERMISSION: "(not permitted)",
    records.KERNEL: "(kernel)",
    records.ACCEPT_QUEUE: "(accept queue)",
    records.SYN_QUEUE: "(handshake)",
    records.TIME_WAIT: "(time-wait)",
    records.ORPHAN: "(orphan)",
    records.OTHER_PID_NAMESPACE: "(other pid namespace)",
    records.IN_FLIGHT: "(in flight)",
    records.GONE: "(gone)",
}
_REACH = {"nobody": "this host", "some": "this network", "anyone": "anyone"}
_REACH_STYLE = {"nobody": "green", "some": "", "anyone": "yellow"}


def gap_text(gap: str, kernel: str = "") -> str:
    """Return why there is no owner to show, in a few words; `kernel` names the part of it that holds the socket."""
    if kernel:
        return f"(kernel: {kernel})"
    return _GAPS.get(gap, f"({gap})") if gap else ""


def address_text(local: Endpoint) -> str:
    """Return a bound address: `*` is both families, brackets are IPv6 (`[::]`: IPv6 alone), %device where bound."""
    device = f"%{local.device}" if local.device else ""
    if local.address == "::" and local.v6only is False:
        return f"*{device}"
    return f"[{local.address}]{device}" if ":" in local.address else f"{local.address}{device}"


def bound_text(row: OpenPort) -> str:
    """Return every address a port is bound to."""
    return ",".join(sorted({address_text(local) for local in row.addresses}))


def reach_text(row: OpenPort) -> str:
    """Return who can reach a port, in a few words."""
    if row.state == "bound-inactive":
        return "not listening"
    if row.reach.verdict == "some" and " on " in row.reach.source:  # the firewall's word tells which
        return row.reach.source
    return _REACH.get(row.reach.verdict, row.reach.verdict)


def owner_text(row: OpenPort) -> str:
    """Return every holder: `nginx 811,812,813`, or why none is known."""
    pids: dict[str, list[str]] = {}
    for holder in row.holders:
        pids.setdefault(holder.process.name or "?", []).append(str(holder.process.pid))
    known = "; ".join(f"{name} {','.join(numbers)}" for name, numbers in pids.items())
    return known or gap_text(row.owner_gap, row.kernel) or "-"


def user_text(row: OpenPort) -> str:
    """Return the users of the holders, else the socket's creator."""
    users = {
        process.user or str(process.uid)
        for process in (holder.process for holder in row.holders)
        if process.user or process.uid is not None
    }
    return ",".join(sorted(users)) or row.user or ("" if row.uid is None else str(row.uid))


def uid_text(row: OpenPort) -> str:
    """Return the uids of the holders, else of the socket's creator."""
    uids = sorted({holder.process.uid for holder in row.holders if holder.process.uid is not None})
    return ",".join(map(str, uids)) or ("-" if row.uid is None else str(row.uid))


def place_text(row: OpenPort) -> str:
    """Return the container or the systemd unit a port belongs to."""
    if row.container is not None:
        return f"{row.container.engine}:{row.container}"
    return row.unit or "-"


def since_text(started: float | None) -> str:
    """Return when something started, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(started)) if started is not None else "-"


def command_text(row: OpenPort) -> str:
    """Return the command line of the first holder (its name where there is none)."""
    if not row.holders:
        return ""
    process = row.holders[0].process
    return shortened(" ".join(process.cmdline)) or process.name


def shortened(command: str) -> str:
    """Return a command line that readers of lines and of CSV can take: 4096 characters say who it is."""
    return command if len(command) <= 4096 else f"{command[:4095]}…"


def service_text(row: OpenPort) -> str:
    """Return the service as the guess it is: a name that comes from the number ends in `?`."""
    return f"{row.service}?" if row.service else "-"


def no_name(port: int, protocol: str) -> str:
    """Name no service: for --numeric."""
    return ""


def _item(row: OpenPort) -> dict[str, Any]:
    from portside.cli import json_form

    return json_form.port(row)


COLUMNS = {
    column.name: column
    for column in (
        Column(
            "port", "PORT", lambda row: f"{row.port}/{row.protocol}", lambda row: (row.port, row.protocol)
        ),
        Column("protocol", "PROTO", lambda row: row.protocol),
        Column("service", "SERVICE", service_text, shrink=2),
        Column("bound", "BOUND TO", bound_text),
        Column(
            "reach",
            "REACH",
            reach_text,
            shrink=5,
            style=lambda row: _REACH_STYLE.get(row.reach.verdict, ""),
        ),
        Column("owner", "OWNER", owner_text, shrink=4, style=lambda row: "" if row.holders else "dim"),
        Column(
            "pid",
            "PID",
            lambda row: ",".join(str(h.process.pid) for h in row.holders) or "-",
            lambda row: [h.process.pid for h in row.holders],
        ),
        Column("user", "USER", user_text, shrink=2),
        Column("uid", "UID", uid_text),
        Column("unit", "UNIT", place_text, shrink=2),
        Column("container", "CONTAINER", lambda row: str(row.container or "-"), shrink=2),
        Column(
            "since", "SINCE", lambda row: since_text(row.started), lambda row: row.started or 0.0, shrink=3
        ),
        Column("state", "STATE", lambda row: row.state),
        Column(
            "backlog",
            "BACKLOG",
            lambda row: (
                f"{row.backlog.used}/{'?' if row.backlog.limit is None else row.backlog.limit}"
                if row.backlog
                else "-"
            ),
            lambda row: row.backlog.used if row.backlog else -1,
            right=True,
        ),
        Column(
            "exe", "EXE", lambda row: (row.holders[0].process.exe if row.holders else "") or "-", shrink=1
        ),
        Column("netns", "NETNS", lambda row: row.netns, shrink=4),
        Column("command", "COMMAND", command_text, shrink=1),
    )
}
DEFAULT = ("port", "service", "bound", "reach", "owner", "user", "unit", "since", "command")
LISTING = Listing("ports", _item, COLUMNS, DEFAULT)
SOCKET_COLUMNS = (
    "protocol", "state", "recv-q", "send-q", "local", "remote", "owner", "pid", "user", "uid", "unit", "container",
    "inode", "cookie", "cgroup", "timer", "netns",
)  # fmt: skip
