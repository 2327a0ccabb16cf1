"""Packets that stand for those a wish is about: by each interface, from its own network and from beyond it.

The plain evaluator answers for single packets; the rules that deny what is to be opened are found by a few that
differ in what rules look at: family, interface, near or far, first and last port.
"""

from __future__ import annotations

from portside.guard.packet import Packet, number, text
from portside.ports.address import format_address
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.wish import Network, Wish
    from portside.guard.environment import Address, Device, Environment
    from portside.ports.number import Range

# documentation networks (RFC 5737, 3849): nobody's own
FAR = {"ip": "198.51.100.77", "ip6": "2001:db8:ffff::77"}
WIDTH = {"ip": 32, "ip6": 128}
_LINK_LOCAL = 0xFE80 << 112


class Sample(Record):
    """One packet, and whom it stands for."""

    packet: Packet
    stands_for: str

    @property
    def name(self) -> str:
        """Return whom it stands for, with the address it comes from."""
        source = self.packet.source
        return source if self.stands_for == source else f"{self.stands_for} ({source})"


def of_wish(wish: Wish, environment: Environment) -> list[Sample]:
    """Return the samples of a wish about ports."""
    devices = [
        device
        for device in environment.devices
        if device.up and device.name != "lo" and wish.interface in ("", device.name)
    ]
    given = [_inside(source) for source in wish.sources]
    return [
        Sample(Packet(device.name, protocol, source, text(address.family, address.value), port), stands_for)
        for device in devices
        for address in first_addresses(device)
        for source, stands_for in _sources(given, device, address, environment)
        for protocol, each in wish.ports
        for port in _ends(each)
    ]


def first_addresses(device: Device) -> Iterator[Address]:
    """Yield one address of each family, none that is for the link alone."""
    seen = set()
    for address in device.addresses:
        link = address.family == "ip6" and address.value >> 118 == _LINK_LOCAL >> 118
        if address.family not in seen and not link:
            seen.add(address.family)
            yield address


def _sources(
    given: list[str], device: Device, address: Address, environment: Environment
) -> Iterator[tuple[str, str]]:
    if given:
        for source in given:
            if (":" in source) == (address.family == "ip6"):
                yield source, source
        return
    near = neighbour(address)
    if near:
        yield near, f"{device.name}'s own network"
    way = environment.way(address.family, number(FAR[address.family]))
    if way is not None and way.device == device.name:
        yield FAR[address.family], f"anyone beyond {device.name}"


def neighbour(address: Address) -> str:
    """Return an address beside this one in its network, empty where there is none."""
    host = WIDTH[address.family] - address.prefix
    if host < 2:
        return ""
    network = address.value >> host << host
    for one in (network + 2, network + 3, network + 1):
        if one != address.value:
            return text(address.family, one)
    return ""


def _inside(network: Network) -> str:
    """Return an address of a network, not its first, which may be nobody's."""
    value = int.from_bytes(network.raw, "big") + (1 if 8 * len(network.raw) - network.bits > 1 else 0)
    return format_address(value.to_bytes(len(network.raw), "big"))


def _ends(ports: Range) -> tuple[int, ...]:
    return (ports.first,) if ports.first == ports.last else (ports.first, ports.last)
