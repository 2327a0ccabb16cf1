"""The columns of `portside list -a`: one row per socket.  `socket_stream` draws the same table in bulk."""

from __future__ import annotations

from portside.cli import json_form
from portside.cli.listing import Listing
from portside.cli.output import Column
from portside.cli.port_table import SOCKET_COLUMNS, address_text, gap_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.records import Endpoint, Socket


def local_text(end: Endpoint, family: str) -> str:
    """Return one end of a socket as `address:port`, `*` for no port; Unix names as they are."""
    if family in ("unix", "packet"):
        return (end.address or "-") + (f"%{end.device}" if end.device else "")
    if family == "netlink":
        return f"{end.address or '-'}:{end.port or 'kernel'}"
    return f"{address_text(end)}:{end.port or '*'}"


def owners_text(socket: Socket) -> str:
    """Return every holder as `name[pid]:fd`, or why none is known."""
    known = ", ".join(f"{owner.process.name or '?'}[{owner.pid}]:{owner.fd}" for owner in socket.owners)
    return known or gap_text(socket.owner_gap, socket.kernel) or "-"


def queue_numbers(socket: Socket) -> tuple[int, int]:
    """Return the two queues: for a listener its backlog and the limit, as ss does; -1 is not known."""
    if socket.backlog is not None:
        return socket.backlog.used, -1 if socket.backlog.limit is None else socket.backlog.limit
    return socket.queues.receive, socket.queues.send


def queue_texts(socket: Socket) -> tuple[str, str]:
    """Return the two queues as text, `?` where not known."""
    first, second = queue_numbers(socket)
    return str(first), "?" if second < 0 else str(second)


def protocol_text(socket: Socket) -> str:
    """Return the protocol, with the type where the protocol has several."""
    return f"{socket.protocol}-{socket.type}" if socket.family in ("unix", "packet") else socket.protocol


COLUMNS = {
    column.name: column
    for column in (
        Column("protocol", "PROTO", protocol_text),
        Column("state", "STATE", lambda socket: socket.state),
        Column(
            "recv-q",
            "RECV-Q",
            lambda s: queue_texts(s)[0],
            lambda s: queue_numbers(s)[0],
            right=True,
            shrink=5,
        ),
        Column(
            "send-q",
            "SEND-Q",
            lambda s: queue_texts(s)[1],
            lambda s: queue_numbers(s)[1],
            right=True,
            shrink=5,
        ),
        Column(
            "local",
            "LOCAL",
            lambda s: local_text(s.local, s.family),
            lambda s: (s.local.port, s.local.address),
        ),
        Column(
            "remote",
            "REMOTE",
            lambda s: local_text(s.remote, s.family),
            lambda s: (s.remote.port, s.remote.address),
        ),
        Column("owner", "OWNER", owners_text, shrink=4),
        Column(
            "pid",
            "PID",
            lambda s: ",".join(str(owner.pid) for owner in s.owners) or "-",
            lambda s: [owner.pid for owner in s.owners],
        ),
        Column("user", "USER", lambda s: s.user or ("" if s.uid is None else str(s.uid))),
        Column(
            "uid",
            "UID",
            lambda s: "-" if s.uid is None else str(s.uid),
            lambda s: -1 if s.uid is None else s.uid,
        ),
        Column("unit", "UNIT", lambda s: s.unit or "-", shrink=2),
        Column("container", "CONTAINER", lambda s: str(s.container or "-"), shrink=2),
        Column("inode", "INODE", lambda s: str(s.inode), lambda s: s.inode, right=True),
        Column("cookie", "COOKIE", lambda s: f"{s.cookie:x}", lambda s: s.cookie, right=True),
        Column("cgroup", "CGROUP", lambda s: s.cgroup or "-", shrink=2),
        Column("timer", "TIMER", lambda s: f"{s.timer.name} {s.timer.expires:.3f}s" if s.timer else "-"),
        Column("netns", "NETNS", lambda s: s.netns, shrink=4),
    )
}
DEFAULT = ("protocol", "state", "recv-q", "send-q", "local", "remote", "owner")
LISTING = Listing("sockets", json_form.socket, COLUMNS, DEFAULT)
assert tuple(COLUMNS) == SOCKET_COLUMNS
