"""Bytes that we read and write: they are changed or encrypted on the way, or the kernel cannot move them itself."""

from __future__ import annotations

from portside.use.buffers import make_buffer
from portside.use.relay.ends import APPEND, FILE, OTHER
from portside.use.relay.flow import BEFORE, LINES, ROUNDS, SINK, SOURCE, Broke, Flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.relay.ends import End
    from portside.use.relay.flow import Change

_LARGEST = 1 << 30
_READ = 1 << 18
_ATOMIC = 4096  # PIPE_BUF: what a foreign pipe that polls as writable takes without blocking
_NEVER_BLOCKS = (FILE, APPEND, OTHER)  # epoll refuses them, or they always take everything
_EMPTY = memoryview(b"")


class Copy(Flow):
    """Read and write; `change` is applied to what was read, `rest` is delivered first.

    `chunk` is the most that is read at once (else the scratch), and what one datagram is made of; `reads` ends the
    flow after so many (0: never); `pace` says where the pauses of a slow session lie, one `move` being one step then.
    """

    def __init__(
        self,
        source: End,
        sink: End,
        change: Change | None = None,
        rest: bytes = b"",
        *,
        chunk: int = _LARGEST,
        reads: int = 0,
        pace: str = "",
    ) -> None:
        super().__init__(source, sink)
        self._change = change
        self._chunk = chunk
        self._left = reads
        self._rounds = 1 if pace else ROUNDS
        self._pace = pace
        self._pending = memoryview(rest)
        self._last = False
        self._size = 0  # of the last read
        self._sink_asks = sink.foreign and sink.sink_kind not in _NEVER_BLOCKS
        if rest:
            self.waits = SINK

    def move(self) -> int:  # noqa: D102 (as Flow says)
        before = self.total
        may_read = self.waits == SOURCE or not self.source.foreign
        may_write = self.waits == SINK or not self._sink_asks
        rounds = 0
        while rounds < self._rounds or self.source.buffered or self._last:
            rounds += 1
            if self._pending or self.sink.unsent:
                if not (may_write and self._deliver()):
                    self.waits = SINK
                    break
                may_write = not self._sink_asks
            elif self._last:
                self._end()
                break
            elif not may_read:
                self.waits = SOURCE
                break
            else:
                may_read = self._receive(may_write and self._pace != BEFORE)
                if self._pending:
                    self.waits = SINK
        return self.total - before

    @property
    def holds(self) -> bool:  # noqa: D102 (as Flow says)
        return bool(self._pending) or self.sink.unsent

    def pauses(self, moved: int) -> bool:  # noqa: D102 (as Flow says)
        if self._pace == BEFORE:
            return bool(self._pending) and not moved
        return bool(self._pace) and moved > 0

    def keep(self, data: memoryview) -> None:
        """Take what was read and not delivered yet."""
        self._pending = memoryview(bytes(data))
        self.waits = SINK

    def _receive(self, may_write: bool) -> bool:
        """Read once and write on at once; return whether more can be expected right now."""
        self.waits, self._size = SOURCE, 0
        scratch = self.scratch[: self._chunk]
        size = self._read(scratch)
        if size is None:
            return False
        self._last = not size or self._left == 1
        self._left -= 1
        self._size = size
        data = scratch[:size]
        if self._change is not None:
            data = memoryview(self._change(bytes(data)))
        if data:
            left = data[self._write(data) :] if may_write else data
            self._pending = memoryview(bytes(left)) if left else _EMPTY
        return self._last or (size == len(scratch) and not self.source.foreign) or self.source.buffered

    def inject(self, data: bytes) -> None:
        """Deliver something of our own behind what is pending."""
        self._pending = memoryview(bytes(self._pending) + data)
        self.waits = SINK

    def _deliver(self) -> bool:
        """Write what is pending; return whether it is gone."""
        if self._pending:
            self._pending = self._pending[self._write(self._pending) :]
        if self._pending:
            return False
        try:
            self.sink.flush()
        except BlockingIOError:
            return False
        except OSError as error:
            raise Broke(error, reading=False) from error
        return True

    def _write(self, data: memoryview) -> int:
        if self._pace == LINES:
            data = data[: bytes(data).find(b"\n") + 1 or len(data)]
        return self._put(data[:_ATOMIC] if self._sink_asks else data)


class Read(Flow):
    """Read a file into a buffer, and write that: what is not taken stays in it."""

    def __init__(self, source: End, sink: End) -> None:
        super().__init__(source, sink)
        self._buffer = make_buffer(_READ)
        self._left = self._buffer[:0]
        self.waits = SINK

    @property
    def holds(self) -> bool:  # noqa: D102 (as Flow says)
        return bool(self._left)

    def move(self) -> int:  # noqa: D102 (as Flow says)
        before = self.total
        for _ in range(ROUNDS):
            if not self._left:
                self._left = self._buffer[: self._read(self._buffer) or 0]
            if not self._left:
                self._end()
                break
            taken = self._put(self._left)
            if not taken:
                break
            self._left = self._left[taken:]
        return self.total - before
