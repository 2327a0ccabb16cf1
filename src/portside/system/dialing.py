"""Connecting one socket within a time, and the ICMP error behind its failure (`wire.errqueue`).

ECONNREFUSED can be the target's reset or a firewall's ICMP error: the error queue tells them apart, by type, code and
sender.  While the kernel is busy with a socket an ICMP error only goes into its queue (tcp_v4_err in
net/ipv4/tcp_ipv4.c), and poll(2) tells that there is one: the attempt is over then too.
"""

from __future__ import annotations

import errno
import select
import socket
import time

from portside.wire.errqueue import IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE, ExtendedError, extended_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_QUEUED = ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR))


def want_errors(made: socket.socket, v6: bool) -> None:
    """Have the kernel keep what ICMP says of a socket's packets."""
    made.setsockopt(*_QUEUED[v6], 1)


def dial(made: socket.socket, place: Any, until: float) -> tuple[int | None, ExtendedError | None]:
    """Connect a socket that does not block, until that moment of the monotonic clock.

    Returns the errno (0: connected, None: no end in time), and the ICMP error that was told.
    """
    code, told = made.connect_ex(place), None
    while code in (errno.EINPROGRESS, errno.EALREADY):
        if not wait(made, select.POLLOUT, until):
            return None, queued_icmp(made)
        code = made.connect_ex(place)
        told = queued_icmp(made) if code == errno.EALREADY else None
        if told is not None:
            return told.errno, told
    if code in (0, errno.EISCONN):
        return 0, None
    return code, queued_icmp(made)


def wait(made: socket.socket, events: int, until: float) -> int:
    """Return what poll(2) tells of a socket until that moment of the monotonic clock, 0 for nothing."""
    poll = select.poll()
    poll.register(made, events)
    told = poll.poll(max(0.0, until - time.monotonic()) * 1000)
    return told[0][1] if told else 0


def queued_icmp(made: socket.socket) -> ExtendedError | None:
    """Return the ICMP error in a socket's queue, which is emptied; other errors there are no one's answer."""
    found = None
    while True:
        try:
            _, control, _, _ = made.recvmsg(0, 512, MSG_ERRQUEUE)
        except OSError:
            return found
        found = icmp_of(control) or found


def icmp_of(control: list[tuple[int, int, bytes]]) -> ExtendedError | None:
    """Return the ICMP error in a message's control data, None if it holds another error or none."""
    for level, kind, data in control:
        if (level, kind) in _QUEUED:
            told = extended_error(data)
            if told.origin in ("icmp", "icmp6"):
                return told
    return None
