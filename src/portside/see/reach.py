"""How far an open port can be reached, judged from where it is bound: the seam where the firewall's word joins.

`Judge` is the type of that seam, from the sockets of one port to its reach: whoever knows more (`guard.seam`, from
the firewall's rules) passes another function of the same shape to `see.ports.open_ports` and to the filter.
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from portside.see.records import Endpoint, Socket

    Judge = Callable[[Sequence[Socket]], "Reach"]


class Reach(Record):
    """Who can reach a port: `verdict` (anyone, some, nobody, depends, unknown), from where, and because of what."""

    verdict: str
    source: str
    because: str


NOBODY = Reach("nobody", "this host only", "bound to loopback")
SOME = Reach("some", "this network", "bound to a local address; firewall not consulted")
ANYONE = Reach(
    "anyone", "anyone who can route here", "bound to every address or a public one; firewall not consulted"
)
NOT_LISTENING = Reach("nobody", "nobody", "bound, but it does not listen")
UNKNOWN = Reach("unknown", "unknown", "not bound to an address")

_WIDTH = {
    "loopback": NOBODY,
    "link": SOME,
    "private": SOME,
    "multicast": SOME,
    "public": ANYONE,
    "any": ANYONE,
}
_ORDER = (UNKNOWN, NOBODY, SOME, ANYONE)


def of_address(local: Endpoint) -> Reach:
    """Judge one bound address; a socket bound to the loopback device is reached from this host only."""
    return NOBODY if local.device == "lo" else _WIDTH.get(local.scope, UNKNOWN)


def of_socket(socket: Socket) -> str:
    """Return the verdict on one socket, for the filter's `reach` test."""
    return verdict_of(socket, by_scope)


def verdict_of(socket: Socket, judge: Judge) -> str:
    """Return a judge's verdict on one socket."""
    return (NOT_LISTENING if socket.state == "bound-inactive" else judge((socket,))).verdict


def by_scope(sockets: Iterable[Socket]) -> Reach:
    """Judge a port by the widest of the addresses it is bound to."""
    return max((of_address(one.local) for one in sockets), key=_ORDER.index, default=UNKNOWN)
