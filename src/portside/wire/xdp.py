"""AF_XDP sockets (include/uapi/linux/if_xdp.h, af_xdp.rst): the sizes and places of what both sides share.

Packets lie in chunks of a memory area (UMEM).  A descriptor names one; those to send go into the TX ring, and the
kernel hands the chunk back through the completion ring.  A ring is a producer and a consumer, counters of 32 bits
that wrap, and a power of two of entries.
"""

from __future__ import annotations

from struct import Struct

from portside.wire.layout import Layout

AF_XDP = 44
SOL_XDP = 283
XDP_MMAP_OFFSETS = 1
XDP_TX_RING = 3
XDP_UMEM_REG = 4
XDP_UMEM_FILL_RING = 5
XDP_UMEM_COMPLETION_RING = 6
XDP_MAX_TX_SKB_BUDGET = 9  # 6.18 ("xsk: support batch size of generic xmit"): packets in one call, 32 before

XDP_COPY = 1 << 1

XDP_PGOFF_TX_RING = 0x80000000
XDP_UMEM_PGOFF_COMPLETION_RING = 0x180000000

CHUNK = 2048  # XDP_UMEM_MIN_CHUNK_SIZE

DESCRIPTOR = Layout("xdp_desc", "Q addr", "I len", "I options")
XDP_UMEM = Layout(
    "xdp_umem_reg", "Q addr", "Q len", "I chunk_size", "I headroom", "I flags", "I tx_metadata_len"
)
SOCKADDR_XDP = Layout(
    "sockaddr_xdp",
    "H sxdp_family",
    "H sxdp_flags",
    "I sxdp_ifindex",
    "I sxdp_queue_id",
    "I sxdp_shared_umem_fd",
)
# struct xdp_mmap_offsets: producer, consumer, desc, flags of the rings rx, tx, fr, cr
MMAP_OFFSETS = Struct("=16Q")
