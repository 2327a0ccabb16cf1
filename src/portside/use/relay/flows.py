"""How bytes get from one end to another: the kernel moves them where it can, we copy them where it cannot.

| from | to | by |
|---|---|---|
| regular file | socket | sendfile(2); read and sent, once a reader on this host turns out to be slower |
| pipe | socket, file, pipe, /dev/null | splice(2) |
| socket, file | pipe | splice(2) |
| socket | file, /dev/null | splice(2) through a pipe of ours |
| socket | socket | copied; through a pipe of ours once much comes |
| everything else, and what is changed or encrypted on the way | | copied |

`move` moves what can be moved now and says in `waits` what it waits for.  Where the kernel refuses after all (EINVAL:
some file systems do), `instead` is the flow that goes on by copying.  Reference: splice(2), sendfile(2), pipe(7).
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from portside.use.buffers import make_buffer
from portside.use.relay.ends import APPEND, FILE, OTHER, PIPE, SOCKET, SocketEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.relay.ends import End

    Change = Callable[[bytes], bytes]

NOTHING, SOURCE, SINK = 0, 1, 2  # what a flow waits for
BEFORE, AFTER, LINES = "before", "after", "lines"  # a pause before each piece, after it, after each line

CHUNK = 1 << 20  # of a splice, and the size of our pipes: with the usual 64 KiB half the speed is lost
_GATHER = CHUNK // 2
_LARGEST = 1 << 30
_READ = 1 << 18
_SAMPLE = 64 * CHUNK
_BULK = 1 << 16  # reads of this size, twice in a row, show that much is coming
_ROUNDS = 8  # so many chunks, then other flows have their turn
_ATOMIC = 4096  # PIPE_BUF: what a foreign pipe that polls as writable takes without blocking
_FLAGS = 0x01 | 0x02  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK, include/linux/splice.h
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_NEVER_BLOCKS = (FILE, APPEND, OTHER)  # epoll refuses them, or they always take everything

LOST = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # a file takes no more: what comes now is lost
_EMPTY = memoryview(b"")


class Broke(Exception):
    """An end failed: `reading` says which; `error` is what the kernel said."""

    def __init__(self, error: OSError, *, reading: bool) -> None:
        super().__init__(error)
        self.error = error
        self.reading = reading


class Flow:
    """Bytes going one way; `total` counts what was delivered, `at_end` says that the last one was.

    `waits` is SOURCE or SINK, and NOTHING once `at_end`.  Who moves it lends it `scratch`, for one move.
    """

    scratch: memoryview

    def __init__(self, source: End, sink: End) -> None:
        self.source = source
        self.sink = sink
        self.total = 0
        self.at_end = False
        self.waits = SOURCE

    def move(self) -> int:
        """Move what can be moved now, some chunks at most; return how many bytes were delivered.  Raises Broke."""
        raise NotImplementedError

    @property
    def holds(self) -> bool:
        """Whether something was read and is not delivered yet."""
        return False

    def pauses(self, moved: int) -> bool:
        """Whether a slow session makes a pause now, so many bytes having been delivered."""
        return moved > 0

    def instead(self) -> Flow:
        """Return the flow that goes on from here: usually this one."""
        return self

    def close(self) -> None:
        """Give back what the flow itself holds."""

    def _end(self) -> None:
        self.at_end = True
        self.waits = NOTHING


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
        self._rounds = 1 if pace else _ROUNDS
        self._pace = pace
        self._pending = memoryview(rest)
        self._last = False
        self._full = 0
        self._direct = change is None and _is_plain_socket(source) and _is_plain_socket(sink)
        self._splices = self._direct
        self._sink_asks = sink.foreign and sink.sink_kind not in _NEVER_BLOCKS
        if rest:
            self.waits = SINK

    def move(self) -> int:  # noqa: D102 (as Flow says)
        if self._direct and self.waits == SOURCE:
            return self._hop()
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

    def _hop(self) -> int:
        """Move between sockets in the usual case, nothing being left: what one read brings goes out at once."""
        scratch = self.scratch
        try:
            size = self.source.read_into(scratch)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Broke(error, reading=True) from error
        if not size:
            self._end()
            return 0
        data = scratch[:size]
        taken = self._write(data)
        if taken < size:
            self.keep(data[taken:])
        self._full = self._full + 1 if self._splices and size >= _BULK else 0
        return taken

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

    def instead(self) -> Flow:  # noqa: D102 (as Flow says)
        if self._full < 2 or self._pending or self.at_end:
            return self
        self._full = 0
        try:
            flow = Piped(self.source, self.sink)
        except OSError:  # no descriptors left, or the pipes of this user are used up
            self._splices = False
            return self
        flow.total = self.total
        return flow

    def _receive(self, may_write: bool) -> bool:
        """Read once and write on at once; return whether more can be expected right now."""
        self.waits = SOURCE
        scratch = self.scratch[: self._chunk]
        try:
            size = self.source.read_into(scratch)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Broke(error, reading=True) from error
        self._last = not size or self._left == 1
        self._left -= 1
        self._full = self._full + 1 if self._splices and size >= _BULK else 0
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
        try:
            taken = self.sink.write(data[:_ATOMIC] if self._sink_asks else data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Broke(error, reading=False) from error
        self.total += taken
        return taken


class Splice(Flow):
    """splice(2) straight from source to sink, one of which is a pipe."""

    def __init__(self, source: End, sink: End) -> None:
        super().__init__(source, sink)
        self._refused = False

    def move(self) -> int:  # noqa: D102 (as Flow says)
        moved = 0
        for _ in range(_ROUNDS):
            try:
                size = os.splice(self.source.source, self.sink.sink, CHUNK, flags=_FLAGS)
            except (
                BlockingIOError
            ):  # one of the two: epoll has just said that it is not the one we waited for
                self.waits = SINK if self.waits == SOURCE else SOURCE
                break
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise Broke(error, reading=self._is_reading(error)) from error
                self._refused = True
                break
            if not size:
                self._end()
                break
            moved += size
        self.total += moved
        return moved

    def instead(self) -> Flow:  # noqa: D102 (as Flow says)
        if not self._refused:
            return self
        flow = Copy(self.source, self.sink)
        flow.total = self.total
        return flow

    def _is_reading(self, error: OSError) -> bool:
        return error.errno != errno.EPIPE and self.source.source_kind == SOCKET


class Piped(Flow):
    """splice(2) through a pipe of our own, which gathers what has come: larger moves wake both sides less often.

    With one move for each read a GB cost 0.48 s of both processors, gathered 0.38.  (SO_RCVLOWAT and naps gather more
    and cost more: what waits falls out of the caches.)
    """

    def __init__(self, source: End, sink: End) -> None:
        super().__init__(source, sink)
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, CHUNK)
        except OSError:  # this user's pipes have reached pipe-user-pages-soft
            pass
        self._held = 0
        self._error: OSError | None = None  # the source's, to be told once what came before is delivered
        self._refused = False

    def move(self) -> int:  # noqa: D102 (as Flow says)
        before = self.total
        for _ in range(_ROUNDS):
            try:
                if not self._held and not self._gather():
                    self._end()
                    break
                moved = os.splice(self._reader, self.sink.sink, self._held, flags=_FLAGS)
            except BlockingIOError:
                self.waits = SINK if self._held else SOURCE
                break
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise Broke(error, reading=not self._held) from error
                self._refused = True
                break
            self._held -= moved
            self.total += moved
        return self.total - before

    @property
    def holds(self) -> bool:  # noqa: D102 (as Flow says)
        return bool(self._held)

    def _gather(self) -> bool:
        """Fill the pipe with what has come; return whether it holds something, false at the end."""
        if self._error is not None:
            raise self._error
        while self._held < (_GATHER if self.total else 1):  # a sink that has taken nothing yet may refuse
            try:
                size = os.splice(self.source.source, self._writer, CHUNK, flags=_FLAGS)
            except OSError as error:
                if not self._held:
                    raise
                if not isinstance(error, BlockingIOError):  # the kernel tells it once
                    self._error = error
                break
            if not size:
                break
            self._held += size
        return self._held > 0

    def instead(self) -> Flow:  # noqa: D102 (as Flow says)
        if not self._refused:
            return self
        held = os.read(self._reader, self._held) if self._held else b""
        self.close()
        flow = Copy(self.source, self.sink, rest=held)
        flow.total = self.total
        return flow

    def close(self) -> None:  # noqa: D102 (as Flow says)
        if self._reader >= 0:
            os.close(self._reader)
            os.close(self._writer)
            self._reader = self._writer = -1


class Sendfile(Flow):
    """sendfile(2) from where the file's position stands to its end.

    To a reader on this host that is much slower than we are, `Read` goes on after a while: sendfile hands it the
    pages of the file, which no processor has looked at, and to fetch them from memory is its work then and not ours.
    A GB cost a reader that writes a file 0.70 s, nc.openbsd 0.74 s; where we had read it before, 0.55 and 0.49 s.
    That costs us 0.35 instead of 0.18 s, which we would have waited.  A reader that looks at nothing (splice to
    /dev/null) keeps up, and is left with sendfile, the quicker road for it.
    """

    def __init__(self, source: End, sink: End) -> None:
        super().__init__(source, sink)
        self._refused = False
        self._local = isinstance(sink, SocketEnd) and sink.local
        self._slow = False
        self._judged = (
            0,
            time.monotonic(),
            time.thread_time(),
        )  # bytes, and the clocks, when that was asked last
        self.waits = SINK

    def move(self) -> int:  # noqa: D102 (as Flow says)
        moved = 0
        for _ in range(_ROUNDS):
            try:
                size = os.sendfile(self.sink.sink, self.source.source, None, CHUNK)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise Broke(error, reading=error.errno == errno.EIO) from error
                self._refused = True
                break
            if not size:
                self._end()
                break
            moved += size
        self.total += moved
        if self._local and self.total >= self._judged[0] + _SAMPLE:
            self._judge()
        return moved

    def _judge(self) -> None:
        """See whether we have waited for most of the time."""
        _, passed, worked = self._judged
        self._judged = (self.total, time.monotonic(), time.thread_time())
        self._slow = self._judged[2] - worked < (self._judged[1] - passed) / 3

    def instead(self) -> Flow:  # noqa: D102 (as Flow says)
        if self.at_end or not (self._refused or self._slow):
            return self
        flow = Copy(self.source, self.sink) if self._refused else Read(self.source, self.sink)
        flow.total = self.total
        return flow


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
        for _ in range(_ROUNDS):
            try:
                if not self._left:
                    self._left = self._buffer[: self.source.read_into(self._buffer)]
            except OSError as error:
                raise Broke(error, reading=True) from error
            if not self._left:
                self._end()
                break
            try:
                taken = self.sink.write(self._left)
            except BlockingIOError:
                break
            except OSError as error:
                raise Broke(error, reading=False) from error
            self._left = self._left[taken:]
            self.total += taken
        return self.total - before


def _is_plain_socket(end: End) -> bool:
    return end.plain and not end.foreign and end.source_kind == end.sink_kind == SOCKET


def choose(source: End, sink: End, change: Change | None = None) -> Flow:
    """Return the quickest flow from one end to another."""
    if change is not None or not (source.plain and sink.plain):
        return Copy(source, sink, change)
    here, there = source.source_kind, sink.sink_kind
    if here == FILE and there == SOCKET and not sink.foreign:
        return Sendfile(source, sink)
    ours = not ((here == SOCKET and source.foreign) or (there == SOCKET and sink.foreign))
    if ours and here == PIPE and there in (SOCKET, FILE, PIPE, OTHER):
        return Splice(source, sink)
    if ours and there == PIPE and here in (SOCKET, FILE):
        return Splice(source, sink)
    if ours and here == SOCKET and there in (FILE, OTHER):
        return Piped(source, sink)
    return Copy(source, sink)
