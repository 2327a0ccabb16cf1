"""Sockets that are neither Internet's nor Unix's, from the text of /proc/net as lsof reads it.

They have no option that selects them; they are listed where descriptors are asked for by number (-a -p PID -d 3).
Reference: packet(7), netlink(7), raw(7), net/sctp/proc.c; include/uapi/linux/if_ether.h and netlink.h for the names.
"""

from __future__ import annotations

import os

from portside.faces.lsof.files import File
from portside.faces.lsof.tables import SOCKET_TYPES
from portside.system import tasks
from portside.system.host import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.system.tasks import Task

_NETLINK = {
    0: "ROUTE", 1: "UNUSED", 2: "USERSOCK", 3: "FIREWALL", 4: "INET_DIAG", 5: "NFLOG", 6: "XFRM", 7: "SELINUX",
    8: "ISCSI", 9: "AUDIT", 10: "FIB_LOOKUP", 11: "CONNECTOR", 12: "NETFILTER", 13: "IP6_FW", 14: "DNRTMSG",
    15: "KOBJECT_UEVENT", 16: "GENERIC", 18: "SCSITRANSPORT", 19: "ECRYPTFS", 20: "RDMA", 21: "CRYPTO", 22: "SMC",
}  # fmt: skip
# at most seven characters, the width of NODE's text
_ETHERTYPES = {
    0x0001: "802.3", 0x0002: "AX25", 0x0003: "ALL", 0x0004: "802.2", 0x0005: "SNAP", 0x0006: "DDCMP",
    0x0007: "WAN_PPP", 0x0008: "PPP MP", 0x0009: "LCLTALK", 0x0010: "PPPTALK", 0x0011: "802.2",
    0x0015: "MOBITEX", 0x0016: "CONTROL", 0x0017: "IRDA", 0x0018: "ECONET", 0x0019: "HDLC", 0x001A: "ARCNET",
    0x0060: "LOOP", 0x0200: "PUP", 0x0201: "PUPAT", 0x0800: "IP", 0x0805: "X25", 0x0806: "ARP", 0x08FF: "BPQ",
    0x0A00: "I3EPUP", 0x0A01: "I3EPUPA", 0x6000: "DEC", 0x6001: "DNA_DL", 0x6002: "DNA_RC", 0x6003: "DNA_RT",
    0x6004: "LAT", 0x6005: "DIAG", 0x6006: "CUST", 0x6007: "SCA", 0x8035: "RARP", 0x809B: "ATALK",
    0x80F3: "AARP", 0x8100: "8021Q", 0x8137: "IPX", 0x86DD: "IPV6", 0x8809: "SLOW", 0x883E: "WCCP",
    0x8847: "MPLS_UC", 0x8848: "MPLS_MC", 0x884C: "ATMMPOA", 0x8863: "PPP_DIS", 0x8864: "PPP_SES",
    0x8884: "ATMFATE", 0x88A2: "AOE", 0x88CA: "TIPC",
}  # fmt: skip


class Others:
    """inode -> (type, protocol, name) of those sockets of this namespace; `not_tcp` is -X."""

    def __init__(self, not_tcp: bool) -> None:
        self._not_tcp = not_tcp
        self._known: dict[int, tuple[str, str, str]] = {}
        for read in (_icmp, _sctp, _raw6, _packet, _netlink, _raw):
            if read is not _raw6 or not not_tcp:
                self._known.update(read())

    def file(self, task: Task, descriptor: int, inode: int, bits: int) -> File:
        """Return a socket's file; of an unknown one the kernel still tells the protocol's name."""
        if inode in self._known:
            kind, protocol, name = self._known[inode]
            device = str(inode) if protocol else ""
            return File(descriptor, kind, inode, bits, protocol=protocol, name=name, device=device)
        name = tasks.protocol_name(task, descriptor)
        file = File(
            descriptor, "sock", inode, bits, name=f"protocol: {name}" if name else "can't identify protocol"
        )
        if self._not_tcp:
            file.name = "can't identify protocol (-X specified)"
        file.number = tasks.device(task, descriptor)
        file.device = f"{os.major(file.number)},{os.minor(file.number)}"
        return file


def _lines(name: str, fewest: int) -> Iterator[list[str]]:
    """Yield the fields of each line of a file of /proc/net but the first; nothing where there is no such file."""
    try:
        text = LIVE.net(name)
    except OSError:
        return
    for line in text.split("\n")[1:]:
        fields = line.split()
        if len(fields) >= fewest:
            yield fields


def _raw() -> Iterator[tuple[int, tuple[str, str, str]]]:
    yield from _raw_of("raw")


def _raw6() -> Iterator[tuple[int, tuple[str, str, str]]]:
    yield from _raw_of("raw6")


def _raw_of(kind: str) -> Iterator[tuple[int, tuple[str, str, str]]]:
    for fields in _lines(kind, 10):
        yield int(fields[9]), (kind, "", f"{fields[1]}->{fields[2]} st={fields[3]}")


def _icmp() -> Iterator[tuple[int, tuple[str, str, str]]]:
    for fields in _lines("icmp", 11):
        yield int(fields[9]), ("icmp", "", f"{fields[1]}->{fields[2]}")


def _netlink() -> Iterator[tuple[int, tuple[str, str, str]]]:
    for fields in _lines("netlink", 10):
        number = int(fields[1])
        yield int(fields[9]), ("netlink", "", _NETLINK.get(number, f"unknown protocol: {number}"))


def _packet() -> Iterator[tuple[int, tuple[str, str, str]]]:
    for fields in _lines("packet", 9):
        kind, ethertype = int(fields[2]), int(fields[3], 16)
        name = f"type=SOCK_{SOCKET_TYPES[kind]}" if kind in SOCKET_TYPES else "type=unknown"
        yield int(fields[8]), ("pack", _ETHERTYPES.get(ethertype, str(ethertype))[:7], name)


def _sctp() -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Associations and endpoints of one socket share its line; addresses and ports are listed each once."""
    associations: dict[int, list[dict[str, None]]] = {}
    for fields in _lines("sctp/assocs", 16):
        known = associations.setdefault(int(fields[10]), [{} for _ in range(6)])
        middle = fields.index("<->", 13) if "<->" in fields[13:] else len(fields)
        remote = [one for one in fields[middle + 1 :] if "." in one or ":" in one]
        told = (fields[0], fields[6], fields[11], fields[12], ",".join(fields[13:middle]), ",".join(remote))
        for column, text in zip(known, told, strict=True):
            column[text] = None
    endpoints: dict[int, list[dict[str, None]]] = {}
    for fields in _lines("sctp/eps", 9):
        known = associations.get(int(fields[7])) or endpoints.setdefault(
            int(fields[7]), [{} for _ in range(6)]
        )
        known[0][fields[0]] = known[2][fields[5]] = known[4][",".join(fields[8:])] = None
    for inode, columns in (endpoints | associations).items():
        address, number, lport, rport, local, remotes = (",".join(column) for column in columns)
        if inode in endpoints:
            yield inode, ("sock", "SCTP", f"ENDPT: {address} {local}[{lport}]")
        else:
            yield (
                inode,
                ("sock", "SCTP", f"ASSOC+ENDPT: {address},{number} {local}[{lport}]<->{remotes}[{rport}]"),
            )
