"""What it takes to free a port: a plan, made of what was seen and nothing else.

What stands in the way of a bind is what `open_ports` tells: listeners, sockets that are bound and do not listen,
unconnected datagram sockets.  Whoever merely has a connection from or to the port is no part of it.  All holders
count: of a forked group, of SO_REUSEPORT workers.

Where somebody would start the program again, ending the process frees nothing for long: a systemd service and its
socket unit are stopped by their manager, a container by its engine (named, not done here: an engine has words of
its own about a stop).  A plan is whole or it is not carried out: with something `left`, the port would stay taken.
"""

from __future__ import annotations

from portside.record import Record
from portside.see import records
from portside.see.ports import DATAGRAM, is_open
from portside.see.processes import is_manager
from portside.see.records import Container, Process, Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Choice(Record):
    """How: close sockets and leave their processes alone; signal whatever unit or container; seconds until KILL."""

    socket: bool = False
    process: bool = False
    grace: float = 5.0


class Around(Record):
    """What a plan depends on beside the port: who asks, whether systemd runs, which processes refuse our signals.

    `ancestors` are the asking process's, `unit` and `container` its own (empty: none).
    """

    pid: int = 0
    ancestors: tuple[int, ...] = ()
    unit: str = ""
    container: str = ""
    systemd: bool = False
    refused: tuple[int, ...] = ()
    next_step: str = "run it with sudo"


class Signal(Record):
    """End a process that holds the port by these (descriptor, inode); `ours`: the asking process descends from it."""

    process: Process
    held: tuple[tuple[int, int], ...]
    ours: bool = False


class Stop(Record):
    """Have systemd stop units, socket units first; `user` is whose manager it is (None: the system's)."""

    units: tuple[str, ...]
    user: int | None = None


class Close(Record):
    """Close one socket in the kernel (SOCK_DESTROY), over its holder's head."""

    socket: Socket


class Left(Record):
    """Something in the way that is not done anything about, why, and what would help."""

    what: str
    why: str
    next_step: str = ""


