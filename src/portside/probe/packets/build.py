"""Packets from a template: one packet as `wire.packets` writes it, repeated, with the columns that differ patched in.

Checksums are sums, so each is the template's sum plus what the patched words add (RFC 1624 is the same idea).
"""

from __future__ import annotations

import numpy as np

from portside.wire.packets import ETH_P_IP, ETH_P_IPV6, TCP, ethernet, ip, tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from portside.probe.packets.chunk import Chunk

ROWS = 1024


class SynTemplate:
    """SYNs from one address, with an Ethernet header from `hardware` in front unless that is empty."""

    def __init__(self, source: bytes, hardware: bytes) -> None:
        nobody = bytes(len(source))
        segment = tcp.segment((source, nobody), (0, 0), tcp.SYN, options=tcp.SYN_OPTIONS)
        packet = ip.header(source, nobody, TCP, len(segment)) + segment
        self.link = 0
        if hardware:
            kind = ETH_P_IP if len(source) == 4 else ETH_P_IPV6
            packet = ethernet.frame(bytes(6), hardware, kind, packet)
            self.link = ethernet.SIZE
        self.width = len(source)
        self.size = len(packet)
        self._tcp = self.link + (ip.V4.size if self.width == 4 else ip.V6.size)
        self._ip_sum = (
            ~int.from_bytes(packet[self.link + 10 : self.link + 12], "big") if self.width == 4 else 0
        )
        at = self._tcp + 16
        self._tcp_sum = ~int.from_bytes(packet[at : at + 2], "big")
        self._rows = np.tile(np.frombuffer(packet, np.uint8), (ROWS, 1))

    def build(self, chunk: Chunk, at: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the packets of these probes (at most ROWS), one in each row; the rows are used again next time."""
        rows = self._rows[: len(at)]
        if self.link:
            rows[:, :6] = chunk.hardware[at]
        ports, numbers = chunk.ports[at].astype(np.uint32), chunk.numbers[at]
        added = self._targets(rows, chunk, at)
        start = self._tcp
        _words(rows, start, 2)[:] = chunk.port
        _words(rows, start + 2, 2)[:] = ports
        _words(rows, start + 4, 4)[:] = numbers
        fixed = np.uint32((self._tcp_sum & 0xFFFF) + chunk.port)
        summed = added + ports + (numbers >> 16) + (numbers & 0xFFFF) + fixed
        _words(rows, start + 16, 2)[:] = _folded(summed)
        return rows

    def _targets(self, rows: NDArray[np.uint8], chunk: Chunk, at: NDArray[np.int64]) -> NDArray[Any]:
        """Write the target addresses, IPv4 with the header's checksum; return the sums of their words."""
        hosts = chunk.hosts[at]
        if self.width == 4:
            _words(rows, self.link + 16, 4)[:] = hosts
            added = (hosts >> 16) + (hosts & 0xFFFF)
            _words(rows, self.link + 10, 2)[:] = _folded(added + np.uint32(self._ip_sum & 0xFFFF))
            return added
        _words(rows, self.link + 24, 8)[:] = hosts[:, 0]
        _words(rows, self.link + 32, 8)[:] = hosts[:, 1]
        words = rows[:, self.link + 24 : self.link + 40].view(">u2")
        summed: NDArray[Any] = words.sum(axis=1, dtype=np.uint32)
        return summed


def _words(rows: NDArray[np.uint8], start: int, size: int) -> NDArray[Any]:
    """Return the column of big-endian numbers of `size` bytes that starts at byte `start` of each row."""
    return rows[:, start : start + size].view(f">u{size}")[:, 0]


def _folded(summed: NDArray[Any]) -> NDArray[Any]:
    summed = (summed & 0xFFFF) + (summed >> 16)
    summed = (summed & 0xFFFF) + (summed >> 16)
    return ~summed & 0xFFFF
