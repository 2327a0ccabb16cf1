"""The way to an address: route, gateway and own address as the kernel would choose them, and which route refuses it.

The kernel is asked by rtnetlink, with its policy rules; where it refuses, the tables say which route does it.
"""

from __future__ import annotations

import errno
import os

from portside.errors import BadRequest, PortsideError
from portside.ports.address import format_address, parse_address
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, as_root
from portside.system import interfaces
from portside.system.host import LIVE
from portside.system.sockets import interface_index
from portside.system.ways import read_way
from portside.wire.interfaces import IFF_UP
from portside.wire.routes import RTN_BLACKHOLE, RTN_LOCAL, RTN_PROHIBIT, RTN_UNREACHABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.attempt import Target
    from portside.wire.interfaces import Interface
    from portside.wire.neighbours import Way
    from portside.wire.routes import Route

_REFUSING = {RTN_UNREACHABLE: "unreachable", RTN_PROHIBIT: "prohibit", RTN_BLACKHOLE: "blackhole"}
_MAIN, _DEFAULT = 254, 253  # routing tables that `ip route` shows and takes by itself
_AF = {4: 2, 16: 10}
_IFF_LOOPBACK, _IFF_RUNNING = 0x8, 0x40


def step(target: Target) -> Step:
    """Return the step of the route and the own address."""
    raw = _raw(target.address)
    if _link_local(raw) and "%" not in target.address:
        evidence = "a link-local address is one on every link: it takes the interface behind it"
        return Step("route", FAILED, evidence, _with_zone(target), target.address)
    try:
        found = _way(target.address)
    except PortsideError as error:
        if error.errno is None:
            return Step("route", UNKNOWN, str(error), target=target.address)
        evidence, mend = _refused(raw, error.errno)
        return Step(
            "route", FAILED, evidence, mend, target.address, (("error", errno.errorcode.get(error.errno)),)
        )
    return _told(target, found)


def _told(target: Target, found: Way) -> Step:
    links = {one.index: one for one in interfaces.read_interfaces(LIVE)}
    link = links.get(found.interface)
    name = link.name if link else f"interface {found.interface}"
    gateway = format_address(found.gateway) if found.gateway else ""
    source = format_address(found.source) if found.source else ""
    if found.type == RTN_LOCAL:
        evidence = "it is this host's own address"
    else:
        evidence = f"through {name}" + (f" by the gateway {gateway}" if gateway else ", on the link itself")
    facts = (("interface", name), ("gateway", gateway or None), ("source", source or None))
    if not source:
        return Step(
            "route", UNKNOWN, f"{evidence}, with no own address to send from", "", target.address, facts
        )
    evidence += f", from {source}"
    if link is not None and link.flags & IFF_UP and not link.flags & _IFF_RUNNING and found.type != RTN_LOCAL:
        evidence = f"{evidence}; but {name} has no carrier: the cable, or the other end, is down"
        return Step("route", FAILED, evidence, _peer_up(link, links), target.address, facts)
    return Step("route", PASSED, evidence, "", target.address, facts)


def _peer_up(link: Interface, links: dict[int, Interface]) -> str:
    """Return what brings the other end of a veth pair up, where it is in this namespace too."""
    peer = links.get(link.peer)
    return as_root(f"ip link set {peer.name} up") if peer is not None and not peer.up else ""


def _refused(raw: bytes, number: int) -> tuple[str, str]:
    """Return (evidence, mend) for a route that the kernel refused with an errno."""
    said = f"{os.strerror(number).lower()} ({errno.errorcode.get(number, number)})"
    route = _refusing(raw)
    if route is not None:
        kind, place = _REFUSING[route.type], _place(route)
        family = "-6 " if len(raw) == 16 else ""
        table = "" if route.table in (_MAIN, _DEFAULT) else f" table {route.table}"
        mend = as_root(f"ip {family}route del {kind} {place}{table}")
        return f"{said}: the route '{kind} {place}' refuses it", mend
    return f"{said}: no route leads there", _new_way(raw)


