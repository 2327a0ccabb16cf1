"""sock_diag for AF_XDP sockets (include/uapi/linux/xdp_diag.h)."""

from __future__ import annotations

from portside.wire import sock_diag
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_XDP as AF_XDP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = Layout(
    "xdp_diag_req", "B sdiag_family", "B sdiag_protocol", "H pad", "I xdiag_ino", "I xdiag_show",
    "Q xdiag_cookie",
)  # fmt: skip
MESSAGE = Layout("xdp_diag_msg", "B xdiag_family", "B xdiag_type", "H pad", "I xdiag_ino", "Q xdiag_cookie")
# what attributes hold; read them with `tcp_info.read`
INFO = Layout("xdp_diag_info", "I ifindex", "I queue_id")
UMEM = Layout(
    "xdp_diag_umem", "Q size", "I id", "I num_pages", "I chunk_size", "I headroom", "I ifindex", "I queue_id",
    "I flags", "I refs",
)  # fmt: skip
STATS = Layout(
    "xdp_diag_stats", "Q n_rx_dropped", "Q n_rx_invalid", "Q n_rx_full", "Q n_fill_ring_empty",
    "Q n_tx_invalid", "Q n_tx_ring_empty",
)  # fmt: skip

XDP_DU_F_ZEROCOPY = 1

# xdiag_show
XDP_SHOW_INFO = 0x01
XDP_SHOW_RING_CFG = 0x02
XDP_SHOW_UMEM = 0x04
XDP_SHOW_MEMINFO = 0x08
XDP_SHOW_STATS = 0x10  # 5.9

SHOW = XDP_SHOW_INFO | XDP_SHOW_RING_CFG | XDP_SHOW_UMEM | XDP_SHOW_MEMINFO | XDP_SHOW_STATS

ATTRIBUTES: sock_diag.Table = {
    1: ("info", bytes),
    2: ("uid", sock_diag.number),
    3: ("rx_ring", sock_diag.number),  # struct xdp_diag_ring: entries
    4: ("tx_ring", sock_diag.number),
    5: ("umem", bytes),
    6: ("umem_fill_ring", sock_diag.number),
    7: ("umem_completion_ring", sock_diag.number),
    8: ("meminfo", sock_diag.numbers),
    9: ("stats", bytes),
}


def request(show: int = SHOW) -> bytes:
    """Return a dump request for all XDP sockets."""
    return sock_diag.dump_request(REQUEST.write(sdiag_family=AF_XDP, xdiag_show=show))


def answers(
    buffer: bytes | bytearray | memoryview,
) -> Iterator[tuple[tuple[int, ...], dict[str, object]]]:
    """Yield ((family, type, pad, inode, cookie), attributes) of every XDP socket in a dump."""
    return sock_diag.answers(buffer, MESSAGE, ATTRIBUTES)
