"""Portside: see, use, probe and guard the network ports of a Unix host.

    >>> import portside
    >>> for row in portside.list_ports("port = 22"):
    ...     print(row.port, row.service, [holder.process.name for holder in row.holders])

The public names are loaded when first used, so that `import portside` costs next to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.errors import (
        BadReply,
        BadRequest,
        NotPermitted,
        NotSupported,
        PortsideError,
        TimedOut,
        Vanished,
    )
    from portside.guard.seam import list_ports, who
    from portside.probe.check import check, wait
    from portside.probe.look import Verdict
    from portside.probe.records import Result
    from portside.probe.scan import Progress, Scan, scan
    from portside.see.api import sockets
    from portside.see.pick import pick, pick_ports
    from portside.see.ports import Holder, OpenPort
    from portside.see.reach import Reach
    from portside.see.records import Backlog, Container, Endpoint, Gap, Owner, Process, Queues, Socket, Timer
    from portside.see.snapshot import Snapshot
    from portside.see.who import Peer, Report
    from portside.see.why import why_host, why_port
    from portside.see.why.steps import Step, Walk
    from portside.system.host import Host
    from portside.system.tls import Tls
    from portside.use.activation import Passed, listen_fds, notify
    from portside.use.api import connect, forward, serve
    from portside.use.forward.forwarder import Forwarder
    from portside.use.small.server import Server
    from portside.use.transfer.receiving import receive
    from portside.use.transfer.records import Transferred
    from portside.use.transfer.sending import send

_HOMES = {
    "portside.errors": (
        "BadReply", "BadRequest", "NotPermitted", "NotSupported", "PortsideError", "TimedOut", "Vanished",
    ),
    "portside.probe.check": ("check", "wait"),
    "portside.probe.look": ("Verdict",),
    "portside.probe.records": ("Result",),
    "portside.probe.scan": ("Progress", "Scan", "scan"),
    "portside.guard.seam": ("list_ports", "who"),
    "portside.see.api": ("sockets",),
    "portside.see.pick": ("pick", "pick_ports"),
    "portside.see.ports": ("Holder", "OpenPort"),
    "portside.see.reach": ("Reach",),
    "portside.see.records": (
        "Backlog", "Container", "Endpoint", "Gap", "Owner", "Process", "Queues", "Socket", "Timer",
    ),
    "portside.see.snapshot": ("Snapshot",),
    "portside.see.who": ("Peer", "Report"),
    "portside.see.why": ("why_host", "why_port"),
    "portside.see.why.steps": ("Step", "Walk"),
    "portside.system.host": ("Host",),
    "portside.system.tls": ("Tls",),
    "portside.use.activation": ("Passed", "listen_fds", "notify"),
    "portside.use.api": ("connect", "forward", "serve"),
    "portside.use.forward.forwarder": ("Forwarder",),
    "portside.use.small.server": ("Server",),
    "portside.use.transfer.receiving": ("receive",),
    "portside.use.transfer.records": ("Transferred",),
    "portside.use.transfer.sending": ("send",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 (in the order of use)
    "list_ports", "sockets", "who", "why_port", "why_host", "pick", "pick_ports", "Snapshot", "OpenPort", "Holder",
    "Socket", "Endpoint", "Queues", "Backlog", "Timer", "Owner", "Process", "Container", "Reach", "Report", "Peer",
    "Walk", "Step", "Gap", "Host", "listen_fds", "Passed", "notify",
    "connect", "Tls", "serve", "Server", "forward", "Forwarder", "send", "receive", "Transferred",
    "scan", "Scan", "Result", "Progress", "check", "wait", "Verdict",
    "PortsideError", "BadRequest", "BadReply", "NotPermitted", "NotSupported", "TimedOut", "Vanished",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'portside' has no attribute {name!r}")
    module = __import__(home, fromlist=[name])
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
