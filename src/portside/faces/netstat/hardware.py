"""What net-tools calls the kinds of link, and how it writes their addresses (lib/hw.c of net-tools 2.10)."""

from __future__ import annotations

# ARPHRD_* (include/uapi/linux/if_arp.h) -> name, title, how the address is written: number of bytes, format of each,
# what stands between them; 0 bytes: not at all
_KINDS = {
    772: ("loop", "Local Loopback", 0, "", ""),
    256: ("slip", "Serial Line IP", 0, "", ""),
    257: ("cslip", "VJ Serial Line IP", 0, "", ""),
    258: ("slip6", "6-bit Serial Line IP", 0, "", ""),
    259: ("cslip6", "VJ 6-bit Serial Line IP", 0, "", ""),
    264: ("adaptive", "Adaptive Serial Line IP", 0, "", ""),
    1: ("ether", "Ethernet", 6, "02x", ":"),
    768: ("tunnel", "IPIP Tunnel", 0, "", ""),
    512: ("ppp", "Point-to-Point Protocol", 0, "", ""),
    513: ("hdlc", "(Cisco)-HDLC", 0, "", ""),
    516: ("lapb", "LAPB", 0, "", ""),
    7: ("arcnet", "ARCnet", 1, "02X", ""),
    770: ("frad", "Frame Relay Access Device", 0, "", ""),
    776: ("sit", "IPv6-in-IPv4", 0, "", ""),
    774: ("fddi", "Fiber Distributed Data Interface", 6, "02X", "-"),
    780: ("hippi", "HIPPI", 6, "02X", ":"),
    27: ("eui64", "Generic EUI-64", 8, "02X", ":"),
}
_OTHER = ("unspec", "UNSPEC", 16, "02X", "-")
_TOLD = 8  # bytes of an address that netstat keeps


def describe(kind: int, address: bytes) -> tuple[str, str]:
    """Return a link's name with its address, and its title."""
    name, title, size, form, between = _KINDS.get(kind, _OTHER)
    raw = address[:_TOLD].ljust(size, b"\0")
    text = between.join(format(byte, form) for byte in raw[:size])
    return (f"{name} {text}" if size or name == "tunnel" else name), title
