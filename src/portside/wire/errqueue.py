"""A socket's error queue: what IP_RECVERR and IPV6_RECVERR put there (ip(7), include/uapi/linux/errqueue.h).

An ICMP error tells more than the errno that connect(2) fails with: its type and code, and who sent it.
"""

from __future__ import annotations

import sys

from portside.errors import BadReply
from portside.ports.address import format_address
from portside.record import Record
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_INET, AF_INET6

SOCK_EXTENDED_ERR = Layout(
    "sock_extended_err", "I ee_errno", "B ee_origin", "B ee_type", "B ee_code", "x", "I ee_info", "I ee_data"
)
IP_RECVERR = 11  # include/uapi/linux/in.h
IPV6_RECVERR = 25  # include/uapi/linux/in6.h
MSG_ERRQUEUE = 0x2000  # include/linux/socket.h
SO_EE_ORIGIN_LOCAL = 1
SO_EE_ORIGIN_ICMP = 2
SO_EE_ORIGIN_ICMP6 = 3

_ORIGINS = {SO_EE_ORIGIN_LOCAL: "local", SO_EE_ORIGIN_ICMP: "icmp", SO_EE_ORIGIN_ICMP6: "icmp6"}
# (origin, type, code) -> words (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 section 3)
_WORDS = {
    ("icmp", 3, 0): "network unreachable",
    ("icmp", 3, 1): "host unreachable",
    ("icmp", 3, 2): "protocol unreachable",
    ("icmp", 3, 3): "port unreachable",
    ("icmp", 3, 4): "packet too big",
    ("icmp", 3, 5): "source route failed",
    ("icmp", 3, 6): "network unknown",
    ("icmp", 3, 7): "host unknown",
    ("icmp", 3, 9): "network administratively prohibited",
    ("icmp", 3, 10): "host administratively prohibited",
    ("icmp", 3, 13): "communication administratively prohibited",
    ("icmp", 11, 0): "time to live exceeded",
    ("icmp6", 1, 0): "no route to destination",
    ("icmp6", 1, 1): "communication administratively prohibited",
    ("icmp6", 1, 2): "beyond the scope of the source address",
    ("icmp6", 1, 3): "address unreachable",
    ("icmp6", 1, 4): "port unreachable",
    ("icmp6", 1, 5): "source address failed the policy",
    ("icmp6", 1, 6): "route to destination is rejected",
    ("icmp6", 2, 0): "packet too big",
    ("icmp6", 3, 0): "hop limit exceeded",
}


class ExtendedError(Record):
    """One entry of the queue: errno, origin (`icmp`, `icmp6`, `local` or a number), type, code, and the sender."""

    errno: int
    origin: str
    type: int
    code: int
    sender: str = ""

    @property
    def words(self) -> str:
        """What the type and code mean: `port unreachable`."""
        known = _WORDS.get((self.origin, self.type, self.code))
        return known or f"{self.origin} type {self.type} code {self.code}"


def extended_error(data: bytes) -> ExtendedError:
    """Return what a control message of IP_RECVERR or IPV6_RECVERR holds; raises BadReply where it is too short.

    Behind the struct stands the sender's socket address (SO_EE_OFFENDER), of no family where there is none.
    """
    if len(data) < SOCK_EXTENDED_ERR.size:
        raise BadReply("read", "struct sock_extended_err", f"it has {len(data)} bytes")
    number, origin, kind, code, _, _ = SOCK_EXTENDED_ERR.read(data)
    return ExtendedError(
        number, _ORIGINS.get(origin, str(origin)), kind, code, _address(data[SOCK_EXTENDED_ERR.size :])
    )


def _address(raw: bytes) -> str:
    """Return the address in a sockaddr_in or sockaddr_in6, empty for anything else."""
    family = int.from_bytes(raw[:2], sys.byteorder)
    if family == AF_INET and len(raw) >= 8:
        return format_address(raw[4:8])
    if family == AF_INET6 and len(raw) >= 24:
        return format_address(raw[8:24])
    return ""
