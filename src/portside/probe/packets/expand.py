"""Places of an order as columns: what `order.Order.number` and `space.Space.at` say of one, for many at once."""

from __future__ import annotations

import numpy as np

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from portside.probe.order import Order

    Hosts = NDArray[np.uint32] | NDArray[np.uint64]

_LOW64 = (1 << 64) - 1


class Probes(Record):
    """Probes of one family as columns of one length.

    `places` (int64) in the order, `hosts` (uint32 for IPv4; for IPv6 two uint64, high and low), `ports` (uint16), and
    the index of each host's zone in `Expander.zones` (uint8).
    """

    width: int
    places: NDArray[np.int64]
    hosts: Hosts
    ports: NDArray[np.uint16]
    zones: NDArray[np.uint8]


class Expander:
    """Turns places of one order into probes."""

    def __init__(self, order: Order) -> None:
        self._order = order
        space = order.space
        blocks = space.addresses.blocks
        self.zones = sorted({block.zone for block in blocks})
        self._starts = np.array(space.addresses.starts, np.uint64)
        self._high = np.array([block.first >> 64 for block in blocks], np.uint64)
        self._low = np.array([block.first & _LOW64 for block in blocks], np.uint64)
        self._six = np.array([block.width == 16 for block in blocks], bool)
        self._zone = np.array([self.zones.index(block.zone) for block in blocks], np.uint8)
        self._port_starts = np.array(space.port_starts, np.uint64)
        self._port_firsts = np.array([ports.first for ports in space.ports], np.uint64)

    def probes(self, places: NDArray[np.int64]) -> list[Probes]:
        """Return the probes in these places, those of IPv4 and those of IPv6 apart."""
        numbers = self._numbers(places.astype(np.uint64))
        addresses, port_places = self._split(numbers)
        which = _which(self._port_starts, port_places)
        ports = (self._port_firsts[which] + (port_places - self._port_starts[which])).astype(np.uint16)
        blocks = _which(self._starts, addresses)
        offsets = addresses - self._starts[blocks]
        low = self._low[blocks] + offsets
        six = self._six[blocks]
        zones = self._zone[blocks]
        found = []
        if not six.all():
            four = ~six
            hosts = low[four].astype(np.uint32)
            found.append(Probes(4, places[four], hosts, ports[four], zones[four]))
        if six.any():
            carry = (low < offsets).astype(np.uint64)
            both = np.stack((self._high[blocks] + carry, low), axis=1)[six]
            found.append(Probes(16, places[six], both, ports[six], zones[six]))
        return found

    def _split(self, numbers: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the places among the addresses and among the ports; divisions are slow, so none is made in vain."""
        count = self._order.space.port_count
        if count == 1:
            return numbers, np.zeros_like(numbers)
        if count == self._order.space.size:
            return np.zeros_like(numbers), numbers
        addresses = numbers // np.uint64(count)
        return addresses, numbers - addresses * np.uint64(count)

    def _numbers(self, places: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the probe numbers: shard, then permutation, walked again while a number falls outside."""
        order = self._order
        numbers = places * np.uint64(order.shard.count) + np.uint64(order.shard.number - 1)
        forward = order.permutation.forward
        numbers = forward(numbers)  # type: ignore[arg-type, assignment]
        outside = np.flatnonzero(numbers >= order.permutation.size)
        while len(outside):
            numbers[outside] = forward(numbers[outside])  # type: ignore[arg-type]
            outside = outside[numbers[outside] >= order.permutation.size]
        return numbers


def _which(starts: NDArray[np.uint64], places: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return which of the stretches that begin at `starts` each place is in."""
    if len(starts) == 1:
        return np.zeros(len(places), np.int64)
    return np.searchsorted(starts, places, "right") - 1


def raw(width: int, host: Any) -> bytes:
    """Return one row of `Probes.hosts` as the raw bytes of an address."""
    if width == 4:
        return int(host).to_bytes(4, "big")
    return int(host[0]).to_bytes(8, "big") + int(host[1]).to_bytes(8, "big")


def column(width: int, addresses: list[bytes]) -> Hosts:
    """Return raw addresses of one family as `Probes.hosts` holds them."""
    if width == 4:
        return np.frombuffer(b"".join(addresses), ">u4").astype(np.uint32)
    return np.frombuffer(b"".join(addresses), ">u8").astype(np.uint64).reshape(-1, 2)
