"""What came back, as columns: slots of the kernel's ring (`wire.packet_ring`), read in bulk.

TCP without IP options is read column by column; all else (ICMP errors, options, extension headers) one at a time by
`wire.packets`, which is slower and rare.  A slot is given back as soon as it is copied.
"""

from __future__ import annotations

import numpy as np

from portside.record import Record
from portside.wire import packet_ring
from portside.wire.packets import ICMP, ICMPV6, TCP, icmp, ip, tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from portside.probe.packets.expand import Hosts
    from portside.system.packets import Ring

KEEP = 160  # bytes of each packet: IPv6, ICMPv6 and a quoted IPv6 and TCP header are 116
_MOST = 4096


class Answers(Record):
    """TCP answers of one family as columns: `hosts` as in `Probes`, the answer's ports, the probe's number if it is
    acknowledged (`numbers`) and if it is only repeated (`repeated`), flags, hop limit, seconds since the epoch."""

    width: int
    hosts: Hosts
    ports: NDArray[np.uint16]
    mine: NDArray[np.uint16]
    numbers: NDArray[np.uint32]
    repeated: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    hops: NDArray[np.uint8]
    times: NDArray[np.float64]


class Refusal(Record):
    """An ICMP error, as it came: who sent it, what it quotes, hop limit, seconds since the epoch."""

    sender: bytes
    quoted: icmp.Quoted
    hops: int
    time: float


class Reader:
    """Reads a ring from where it stopped the last time.

    `count`: packets so far; `newest`: when the last of them came, in seconds since the epoch.
    """

    def __init__(self, ring: Ring) -> None:
        self.count, self.newest = 0, 0.0
        self._slots = np.frombuffer(ring.memory, np.uint8).reshape(ring.count, ring.stride)
        self._words = self._slots.view(np.uint32)
        self._place = 0
        self._end = ring.count

    def read(self) -> tuple[list[Answers], list[Refusal]] | None:
        """Return what waits in the ring, up to a few thousand packets; None where nothing does."""
        end = min(self._place + _MOST, self._end)
        ready = self._words[self._place : end, 0] & packet_ring.TP_STATUS_USER
        count = len(ready) if ready.all() else int(ready.argmin())
        if not count:
            return None
        these = slice(self._place, self._place + count)
        data = self._slots[these, packet_ring.DATA : packet_ring.DATA + KEEP].copy()
        heads = self._words[these, :6].copy()
        self._words[these, 0] = packet_ring.TP_STATUS_KERNEL
        self._place = (self._place + count) % self._end
        self.count += count
        times = heads[:, 4] + heads[:, 5] * 1e-9
        self.newest = float(times[-1])
        return _split(data, heads[:, 2], times)

    def close(self) -> None:
        """Let go of the ring's memory."""
        del self._slots, self._words


def _split(
    data: NDArray[np.uint8], sizes: NDArray[np.uint32], times: NDArray[np.float64]
) -> tuple[list[Answers], list[Refusal]]:
    four = (data[:, 0] == 0x45) & (data[:, 9] == TCP) & (sizes >= ip.V4.size + tcp.HEADER.size)
    six = (data[:, 0] >> 4 == 6) & (data[:, 6] == TCP) & (sizes >= ip.V6.size + tcp.HEADER.size)
    found = []
    if four.any():
        found.append(_columns(4, data[four], times[four]))
    if six.any():
        found.append(_columns(16, data[six], times[six]))
    refusals = []
    for at in np.flatnonzero(~(four | six)):
        packet = bytes(data[at, : min(int(sizes[at]), KEEP)])
        refusal = _refusal(packet, float(times[at]))
        if refusal:
            refusals.append(refusal)
    return found, refusals


def _columns(width: int, rows: NDArray[np.uint8], times: NDArray[np.float64]) -> Answers:
    start = ip.V4.size if width == 4 else ip.V6.size
    words = rows[:, start : start + 4].view(">u2").astype(np.uint16)
    numbers = rows[:, start + 4 : start + 12].view(">u4").astype(np.uint32)
    if width == 4:
        hosts: Hosts = rows[:, 12:16].view(">u4")[:, 0].astype(np.uint32)
    else:
        hosts = rows[:, 8:24].view(">u8").astype(np.uint64)
    return Answers(
        width, hosts, words[:, 0], words[:, 1], numbers[:, 1] - np.uint32(1), numbers[:, 1],
        rows[:, start + 13], rows[:, 8 if width == 4 else 7], times,
    )  # fmt: skip


def _refusal(packet: bytes, time: float) -> Refusal | None:
    outer = ip.read(packet)
    if outer is None or outer.protocol not in (ICMP, ICMPV6):
        return None
    quoted = icmp.read_error(outer.protocol, packet[outer.start : outer.end])
    return Refusal(outer.source, quoted, outer.hops, time) if quoted else None
