"""What decides beside the rules: interfaces with their addresses, routes, settings of the kernel.

A value, as the ruleset is: the same questions can be asked of another host's.  Answers are the kernel's own:
`address_type` of inet_addr_type, `way` of fib_lookup over the tables local, main and default, `refused_source` of
ip_route_input (martians, reverse path).  Reference: net/ipv4/fib_frontend.c, route.c; net/ipv6/ip6_input.c;
Documentation/networking/ip-sysctl.rst.
"""

from __future__ import annotations

from portside.guard.fields import ADDRESS_TYPES
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

IPV4, IPV6 = "ip", "ip6"
WIDTH = {IPV4: 32, IPV6: 128}
UNICAST, LOCAL, BROADCAST, MULTICAST = (
    ADDRESS_TYPES[word] for word in ("unicast", "local", "broadcast", "multicast")
)
LOOPBACK = {IPV4: (127 << 24, (127 << 24) + 0xFFFFFF), IPV6: (1, 1)}
_LINK_LOCAL = 0x3FA  # the ten bits of fe80::/10
MULTICAST_SPAN = {IPV4: (224 << 24, (240 << 24) - 1), IPV6: (255 << 120, (1 << 128) - 1)}


class Address(Record):
    """One address of an interface, as a number, and the length of its network's prefix."""

    family: str
    value: int
    prefix: int


class Device(Record):
    """One interface; its settings are those in force: of `all` and its own, where the kernel joins them."""

    name: str
    addresses: tuple[Address, ...] = ()
    up: bool = True
    kind: str = ""
    group: int = 0
    master: str = ""
    xdp: bool = False
    rp_filter: int = 0
    forwarding: bool = False
    route_localnet: bool = False
    accept_local: bool = False


class Way(Record):
    """One route: a network (lowest address and length), its type, the interface it leaves by (empty: none)."""

    family: str
    network: int
    prefix: int
    type: int
    device: str
    table: int = 254
    metric: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest address."""
        return self.network, self.network | (1 << WIDTH[self.family] - self.prefix) - 1


class Environment(Record):
    """Interfaces, routes (the order in which they are tried), whether routing rules of somebody's choose tables."""

    devices: tuple[Device, ...]
    ways: tuple[Way, ...]
    forwarding6: bool = False
    policy_routing: bool = False

    def device(self, name: str) -> Device | None:
        """Return the interface of that name."""
        return next((device for device in self.devices if device.name == name), None)

    def own(self, family: str) -> Iterator[tuple[int, str]]:
        """Yield (address, interface) of every address of this host."""
        for device in self.devices:
            for address in device.addresses:
                if address.family == family:
                    yield address.value, device.name

    def address_type(self, family: str, address: int, device: str = "") -> int:
        """Return an address's type (fields.ADDRESS_TYPES), to one interface alone if named."""
        low, high = MULTICAST_SPAN[family]
        if low <= address <= high:
            return MULTICAST
        if family == IPV4 and (address == 0xFFFFFFFF or address >> 24 == 0):
            return BROADCAST
        for way in self.ways:
            if way.family == family and way.table == 255 and way.span[0] <= address <= way.span[1]:
                return way.type if not device or way.device == device else UNICAST
        return UNICAST

    def way(self, family: str, address: int) -> Way | None:
        """Return the route to an address, None where there is none."""
        for way in self.ways:
            if way.family == family and way.span[0] <= address <= way.span[1]:
                return way
        return None

    def refused_source(self, family: str, source: int, device: Device) -> str:
        """Return why the kernel drops packets from a source that come in by an interface, empty where it does not."""
        if device.name == "lo":
            return ""
        kind = self.address_type(family, source)
        low, high = LOOPBACK[family]
        if low <= source <= high and not (family == IPV4 and device.route_localnet):
            return "a source on loopback, from outside"
        if kind == MULTICAST or (family == IPV4 and kind == BROADCAST):
            return "a source that is no host's"
        if family == IPV6:
            return ""
        if kind == LOCAL and not device.accept_local:
            return "a source that is this host's own"
        if device.rp_filter:
            way = self.way(family, source)
            if way is None or (device.rp_filter == 1 and way.device != device.name):
                return f"rp_filter={device.rp_filter}: no way back by '{device.name}'"
        return ""

    def back(self, family: str, source: int, came_by: str) -> str:
        """Return the interface by which answers to a source leave, empty where there is none.

        Those to a link-local address leave by the interface that the packet came in by.
        """
        if family == IPV6 and source >> 118 == _LINK_LOCAL:
            device = self.device(came_by)
            here = device is not None and any(one.value >> 118 == _LINK_LOCAL for one in device.addresses)
            return came_by if here else ""
        way = self.way(family, source)
        if way is not None and way.type == LOCAL:
            return "lo"  # an own address: they never leave, whatever interface has it
        return "" if way is None else way.device

    def back_by(self, family: str, source: int, device: str) -> bool:
        """Whether answers to a source that came in by an interface leave by it."""
        return self.back(family, source, device) == device


def sorted_ways(ways: list[Way]) -> tuple[Way, ...]:
    """Return routes in the order they are tried: table local, main, default; longest prefix; lowest metric."""
    order = {255: 0, 254: 1, 253: 2}
    return tuple(
        sorted(
            (way for way in ways if way.table in order),
            key=lambda way: (order[way.table], -way.prefix, way.metric),
        )
    )