class Plan(Record):
    """How a port is to be freed: `sockets` stand in the way, `connections` merely use the port and are let be."""

    port: int
    protocol: str
    sockets: tuple[Socket, ...]
    connections: tuple[Socket, ...] = ()
    steps: tuple[Signal | Stop | Close, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def name(self) -> str:
        """The port as it was asked for: `80`, `53/udp`."""
        return f"{self.port}/{self.protocol}" if self.protocol else str(self.port)

    @property
    def inodes(self) -> frozenset[int]:
        """The inodes of the sockets in the way."""
        return frozenset(socket.inode for socket in self.sockets if socket.inode)


def plan(port: int, protocol: str, sockets: Iterable[Socket], choice: Choice, around: Around) -> Plan:
    """Return the plan for a local port, made of every socket that has it."""
    having = [socket for socket in sockets if socket.local.port == port]
    held = tuple(socket for socket in having if is_open(socket))
    others = tuple(socket for socket in having if not is_open(socket))
    if choice.socket:
        shadows = [socket for socket in others if socket.state == records.TIME_WAIT]
        steps = tuple(Close(socket) for socket in (*held, *shadows))
        rest = tuple(socket for socket in others if socket.state != records.TIME_WAIT)
        return Plan(port, protocol, held, rest, steps, ())
    signals, stops, left = _sorted(held, choice, around)
    left += [_unheld(socket, around) for socket in held if not socket.owners]
    return Plan(port, protocol, held, others, (*_merged(stops), *signals), tuple(dict.fromkeys(left)))


def _sorted(
    held: Sequence[Socket], choice: Choice, around: Around
) -> tuple[list[Signal], list[Stop], list[Left]]:
    """Decide for each holder: a signal, a unit to stop, or neither; the oldest first, so parents before children."""
    signals: list[Signal] = []
    stops: list[Stop] = []
    left: list[Left] = []
    for process, sockets, pairs in holders(held):
        unit = _unit_to_stop(process, sockets, choice, around)
        if unit is not None:
            stops.append(unit)
            continue
        reason = _reason_to_leave(process, choice, around)
        if reason is not None:
            left.append(reason)
        else:
            signals.append(Signal(process, pairs, process.pid in around.ancestors))
    return signals, stops, left


def holders(
    held: Sequence[Socket],
) -> list[tuple[Process, list[Socket], tuple[tuple[int, int], ...]]]:
    """Return each holder once, the oldest first, with its sockets and their (descriptor, inode)."""
    found: dict[int, tuple[Process, list[Socket], list[tuple[int, int]]]] = {}
    for socket in held:
        for owner in socket.owners:
            _, sockets, pairs = found.setdefault(owner.pid, (owner.process, [], []))
            sockets.append(socket)
            pairs.append((owner.fd, socket.inode))
    in_order = sorted(found.values(), key=lambda one: (one[0].start_ticks, one[0].pid))
    return [(process, sockets, tuple(pairs)) for process, sockets, pairs in in_order]


def _unit_to_stop(process: Process, sockets: Sequence[Socket], choice: Choice, around: Around) -> Stop | None:
    """Return the units whose stop ends a holder for good, None where there are none, or a signal was asked for."""
    if is_manager(process):
        units = tuple(dict.fromkeys(socket.socket_unit for socket in sockets if socket.socket_unit))
        return Stop(units, None if process.pid == 1 else process.uid) if units else None
    unit, _, user = process.unit.removesuffix(")").partition(" (user ")
    own = unit == around.unit.partition(" (user ")[0]  # to stop it would end the asking process
    foreign = process.container is not None and process.container.id != around.container
    if choice.process or not around.systemd or own or foreign:
        return None
    if not unit.endswith(".service") or unit.startswith("user@"):
        return None  # a session's or an application's scope: nobody starts it again
    return Stop((unit,), int(user) if user else None)


def _reason_to_leave(process: Process, choice: Choice, around: Around) -> Left | None:
    what = f"{process.name or '?'} {process.pid}"
    container = process.container
    if container is not None and container.id != around.container and not choice.process:
        why = (
            f"it belongs to the {container.engine} container '{container}', whose engine would start it again"
        )
        return Left(what, why, f"run '{engine_line(container)}', or insist with --process")
    if process.pid == around.pid:
        return Left(what, "that is this very process", "close the socket")
    if process.pid == 1 or is_manager(process):
        return Left(what, "the init process is not ended, and its socket unit is not known", "stop the unit")
    if process.pid in around.refused:
        return Left(
            what, f"it is {process.user or process.uid}'s, and may not be signalled", around.next_step
        )
    return None


def engine_line(container: Container) -> str:
    """Return the command by which a container's engine stops it."""
    name = container.name or container.id[:12]
    return {
        "docker": f"docker stop {name}",
        "podman": f"podman stop {name}",
        "containerd": f"nerdctl stop {name}",
        "cri-o": f"crictl stop {name}",
        "lxc": f"lxc-stop --name {name}",
        "nspawn": f"machinectl poweroff {name}",
    }.get(container.engine, f"kubectl delete pod (uid {container.pod})" if container.pod else f"stop {name}")


def _unheld(socket: Socket, around: Around) -> Left:
    """Say why a socket without a visible holder stays."""
    what = f"{socket.protocol} on {socket.local.address}"
    user = socket.user or socket.uid
    gap = socket.owner_gap
    if gap == records.KERNEL:
        return Left(
            what, f"the kernel holds it ({socket.kernel or 'no process'})", "remove the link or server"
        )
    if gap == records.PERMISSION:
        return Left(what, f"it is {user}'s, and its process may not be seen", around.next_step)
    if gap == records.OTHER_PID_NAMESPACE:
        return Left(what, "its process is in another pid namespace", "run it in the host's pid namespace")
    if gap == records.IN_FLIGHT:
        return Left(what, "it is under way between processes (SCM_RIGHTS)", "try again, or --socket")
    return Left(what, f"no process was seen to hold it ({gap or 'unknown'})", "try again, or --socket")


def _merged(stops: Iterable[Stop]) -> list[Stop]:
    """Return one stop for each manager: socket units first, or a connection would start the service again."""
    units: dict[int | None, dict[str, None]] = {}
    for stop in stops:
        units.setdefault(stop.user, {}).update(dict.fromkeys(stop.units))
    return [
        Stop(tuple(sorted(names, key=lambda name: (not name.endswith(".socket"), name))), user)
        for user, names in units.items()
    ]


def transports(plan: Plan) -> tuple[str, ...]:
    """Return the protocols in which bind(2) is tried when the port is said to be free: tcp, udp."""
    words = {socket.protocol for socket in (*plan.sockets, *plan.connections)} | {plan.protocol} - {""}
    found = {"udp" if word in DATAGRAM else "tcp" for word in words if word != "sctp"}
    return tuple(sorted(found)) if words else ("tcp", "udp")
