"""What is known of a local port before anything is judged: its sockets here and in other network namespaces, the
state of their holders, the host's ranges, the counters of listeners.

The steps (`local`, `binding`) are functions of a `Scene`; making one is all the reading there is.
"""

from __future__ import annotations

import os
import sys
import time

from portside.errors import BadReply, PortsideError
from portside.record import Record
from portside.see import query
from portside.see.ports import DATAGRAM, STREAM, is_open
from portside.see.snapshot import take
from portside.system import netns
from portside.system.host import LIVE, Host
from portside.system.port_ranges import read_host_ranges
from portside.system.processes import ProcessReader
from portside.wire import counters, inet_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.ports.number import HostRanges
    from portside.see.reading import Wish
    from portside.see.records import Gap, Process, Socket

_DROPS = 8 * 4  # where SK_MEMINFO_DROPS stands in an array of u32, include/uapi/linux/sock_diag.h
_LOOK = 0.25  # seconds between two looks at a counter that is not zero
_STOPPED = ("T", "t")  # proc_pid_stat(5): stopped by a signal, by a tracer


class Scene(Record):
    """What is known of one port.  `protocols` are tcp, udp or both.

    `here` are the sockets that have it in this network namespace, `elsewhere` those that have it open in others, with
    the `paths` of these.  `stopped` are the pids of
    holders that do not run.  `dropped` is cookie -> connections that a listener refused for want of room, `dropping`
    has the cookies of those whose count grew while it was looked at.  `overflows` and `drops` are the namespace's
    counters (TcpExt ListenOverflows, ListenDrops).  `gaps` is what could not be seen.
    """

    port: int
    protocols: tuple[str, ...]
    here: tuple[Socket, ...] = ()
    elsewhere: tuple[Socket, ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
    stopped: tuple[int, ...] = ()
    dropped: tuple[tuple[int, int], ...] = ()
    dropping: tuple[int, ...] = ()
    overflows: int = 0
    drops: int = 0
    ranges: HostRanges | None = None
    gaps: tuple[Gap, ...] = ()

    @property
    def open(self) -> tuple[Socket, ...]:
        """The sockets here that listen, are bound, or wait for datagrams."""
        return tuple(socket for socket in self.here if is_open(socket))

    def of(self, protocol: str) -> tuple[Socket, ...]:
        """The sockets here of `tcp` (with MPTCP) or `udp` (with UDP-Lite)."""
        family = STREAM if protocol == "tcp" else DATAGRAM
        return tuple(socket for socket in self.here if socket.protocol in family)


def look(port: int, protocols: tuple[str, ...], host: Host = LIVE) -> Scene:
    """Read what is known of a port; other network namespaces are read where nothing here has it open."""
    wish = query.build("", query.Selection(every=True, kinds=protocols), host).wish
    wish = wish.replace(only_ports=(port,), extensions=inet_diag.extension(inet_diag.INET_DIAG_SKMEMINFO))
    snapshot = take(wish, host)
    here = tuple(socket for socket in snapshot.sockets if socket.local.port == port)
    dropped = _dropped(here)
    overflows, drops = _listen_counters(host)
    scene = Scene(
        port, protocols, here, stopped=_stopped(here, host), dropped=dropped,
        dropping=_dropping(dropped, wish, host) if dropped else (), overflows=overflows, drops=drops,
        ranges=read_host_ranges(host.root), gaps=tuple(snapshot.gaps),
    )  # fmt: skip
    return scene if scene.open else _with_others(scene, wish, host)


def _with_others(scene: Scene, wish: Wish, host: Host) -> Scene:
    """Add what other network namespaces have open under the same number."""
    snapshot = take(wish.replace(every_netns=True), host)
    own = str(netns.own(host))
    others = (socket for socket in snapshot.sockets if socket.netns != own and is_open(socket))
    elsewhere = tuple(socket for socket in others if socket.local.port == scene.port)
    return scene.replace(elsewhere=elsewhere, paths=_paths(host), gaps=tuple(snapshot.gaps))


def _dropping(dropped: tuple[tuple[int, int], ...], wish: Wish, host: Host) -> tuple[int, ...]:
    """Look once more, a moment later, at the counters that are not zero; return the cookies of those that grew."""
    time.sleep(_LOOK)
    again = dict(_dropped(take(wish.replace(owners=False), host)))
    return tuple(cookie for cookie, count in dropped if again.get(cookie, 0) > count)


def _paths(host: Host) -> tuple[tuple[str, str], ...]:
    """Return name -> path of the network namespaces, as nsenter(1) takes it."""
    try:
        spaces, _ = netns.every(host)
    except PortsideError:
        return ()
    return tuple((str(space), space.path) for space in spaces)


def _dropped(sockets: Iterable[Socket]) -> tuple[tuple[int, int], ...]:
    """Return cookie -> connections dropped, of the listeners that dropped any."""
    found = []
    for socket in sockets:
        memory = dict(socket.attributes).get("skmeminfo")
        words = memory[_DROPS : _DROPS + 4] if isinstance(memory, bytes) else b""
        if socket.state == "listen" and any(words):
            found.append((socket.cookie, int.from_bytes(words, sys.byteorder)))
    return tuple(found)


def _listen_counters(host: Host) -> tuple[int, int]:
    try:
        told = counters.pairs(host.net("netstat"), "netstat")
    except (OSError, BadReply):
        return 0, 0
    return told.get("TcpExt.ListenOverflows", 0), told.get("TcpExt.ListenDrops", 0)


def _stopped(sockets: Iterable[Socket], host: Host) -> tuple[int, ...]:
    reader = ProcessReader(host.proc)
    pids = sorted({owner.pid for socket in sockets for owner in socket.owners})
    told = ((pid, reader.stat(pid)) for pid in pids)
    return tuple(pid for pid, stat in told if stat is not None and stat.state in _STOPPED)


def holder_text(socket: Socket) -> str:
    """Return who holds a socket: `nginx 812 of user www-data`, or why nobody is seen to."""
    processes: dict[int, Process] = {owner.pid: owner.process for owner in socket.owners}
    if not processes:
        who = socket.user or ("" if socket.uid is None else str(socket.uid))
        hidden = {"permission": "a process that this user may not look into", "kernel": "the kernel"}
        told = hidden.get(socket.owner_gap, f"nobody who is seen ({socket.owner_gap or 'unknown'})")
        return f"{told}, made by user {who}" if who else told
    first = next(iter(processes.values()))
    user = first.user or ("?" if first.uid is None else str(first.uid))
    more = f" and {len(processes) - 1} more" if len(processes) > 1 else ""
    unit = f", {first.unit}" if first.unit else ""
    return f"{first.name or '?'} {first.pid} of user {user}{unit}{more}"


def mine(socket: Socket) -> bool:
    """Whether this user holds a socket, as far as can be seen."""
    return any(owner.process.uid == os.geteuid() for owner in socket.owners)
