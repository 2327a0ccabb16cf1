"""sock_diag for netlink sockets themselves (include/uapi/linux/netlink_diag.h, netlink(7)).

The kernel's own end of each protocol is listed too: port id 0.
"""

from __future__ import annotations

from portside.wire import sock_diag
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_NETLINK as AF_NETLINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NDIAG_PROTO_ALL = 255

REQUEST = Layout(
    "netlink_diag_req", "B sdiag_family", "B sdiag_protocol", "H pad", "I ndiag_ino", "I ndiag_show",
    "Q ndiag_cookie",
)  # fmt: skip
MESSAGE = Layout(
    "netlink_diag_msg", "B ndiag_family", "B ndiag_type", "B ndiag_protocol", "B ndiag_state",
    "I ndiag_portid", "I ndiag_dst_portid", "I ndiag_dst_group", "I ndiag_ino", "Q ndiag_cookie",
)  # fmt: skip

# ndiag_show
NDIAG_SHOW_MEMINFO = 0x01
NDIAG_SHOW_GROUPS = 0x02
NDIAG_SHOW_FLAGS = 0x08

SHOW = NDIAG_SHOW_MEMINFO | NDIAG_SHOW_GROUPS
SHOW_EVERYTHING = SHOW | NDIAG_SHOW_FLAGS

ATTRIBUTES: sock_diag.Table = {
    0: ("meminfo", sock_diag.numbers),
    1: ("groups", bytes),
    2: ("rx_ring", bytes),
    3: ("tx_ring", bytes),
    4: ("flags", sock_diag.number),
}

# include/uapi/linux/netlink.h
PROTOCOLS = {
    0: "route", 1: "unused", 2: "usersock", 3: "firewall", 4: "sock-diag", 5: "nflog", 6: "xfrm",
    7: "selinux", 8: "iscsi", 9: "audit", 10: "fib-lookup", 11: "connector", 12: "netfilter",
    13: "ip6-fw", 14: "dnrtmsg", 15: "kobject-uevent", 16: "generic", 18: "scsi-transport",
    19: "ecryptfs", 20: "rdma", 21: "crypto", 22: "smc",
}  # fmt: skip


def request(show: int = SHOW) -> bytes:
    """Return a dump request for netlink sockets of every protocol."""
    return sock_diag.dump_request(
        REQUEST.write(sdiag_family=AF_NETLINK, sdiag_protocol=NDIAG_PROTO_ALL, ndiag_show=show)
    )


def answers(
    buffer: bytes | bytearray | memoryview,
) -> Iterator[tuple[tuple[int, ...], dict[str, object]]]:
    """Yield ((family, type, protocol, state, portid, ...), attributes) of every netlink socket in a dump."""
    return sock_diag.answers(buffer, MESSAGE, ATTRIBUTES)
