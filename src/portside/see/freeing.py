"""Carries a plan to free a port out, step by step, and looks afterwards whether the port is free.

Each process is taken hold of and looked at once more before it is signalled (`system.pidfd`): it must be the one that
was shown, and hold the very socket still.  TERM first; a process that has let go of the socket, though it goes on, is
left in peace; KILL to what holds it after the grace, also to who was given the same socket meanwhile (a fork).
A *new* socket on the port is somebody's who started anew: that one is told about, and never signalled.
"""

from __future__ import annotations

import errno
import os
import time

from portside.errors import NotPermitted, PortsideError, Vanished
from portside.record import Record
from portside.see import free, records
from portside.see.api import take_port
from portside.see.ports import is_open
from portside.system import commands, pidfd, systemctl
from portside.system.host import LIVE, Host
from portside.system.privilege import how_to_see_more

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portside.see.free import Around, Choice, Close, Plan, Signal, Stop
    from portside.see.processes import ProcessTable
    from portside.see.records import Process, Socket

_TICK = 0.02  # seconds between two looks
_AFTER_KILL = 5.0  # seconds for a process to end that nothing can save any more
_LEAVING = 0.5  # seconds between the end of a process's sockets and its own
_WATCH = 0.4  # seconds after which a port that was freed is looked at again: supervisors start anew at once
_LOOKS = 5  # at a port, while bind and what is seen contradict each other

PLAINLY, WITH_REUSEADDR, NOT = "plainly", "with-reuseaddr", "no"


class Outcome(Record):
    """What became of a step: whether it did what it should, how, and after how many seconds."""

    step: Signal | Stop | Close
    done: bool
    how: str
    seconds: float = 0.0


class Result(Record):
    """What became of a plan: each step's outcome, whether the port can be bound, and why not.

    `bindable`: `plainly`, `with-reuseaddr` (who sets SO_REUSEADDR, as most servers do), `no`.
    """

    outcomes: tuple[Outcome, ...]
    bindable: str
    why: str = ""
    next_step: str = ""

    @property
    def free(self) -> bool:
        """Whether a server can have the port now."""
        return self.bindable != NOT


def make_plan(port: int, protocol: str, choice: Choice, host: Host = LIVE) -> Plan:
    """Look at a port and plan how to free it; raises as `who` does."""
    snapshot = take_port(port, protocol, host=host)
    pids = {owner.pid: owner.process for socket in snapshot if is_open(socket) for owner in socket.owners}
    around = _around(snapshot.processes, pids, host)
    return free.plan(port, protocol, snapshot, choice, around)


def _around(table: ProcessTable, holders: dict[int, Process], host: Host) -> Around:
    me = table.process(os.getpid())
    return free.Around(
        pid=os.getpid(),
        ancestors=tuple(parent.pid for parent in table.parents(os.getpid())),
        unit=me.unit if me else "",
        container=me.container.id if me and me.container else "",
        systemd=systemctl.booted(host.root),
        refused=tuple(pid for pid, process in holders.items() if pidfd.refuses(pid, process.start_ticks)),
        next_step=how_to_see_more(),
    )


def carry_out(plan: Plan, choice: Choice, *, run: Callable[[tuple[str, ...]], str] = commands.run) -> Result:
    """Do what the plan says and tell what came of it; a step that fails is an outcome, not an error."""
    outcomes: list[Outcome] = []
    for step in plan.steps:
        if isinstance(step, free.Stop):
            outcomes.append(_stop(step, run))
    signals = [step for step in plan.steps if isinstance(step, free.Signal)]
    outcomes += _Ending(plan).run(signals, choice.grace)
    closes = [step for step in plan.steps if isinstance(step, free.Close)]
    if closes:
        outcomes += _close(plan, closes)
    result = verify(plan)
    if result.free and signals:
        time.sleep(_WATCH)
        result = verify(plan)
    return result.replace(outcomes=tuple(outcomes))


def _stop(step: Stop, run: Callable[[tuple[str, ...]], str]) -> Outcome:
    began = time.monotonic()
    line = systemctl.command(("stop", *step.units), step.user)
    try:
        run(line)
    except PortsideError as error:
        return Outcome(step, False, error.reason, time.monotonic() - began)
    return Outcome(step, True, "stopped", time.monotonic() - began)


