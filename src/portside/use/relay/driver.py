"""The loop: any number of relays, listeners and timers on one epoll instance (epoll(7), level-triggered).

Regular files and /dev/null, which epoll refuses (EPERM), are ready whenever somebody waits for them.
"""

from __future__ import annotations

import heapq
import time
from select import EPOLLIN, EPOLLOUT, epoll

from portside.use.buffers import make_buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = EPOLLIN, EPOLLOUT
_EVENTS = 256
_SCRATCH = 1 << 18


class Timer:
    """A call to come; `function` is None once it was made or cancelled."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function


class Driver:
    """Watches descriptors and times; `run` until nothing is left or `stop`.

    `clock` is the time of this turn.  `scratch` is a buffer for one move of bytes: nothing stays in it between two,
    and each loop, which may have a thread of its own, has its own.
    """

    def __init__(self) -> None:
        self.scratch = make_buffer(_SCRATCH)
        self._epoll = epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._always: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._pending = 0
        self._count = 0
        self.clock = time.monotonic()
        self._stopped = False

    def now(self) -> float:
        """Return the time of this turn of the loop, seconds of the monotonic clock."""
        return self.clock

    def watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler(descriptor)` whenever it can be read or written (READ, WRITE), or has failed."""
        if descriptor in self._always:
            return
        try:
            if descriptor in self._handlers:
                self._epoll.modify(descriptor, events)
            else:
                self._epoll.register(descriptor, events)
        except PermissionError:
            self._always[descriptor] = handler
            return
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Watch a descriptor no more; call it before the descriptor is closed."""
        if self._always.pop(descriptor, None) is None and self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def at(self, when: float, function: Callable[[], None]) -> Timer:
        """Call `function` once at a time of the monotonic clock, or soon after."""
        timer = Timer(function)
        self._count += 1
        self._pending += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def after(self, seconds: float, function: Callable[[], None]) -> Timer:
        """Call `function` once, `seconds` from now."""
        return self.at(time.monotonic() + seconds, function)

    def cancel(self, timer: Timer) -> None:
        """Let a timer pass without a call; one that has passed already is no error."""
        if timer.function is not None:
            timer.function = None
            self._pending -= 1

    def stop(self) -> None:
        """Let `run` return after this turn."""
        self._stopped = True

    def run(self) -> None:
        """Serve until nothing is watched and no timer is set, or until `stop`."""
        self._stopped = False
        while not self._stopped and (self._handlers or self._always or self._pending):
            self.turn()

    def fileno(self) -> int:
        """Return a descriptor that can be read when `turn` has something to do: a loop inside another loop."""
        return self._epoll.fileno()

    def turn(self, *, wait: bool = True) -> None:
        """Handle what comes next, and wait for it if asked: one turn of the loop."""
        handlers = self._handlers
        events = self._epoll.poll(self.patience() if wait else 0.0, _EVENTS)
        self.clock = time.monotonic()
        for descriptor, _ in events:
            handler = handlers.get(descriptor)  # an earlier event of this turn may have closed it
            if handler is not None:
                handler(descriptor)
        if self._always:
            for descriptor, handler in list(self._always.items()):
                if descriptor in self._always:
                    handler(descriptor)
        if not self._timers:
            return
        self.clock = time.monotonic()
        while self._timers and self._timers[0][0] <= self.clock:
            self._fire(heapq.heappop(self._timers)[2])

    def _fire(self, timer: Timer) -> None:
        function, timer.function = timer.function, None
        if function is not None:
            self._pending -= 1
            function()

    def patience(self) -> float | None:
        """Return for how many seconds at most the next turn may wait, None for ever."""
        if self._always or self._stopped:
            return 0.0
        while self._timers and self._timers[0][2].function is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def close(self) -> None:
        """Give the epoll instance back."""
        self._epoll.close()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
