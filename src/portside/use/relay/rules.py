"""When a relayed session passes an end of file on, and when it is over: a state machine without I/O.

A session has two ends, FIRST and SECOND (a netcat's standard streams and the network), and two directions, each
named by the end it comes from.  What follows from an end of file is data (`AtEof`), because that is what the netcats
differ in: whether the other end is told, and how long the session goes on.  A forwarder tells the other end and goes
on until both directions have ended: half-close is kept.  Times are seconds of any monotonic clock, by the caller.
"""

from __future__ import annotations

from portside.record import Record

FIRST, SECOND = 0, 1

# why a session is over
ENDED = "ended"  # both directions came to their end
LINGERED = "lingered"  # the time allowed after an end of file has run out
IDLE = "idle"  # no byte moved for the time allowed
BROKEN = "broken"  # an end failed


class AtEof(Record):
    """What follows when a direction has come to its end and its last byte was delivered.

    `tell` shuts the other end's write side.  `then` is for how many seconds the session goes on (0: not at all, None:
    until the other direction ends too).  What was read is always delivered before a session that goes on not at all
    is over; with `drains` also what the other direction's source goes on giving, until it is quiet for a moment: it
    was on its way before the end came.
    """

    tell: bool = True
    then: float | None = None
    drains: bool = False


class Rules(Record):
    """How one session behaves: what each direction's end leads to, which directions there are, idle time, pace.

    `pace` is the least time in seconds between two moves of a direction (`nc -i`).  `abort`: where one end has
    broken, the other is told so (RST), and does not take what it has for the whole.
    """

    at_eof: tuple[AtEof, AtEof] = (AtEof(), AtEof())
    carries: tuple[bool, bool] = (True, True)
    idle: float | None = None
    pace: float = 0.0
    abort: bool = False


FORWARD = Rules()
QUIET = 0.1  # seconds without a byte after which a source that is drained has nothing on its way


class Session:
    """The state of one session: feed it what happened, it says what to do.

    `over` is empty while the session runs, then one of the words above; `failures` are the errors of broken ends;
    `moved_at` is when bytes moved last.
    `closing` says that it ends as soon as nothing is left to deliver; whether something is, `holding` has to say.
    """

    def __init__(self, rules: Rules, now: float) -> None:
        self.rules = rules
        self.over = ""
        self.failures: list[OSError] = []
        self._running = list(rules.carries)
        self.moved_at = now
        self._until: float | None = None
        self.closing: AtEof | None = None
        self.holding = False
        if not any(self._running):
            self.over = ENDED

    def runs(self, direction: int) -> bool:
        """Whether bytes are still to be carried from this end."""
        return self._running[direction] and not self.over

    def moved(self, now: float) -> None:
        """Take note that bytes moved."""
        self.moved_at = now
        if self.closing is not None and self.closing.drains:
            self._until = now + QUIET

    def ended(self, direction: int, now: float) -> bool:
        """Take note that a direction has delivered its last byte; return whether the other end is to be told."""
        if not self._running[direction]:
            return False
        self._running[direction] = False
        rule = self.rules.at_eof[direction]
        if not any(self._running):
            self.over = self.over or ENDED
        elif rule.then is not None:
            if rule.then <= 0:
                self.closing = rule
            then = QUIET if rule.then <= 0 and rule.drains else rule.then
            self._until = now + then if self._until is None else min(self._until, now + then)
        return rule.tell

    def refused(self, direction: int, error: OSError) -> None:
        """Take note that what a direction delivers is not taken any more; the other direction may go on."""
        self.failures.append(error)
        self._running[direction] = False
        if not any(self._running):
            self.over = self.over or BROKEN

    def broke(self, error: OSError) -> None:
        """Take note that an end is gone in both directions."""
        self.failures.append(error)
        self._running = [False, False]
        self.over = self.over or BROKEN

    def deadline(self) -> float | None:
        """Return when `expire` has to be asked next, None if nothing is timed."""
        if self.over:
            return None
        until = self._ends_at()
        times = [] if until is None else [until]
        if self.rules.idle is not None:
            times.append(self.moved_at + self.rules.idle)
        return min(times, default=None)

    def expire(self, now: float) -> None:
        """End the session if one of its times has run out."""
        if self.over:
            return
        until = self._ends_at()
        if until is not None and now >= until:
            self.over = LINGERED
        elif self.rules.idle is not None and now >= self.moved_at + self.rules.idle:
            self.over = IDLE

    def _ends_at(self) -> float | None:
        return None if self.closing and self.holding else self._until