class _Ending:
    """The signals of one plan: who is held and signalled, since when, what became of each."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._running: list[tuple[Signal, pidfd.Held]] = []
        self._met: set[int] = set()  # pids, whatever came of them
        self._outcomes: list[Outcome] = []

    def run(self, signals: Sequence[Signal], grace: float) -> list[Outcome]:
        """Send TERM, wait, send KILL to what still holds the sockets; return an outcome for each process."""
        try:
            for step in signals:
                self._take(step, pidfd.Held.end)
            if signals and self._wait(grace, "ended by TERM"):
                self._kill()
                self._wait(_AFTER_KILL, "ended by KILL")
            for step, held in self._running:
                why = "KILL was sent, but it sleeps where no signal wakes it (state D)"
                self._tell(step, False, why if held.stuck() else "it is still there")
        finally:
            for _, held in self._running:
                held.close()
        return self._outcomes

    def _take(self, step: Signal, send: Callable[[pidfd.Held], bool]) -> None:
        """Take hold of a process, look again, and send: only to the one that was shown, while it holds the socket."""
        self._met.add(step.process.pid)
        try:
            held = pidfd.Held(step.process.pid, step.process.start_ticks)
        except PortsideError as error:
            return self._tell(step, isinstance(error, Vanished), f"not signalled: {error.reason}")
        try:
            if not held.has_socket(step.held):
                held.close()
                return self._tell(step, True, "not signalled: it holds the socket no more")
            send(held)
        except NotPermitted as error:
            held.close()
            return self._tell(step, False, f"not signalled: {error.reason}")
        self._running.append((step, held))
        return None

    def _wait(self, seconds: float, how: str) -> bool:
        """Wait until the sockets are gone or the time is over; return whether any is left.

        Whoever was given one of them meanwhile (a fork) and is now the last to have it gets TERM as well.
        """
        deadline = time.monotonic() + seconds
        while True:
            for step, held in list(self._running):
                if held.ended():
                    self._finish(step, held, how)
            left = self._left()
            if not left:
                self._finish_all(how)
            if not left or time.monotonic() > deadline:
                return bool(left)
            if not self._running:
                for step in self._holders():
                    if step.process.pid not in self._met:
                        self._take(step, pidfd.Held.end)
                if not self._running:
                    return True
            time.sleep(_TICK)

    def _finish_all(self, how: str) -> None:
        """Tell who has ended and who goes on; a process that ends closes its sockets a moment before it is gone."""
        deadline = time.monotonic() + _LEAVING
        for step, held in list(self._running):
            while not held.ended() and time.monotonic() < deadline:
                time.sleep(_TICK)
            self._finish(step, held, how if held.ended() else "let go of the port, and goes on")

    def _kill(self) -> None:
        """Send KILL to whoever holds one of the sockets now."""
        running = {step.process.pid: held for step, held in self._running}
        for step in self._holders():
            held = running.get(step.process.pid)
            if held is not None:
                held.send(pidfd.KILL)
            elif step.process.pid not in self._met:
                self._take(step, lambda held: held.send(pidfd.KILL))

    def _holders(self) -> list[Signal]:
        """Return who holds the planned sockets now, but for the init process and ourselves."""
        having = [
            socket
            for socket in take_port(self._plan.port, self._plan.protocol)
            if socket.inode in self._plan.inodes
        ]
        return [
            free.Signal(process, pairs)
            for process, _, pairs in free.holders(having)
            if process.pid not in (1, os.getpid())
        ]

    def _left(self) -> frozenset[int]:
        """Return which of the planned sockets exist."""
        there = {socket.inode for socket in take_port(self._plan.port, self._plan.protocol, owners=False)}
        return self._plan.inodes & there

    def _finish(self, step: Signal, held: pidfd.Held, how: str) -> None:
        self._running.remove((step, held))
        held.close()
        self._tell(step, True, how)

    def _tell(self, step: Signal, done: bool, how: str) -> None:
        self._outcomes.append(Outcome(step, done, how, time.monotonic() - self._began))


def _close(plan: Plan, steps: Sequence[Close]) -> list[Outcome]:
    """Have the kernel close sockets, each told by its cookie: one that is another's by now is not met."""
    from portside.system.destroying import destroy

    snapshot = take_port(plan.port, plan.protocol, owners=False)
    rows = {
        row[9]: (dump.protocol.number, row)
        for part in snapshot.parts
        for dump in part.dumps
        for row in part.rows(dump)
    }
    outcomes = []
    for step in steps:
        found = rows.get(step.socket.cookie)
        try:
            if found is None:
                raise Vanished("close", "socket", "it is gone")
            destroy(*found)
        except Vanished:
            outcomes.append(Outcome(step, True, "gone already"))
        except PortsideError as error:
            outcomes.append(Outcome(step, False, f"{error.reason}; {error.next_step}".rstrip("; ")))
        else:
            outcomes.append(Outcome(step, True, "closed"))
    return outcomes


