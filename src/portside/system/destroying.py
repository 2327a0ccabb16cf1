"""SOCK_DESTROY: the kernel closes one socket over its holder's head (CONFIG_INET_DIAG_DESTROY, CAP_NET_ADMIN).

The very socket is meant, by addresses and cookie; a stranger at the same address is not met.  Who holds it sees
ECONNABORTED; a port that was bound by bind(2) stays bound until the descriptor is closed.

Reference: sock_diag(7); net/ipv4/tcp.c, tcp_abort; net/ipv4/udp.c, udp_abort.
"""

from __future__ import annotations

from portside.errors import NotPermitted, NotSupported
from portside.system.netlink import Netlink
from portside.wire import inet_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.wire.inet_diag import Row


def destroy(protocol: int, row: Row) -> None:
    """Destroy the socket that a sock_diag row tells of, in the calling thread's network namespace.

    Raises Vanished where it is gone, NotPermitted without CAP_NET_ADMIN, NotSupported where the kernel cannot.
    """
    with Netlink() as link:
        try:
            link.call(inet_diag.destroy_request(protocol, row), "socket")
        except NotPermitted as error:
            raise NotPermitted(
                "close", "socket", "it takes CAP_NET_ADMIN", "run it with sudo", errno=error.errno
            ) from None
        except NotSupported as error:
            reason = "this kernel was built without CONFIG_INET_DIAG_DESTROY"
            raise NotSupported("close", "socket", reason, "end the process", errno=error.errno) from None
