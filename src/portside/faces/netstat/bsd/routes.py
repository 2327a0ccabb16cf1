"""The routing tables as BSD's netstat -r draws them, of the main table and the host's own addresses.

A network that needs no gateway, and an address of this host, has `link#N`: N is the interface's number.
Flags: U usable, G over a gateway, H to one host, S not made by the kernel, D by a redirect, R refused, B dropped.
Reference: usr.bin/netstat/route.c of FreeBSD 12.
"""

from __future__ import annotations

from portside.faces import printable
from portside.ports.address import format_ipv4, format_ipv6
from portside.wire import routes as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.bsd.names import Names
    from portside.faces.netstat.bsd.options import Options
    from portside.system.host import Host
    from portside.wire.routes import Route

_AF_INET, _AF_INET6 = 2, 10
_TITLES = {_AF_INET: "Internet", _AF_INET6: "Internet6"}
_FAMILIES = {_AF_INET: "inet", _AF_INET6: "inet6"}
_REFUSING = (wire.RTN_UNREACHABLE, wire.RTN_PROHIBIT)
_SHOWN = (wire.RTN_UNICAST, wire.RTN_LOCAL, wire.RTN_BLACKHOLE, *_REFUSING)


def tables(options: Options, names: Names, host: Host) -> Iterator[str]:
    """Yield the whole display: a title, then a table for each family that has routes."""
    from portside.system.interfaces import read_interfaces, read_routes

    yield "Routing tables"
    interfaces = {one.index: one for one in read_interfaces(host)}
    labels = {index: printable(one.name) for index, one in interfaces.items()}
    mtus = {index: one.mtu for index, one in interfaces.items()}
    found = [route for route in read_routes(host) if _shown(route)]
    for family, title in _TITLES.items():
        rows = [route for route in found if route.family == family]
        if not rows or options.family not in ("", _FAMILIES[family]):
            continue
        destination, gateway, device = _widths(family, options)
        yield ""
        yield f"{title}:"
        middle = f"{'Use':>8} {'Mtu':>6} " if options.wide else ""
        yield (
            f"{'Destination':<{destination}} {'Gateway':<{gateway}} {'Flags':<6} {middle}{'Netif':>{device}} "
            f"{'Expire':>6}"
        )
        for route in sorted(rows, key=lambda route: (route.destination, route.prefix)):
            yield _line(route, labels, mtus, options, names)


def _shown(route: Route) -> bool:
    table = wire.RT_TABLE_LOCAL if route.type == wire.RTN_LOCAL else wire.RT_TABLE_MAIN
    return route.type in _SHOWN and route.table == table


def _widths(family: int, options: Options) -> tuple[int, int, int]:
    long = family == _AF_INET6 and options.numeric_addresses
    device = 10 if options.wide and family == _AF_INET else 8
    return (33, 29, device) if long else (18, 18, device)


def _line(
    route: Route, labels: dict[int, str], mtus: dict[int, int], options: Options, names: Names
) -> str:  # fmt: skip
    """Return one route; what is longer than its column pushes into the next one, as far as that has room."""
    whole = options.wide or options.numeric_addresses
    device = labels.get(route.interface, "---")
    widths = _widths(route.family, options)
    cells = (_destination(route, device, names), _gateway(route, device, names), _flags(route))
    text, over = "", 0
    for cell, width in zip(cells, (*widths[:2], 6), strict=True):
        room = max(width - over, 0)
        shown = cell if whole else cell[:width]
        text += f"{shown:<{room}} "
        over = max(len(shown) - room, 0)
    if options.wide:
        text += f"{0:>8} {route.mtu or mtus.get(route.interface, 0) or '':>6} "
    text += f"{device if options.wide else device[: widths[2]]:>{widths[2]}}"
    return text + (f" {route.expires:>6}" if route.expires else "")


def _destination(route: Route, device: str, names: Names) -> str:
    if not route.prefix and not any(route.destination):
        return "default"
    text = _text(route.destination or bytes(4 if route.family == _AF_INET else 16), device)
    return names.host(text) if _to_host(route) else f"{text}/{route.prefix}"


def _gateway(route: Route, device: str, names: Names) -> str:
    if route.gateway:
        return names.host(_text(route.gateway, device))
    return f"link#{route.interface}" if route.interface else "-"


def _text(raw: bytes, device: str) -> str:
    if len(raw) == 4:
        return format_ipv4(raw)
    local = len(raw) == 16 and raw[0] == 0xFE and raw[1] & 0xC0 == 0x80  # fe80::/10
    return format_ipv6(raw) + (f"%{device}" if local else "")


def _to_host(route: Route) -> bool:
    return route.prefix == 8 * len(route.destination) > 0


def _flags(route: Route) -> str:
    set_by_hand = route.protocol not in (wire.RTPROT_KERNEL, wire.RTPROT_REDIRECT)
    flags = {
        "U": True,
        "G": bool(route.gateway),
        "H": _to_host(route),
        "R": route.type in _REFUSING,
        "D": route.protocol == wire.RTPROT_REDIRECT,
        "S": set_by_hand,
        "B": route.type == wire.RTN_BLACKHOLE,
    }
    return "".join(letter for letter, present in flags.items() if present)
