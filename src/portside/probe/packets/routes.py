"""Which way each probe goes out: interface, source address and the hardware address of the next hop.

The kernel is asked, once for each stretch of addresses: its routes' first and last addresses cut the address space
into stretches inside which the way is one and the same.  A gateway's or, on an own subnet, the target's hardware
address comes from the neighbour table or is asked for by `neighbours`.  A way without Ethernet (own addresses through
lo, tunnels) is a lane with empty hardware address: raw IP, and the kernel does the rest.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from portside.errors import PortsideError
from portside.probe.packets import neighbours
from portside.probe.packets.expand import raw
from portside.probe.sockets import interface_index
from portside.record import Record
from portside.system.host import LIVE
from portside.system.interfaces import read_addresses, read_interfaces, read_routes
from portside.system.ways import read_neighbours, read_way
from portside.wire.routes import RTN_LOCAL, RTN_UNICAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from portside.probe.packets.chunk import Chunk
    from portside.wire.interfaces import Interface

UNREACHABLE = "host-unreach"
LOCAL_ERROR = "local-error"


class Lane(Record):
    """One way out: interface, own address, own hardware address (empty: raw IP)."""

    interface: int
    source: bytes
    hardware: bytes


class Stretch(Record):
    """How a stretch of addresses is reached: its lane's number, its gateway (empty: each is a neighbour itself).

    `failure` is the reason where there is no way.
    """

    lane: int = 0
    gateway: bytes = b""
    failure: str = ""


class Routes:
    """The ways of one scan; `lanes` grows as they are found; `near` while no gateway is needed."""

    def __init__(self, zones: list[str], source: bytes = b"", device: str = "") -> None:
        self.lanes: list[Lane] = []
        self.near = True
        self._source = source
        self._interfaces: dict[int, Interface] = {each.index: each for each in read_interfaces(LIVE)}
        self._zones = [interface_index(zone or device) if zone or device else 0 for zone in zones]
        self._cuts = {width: self._boundaries(width) for width in (4, 16)}
        self._cuts4 = np.array(self._cuts[4], np.uint32)
        self._stretches: dict[tuple[int, int, int], Stretch] = {}
        self._known = {(each.interface, each.address): each.hardware for each in read_neighbours()}
        self._own = read_addresses(LIVE)

    def _boundaries(self, width: int) -> list[int]:
        """Return the first address of every stretch, ascending."""
        cuts = {0}
        for route in read_routes(LIVE):
            if route.family == (2 if width == 4 else 10):
                first = int.from_bytes(route.destination.ljust(width, b"\0"), "big")
                cuts |= {first, first + (1 << (width * 8 - route.prefix))}
        return sorted(cut for cut in cuts if cut < 1 << (width * 8))

    def resolve(self, chunk: Chunk) -> list[tuple[NDArray[np.int64], str]]:
        """Fill in the chunk's lanes and hardware addresses; return the probes that have no way, with the reason."""
        failures: list[tuple[NDArray[np.int64], str]] = []
        stretches = self._numbers(chunk)
        keys = stretches * 256 + chunk.zones
        for key in np.unique(keys) if chunk.width == 16 else np.flatnonzero(np.bincount(keys)):
            at = np.flatnonzero(keys == key)
            number, zone = divmod(int(key), 256)
            stretch = self._stretch(chunk.width, number, zone, raw(chunk.width, chunk.hosts[at[0]]))
            if stretch.failure:
                failures.append((at, stretch.failure))
                continue
            chunk.lane[at] = stretch.lane
            if self.lanes[stretch.lane].hardware:
                failures += self._next_hops(chunk, at, stretch)
        return failures

    def _numbers(self, chunk: Chunk) -> NDArray[np.int64]:
        """Return the stretch that each target is in."""
        if chunk.width == 4:
            return np.searchsorted(self._cuts4, chunk.hosts, "right")
        cuts = self._cuts[16]
        hosts, which = np.unique(chunk.hosts, axis=0, return_inverse=True)
        numbers = [bisect_right(cuts, int(high) << 64 | int(low)) for high, low in hosts]
        return np.array(numbers, np.int64)[which.reshape(-1)]

    def _stretch(self, width: int, number: int, zone: int, address: bytes) -> Stretch:
        found = self._stretches.get((width, number, zone))
        if found is None:
            found = self._stretches[width, number, zone] = self._ask(address, self._zones[zone])
        return found

    def _ask(self, address: bytes, interface: int) -> Stretch:
        try:
            way = read_way(address, interface)
        except PortsideError:
            return Stretch(failure=LOCAL_ERROR)
        if way.type not in (RTN_UNICAST, RTN_LOCAL):
            return Stretch(failure=LOCAL_ERROR)
        link = self._interfaces.get(way.interface)
        hardware = link.hardware if link else b""
        if way.type == RTN_LOCAL or len(hardware) != 6 or not any(hardware):
            hardware = b""
        lane = Lane(way.interface, self._source or way.source, hardware)
        if lane not in self.lanes:
            self.lanes.append(lane)
        self.near = self.near and not way.gateway
        return Stretch(self.lanes.index(lane), way.gateway)

    def _next_hops(
        self, chunk: Chunk, at: NDArray[np.int64], stretch: Stretch
    ) -> list[tuple[NDArray[np.int64], str]]:
        """Fill in hardware addresses; return the probes whose next hop does not answer."""
        lane = self.lanes[stretch.lane]
        if stretch.gateway:
            known = self._hardware(lane, [stretch.gateway])
            if stretch.gateway not in known:
                return [(at, UNREACHABLE)]
            chunk.hardware[at] = np.frombuffer(known[stretch.gateway], np.uint8)
            return []
        hosts, which = np.unique(chunk.hosts[at], axis=0, return_inverse=True)
        addresses = [raw(chunk.width, host) for host in hosts]
        known = self._hardware(lane, addresses)
        table = np.frombuffer(b"".join(known.get(each, bytes(6)) for each in addresses), np.uint8).reshape(
            -1, 6
        )
        which = which.reshape(-1)
        chunk.hardware[at] = table[which]
        silent = np.array([each not in known for each in addresses])[which]
        return [(at[silent], UNREACHABLE)] if silent.any() else []

    def _hardware(self, lane: Lane, addresses: list[bytes]) -> dict[bytes, bytes]:
        """Return the hardware addresses of neighbours, asking for those that are not known."""
        unknown = [each for each in addresses if (lane.interface, each) not in self._known]
        if unknown:
            found = neighbours.ask(lane.interface, lane.hardware, self._speaker(lane), unknown)
            for address in unknown:  # who did not answer is not asked again
                self._known[lane.interface, address] = found.get(address, b"")
        known = ((each, self._known[lane.interface, each]) for each in addresses)
        return {address: hardware for address, hardware in known if hardware}

    def _speaker(self, lane: Lane) -> bytes:
        """Return the address to ask from: one of the interface's own, of the lane's family."""
        width = len(lane.source)
        own = [
            each.address for each in self._own if each.index == lane.interface and len(each.address) == width
        ]
        return lane.source if lane.source in own or not own else own[0]
