"""Interfaces, addresses and routes of the calling thread's network namespace, by rtnetlink."""

from __future__ import annotations

from portside.system.netlink import NETLINK_ROUTE, Netlink
from portside.wire import rtnetlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.host import Host
    from portside.wire.interfaces import Interface, InterfaceAddress
    from portside.wire.routes import Route


def read_interfaces(host: Host) -> list[Interface]:
    """Return the interfaces with their counters; raises NotSupported where there is no rtnetlink."""
    from portside.wire import interfaces

    return list(interfaces.interfaces(_dump(host, rtnetlink.request(), "interfaces")))


def read_addresses(host: Host) -> list[InterfaceAddress]:
    """Return the addresses of all interfaces; raises NotSupported where there is no rtnetlink."""
    from portside.wire import interfaces

    return list(interfaces.addresses(_dump(host, interfaces.address_request(), "addresses")))


def read_routes(host: Host) -> list[Route]:
    """Return the routes of every table; raises NotSupported where there is no rtnetlink."""
    from portside.wire import routes

    return list(routes.routes(_dump(host, routes.request(), "routes")))


def count_routing_rules(host: Host) -> int:
    """Return how many rules choose a table of routes; raises NotSupported where there is no rtnetlink."""
    from portside.wire import routes

    return routes.count_rules(_dump(host, routes.rules_request(), "routing rules"))


def _dump(host: Host, request: bytes, what: str) -> bytes:
    from portside.errors import NotSupported

    if host.netlink is None:
        raise NotSupported("read", what, "a recorded host has no rtnetlink")
    with Netlink(NETLINK_ROUTE, host.netlink) as link:
        return link.dump(request, what)
