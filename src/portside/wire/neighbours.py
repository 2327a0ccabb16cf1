"""rtnetlink: the way to one address, and the neighbour table (include/uapi/linux/rtnetlink.h, neighbour.h)."""

from __future__ import annotations

import sys

from portside.errors import BadReply
from portside.record import Record
from portside.wire import netlink
from portside.wire.layout import Layout
from portside.wire.routes import RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_VIA, RTM_GETROUTE, RTM_NEWROUTE, RTMSG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RTM_NEWNEIGH = 28
RTM_GETNEIGH = 30
NDMSG = Layout("ndmsg", "B ndm_family", "3x", "i ndm_ifindex", "H ndm_state", "B ndm_flags", "B ndm_type")
NDA_DST = 1
NDA_LLADDR = 2
RTA_PREFSRC = 7

# ndm_state: those in which the hardware address may be used
NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x80
_USABLE = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT

_INET, _INET6 = 2, 10


class Way(Record):
    """How the kernel would send to an address: route type (RTN_*), interface, own address, gateway (empty: none)."""

    type: int
    interface: int
    source: bytes
    gateway: bytes


class Neighbour(Record):
    """One row of the neighbour table whose hardware address may be used."""

    interface: int
    address: bytes
    hardware: bytes


def way_request(address: bytes, interface: int = 0) -> bytes:
    """Return the request for the way to one raw address (out of one interface); the ack asked for ends the answer."""
    family = _INET if len(address) == 4 else _INET6
    head = RTMSG.write(rtm_family=family, rtm_dst_len=len(address) * 8)
    wanted = netlink.attribute(RTA_DST, address)
    if interface:
        wanted += netlink.attribute(RTA_OIF, interface.to_bytes(4, sys.byteorder))
    return netlink.message(RTM_GETROUTE, netlink.NLM_F_REQUEST | netlink.NLM_F_ACK, head + wanted)


def read_way(buffer: bytes | bytearray | memoryview) -> Way:
    """Read the answer to `way_request`; raises BadReply where it is none."""
    for part in netlink.messages(buffer):
        if part.type != RTM_NEWROUTE:
            break
        kind = RTMSG.read(buffer, part.start)[7]
        told = dict(netlink.attributes(buffer, part.start + RTMSG.size, part.end))
        interface = int.from_bytes(told.get(RTA_OIF, b"")[:4], sys.byteorder)
        gateway = told.get(RTA_GATEWAY) or told.get(RTA_VIA, b"")[2:]
        return Way(kind, interface, told.get(RTA_PREFSRC, b""), gateway)
    raise BadReply("read", "route", "the kernel's answer holds none")


def table_request() -> bytes:
    """Return the dump request for the neighbours of both families."""
    return netlink.message(RTM_GETNEIGH, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, NDMSG.write())


def neighbours(buffer: bytes | bytearray | memoryview) -> Iterator[Neighbour]:
    """Yield the usable neighbours of a dump."""
    for (_, interface, state, _, _), start, end in netlink.structs(buffer, RTM_NEWNEIGH, NDMSG):
        told = dict(netlink.attributes(buffer, start, end))
        if state & _USABLE and NDA_DST in told and len(told.get(NDA_LLADDR, b"")) == 6:
            yield Neighbour(interface, told[NDA_DST], told[NDA_LLADDR])
