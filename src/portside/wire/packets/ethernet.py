"""Ethernet frames and ARP (RFC 826, RFC 5227).  Hardware addresses are 6 raw bytes."""

from __future__ import annotations

from struct import Struct

from portside.record import Record
from portside.wire.packets import ETH_P_ARP, ETH_P_IP

HEADER = Struct("!6s6sH")
BROADCAST = b"\xff" * 6
SIZE = HEADER.size

_ARP = Struct("!HHBBH6s4s6s4s")
_ETHERNET = 1  # ar_hrd, IANA arp-parameters
_REQUEST, _REPLY = 1, 2


class Arp(Record):
    """An ARP packet of IPv4 over Ethernet: who says that which address is at which hardware address."""

    operation: int
    sender: bytes
    sender_hardware: bytes
    target: bytes


def frame(target: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """Return an Ethernet frame; the driver pads what is too short."""
    return HEADER.pack(target, source, kind) + payload


def arp_request(hardware: bytes, source: bytes, target: bytes) -> bytes:
    """Return the frame that asks everybody for the hardware address of `target`."""
    body = _ARP.pack(_ETHERNET, ETH_P_IP, 6, 4, _REQUEST, hardware, source, bytes(6), target)
    return frame(BROADCAST, hardware, ETH_P_ARP, body)


def read_arp(packet: bytes) -> Arp | None:
    """Read an ARP packet (without its Ethernet header)."""
    if len(packet) < _ARP.size:
        return None
    hardware, protocol, hardware_size, size, operation, mac, sender, _, target = _ARP.unpack_from(packet)
    if (hardware, protocol, hardware_size, size) != (_ETHERNET, ETH_P_IP, 6, 4):
        return None
    return Arp(operation, sender, mac, target)


def is_reply(arp: Arp) -> bool:
    """Say whether this answers a question."""
    return arp.operation == _REPLY
