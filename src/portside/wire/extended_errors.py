"""struct sock_extended_err: the ICMP error behind a socket's errno (include/uapi/linux/errqueue.h; ip(7)).

A reset and an ICMP port-unreachable both end connect(2) with ECONNREFUSED.  A socket with IP_RECVERR (IPV6_RECVERR)
keeps what an ICMP error said in its error queue; a reset leaves nothing there.  The structure is followed by the
address of who sent the error.
"""

from __future__ import annotations

import struct

from portside.record import Record
from portside.wire.layout import Layout

SOL_IP = 0
IP_RECVERR = 11  # include/uapi/linux/in.h
SOL_IPV6 = 41
IPV6_RECVERR = 25  # include/uapi/linux/in6.h
MSG_ERRQUEUE = 0x2000  # include/linux/socket.h

SO_EE_ORIGIN_LOCAL = 1
SO_EE_ORIGIN_ICMP = 2
SO_EE_ORIGIN_ICMP6 = 3

SOCK_EXTENDED_ERR = Layout(
    "sock_extended_err", "I ee_errno", "B ee_origin", "B ee_type", "B ee_code", "B ee_pad", "I ee_info",
    "I ee_data",
)  # fmt: skip
_ADDRESS = {2: slice(4, 8), 10: slice(8, 24)}  # sin_addr, sin6_addr, by address family


class IcmpError(Record):
    """An ICMP (or ICMPv6) error: its type and code, and the raw address of its sender, empty where not told."""

    type: int
    code: int
    sender: bytes
    width: int


def icmp_error(control: list[tuple[int, int, bytes]]) -> IcmpError | None:
    """Return the ICMP error in a message's control data, None if it holds another error or none."""
    for level, kind, data in control:
        if (level, kind) not in ((SOL_IP, IP_RECVERR), (SOL_IPV6, IPV6_RECVERR)):
            continue
        if len(data) < SOCK_EXTENDED_ERR.size:
            continue
        _, origin, type, code, *_ = SOCK_EXTENDED_ERR.read(data)
        if origin not in (SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6):
            continue
        offender = data[SOCK_EXTENDED_ERR.size :]
        family = struct.unpack_from("=H", offender)[0] if len(offender) >= 2 else 0
        sender = bytes(offender[_ADDRESS.get(family, slice(0))])
        return IcmpError(type, code, sender, 4 if origin == SO_EE_ORIGIN_ICMP else 16)
    return None
