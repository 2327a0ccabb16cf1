"""Packets between bytes and values: one protocol per file, one packet at a time.

Numbers and bytes only: addresses stay raw (4 or 16 bytes), names come later.  Reading is bounded and never fails on
what a stranger sent: a reader returns None for what is cut short or is something else.  `probe` makes packets by the
hundred thousand from templates written here.
"""

from __future__ import annotations

ETH_P_IP = 0x0800  # include/uapi/linux/if_ether.h
ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
ETH_P_ALL = 0x0003

TCP = 6  # the protocol numbers of IANA, RFC 5237
UDP = 17
ICMP = 1
ICMPV6 = 58
