"""sock_diag for packet sockets (include/uapi/linux/packet_diag.h, packet(7))."""

from __future__ import annotations

from portside.wire import sock_diag
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_PACKET as AF_PACKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


REQUEST = Layout(
    "packet_diag_req", "B sdiag_family", "B sdiag_protocol", "H pad", "I pdiag_ino", "I pdiag_show",
    "Q pdiag_cookie",
)  # fmt: skip
MESSAGE = Layout(
    "packet_diag_msg", "B pdiag_family", "B pdiag_type", "H pdiag_num", "I pdiag_ino", "Q pdiag_cookie"
)

# pdiag_show
PACKET_SHOW_INFO = 0x01
PACKET_SHOW_MCLIST = 0x02
PACKET_SHOW_RING_CFG = 0x04
PACKET_SHOW_FANOUT = 0x08
PACKET_SHOW_MEMINFO = 0x10
PACKET_SHOW_FILTER = 0x20

SHOW = PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO
SHOW_EVERYTHING = SHOW | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT | PACKET_SHOW_FILTER

ATTRIBUTES: sock_diag.Table = {
    0: ("info", sock_diag.numbers),  # struct packet_diag_info: ifindex, version, reserve, copy_thresh, ...
    1: ("mclist", bytes),
    2: ("rx_ring", bytes),
    3: ("tx_ring", bytes),
    4: ("fanout", sock_diag.number),
    5: ("uid", sock_diag.number),
    6: ("meminfo", sock_diag.numbers),
    7: ("filter", bytes),
}


def request(show: int = SHOW) -> bytes:
    """Return a dump request for all packet sockets."""
    return sock_diag.dump_request(REQUEST.write(sdiag_family=AF_PACKET, pdiag_show=show))


def answers(
    buffer: bytes | bytearray | memoryview,
) -> Iterator[tuple[tuple[int, ...], dict[str, object]]]:
    """Yield ((family, type, ethertype, inode, cookie), attributes) of every packet socket in a dump."""
    return sock_diag.answers(buffer, MESSAGE, ATTRIBUTES)
