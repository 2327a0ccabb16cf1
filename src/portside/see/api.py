"""The library's entrances: `list_ports`, `sockets`, `who`.

Each takes a snapshot of its own, leaves nothing open, and may be called from several threads.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.see import query
from portside.see import who as _who
from portside.see.ports import OpenPort, open_ports
from portside.see.reach import by_scope
from portside.see.reading import Wish
from portside.see.services import service_names
from portside.see.snapshot import Snapshot, take
from portside.system.host import LIVE, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.reach import Judge


def list_ports(
    filter: str = "", *, every_netns: bool = False, host: Host = LIVE, judge: Judge = by_scope
) -> list[OpenPort]:
    """Return one row per open port, as `portside list` prints them.

    `filter` is the filter language; raises BadRequest where it is malformed.
    """
    sought = query.build(filter, query.Selection(every_netns=every_netns), host, judge)
    wish = sought.wish.replace(stream_states=_OPEN.stream_states, datagram_states=_OPEN.datagram_states)
    snapshot = take(wish, host)
    snapshot.accept = sought.accept
    return open_ports(snapshot, service_names(host), judge)


def sockets(filter: str = "", *, every_netns: bool = False, host: Host = LIVE) -> Snapshot:
    """Return every socket the filter accepts: a snapshot, to be iterated, indexed, or asked for its gaps."""
    sought = query.build(filter, query.Selection(every=True, every_netns=every_netns), host)
    snapshot = take(sought.wish, host)
    snapshot.accept = sought.accept
    return snapshot


def sockets_of_open_ports(host: Host = LIVE, *, every_netns: bool = False) -> Snapshot:
    """Return the sockets that make ports open: what `ports.open_ports` merges."""
    return take(_OPEN.replace(every_netns=every_netns), host)


def who(
    port: int, protocol: str = "", *, every_netns: bool = False, host: Host = LIVE, judge: Judge = by_scope
) -> _who.Report:
    """Return everything about one local port: holders, listeners, connections by peer.

    `protocol` narrows it to `tcp` (MPTCP with it), `udp`, `udplite`, `sctp` or `mptcp`.  Raises BadRequest for what
    is no port or no protocol with ports.
    """
    snapshot = take_port(port, protocol, every_netns=every_netns, host=host)
    return _who.report(snapshot, port, service_names(host), judge)


def take_port(
    port: int, protocol: str = "", *, every_netns: bool = False, owners: bool = True, host: Host = LIVE
) -> Snapshot:
    """Return a snapshot of the sockets with this local port, with their owners; the kernel leaves the others out."""
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise BadRequest("look up", f"port {port!r}", "a port is a number from 1 to 65535")
    if protocol not in ("", "tcp", "udp", "udplite", "sctp", "mptcp"):
        raise BadRequest("look up", f"port {port}/{protocol}", "the protocol is not one with ports")
    selection = query.Selection(every=True, kinds=("tcp", "udp"), every_netns=every_netns)
    wish = query.build("", selection).wish.replace(only_ports=(port,), owners=owners)
    if protocol:
        wish = wish.replace(protocols=("tcp", "mptcp") if protocol == "tcp" else (protocol,))
    snapshot = take(wish, host)
    snapshot.accept = lambda socket: socket.local.port == port  # the text of /proc/net holds every port
    return snapshot


_OPEN: Wish = query.build().wish
