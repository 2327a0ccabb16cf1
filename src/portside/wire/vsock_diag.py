"""sock_diag for vsock sockets, between virtual machine and host (include/uapi/linux/vm_sockets_diag.h, vsock(7)).

An end is a context id and a port, 32 bits each; ANY stands for `any` in both.
"""

from __future__ import annotations

from portside.wire import sock_diag
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_VSOCK as AF_VSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ANY = (1 << 32) - 1  # VMADDR_CID_ANY, VMADDR_PORT_ANY

REQUEST = Layout(
    "vsock_diag_req", "B sdiag_family", "B sdiag_protocol", "H pad", "I vdiag_states", "I vdiag_ino",
    "I vdiag_show", "Q vdiag_cookie",
)  # fmt: skip
MESSAGE = Layout(
    "vsock_diag_msg", "B vdiag_family", "B vdiag_type", "B vdiag_state", "B vdiag_shutdown", "I vdiag_src_cid",
    "I vdiag_src_port", "I vdiag_dst_cid", "I vdiag_dst_port", "I vdiag_ino", "Q vdiag_cookie",
)  # fmt: skip

ATTRIBUTES: sock_diag.Table = {}  # none so far


def request(states: int) -> bytes:
    """Return a dump request for the vsock sockets in the `states` mask."""
    return sock_diag.dump_request(REQUEST.write(sdiag_family=AF_VSOCK, vdiag_states=states))


def answers(
    buffer: bytes | bytearray | memoryview,
) -> Iterator[tuple[tuple[int, ...], dict[str, object]]]:
    """Yield ((family, type, state, shutdown, cid, port, peer's cid and port, inode, cookie), attributes)."""
    return sock_diag.answers(buffer, MESSAGE, ATTRIBUTES)
