"""One relayed session at work: two ends, two flows, the rules; run by a `Driver`.

Every event moves bytes in the directions that waited for it, tells the session what happened, and asks the driver for
just the events that are waited for now: a descriptor nobody waits for is not watched, because epoll reports errors
and hang-ups unasked.
"""

from __future__ import annotations

from select import EPOLLIN, EPOLLOUT

from portside.use.relay.ends import SOCKET
from portside.use.relay.flow import LOST, SINK, SOURCE, Broke, Flow
from portside.use.relay.flows import choose
from portside.use.relay.rules import BROKEN, ENDED, FIRST, FORWARD, SECOND, Rules, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.relay.driver import Driver, Timer
    from portside.use.relay.ends import End

_DIRECTIONS = (FIRST, SECOND)


class Relay:
    """A session between two ends.  `on_over` is called with it once, after both ends were closed.

    `flows[FIRST]` carries from the first end to the second; `session` says why it is over and what failed.
    """

    def __init__(
        self,
        driver: Driver,
        first: End,
        second: End,
        rules: Rules = FORWARD,
        *,
        flows: tuple[Flow, Flow] | None = None,
        on_over: Callable[[Relay], None] | None = None,
    ) -> None:
        self.driver = driver
        self.ends = (first, second)
        self.session = Session(rules, driver.now())
        self.flows = list(flows or (choose(first, second), choose(second, first)))
        for flow in self.flows:
            flow.scratch = driver.scratch
        self.closed = False
        self._on_over = on_over
        self._watched: dict[int, int] = {}
        self._awaits = [-1, -1]  # the descriptor that each direction waits for
        self._changed = True  # what is waited for may be something else now
        self._paused: list[float] = [0.0, 0.0]
        self._alarm = 0.0
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin: what was read already is moved at once, the rest with the first events."""
        for direction in _DIRECTIONS:
            if self.ends[direction].buffered and self.session.runs(direction):
                self._move(direction)
        self._after()

    def stop(self) -> None:
        """End the session now, whatever is on its way."""
        self.session.over = self.session.over or "stopped"
        self._after()

    @property
    def totals(self) -> tuple[int, int]:
        """Bytes delivered from the first end to the second, and back."""
        return self.flows[FIRST].total, self.flows[SECOND].total

    def _ready(self, descriptor: int) -> None:
        """Move in every direction that waits for this descriptor."""
        first, second = self._awaits
        if first == descriptor:
            self._move(FIRST)
        if second == descriptor and not self.session.over:
            self._move(SECOND)
        if self._changed or self.session.over or self.session.closing:
            self._after()

    def _awaited(self, direction: int) -> int:
        """Return the descriptor a direction waits for, -1 for none."""
        waits = self.flows[direction].waits
        if not self.session.runs(direction) or self._paused[direction] > self.driver.now():
            return -1
        if waits == SOURCE:
            return self.ends[direction].source
        return self.ends[1 - direction].sink if waits == SINK else -1

    def _move(self, direction: int) -> None:
        session, flow, now = self.session, self.flows[direction], self.driver.now()
        waited = flow.waits
        try:
            moved = flow.move()
        except Broke as broke:
            self._changed = True
            if broke.reading or broke.error.errno in LOST:
                session.broke(broke.error)
            else:
                session.refused(direction, broke.error)
            return
        if moved:
            session.moved(now)
        if session.rules.pace and flow.pauses(moved):
            self._paused[direction] = now + session.rules.pace
            self._changed = True
        if flow.at_end:
            self._changed = True
            tell, end = session.ended(direction, now), self.ends[1 - direction]
            closed_now = session.over == ENDED and end.plain and end.sink_kind == SOCKET  # which tells it too
            if tell and not closed_now:
                self._tell(end)
        elif (instead := flow.instead()) is not flow or flow.waits != waited:
            self.flows[direction] = instead
            instead.scratch = self.driver.scratch
            self._changed = True

    def _tell(self, end: End) -> None:
        """Pass an end of file on; where that closes the descriptor, it is not watched any more before."""
        if end.sink != end.source and self._watched.pop(end.sink, 0):
            self.driver.forget(end.sink)
        end.shut()

    def _after(self) -> None:
        """Watch what is waited for, wake up in time, or clean up."""
        if self.session.closing:
            self.session.holding = self._is_holding(self.session.closing.drains)
            self.session.expire(self.driver.now())
        if self.session.over:
            self._finish()
            return
        self._changed = False
        wanted: dict[int, int] = {}
        for direction in _DIRECTIONS:
            descriptor = self._awaits[direction] = self._awaited(direction)
            if descriptor >= 0:
                mask = EPOLLIN if self.flows[direction].waits == SOURCE else EPOLLOUT
                wanted[descriptor] = wanted.get(descriptor, 0) | mask
        if wanted != self._watched:
            self._watch(wanted)
        self._set_alarm()

    def _is_holding(self, drains: bool) -> bool:
        """Whether the direction that still runs has read something, or (`drains`) waits for its sink."""
        for direction in _DIRECTIONS:
            if self.session.runs(direction):
                flow = self.flows[direction]
                return flow.holds or (drains and flow.waits == SINK)
        return False

    def _watch(self, wanted: dict[int, int]) -> None:
        for descriptor in self._watched:
            if descriptor not in wanted:
                self.driver.forget(descriptor)
        for descriptor, mask in wanted.items():
            if self._watched.get(descriptor) != mask:
                self.driver.watch(descriptor, mask, self._ready)
        self._watched = wanted

    def _set_alarm(self) -> None:
        now = self.driver.now()
        times = [time for time in self._paused if time > now]
        deadline = self.session.deadline()
        if deadline is not None:
            times.append(deadline)
        soonest = min(times, default=0.0)
        if soonest and not (now < self._alarm <= soonest):  # one that comes too early asks again
            self._cancel_alarm()
            self._alarm = soonest
            self._timer = self.driver.at(soonest, self._wake)

    def _cancel_alarm(self) -> None:
        self._alarm = 0.0
        if self._timer is not None:
            self.driver.cancel(self._timer)
            self._timer = None

    def _wake(self) -> None:
        if not self.closed:
            self._alarm = 0.0
            self.session.expire(self.driver.now())
            self._after()

    def _finish(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._watch({})
        self._cancel_alarm()
        for flow in self.flows:
            flow.close()
        broken = self.session.rules.abort and self.session.over == BROKEN
        for end in self.ends:
            if broken:
                end.abort()
            end.close()
        if self._on_over is not None:
            self._on_over(self)
