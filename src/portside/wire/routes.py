"""rtnetlink: the routes of a network namespace (include/uapi/linux/rtnetlink.h, rtnetlink(7))."""

from __future__ import annotations

import sys

from portside.errors import BadReply
from portside.record import Record
from portside.wire import netlink
from portside.wire.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RTM_NEWROUTE = 24
RTM_GETROUTE = 26
RTM_NEWRULE = 32
RTM_GETRULE = 34

RTMSG = Layout(
    "rtmsg", "B rtm_family", "B rtm_dst_len", "B rtm_src_len", "B rtm_tos", "B rtm_table", "B rtm_protocol",
    "B rtm_scope", "B rtm_type", "I rtm_flags",
)  # fmt: skip
RTNEXTHOP = Layout("rtnexthop", "H rtnh_len", "B rtnh_flags", "B rtnh_hops", "i rtnh_ifindex")
CACHEINFO = Layout(
    "rta_cacheinfo", "I rta_clntref", "I rta_lastuse", "i rta_expires", "I rta_error", "I rta_used",
    "I rta_id", "I rta_ts", "I rta_tsage",
)  # fmt: skip

RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RTA_METRICS = 8
RTA_MULTIPATH = 9
RTA_CACHEINFO = 12
RTA_TABLE = 15
RTA_VIA = 18
RTAX_MTU = 2

# rtm_type
RTN_UNICAST = 1
RTN_LOCAL = 2
RTN_BLACKHOLE = 6
RTN_UNREACHABLE = 7
RTN_PROHIBIT = 8

# rtm_protocol
RTPROT_REDIRECT = 1
RTPROT_KERNEL = 2
RTPROT_BOOT = 3
RTPROT_STATIC = 4

RT_TABLE_MAIN = 254
RT_TABLE_LOCAL = 255

RTM_F_CLONED = 0x200

_USER_HZ = 100


class Route(Record):
    """One way to a network: raw addresses (`gateway` empty where there is none), index of the interface.

    `expires` is in seconds, 0 where the route lasts; a route over several gateways is several of these.
    """

    family: int
    prefix: int
    destination: bytes
    gateway: bytes
    interface: int
    type: int
    protocol: int
    table: int
    mtu: int = 0
    expires: int = 0
    metric: int = 0


def request() -> bytes:
    """Return the dump request for the routes of every table and family."""
    return netlink.message(RTM_GETROUTE, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, RTMSG.write())


def rules_request() -> bytes:
    """Return the dump request for the rules that choose a table of routes (ip-rule(8))."""
    return netlink.message(RTM_GETRULE, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, RTMSG.write())


def count_rules(buffer: bytes | bytearray | memoryview) -> int:
    """Return how many rules a dump holds; a plain host has three for IPv4 and two for IPv6."""
    return sum(
        part.type == RTM_NEWRULE
        and buffer[part.start] in (2, 10)  # AF_INET, AF_INET6: not those of multicast
        for part in netlink.messages(buffer)
    )


def routes(buffer: bytes | bytearray | memoryview) -> Iterator[Route]:
    """Yield the routes of a dump, cached ones left out; raises BadReply where a message is malformed."""
    for values, start, end in netlink.structs(buffer, RTM_NEWROUTE, RTMSG):
        family, prefix, _, _, table, protocol, _, kind, flags = values
        told = dict(netlink.attributes(buffer, start, end))
        if flags & RTM_F_CLONED:
            continue
        metrics = told.get(RTA_METRICS, b"")
        mtu = _number(dict(netlink.attributes(metrics, 0, len(metrics))).get(RTAX_MTU, b""))
        for gateway, interface in _hops(told):
            yield Route(
                family, prefix, told.get(RTA_DST, b""), gateway, interface, kind, protocol,
                _number(told.get(RTA_TABLE, b"")) or table, mtu, _expires(told.get(RTA_CACHEINFO, b"")),
                _number(told.get(RTA_PRIORITY, b"")),
            )  # fmt: skip


def _hops(told: dict[int, bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield (gateway, interface) of each way a route has."""
    several = told.get(RTA_MULTIPATH)
    if several is None:
        yield _gateway(told), _number(told.get(RTA_OIF, b""))
        return
    offset = 0
    while offset < len(several):
        length, _, _, interface = RTNEXTHOP.read(several, offset)
        if not RTNEXTHOP.size <= length <= len(several) - offset:
            raise BadReply("read", "struct rtnexthop", f"it claims {length} of {len(several) - offset} bytes")
        yield _gateway(dict(netlink.attributes(several, offset + RTNEXTHOP.size, offset + length))), interface
        offset += netlink.align(length)


def _gateway(told: dict[int, bytes]) -> bytes:
    """Return the gateway's address; behind RTA_VIA it has its family in front (struct rtvia)."""
    return told.get(RTA_GATEWAY) or told.get(RTA_VIA, b"")[2:]


def _expires(info: bytes) -> int:
    return max(CACHEINFO.read(info)[2] // _USER_HZ, 0) if len(info) >= CACHEINFO.size else 0


def _number(raw: bytes) -> int:
    return int.from_bytes(raw[:4], sys.byteorder)
