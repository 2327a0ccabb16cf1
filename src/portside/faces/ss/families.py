"""The tables of ss that are not IP's: each is a module here of its name with `rows(options, reading)`.

Each asks sock_diag.  Where the kernel does not offer the family there, netlink, packet and Unix sockets are read from
the text of /proc/net, as ss does, and of the others there are none.
"""

from __future__ import annotations

from portside.errors import NotSupported
from portside.wire import tcp_states
from portside.wire.sock_diag import AF_NETLINK, AF_PACKET, AF_TIPC, AF_UNIX, AF_VSOCK, AF_XDP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.faces.ss.context import Line, Options, Reading

_FAMILIES = {
    "netlink": AF_NETLINK,
    "packet": AF_PACKET,
    "unix": AF_UNIX,
    "vsock": AF_VSOCK,
    "tipc": AF_TIPC,
    "xdp": AF_XDP,
}
_STATELESS = ("netlink", "packet", "xdp")  # all are UNCONN: shown where that state is, or not at all


def rows(table: str, options: Options, reading: Reading) -> Iterator[Line]:
    """Read the sockets of one table and return what makes its lines."""
    if _FAMILIES[table] not in options.families:
        return iter(())
    if table in _STATELESS and not options.states >> tcp_states.CLOSE & 1:
        return iter(())
    try:
        return _reader(table)(options, reading)
    except NotSupported:
        from portside.faces.ss import replay

        return replay.text_rows(table, options, reading)


def _reader(table: str) -> Callable[[Options, Reading], Iterator[Line]]:
    if table == "netlink":
        from portside.faces.ss.netlink import rows as read
    elif table == "packet":
        from portside.faces.ss.packet import rows as read
    elif table == "unix":
        from portside.faces.ss.unix import rows as read
    elif table == "vsock":
        from portside.faces.ss.vsock import rows as read
    elif table == "tipc":
        from portside.faces.ss.tipc import rows as read
    else:
        from portside.faces.ss.xdp import rows as read
    return read
