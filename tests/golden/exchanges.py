"""The golden exchanges: what is asked and how the answer is read.  `record.py` makes the files, `test_replies.py`
holds the code against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from portside.ports.address import format_address
from portside.system.netlink import NETLINK_ROUTE, NETLINK_SOCK_DIAG
from portside.wire import (
    bytecode,
    inet_diag,
    interfaces,
    netlink,
    netlink_diag,
    packet_diag,
    procnet,
    routes,
    rtnetlink,
    tcp_states,
    unix_diag,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.wire.layout import Layout

V4, V6 = inet_diag.AF_INET, inet_diag.AF_INET6
TCP, UDP, MPTCP = inet_diag.IPPROTO_TCP, inet_diag.IPPROTO_UDP, inet_diag.IPPROTO_MPTCP
LISTEN, BOUND = 1 << tcp_states.LISTEN, 1 << tcp_states.BOUND_INACTIVE
CONNECTED = tcp_states.ALL & ~LISTEN & ~BOUND
PORTS_FROM_8081 = bytecode.assemble(bytecode.port(bytecode.INET_DIAG_BC_S_GE, 8081))
IFLA_NAMES = {3: "ifname", 4: "mtu", 6: "qdisc", 18: "linkinfo"}


class Exchange(NamedTuple):
    """A request, what it asks for in words, the reader of its answers, and the structs they are made of."""

    what: str
    request: bytes
    read: Callable[[bytes], list[object]]
    layout: Layout
    names: dict[int, str]
    asked: Layout
    protocol: int = NETLINK_SOCK_DIAG


def _inet(what: str, request: bytes, asked: Layout = inet_diag.REQUEST) -> Exchange:
    return Exchange(what, request, _inet_values, inet_diag.MESSAGE, _names(inet_diag.ATTRIBUTES), asked)


def _inet_values(data: bytes) -> list[object]:
    return [(readable(row), inet_diag.attributes(row[15])) for row in inet_diag.rows(data)]


def readable(row: inet_diag.Row) -> tuple[object, ...]:
    """A row without its tail, addresses and ports as people write them."""
    family, state, timer, retransmits, sport, dport, src, dst, *rest, _ = row
    local, remote = (format_address(raw[: 4 if family == V4 else 16]) for raw in (src, dst))
    return (
        family, tcp_states.NAMES[state], timer, retransmits, local, inet_diag.ntohs(sport), remote,
        inet_diag.ntohs(dport), *rest,
    )  # fmt: skip


def readings(name: str, text: str) -> list[object]:
    """What a text of /proc/net means."""
    if name in ("protocols", "sockstat"):
        told = getattr(procnet, name)(text)
        return [dict(told)] if name == "sockstat" else [sorted(told)]
    if name in ("unix", "packet", "netlink"):
        return list(getattr(procnet, name)(text))
    return [readable(row) for row in procnet.inet(text, name)]


def _family(what: str, module) -> Exchange:
    request = module.request((1 << 32) - 1) if module is unix_diag else module.request()
    read = lambda data: list(module.answers(data))  # noqa: E731
    return Exchange(what, request, read, module.MESSAGE, _names(module.ATTRIBUTES), module.REQUEST)


def _names(table) -> dict[int, str]:
    return {number: name for number, (name, _) in table.items()}


def _link_values(data: bytes) -> list[object]:
    return [tuple(value for _, value in link.items()) for link in rtnetlink.links(data)]


def _values(read: Callable[[bytes], list[object]]) -> Callable[[bytes], list[object]]:
    return lambda data: [tuple(value for _, value in one.items()) for one in read(data)]


def _interface_values(data: bytes) -> list[object]:
    """Interfaces without their counters' record, which is told as its numbers."""
    return [
        (
            *(value for name, value in one.items() if name not in ("counters", "resources")),
            *(n for _, n in (*one.resources.items(), *one.counters.items())),
        )
        for one in interfaces.interfaces(data)
    ]


def _new_link(kind: bytes) -> bytes:
    info = netlink.attribute(rtnetlink.IFLA_INFO_KIND, kind)
    body = rtnetlink.IFINFOMSG.write() + netlink.attribute(rtnetlink.IFLA_LINKINFO, info)
    return netlink.message(
        rtnetlink.RTM_NEWLINK, netlink.NLM_F_REQUEST | netlink.NLM_F_ACK | netlink.NLM_F_CREATE, body
    )


