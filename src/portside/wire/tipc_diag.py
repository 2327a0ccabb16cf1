"""sock_diag for TIPC sockets (include/uapi/linux/tipc_sockets_diag.h, tipc_netlink.h).

An answer has no struct of its own: behind the header comes one nest, TIPC_NLA_SOCK.
"""

from __future__ import annotations

from portside.wire import netlink, sock_diag
from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_TIPC as AF_TIPC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TIPC_NLA_SOCK = 2

REQUEST = Layout("tipc_sock_diag_req", "B sdiag_family", "B sdiag_protocol", "H pad", "I tidiag_states")

STAT_ATTRIBUTES: sock_diag.Table = {
    0: ("rcvq", sock_diag.number),  # from 0: this enum has no UNSPEC
    1: ("sendq", sock_diag.number),
    2: ("link_cong", bytes),  # a flag: it has no payload
    3: ("conn_cong", bytes),
    4: ("drop", sock_diag.number),
}
CON_ATTRIBUTES: sock_diag.Table = {
    1: ("flag", bytes),
    2: ("node", sock_diag.number),
    3: ("sock", sock_diag.number),
    4: ("type", sock_diag.number),
    5: ("inst", sock_diag.number),
}
ATTRIBUTES: sock_diag.Table = {
    1: ("addr", sock_diag.number),
    2: ("ref", sock_diag.number),
    3: ("con", lambda payload: sock_diag.decode(payload, 0, len(payload), CON_ATTRIBUTES)),
    4: ("has_publ", bytes),
    5: ("stat", lambda payload: sock_diag.decode(payload, 0, len(payload), STAT_ATTRIBUTES)),
    6: ("type", sock_diag.number),
    7: ("ino", sock_diag.number),
    8: ("uid", sock_diag.number),
    9: ("tipc_state", sock_diag.number),
    10: ("cookie", sock_diag.number),
    12: ("group", bytes),
}


def request(states: int) -> bytes:
    """Return a dump request for the TIPC sockets in the `states` mask."""
    return sock_diag.dump_request(REQUEST.write(sdiag_family=AF_TIPC, tidiag_states=states))


def answers(buffer: bytes | bytearray | memoryview) -> Iterator[dict[str, object]]:
    """Yield the attributes of every TIPC socket in a dump; `con` and `stat` are dicts of their own."""
    for part in netlink.messages(buffer):
        for kind, payload in netlink.attributes(buffer, part.start, part.end):
            if kind == TIPC_NLA_SOCK:
                yield sock_diag.decode(payload, 0, len(payload), ATTRIBUTES)