def verify(plan: Plan) -> Result:
    """Look whether the port is free now: no open socket has it, and bind(2) succeeds.

    The two are not one moment: where bind finds a port in use on which nothing was seen, it is looked at again.
    """
    for _ in range(_LOOKS):
        result, explained = _verify_once(plan)
        if explained:
            break
        time.sleep(_TICK)
    return result


def _verify_once(plan: Plan) -> tuple[Result, bool]:
    """Return what is so now, and whether what was seen explains what bind says."""
    from portside.system import reserving

    snapshot = take_port(plan.port, plan.protocol)
    taken = [socket for socket in snapshot if is_open(socket)]
    rest = [socket for socket in snapshot if not is_open(socket)]
    failed = [_errnos(plan.port, one, reserving.why_not_bindable) for one in free.transports(plan)]
    plainly = any(one[0] == errno.EADDRINUSE for one in failed)
    reuse = any(one[1] == errno.EADDRINUSE for one in failed)
    seen = bool(taken or rest)
    if taken and (reuse or any(socket.state != "bound-inactive" for socket in taken)):
        return Result((), NOT, *_why_taken(plan, taken, snapshot.processes)), True
    if reuse:
        return Result((), NOT, *_why_blocked(plan, rest)), seen
    if plainly:
        return Result((), WITH_REUSEADDR, *_shadows(plan, rest, taken)), seen
    refused = any(one[0] in (errno.EACCES, errno.EPERM) for one in failed)
    return Result((), PLAINLY, "not tried: binding it takes a right" if refused else ""), True


def _errnos(port: int, protocol: str, attempt: Callable[..., int]) -> tuple[int, int]:
    """Try to bind as a plain program does, and as a server that sets SO_REUSEADDR (which means nothing for UDP)."""
    plain = attempt(port, protocol)
    return plain, attempt(port, protocol, reuse=True) if plain and protocol == "tcp" else plain


def _why_taken(plan: Plan, taken: Sequence[Socket], table: ProcessTable) -> tuple[str, str]:
    """Say who has the port still, or again."""
    again = [socket for socket in taken if socket.inode not in plan.inodes]
    owner = next((owner for socket in again or taken for owner in socket.owners), None)
    if owner is None:
        return "a socket has it still", f"see 'portside who {plan.name}'"
    name = f"{owner.process.name or '?'} {owner.pid}"
    if not again:
        closed = any(isinstance(step, free.Close) for step in plan.steps)
        return f"{name} has it still", f"end the process: portside free {plan.name}" if closed else ""
    parents = table.parents(owner.pid)
    if parents and parents[0].pid != 1:
        parent = f"{parents[0].name or '?'} {parents[0].pid}"
        return f"taken again by {name}, which {parent} started", f"stop {parent} first"
    return f"taken again by {name}", f"see 'portside who {plan.name}'"


def _why_blocked(plan: Plan, connections: Sequence[Socket]) -> tuple[str, str]:
    """Say which connections have the port as their own, where nothing else does."""
    if not connections:
        return "bind says that the address is in use", f"see 'portside who {plan.name}'"
    one = connections[0]
    names = sorted(
        {f"{owner.process.name or '?'} {owner.pid}" for socket in connections for owner in socket.owners}
    )
    what = f"{_count(connections)}, to {one.remote.address}:{one.remote.port} ({one.state})"
    return (
        f"{what} {'held by ' + ', '.join(names) if names else ''}".rstrip(),
        "wait until it ends, or end its program",
    )


def _shadows(plan: Plan, connections: Sequence[Socket], taken: Sequence[Socket]) -> tuple[str, str]:
    """Say what keeps the port from who does not set SO_REUSEADDR."""
    if taken:
        owner = next((owner for socket in taken for owner in socket.owners), None)
        name = f"{owner.process.name} {owner.pid}" if owner else "its process"
        return f"{name} has it bound until it closes the descriptor", ""
    if connections and all(socket.state == records.TIME_WAIT for socket in connections):
        left = max((socket.timer.expires for socket in connections if socket.timer), default=60.0)
        how = f"portside free {plan.name} --socket"
        return f"{_count(connections)} in time-wait for {left:.0f} s more", f"to end it now: {how}"
    states = ", ".join(sorted({socket.state for socket in connections}))
    return f"{_count(connections)} ({states})" if connections else "bind says that the address is in use", ""


def _count(connections: Sequence[Socket]) -> str:
    return f"{len(connections)} connection{'s' if len(connections) != 1 else ''} on it"
