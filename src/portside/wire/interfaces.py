"""rtnetlink: interfaces with their counters, and their addresses (include/uapi/linux/if_link.h, if_addr.h)."""

from __future__ import annotations

import struct
import sys

from portside.errors import BadReply
from portside.record import Record
from portside.wire import netlink
from portside.wire.layout import Layout
from portside.wire.rtnetlink import IFINFOMSG, IFLA_IFNAME, RTM_NEWLINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RTM_NEWADDR = 20
RTM_GETADDR = 22

IFADDRMSG = Layout(
    "ifaddrmsg", "B ifa_family", "B ifa_prefixlen", "B ifa_flags", "B ifa_scope", "I ifa_index"
)

IFLA_ADDRESS = 1
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_TXQLEN = 13
IFLA_MAP = 14
IFLA_LINKINFO = 18
IFLA_STATS64 = 23
IFLA_GROUP = 27
IFLA_LINK_NETNSID = 37
IFLA_XDP = 43
IFLA_INFO_KIND = 1
IFLA_XDP_ATTACHED = 2
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_LABEL = 3
IFA_BROADCAST = 4
IFA_F_OPTIMISTIC = 0x04
IFA_F_TENTATIVE = 0x40

IFF_UP = 1  # include/uapi/linux/if.h

# the first ten of struct rtnl_link_stats64
_STATISTICS = struct.Struct("=10Q")
_IFMAP = struct.Struct("=3QH2B")  # struct rtnl_link_ifmap


class Counters(Record):
    """What went through an interface since it was made (struct rtnl_link_stats64)."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0
    multicast: int = 0
    collisions: int = 0


class Resources(Record):
    """What a device takes of the machine (struct rtnl_link_ifmap): memory, I/O base, interrupt, DMA channel."""

    memory_start: int = 0
    memory_end: int = 0
    base: int = 0
    interrupt: int = 0
    dma: int = 0


class Interface(Record):
    """One interface: `hardware` is its link-layer address, `type` the kind of it (include/uapi/linux/if_arp.h).

    `flags` are the bits of IFF_*, `queue_length` is that of packets to be sent.  `kind` is the driver's name for a
    virtual one, `master` the index of the bridge, bond or VRF it belongs to; `xdp`: a program sees its packets
    before any rule.  `peer` is the index of the link that it hangs on or is paired with (0: none, or another
    namespace's).
    """

    index: int
    name: str
    up: bool
    mtu: int
    hardware: bytes
    counters: Counters
    type: int = 0
    flags: int = 0
    queue_length: int = 0
    resources: Resources = Resources()
    kind: str = ""
    group: int = 0
    master: int = 0
    xdp: bool = False
    peer: int = 0


class InterfaceAddress(Record):
    """An address of an interface: family number, raw bytes, length of the network's prefix, bits of IFA_F_*.

    `peer` is the other end of a point-to-point link (else the address again), `label` the name that an IPv4 address
    goes by (`eth0:1`), empty where it has none.
    """

    index: int
    family: int
    address: bytes
    prefix: int
    peer: bytes = b""
    broadcast: bytes = b""
    label: str = ""
    flags: int = 0

    @property
    def taken(self) -> bool:
        """Whether packets to it are taken: not while others are asked whether they have it, nor when one has."""
        return not self.flags & IFA_F_TENTATIVE or bool(self.flags & IFA_F_OPTIMISTIC)


def address_request() -> bytes:
    """Return the dump request for the addresses of all interfaces."""
    return netlink.message(RTM_GETADDR, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, IFADDRMSG.write())


def interfaces(buffer: bytes | bytearray | memoryview) -> Iterator[Interface]:
    """Yield the interfaces of a dump (`rtnetlink.request`); raises BadReply where a message is malformed."""
    for numbers, told in _answers(buffer, RTM_NEWLINK, IFINFOMSG):
        raw = told.get(IFLA_STATS64, b"")
        counters = Counters(*_STATISTICS.unpack_from(raw)) if len(raw) >= _STATISTICS.size else Counters()
        other = 0 if IFLA_LINK_NETNSID in told else _number(told.get(IFLA_LINK, b""))
        yield Interface(
            numbers[2], _text(told.get(IFLA_IFNAME, b"")), bool(numbers[3] & IFF_UP),
            _number(told.get(IFLA_MTU, b"")), told.get(IFLA_ADDRESS, b""), counters, numbers[1], numbers[3],
            _number(told.get(IFLA_TXQLEN, b"")), _resources(told.get(IFLA_MAP, b"")),
            _text(_nested(told.get(IFLA_LINKINFO, b""), IFLA_INFO_KIND)), _number(told.get(IFLA_GROUP, b"")),
            _number(told.get(IFLA_MASTER, b"")), any(_nested(told.get(IFLA_XDP, b""), IFLA_XDP_ATTACHED)),
            other,
        )  # fmt: skip


def _resources(raw: bytes) -> Resources:
    return Resources(*_IFMAP.unpack_from(raw)[:5]) if len(raw) >= _IFMAP.size else Resources()


def addresses(buffer: bytes | bytearray | memoryview) -> Iterator[InterfaceAddress]:
    """Yield the addresses of a dump; raises BadReply where a message is malformed."""
    for (family, prefix, flags, _, index), told in _answers(buffer, RTM_NEWADDR, IFADDRMSG):
        raw = told.get(IFA_LOCAL) or told.get(IFA_ADDRESS, b"")
        if len(raw) not in (4, 16):
            raise BadReply("read", "struct ifaddrmsg", f"an address of {len(raw)} bytes")
        yield InterfaceAddress(
            index, family, raw, prefix, told.get(IFA_ADDRESS, b""), told.get(IFA_BROADCAST, b""),
            _text(told.get(IFA_LABEL, b"")), flags,
        )  # fmt: skip


def _answers(
    buffer: bytes | bytearray | memoryview, kind: int, layout: Layout
) -> Iterator[tuple[tuple[int, ...], dict[int, bytes]]]:
    """Yield (struct fields, attributes) of every answer."""
    for values, start, end in netlink.structs(buffer, kind, layout):
        yield values, dict(netlink.attributes(buffer, start, end))


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _nested(raw: bytes, kind: int) -> bytes:
    """Return one attribute of a nest, empty where it is not there."""
    return dict(netlink.attributes(raw, 0, len(raw))).get(kind, b"")


def _number(raw: bytes) -> int:
    return int.from_bytes(raw[:4], sys.byteorder)
