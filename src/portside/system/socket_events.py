"""Sockets as they are destroyed: what the kernel announces of TCP and UDP (sock_diag's multicast groups, 4.4).

Joining needs CAP_NET_ADMIN.  There is no announcement of sockets that are made.
Reference: include/uapi/linux/sock_diag.h, net/core/sock_diag.c.
"""

from __future__ import annotations

import _socket  # see portside.system.netlink
import errno

from portside.system.netlink import NETLINK_SOCK_DIAG, from_os
from portside.wire import netlink, sock_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SKNLGRP_INET_TCP_DESTROY = 1
SKNLGRP_INET_UDP_DESTROY = 2
SKNLGRP_INET6_TCP_DESTROY = 3
SKNLGRP_INET6_UDP_DESTROY = 4
_ROOM = 1 << 16


class SocketEvents:
    """The announcements of some groups from now on, in the calling thread's network namespace."""

    def __init__(self, groups: int) -> None:
        """Join the groups (bit 0 is group 1); raises NotPermitted, NotSupported."""
        try:
            self._link = _socket.socket(
                _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
            )
            self._link.bind((0, groups))
        except OSError as error:
            raise from_os(error, "follow", "destroyed sockets") from error

    def __iter__(self) -> Iterator[bytes]:
        """Yield each announcement, a whole answer of sock_diag, without end; what is lost meanwhile is lost."""
        while True:
            try:
                data, sender = self._link.recvfrom(_ROOM)
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    continue
                raise from_os(error, "follow", "destroyed sockets") from error
            if sender[0] != 0:  # not the kernel
                continue
            for part in netlink.messages(data):
                if part.type == sock_diag.SOCK_DIAG_BY_FAMILY:
                    start = part.start - netlink.HEADER.size
                    yield bytes(data[start : start + netlink.align(part.end - start)])

    def close(self) -> None:
        """Leave the groups."""
        self._link.close()
