"""What a flow is: the bytes that go one way through a relay, and how that can fail."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.relay.ends import End

    Change = Callable[[bytes], bytes]

NOTHING, SOURCE, SINK = 0, 1, 2  # what a flow waits for
BEFORE, AFTER, LINES = "before", "after", "lines"  # a pause before each piece, after it, after each line

CHUNK = 1 << 20  # of one move
ROUNDS = 8  # so many chunks, then other flows have their turn
LOST = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # a file takes no more: what comes now is lost


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

    def _read(self, buffer: memoryview) -> int | None:
        """Read what has come, 0 at the end, None where nothing has.  Raises Broke."""
        try:
            return self.source.read_into(buffer)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Broke(error, reading=True) from error

    def _put(self, data: memoryview) -> int:
        """Deliver what is taken, and count it.  Raises Broke."""
        try:
            taken = self.sink.write(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Broke(error, reading=False) from error
        self.total += taken
        return taken

    def _end(self) -> None:
        self.at_end = True
        self.waits = NOTHING
