"""ss -E: TCP and UDP sockets as the kernel destroys them, each on a line as soon as it is told.

Nobody holds a socket by then: -p adds nothing.
"""

from __future__ import annotations

import sys

from portside.errors import PortsideError
from portside.faces import printable
from portside.faces.ss.context import Stop
from portside.faces.ss.inet import Maker
from portside.system import socket_events
from portside.system.socket_events import SocketEvents
from portside.wire import inet_diag
from portside.wire.sock_diag import AF_INET, AF_INET6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.ss.columns import Columns
    from portside.faces.ss.context import Options
    from portside.faces.ss.reading import Live

_WRONG = 255
_GROUPS = {
    (AF_INET, "tcp"): socket_events.SKNLGRP_INET_TCP_DESTROY,
    (AF_INET, "udp"): socket_events.SKNLGRP_INET_UDP_DESTROY,
    (AF_INET6, "tcp"): socket_events.SKNLGRP_INET6_TCP_DESTROY,
    (AF_INET6, "udp"): socket_events.SKNLGRP_INET6_UDP_DESTROY,
}


def follow(options: Options, live: Live, columns: Columns) -> int:
    """Print sockets until interrupted; return an exit code where there is nothing that could be told."""
    groups = sum(
        1 << (group - 1)
        for (family, table), group in _GROUPS.items()
        if family in options.families and table in options.tables
    )
    if not groups:
        return _WRONG
    try:
        events = SocketEvents(groups)
    except PortsideError as error:
        raise Stop(_WRONG, f"Cannot bind netlink socket: {printable(error.reason)}\n") from None
    maker = Maker(inet_diag.IPPROTO_RAW, options, live, "")
    try:
        for message in events:
            if message[inet_diag.FAMILY_AT] in options.families:
                columns.add(maker.full(message))
            columns.draw()
            sys.stdout.flush()
    finally:
        events.close()
    return 0
