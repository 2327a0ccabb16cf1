"""How what runs on a driver is run: to its end, in a thread of its own, or inside an asyncio loop.

There is one implementation for all three: an epoll instance can itself be watched (epoll(7), Q3), so an asyncio loop
calls the driver's turns when there is something to do.  Other threads reach a driver through an eventfd(2).

    server.run()                        # until it is stopped
    with server: ...                    # in a thread, stopped at the end of the block
    async with server: ...              # in the running asyncio loop
    await server                        # there, until it is stopped
"""

from __future__ import annotations

import os
from collections import deque

from portside.errors import BadRequest
from portside.use.relay.driver import READ, Driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator
    from threading import Thread
    from typing import Any, Self

_END_WITHIN = 10.0  # seconds for the thread to end once it was told to


class Running:
    """Something on a driver: `open` makes it ready, `close` gives all back; subclasses fill `_open` and `_close`."""

    def __init__(self) -> None:
        self.driver: Driver = None  # type: ignore[assignment]  # from `open` to `close`
        self._calls: deque[Callable[[], None]] = deque()
        self._bell = -1
        self._stopped = False
        self._thread: Thread | None = None
        self._turning: _Turning | None = None

    def open(self) -> None:
        """Take what is needed to run: sockets, descriptors.  Raises PortsideError; then nothing stays open."""
        if self.driver is not None:
            raise BadRequest("run", "", "it runs already")
        self._stopped = False
        self.driver = Driver()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.driver.watch(self._bell, READ, self._rung)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything at once and give it back."""
        if self.driver is None:
            return
        self._close()
        self.driver.close()
        self.driver = None  # type: ignore[assignment]
        bell, self._bell = self._bell, -1
        os.close(bell)

    def _open(self) -> None:
        """Take what is needed."""
        raise NotImplementedError

    def _close(self) -> None:
        """Give back what `_open` and the work since have taken; part of it may be missing."""
        raise NotImplementedError

    def post(self, function: Callable[[], None]) -> None:
        """Have the loop call a function soon: from any thread, or from a signal's handler."""
        self._calls.append(function)
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def _rung(self, bell: int) -> None:
        os.eventfd_read(bell)
        while self._calls:
            self._calls.popleft()()

    def stop(self) -> None:
        """End the run soon; from any thread, and more than once."""
        self.post(self._stop)

    def _stop(self) -> None:
        self._stopped = True
        self.driver.stop()

    def run(self) -> None:
        """Open, work until `stop`, close."""
        self.open()
        try:
            self.work()
        finally:
            self.close()

    def work(self) -> None:
        """Make the loop's turns until `stop`; between `open` and `close`."""
        if not self._stopped:
            self.driver.run()

    def __enter__(self) -> Self:
        from threading import Thread

        self.open()
        self._thread = Thread(target=self.work, name=type(self).__name__, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(_END_WITHIN)
        self.close()

    async def __aenter__(self) -> Self:
        import asyncio

        self.open()
        self._turning = _Turning(self, asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._turning is not None:
            self._turning.end()
        self.close()

    def __await__(self) -> Generator[Any, None, None]:
        return self._until_stopped().__await__()

    async def _until_stopped(self) -> None:
        async with self:
            assert self._turning is not None
            await self._turning.stopped


class _Turning:
    """A driver's turns made by an asyncio loop; `stopped` is done when the run is to end, or has failed."""

    def __init__(self, running: Running, loop: asyncio.AbstractEventLoop) -> None:
        self._running = running
        self._loop = loop
        self._alarm: asyncio.TimerHandle | None = None
        self.stopped: asyncio.Future[None] = loop.create_future()
        loop.add_reader(running.driver.fileno(), self._turn)
        self._set_alarm()

    def _turn(self) -> None:
        try:
            self._running.driver.turn(wait=False)
        except BaseException as error:
            self.end()
            if not self.stopped.done():
                self.stopped.set_exception(error)
            return
        if self._running._stopped and not self.stopped.done():
            self.stopped.set_result(None)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        patience = self._running.driver.patience()
        self._alarm = None if patience is None else self._loop.call_later(patience, self._turn)

    def end(self) -> None:
        """Make no more turns."""
        self._loop.remove_reader(self._running.driver.fileno())
        if self._alarm is not None:
            self._alarm.cancel()
