"""What the small services do with a stream, as flows and ends of a relay: echo is a relay from a socket to itself."""

from __future__ import annotations

from portside.use.relay.copying import Copy
from portside.use.relay.ends import End, SocketEnd
from portside.use.relay.flow import SINK, SOURCE, Flow
from portside.use.relay.relay import Relay
from portside.use.relay.rules import FIRST, AtEof, Rules
from portside.use.relay.splicing import Hop
from portside.use.small.services import DISCARD, ECHO, PERIOD, TEXT, chargen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.small.services import Service

_SCRATCH = 1 << 16
# seconds for the peer to close after a text: a close with unread input would destroy it (RFC 2525, 2.17)
_LINGER = 2.0


class Nothing(End):
    """An end with nothing behind it: always at its end, and takes everything."""

    foreign = False

    def __init__(self) -> None:
        super().__init__(-1, -1)

    @property
    def buffered(self) -> bool:
        """Its end can be read at once, and epoll cannot tell."""
        return True

    def read_into(self, _buffer: memoryview) -> int:
        """There is nothing."""
        return 0

    def write(self, data: memoryview) -> int:
        """Take it."""
        return len(data)


class Swallow(Flow):
    """Read and forget."""

    def move(self) -> int:  # noqa: D102 (as Flow says)
        size = self._read(self.scratch)
        if size == 0:
            self._end()
        self.total += size or 0
        return size or 0


class Generate(Flow):
    """Write the character generator's pattern for as long as it is taken."""

    _pattern = memoryview(chargen(0, 8 * PERIOD))

    def __init__(self, source: End, sink: End) -> None:
        super().__init__(source, sink)
        self.waits = SINK

    def move(self) -> int:  # noqa: D102 (as Flow says)
        return self._put(self._pattern[self.total % len(self._pattern) :])


class EchoRelay(Relay):
    """A relay from a socket to itself, the usual case made short: one read, and all of it written at once.

    What does not fit, much data and every end go the relay's ordinary way.  Of a round trip Python had a fifth: so
    what answers an event is one function, and what it needs are its own variables.
    """

    def start(self) -> None:  # noqa: D102 (as Relay says)
        self._ready = self._answering()  # type: ignore[method-assign, assignment]
        super().start()

    def _answering(self) -> Callable[[int], None]:
        """Return what is called when the socket can be read."""
        end, flow, session, driver, ordinary = (
            self.ends[FIRST], self.flows[FIRST], self.session, self.driver, super()._ready
        )  # fmt: skip
        assert isinstance(end, SocketEnd)
        assert isinstance(flow, Copy)
        receive, send = end.connection.recv_into, end.connection.send
        scratch, much = driver.scratch[:_SCRATCH], False
        data = scratch[:0]  # questions often are of one length

        def ready(descriptor: int) -> None:
            nonlocal much, data
            if much or flow.waits != SOURCE:
                ordinary(descriptor)
                return
            size = taken = 0
            try:
                size = receive(scratch)
                if size != len(data):
                    data = scratch[:size]
                if size:
                    taken = send(data)
            except BlockingIOError:  # nothing came, or nothing is taken
                pass
            except OSError as error:
                session.broke(error)
                self._after()
                return
            else:
                if not size:
                    ordinary(descriptor)  # which finds the end again
                    return
            flow.total += taken
            session.moved_at = driver.clock
            much = size == _SCRATCH
            if taken < size:
                flow.keep(data[taken:])
                self._after()

        return ready

    def _finish(self) -> None:
        super()._finish()
        self.__dict__.pop("_ready", None)  # it holds this relay: without the circle both are freed at once


def session(
    service: Service, end: SocketEnd, text: bytes, idle: float | None
) -> tuple[End, Rules, tuple[Flow, Flow]]:
    """Return what a relay needs to serve one connection: its other end, its rules, its flows."""
    if service.stream == ECHO:
        return end, Rules(carries=(True, False), idle=idle), (Hop(end, end), Hop(end, end))
    nothing = Nothing()
    swallow = Swallow(end, nothing)
    if service.stream == DISCARD:
        return nothing, Rules(carries=(True, False), idle=idle), (swallow, Swallow(nothing, end))
    if service.stream == TEXT:
        rules = Rules(at_eof=(AtEof(), AtEof(then=_LINGER)), idle=idle)
        return nothing, rules, (swallow, Copy(nothing, end, rest=text))
    return nothing, Rules(idle=idle), (swallow, Generate(nothing, end))
