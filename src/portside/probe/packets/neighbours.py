"""Asking neighbours for their hardware addresses: ARP for IPv4, neighbour discovery for IPv6.

All are asked at once, those that stay silent again, three times over most of a second.  Whoever answers for an
address is believed, as the kernel believes it.
"""

from __future__ import annotations

import time

from portside.system.packets import LinkSocket
from portside.wire.packets import ETH_P_ARP, ETH_P_IPV6, ethernet, icmp

_WAITS = (0.15, 0.25, 0.4)
_PAUSE_EVERY = 128  # requests, so that answers do not overrun the socket


def ask(interface: int, hardware: bytes, source: bytes, addresses: list[bytes]) -> dict[bytes, bytes]:
    """Return the hardware addresses of those that answered, by raw address (all of one family)."""
    found: dict[bytes, bytes] = {}
    wanted = set(addresses)
    link = LinkSocket(interface, ETH_P_ARP if len(source) == 4 else ETH_P_IPV6)
    try:
        for wait in _WAITS:
            for number, address in enumerate(sorted(wanted - found.keys())):
                link.send(_question(hardware, source, address))
                if number % _PAUSE_EVERY == _PAUSE_EVERY - 1:
                    _listen(link, 0.002, wanted, found)
            _listen(link, wait, wanted, found)
            if len(found) == len(wanted):
                break
    finally:
        link.close()
    return found


def _question(hardware: bytes, source: bytes, address: bytes) -> bytes:
    if len(address) == 4:
        return ethernet.arp_request(hardware, source, address)
    packet, group = icmp.solicitation(hardware, source, address)
    return ethernet.frame(group, hardware, ETH_P_IPV6, packet)


def _listen(link: LinkSocket, seconds: float, wanted: set[bytes], found: dict[bytes, bytes]) -> None:
    """Take in answers for so long, or until nobody is left."""
    deadline = time.monotonic() + seconds
    while len(found) < len(wanted) and (left := deadline - time.monotonic()) > 0:
        heard = _heard(link.receive(left))
        if heard and heard[0] in wanted:
            found[heard[0]] = heard[1]


def _heard(frame: bytes) -> tuple[bytes, bytes] | None:
    """Return (address, hardware address) that a frame tells."""
    kind, packet = frame[12:14], frame[ethernet.SIZE :]
    if kind == ETH_P_ARP.to_bytes(2, "big"):
        arp = ethernet.read_arp(packet)
        return (arp.sender, arp.sender_hardware) if arp and ethernet.is_reply(arp) else None
    told = icmp.read_advertisement(packet)
    return (told.address, told.hardware) if told else None