def mend_of(target: Target) -> str:
    """Return the command that makes a way to an address, empty where none is known."""
    raw = _raw(target.address)
    if _link_local(raw):
        return "" if "%" in target.address else _with_zone(target)
    return _refused(raw, errno.ENETUNREACH)[1] if _refusing(raw) is not None else _new_way(raw)


def _refusing(raw: bytes) -> Route | None:
    """Return the most specific route to an address, if it is one of those that refuse."""
    try:
        fitting = [
            one for one in interfaces.read_routes(LIVE) if one.family == _AF[len(raw)] and _leads(one, raw)
        ]
    except PortsideError:
        return None
    # without a default route IPv6's table ends with one of the kernel's own, `unreachable default dev lo`
    refusing = [one for one in fitting if one.type in _REFUSING and not (one.prefix == 0 and one.interface)]
    best = max(refusing, key=lambda one: one.prefix, default=None)
    longest = max((one.prefix for one in fitting), default=0)
    return best if best is not None and best.prefix == longest else None


def _leads(route: Route, raw: bytes) -> bool:
    bits = len(raw) * 8 - route.prefix
    network = int.from_bytes(route.destination.ljust(len(raw), b"\0"), "big")
    return network >> bits == int.from_bytes(raw, "big") >> bits


def _place(route: Route) -> str:
    size = 4 if route.family == _AF[4] else 16
    return (
        f"{format_address(route.destination.ljust(size, bytes(1)))}/{route.prefix}"
        if route.prefix
        else "default"
    )


def _new_way(raw: bytes) -> str:
    """Return what makes a way: a link that is down and has the network, else a route over the only link there is."""
    try:
        links = {one.index: one for one in interfaces.read_interfaces(LIVE)}
        addresses = interfaces.read_addresses(LIVE)
    except PortsideError:
        return ""
    bits = len(raw) * 8
    for one in addresses:
        link = links.get(one.index)
        near = len(one.address) == len(raw) and _same(one.address, raw, bits - one.prefix)
        if near and link is not None and not link.up:
            return as_root(f"ip link set {link.name} up")
    usable = {
        links[one.index].name
        for one in addresses
        if len(one.address) == len(raw) and one.index in links and links[one.index].up
        and not links[one.index].flags & _IFF_LOOPBACK
    }  # fmt: skip
    family = "-6 " if bits == 128 else ""
    return as_root(f"ip {family}route add default dev {usable.pop()}") if len(usable) == 1 else ""


def _same(one: bytes, other: bytes, host_bits: int) -> bool:
    return int.from_bytes(one, "big") >> host_bits == int.from_bytes(other, "big") >> host_bits


def is_own(address: str) -> bool:
    """Whether an address is this network namespace's own."""
    try:
        return _way(address).type == RTN_LOCAL
    except (PortsideError, BadRequest):
        return False


def _way(address: str) -> Way:
    """Ask the kernel for the way to an address, over the interface that its zone names."""
    zone = address.partition("%")[2]
    return read_way(_raw(address), interface_index(zone) if zone else 0)


def _link_local(raw: bytes) -> bool:
    return len(raw) == 16 and raw[0] == 0xFE and raw[1] & 0xC0 == 0x80  # fe80::/10


def _with_zone(target: Target) -> str:
    """Return the question with an interface behind the address, where only one can be meant."""
    links = {one.index: one.name for one in interfaces.read_interfaces(LIVE) if one.up}
    having = {one.index for one in interfaces.read_addresses(LIVE) if _link_local(one.address)}
    names = [links[index] for index in having if index in links]
    return f"portside why '[{target.address}%{names[0]}]:{target.port}'" if len(names) == 1 else ""


def _raw(address: str) -> bytes:
    return parse_address(address.partition("%")[0])