def _links(what: str, request: bytes) -> Exchange:
    return Exchange(
        what, request, _link_values, rtnetlink.IFINFOMSG, IFLA_NAMES, rtnetlink.IFINFOMSG, NETLINK_ROUTE
    )


EXCHANGES = {
    "tcp4_listen": _inet(
        "TCP listeners, IPv4: 127.0.0.1:8080, backlog 16, one connection waiting; 8091, subflow of an MPTCP listener",
        inet_diag.request(V4, TCP, LISTEN),
    ),
    "tcp6_listen": _inet(
        "TCP listeners, IPv6: [::]:8081 for both families, [::]:8082 for IPv6 alone, [::1]:8083 of user 65534",
        inet_diag.request(V6, TCP, LISTEN),
    ),
    "tcp4_connected": _inet(
        "TCP connections, IPv4: 40000 > 8080 accepted with 5 bytes unread, 40001 > 8080 in the accept queue,"
        " 40002 > 8080 in TIME_WAIT",
        inet_diag.request(V4, TCP, CONNECTED),
    ),
    "tcp_both": _inet(
        "TCP listeners of both families by the old request",
        inet_diag.request_of_both(LISTEN),
        inet_diag.REQUEST_OF_BOTH,
    ),
    "tcp_bytecode": _inet(
        "TCP listeners with a source port from 8081 on, by bytecode",
        inet_diag.request(V6, TCP, LISTEN, bytecode=PORTS_FROM_8081),
    ),
    "tcp_bound": _inet(
        "TCP sockets bound and not listening: 127.0.0.1:8090", inet_diag.request(V4, TCP, BOUND)
    ),
    "tcp_nothing": _inet(
        "no answer but the end: no listener has port 1", inet_diag.request(V4, TCP, LISTEN, sport=1)
    ),
    "tcp_info": _inet(
        "the connection from port 40000 with congestion control, memory, type of service",
        inet_diag.request(V4, TCP, CONNECTED, sport=40000, extensions=1 << 3 | 1 << 4 | 1 << 6),
    ),
    "mptcp_listen": _inet("MPTCP listeners: 127.0.0.1:8091", inet_diag.request(V4, MPTCP, LISTEN)),
    "udp4": _inet(
        "UDP, IPv4: 0.0.0.0:5353; 127.0.0.1:5354 connected to 5353, 3 bytes unread; 5355 on the device lo",
        inet_diag.request(V4, UDP, tcp_states.ALL),
    ),
    "no_protocol": _inet(
        "an error without text: no protocol 200", inet_diag.request(V4, 200, tcp_states.ALL)
    ),
    "unix": _family(
        "Unix sockets: a listener on a path, one on an abstract name, a pair, a datagram socket", unix_diag
    ),
    "packet": _family("packet sockets: raw, every ethertype, on lo; datagram, IPv4, everywhere", packet_diag),
    "netlink": _family(
        "netlink sockets: the kernel's own, one of route with port id 77 in group 1", netlink_diag
    ),
    "links": _links("links: lo, vx0 of kind vxlan on port 4789", rtnetlink.request()),
    "interfaces": _links("interfaces: lo, vx0", rtnetlink.request())._replace(read=_interface_values),
    "addresses": Exchange(
        "addresses: of lo; 192.0.2.1/24, 2001:db8::1/64 and a link-local one of vx0",
        interfaces.address_request(),
        _values(interfaces.addresses),
        interfaces.IFADDRMSG,
        {1: "address", 2: "local", 3: "label", 6: "cacheinfo", 8: "flags"},
        interfaces.IFADDRMSG,
        NETLINK_ROUTE,
    ),
    "routes": Exchange(
        "routes: 198.51.100.0/24 over 192.0.2.9 with mtu 1300, 10/8 over two gateways, 203.0.113.0/24 dropped,"
        " and the kernel's own",
        routes.request(),
        _values(routes.routes),
        routes.RTMSG,
        {1: "dst", 4: "oif", 5: "gateway", 8: "metrics", 9: "multipath", 12: "cacheinfo", 15: "table"},
        routes.RTMSG,
        NETLINK_ROUTE,
    ),
    "error_text": _links("an error with text, the request copied back", _new_link(b"nosuch")),
    "error_capped": _links("an error with text, without the request (NETLINK_CAP_ACK)", _new_link(b"nosuch")),
}
