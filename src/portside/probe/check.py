"""Many goals looked at side by side, once (`check`) or again and again until they are as wished (`wait`).

Threads look (at most MOST_THREADS), because a name server may keep one waiting; the caller waits for answers, never
for threads, so a deadline holds whatever they hang in.  Between two looks at one goal the pause doubles, from
FIRST_PAUSE to the longest that was asked for: quick to see what starts quickly, gentle with what does not.
"""

from __future__ import annotations

import queue
import threading
import time

from portside.errors import TimedOut
from portside.probe.goals import parse_goals
from portside.probe.look import Manner, Verdict, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portside.probe.goals import Goal

MOST_THREADS = 64
FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 1.0


class Waiting:
    """Goals being looked at: `verdicts` in their order, the last of each, None where none came yet."""

    def __init__(
        self, goals: Sequence[Goal], manner: Manner, *, closed: bool = False, once: bool = False,
        pause: float = LONGEST_PAUSE,
    ) -> None:  # fmt: skip
        self.goals = list(goals)
        self.manner = manner
        self.closed = closed
        self.once = once
        self.pause = pause
        self.verdicts: list[Verdict | None] = [None] * len(self.goals)
        self.done = [False] * len(self.goals)
        self._stop = threading.Event()
        self._todo: queue.PriorityQueue[tuple[float, int, float]] = queue.PriorityQueue()  # due, goal, pause
        self._told: queue.SimpleQueue[tuple[int, Verdict]] = queue.SimpleQueue()

    def fits(self, verdict: Verdict) -> bool:
        """Tell whether a verdict is what was wished for: open, or (`closed`) known not to be."""
        return verdict.known and not verdict.open if self.closed else verdict.open

    def run(
        self, timeout: float | None, every: bool = True, tell: Callable[[Verdict], None] | None = None
    ) -> bool:
        """Look until all (or, without `every`, one) are as wished, once if so made; False when the time is over.

        `tell` is called for each goal that is done.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for number in range(len(self.goals)):
            self._todo.put((0.0, number, min(FIRST_PAUSE, self.pause)))
        for _ in range(min(MOST_THREADS, len(self.goals))):
            threading.Thread(target=self._work, args=(deadline,), daemon=True).start()
        try:
            while not self._finished(every):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                try:
                    number, verdict = self._told.get(timeout=left)
                except queue.Empty:
                    return False
                self.verdicts[number] = verdict
                if self.once or self.fits(verdict):
                    self.done[number] = True
                    if tell is not None:
                        tell(verdict)
            return True
        finally:
            self._stop.set()

    def _finished(self, every: bool) -> bool:
        return all(self.done) if every or self.once else any(self.done)

    def _work(self, deadline: float | None) -> None:
        """Look at whatever is due, and put it back until it is as wished."""
        while not self._stop.is_set():
            try:
                due, number, pause = self._todo.get(timeout=self.pause)
            except queue.Empty:
                continue
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            left = self.manner.timeout if deadline is None else max(0.001, deadline - time.monotonic())
            verdict = look(self.goals[number], self.manner.replace(timeout=min(self.manner.timeout, left)))
            self._told.put((number, verdict))
            if not (self.once or self.fits(verdict)):
                self._todo.put((time.monotonic() + pause, number, min(pause * 2, self.pause)))


def check(
    *targets: str,
    timeout: float = 3.0,
    statuses: Sequence[int] = (),
    insecure: bool = False,
    pin: str = "",
    payload: bytes | None = None,
) -> list[Verdict]:
    """Look at each target once and return the verdicts, in the order of the targets.

    A target is `db:5432`, `https://db/health`, `tls://db:5433`, `udp://db:53`, `/run/db.sock` and the like
    (`probe.goals`).  `timeout` is for each in seconds; `statuses`: the HTTP statuses that count as open (200 to 399);
    `insecure` does not verify certificates, `pin` knows the server by its public key (`sha256:...`); `payload` is
    what UDP is asked with (None: what the port's usual service understands).  Raises BadRequest for a target or a pin
    that cannot be read.
    """
    manner = Manner(timeout, tuple(statuses), insecure, "", payload, _pin(pin))
    return look_at(parse_goals(targets), manner)


def _pin(text: str) -> str:
    if not text:
        return ""
    from portside.wire.pins import parse_pin

    return parse_pin(text)


def look_at(goals: Sequence[Goal], manner: Manner) -> list[Verdict]:
    """Look at each goal once, and return the verdicts in their order."""
    waiting = Waiting(goals, manner, once=True)
    rounds = -(-len(goals) // MOST_THREADS)
    waiting.run(manner.timeout * rounds + 1.0)  # a name server may take longer than a look
    return [
        verdict or Verdict(goal.text, "", False, "no-such-host", detail="no name server answers")
        for goal, verdict in zip(goals, waiting.verdicts, strict=True)
    ]


def wait(
    *targets: str,
    timeout: float | None = 60.0,
    closed: bool = False,
    every: bool = True,
    statuses: Sequence[int] = (),
    insecure: bool = False,
    pin: str = "",
    payload: bytes | None = None,
) -> list[Verdict]:
    """Return the last verdicts when all targets are open (`closed`: when none is; not `every`: when one is so).

    `timeout` in seconds, None for ever; then TimedOut is raised, which names what is not as wished and why.  The rest
    as in `check`.  In asyncio: `await asyncio.to_thread(portside.wait, "db:5432")`.
    """
    goals = parse_goals(targets)
    waiting = Waiting(goals, Manner(3.0, tuple(statuses), insecure, "", payload, _pin(pin)), closed=closed)
    if not waiting.run(timeout, every):
        raise TimedOut(
            "wait for", ", ".join(missing(waiting)), f"not {'closed' if closed else 'open'} in {timeout:g} s"
        )
    return [verdict for verdict in waiting.verdicts if verdict is not None]


def missing(waiting: Waiting) -> list[str]:
    """Return what is not as wished, each with its last reason."""
    return [
        f"'{goal.text}' ({verdict.reason if verdict else 'no answer yet'})"
        for goal, verdict, done in zip(waiting.goals, waiting.verdicts, waiting.done, strict=True)
        if not done
    ]
