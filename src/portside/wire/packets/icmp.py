"""ICMP errors (RFC 792, RFC 1812, RFC 4443) with the packet they quote, and neighbour discovery (RFC 4861).

Words for types and codes are `probe.records`'s.
"""

from __future__ import annotations

from struct import pack

from portside.record import Record
from portside.wire.packets import ICMP, ICMPV6, TCP, UDP, checksum, ip

UNREACHABLE, TIME_EXCEEDED = 3, 11
UNREACHABLE6, TIME_EXCEEDED6 = 1, 3
SOLICITATION, ADVERTISEMENT = 135, 136
_SOURCE_ADDRESS, _TARGET_ADDRESS = 1, 2  # options of neighbour discovery
_ALL_HOPS = 255  # RFC 4861, 7.1: anything less came through a router


class Quoted(Record):
    """An ICMP error: its protocol (ICMP or ICMPV6), type and code, and the ends of the packet that it quotes."""

    protocol: int
    type: int
    code: int
    source: bytes
    target: bytes
    transport: int
    source_port: int
    target_port: int
    sequence: int


class Neighbour(Record):
    """A neighbour advertisement: the address it speaks for and that address's hardware address."""

    address: bytes
    hardware: bytes


def read_error(protocol: int, data: bytes) -> Quoted | None:
    """Read an ICMP error and the ends of the TCP or UDP packet it quotes; None for any other message."""
    kinds = (UNREACHABLE, TIME_EXCEEDED) if protocol == ICMP else (UNREACHABLE6, TIME_EXCEEDED6)
    if len(data) < 8 or data[0] not in kinds:
        return None
    inner = ip.read(data[8:])
    if inner is None or inner.protocol not in (TCP, UDP) or len(data) < 8 + inner.start + 8:
        return None
    at = 8 + inner.start
    ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    sequence = int.from_bytes(data[at + 4 : at + 8], "big")
    return Quoted(protocol, data[0], data[1], inner.source, inner.target, inner.protocol, *ports, sequence)


def solicitation(hardware: bytes, source: bytes, target: bytes) -> tuple[bytes, bytes]:
    """Return the IPv6 packet that asks for the hardware address of `target`, and the Ethernet group it goes to."""
    group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
    body = pack("!BBHI", SOLICITATION, 0, 0, 0) + target + bytes((_SOURCE_ADDRESS, 1)) + hardware
    summed = checksum.transport(source, group, ICMPV6, body)
    body = body[:2] + summed.to_bytes(2, "big") + body[4:]
    packet = ip.header(source, group, ICMPV6, len(body), _ALL_HOPS) + body
    return packet, b"\x33\x33" + group[12:]


def read_advertisement(packet: bytes) -> Neighbour | None:
    """Read a neighbour advertisement, an IPv6 packet; None for anything else, or one from behind a router."""
    outer = ip.read(packet)
    if outer is None or outer.protocol != ICMPV6 or outer.hops != _ALL_HOPS or outer.end - outer.start < 24:
        return None
    body = packet[outer.start : outer.end]
    if body[0] != ADVERTISEMENT or body[1]:
        return None
    at = 24
    while at + 8 <= len(body) and body[at + 1]:
        if body[at] == _TARGET_ADDRESS:
            return Neighbour(body[8:24], body[at + 2 : at + 8])
        at += body[at + 1] * 8
    return None
