"""The memory-mapped ring of a packet socket, version 2 (include/uapi/linux/if_packet.h, packet_mmap.rst).

Each slot of the ring has the same size: a struct tpacket2_hdr, a struct sockaddr_ll, padding, the packet.  `status`
belongs to the kernel while it is 0; who has read a slot writes 0 back.  On a SOCK_DGRAM socket the packet starts with
its network header, always at `DATA`.
"""

from __future__ import annotations

from portside.wire.layout import Layout

SOL_PACKET = 263
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
PACKET_IGNORE_OUTGOING = 23  # 4.20
TPACKET_V2 = 1
SO_ATTACH_FILTER = 26  # include/uapi/asm-generic/socket.h

TP_STATUS_KERNEL = 0
TP_STATUS_USER = 1

TPACKET_REQ = Layout("tpacket_req", "I tp_block_size", "I tp_block_nr", "I tp_frame_size", "I tp_frame_nr")
TPACKET2_HDR = Layout(
    "tpacket2_hdr", "I tp_status", "I tp_len", "I tp_snaplen", "H tp_mac", "H tp_net", "I tp_sec", "I tp_nsec",
    "H tp_vlan_tci", "H tp_vlan_tpid", "4x",
)  # fmt: skip
TPACKET_STATS = Layout("tpacket_stats", "I tp_packets", "I tp_drops")
SOCKADDR_LL = Layout(
    "sockaddr_ll", "H sll_family", "H sll_protocol", "i sll_ifindex", "H sll_hatype", "B sll_pkttype",
    "B sll_halen", "8s sll_addr",
)  # fmt: skip

# TPACKET_ALIGN(sizeof(struct tpacket2_hdr) + sizeof(struct sockaddr_ll)) + 16: net/packet/af_packet.c, tpacket_rcv
DATA = 80
