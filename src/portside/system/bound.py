"""Whether any TCP socket of the host can be bound without listening: a count that saves a walk.

To tell bound sockets, the kernel walks every bound port of every namespace, 18 ms beside 100,000 connections.
/proc/net/sockstat counts: `alloc` is every TCP socket of the host, `inuse` those of one namespace that listen or are
connected.  When the namespaces' own make up all there are, none is merely bound.

The counts are not read at one moment, and a connection that comes in between could stand for the bound socket.  So
they are read twice, with the connections opened so far (/proc/net/snmp), and believed only if nothing has moved.  A
namespace that is not found leaves the sum too small: then the walk is made.
"""

from __future__ import annotations

from portside.system import netns
from portside.wire import procnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.host import Host

    Reading = tuple[
        int, tuple[tuple[int, int, int], ...]
    ]  # alloc; inuse of TCP and TCP6 and opened, by namespace

_WALK_IS_CHEAP = 4096  # with fewer sockets the walk costs less than looking for namespaces


def none_merely_bound(host: Host) -> bool:
    """Return True where no TCP socket is bound without listening; False also where that cannot be told."""
    here = host.proc + ("/thread-self/net/" if host.live else "/net/")
    try:
        first = _read(host, [here])
        if _adds_up(first):
            return _read(host, [here]) == first
        if first[0] <= _WALK_IS_CHEAP or not host.live:
            return False
        spaces, _ = netns.every(host)
        places = [here, *(f"{host.proc}/{space.pid}/net/" for space in spaces[1:] if space.pid)]
        first = _read(host, places)
        return _adds_up(first) and _read(host, places) == first
    except (OSError, KeyError):
        return False


def _adds_up(reading: Reading) -> bool:
    alloc, spaces = reading
    return alloc <= sum(four + six for four, six, _ in spaces)


def _read(host: Host, places: list[str]) -> Reading:
    """Read the counts once; the first place is the caller's own namespace."""
    alloc, spaces = 0, []
    for place in places:
        four, six = (
            procnet.sockstat(host.read(place + "sockstat")),
            procnet.sockstat(host.read(place + "sockstat6")),
        )
        alloc = alloc or four["TCP", "alloc"]
        opened = procnet.tcp_opened(host.read(place + "snmp"))
        spaces.append((four["TCP", "inuse"], six["TCP6", "inuse"], opened))
    return alloc, tuple(spaces)
