"""sock_diag for Unix sockets (include/uapi/linux/unix_diag.h, unix(7)).

A name is raw bytes: a path (with a trailing NUL), an abstract name (leading NUL, any bytes), or absent.
"""

from __future__ import annotations

from portside.wire import sock_diag
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_UNIX as AF_UNIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


REQUEST = Layout(
    "unix_diag_req", "B sdiag_family", "B sdiag_protocol", "H pad", "I udiag_states", "I udiag_ino",
    "I udiag_show", "Q udiag_cookie",
)  # fmt: skip
MESSAGE = Layout(
    "unix_diag_msg", "B udiag_family", "B udiag_type", "B udiag_state", "B pad", "I udiag_ino",
    "Q udiag_cookie",
)  # fmt: skip

# udiag_show
UDIAG_SHOW_NAME = 0x01
UDIAG_SHOW_VFS = 0x02
UDIAG_SHOW_PEER = 0x04
UDIAG_SHOW_ICONS = 0x08
UDIAG_SHOW_RQLEN = 0x10
UDIAG_SHOW_MEMINFO = 0x20
UDIAG_SHOW_UID = 0x40  # 5.4; an older kernel ignores the bit

SHOW = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID
SHOW_EVERYTHING = SHOW | UDIAG_SHOW_ICONS | UDIAG_SHOW_MEMINFO

ATTRIBUTES: sock_diag.Table = {
    0: ("name", bytes),
    1: ("vfs", sock_diag.numbers),  # struct unix_diag_vfs: inode, device
    2: ("peer", sock_diag.number),  # the peer's inode
    3: ("icons", sock_diag.numbers),  # inodes of connections not yet accepted
    4: ("rqlen", sock_diag.numbers),  # struct unix_diag_rqlen: for a listener, pending and backlog
    5: ("meminfo", bytes),
    6: ("shutdown", sock_diag.number),
    7: ("uid", sock_diag.number),
}


def request(states: int, show: int = SHOW) -> bytes:
    """Return a dump request for Unix sockets in the `states` mask."""
    return sock_diag.dump_request(REQUEST.write(sdiag_family=AF_UNIX, udiag_states=states, udiag_show=show))


def answers(
    buffer: bytes | bytearray | memoryview,
) -> Iterator[tuple[tuple[int, ...], dict[str, object]]]:
    """Yield ((family, type, state, pad, inode, cookie), attributes) of every Unix socket in a dump."""
    return sock_diag.answers(buffer, MESSAGE, ATTRIBUTES)
