"""Bytes that the kernel moves, by splice(2) and sendfile(2), and when it is asked to.

Where it refuses after all (EINVAL: some file systems do), `instead` is the flow that goes on by copying.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from portside.use.relay.copying import Copy, Read
from portside.use.relay.ends import SOCKET, SocketEnd
from portside.use.relay.flow import CHUNK, ROUNDS, SINK, SOURCE, Broke, Flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.relay.ends import End

_GATHER = CHUNK // 2
_SAMPLE = 64 * CHUNK
_BULK = 1 << 16  # reads of this size, twice in a row, show that much is coming
_FLAGS = 0x01 | 0x02  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK, include/linux/splice.h
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class Hop(Copy):
    """Between two sockets: copied, and through a pipe of ours once much comes."""

    def __init__(self, source: End, sink: End, rest: bytes = b"") -> None:
        super().__init__(source, sink, rest=rest)
        self._full = 0  # reads in a row that brought much
        self._pipes = True

    def move(self) -> int:  # noqa: D102 (as Flow says)
        return self._hop() if self.waits == SOURCE else super().move()

    def _hop(self) -> int:
        """Move between sockets in the usual case, nothing being left: what one read brings goes out at once."""
        scratch = self.scratch
        size = self._read(scratch)
        if not size:
            if size == 0:
                self._end()
            return 0
        data = scratch[:size]
        taken = self._write(data)
        if taken < size:
            self.keep(data[taken:])
        self._full = self._full + 1 if size >= _BULK else 0
        return taken

    def _receive(self, may_write: bool) -> bool:
        more = super()._receive(may_write)
        self._full = self._full + 1 if self._size >= _BULK else 0
        return more

    def instead(self) -> Flow:  # noqa: D102 (as Flow says)
        if not self._pipes or self._full < 2 or self._pending or self.at_end:
            return self
        self._full = 0
        try:
            flow = Piped(self.source, self.sink)
        except OSError:  # no descriptors left, or the pipes of this user are used up
            self._pipes = False
            return self
        flow.total = self.total
        return flow


class Splice(Flow):
    """splice(2) straight from source to sink, one of which is a pipe."""

    def __init__(self, source: End, sink: End) -> None:
        super().__init__(source, sink)
        self._refused = False

    def move(self) -> int:  # noqa: D102 (as Flow says)
        moved = 0
        for _ in range(ROUNDS):
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
        for _ in range(ROUNDS):
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
        for _ in range(ROUNDS):
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
