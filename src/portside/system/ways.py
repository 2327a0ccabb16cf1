"""The way to an address, and the hardware addresses of neighbours, as the kernel has them (rtnetlink)."""

from __future__ import annotations

from portside.system.host import LIVE
from portside.system.netlink import NETLINK_ROUTE, Netlink
from portside.wire import neighbours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.wire.neighbours import Neighbour, Way


def read_way(address: bytes, interface: int = 0) -> Way:
    """Return how the kernel would send to a raw address (0: by any interface).

    Raises a PortsideError with the kernel's errno where it would not: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL.
    """
    assert LIVE.netlink is not None
    with Netlink(NETLINK_ROUTE, LIVE.netlink) as link:
        return neighbours.read_way(link.dump(neighbours.way_request(address, interface), "route"))


def read_neighbours() -> list[Neighbour]:
    """Return the neighbours whose hardware address the kernel knows."""
    assert LIVE.netlink is not None
    with Netlink(NETLINK_ROUTE, LIVE.netlink) as link:
        return list(neighbours.neighbours(link.dump(neighbours.table_request(), "neighbours")))
