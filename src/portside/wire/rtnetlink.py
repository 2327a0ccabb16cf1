"""rtnetlink: the links of a network namespace (include/uapi/linux/rtnetlink.h, if_link.h, rtnetlink(7)).

Read here: index, name, kind, and the UDP port that a tunnel's kernel socket is bound to.
"""

from __future__ import annotations

from portside.record import Record
from portside.wire import netlink
from portside.wire.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RTM_NEWLINK = 16
RTM_GETLINK = 18

IFINFOMSG = Layout(
    "ifinfomsg", "B ifi_family", "x", "H ifi_type", "i ifi_index", "I ifi_flags", "I ifi_change"
)

IFLA_IFNAME = 3
IFLA_LINKINFO = 18
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2

# kind -> the attribute of IFLA_INFO_DATA with its UDP port, in network byte order
TUNNEL_PORTS = {
    "vxlan": 15,  # IFLA_VXLAN_PORT
    "geneve": 5,  # IFLA_GENEVE_PORT
    "bareudp": 1,  # IFLA_BAREUDP_PORT
}


class Link(Record):
    """One interface: `kind` is the driver's name for a virtual one, `port` a tunnel's UDP port (0: none told)."""

    index: int
    name: str
    kind: str = ""
    port: int = 0


def request() -> bytes:
    """Return the dump request for all links."""
    return netlink.message(RTM_GETLINK, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, IFINFOMSG.write())


def links(buffer: bytes | bytearray | memoryview) -> Iterator[Link]:
    """Yield the links of a dump; raises BadReply where a message is malformed."""
    for (_, _, index, *_), start, end in netlink.structs(buffer, RTM_NEWLINK, IFINFOMSG):
        told = dict(netlink.attributes(buffer, start, end))
        kind, port = _tunnel(told.get(IFLA_LINKINFO, b""))
        yield Link(index, _text(told.get(IFLA_IFNAME, b"")), kind, port)


def _tunnel(info: bytes) -> tuple[str, int]:
    """Return the kind and the tunnel port that a link's IFLA_LINKINFO tells."""
    told = dict(netlink.attributes(info, 0, len(info)))
    kind = _text(told.get(IFLA_INFO_KIND, b""))
    wanted = TUNNEL_PORTS.get(kind)
    if wanted is None:
        return kind, 0
    data = told.get(IFLA_INFO_DATA, b"")
    port = dict(netlink.attributes(data, 0, len(data))).get(wanted, b"")
    return kind, int.from_bytes(port[:2], "big")


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")
