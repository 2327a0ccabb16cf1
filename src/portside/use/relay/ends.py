"""What a relay's ends are: where bytes are read and written, and what kind of file that is.

The kind decides how bytes can be moved (`flows`): splice(2) needs a pipe on one side, sendfile(2) a regular file to
read, epoll(7) refuses regular files.  Our own sockets do not block.  Descriptors that others gave us (standard
input and output) stay as they are: the flag would be shared with everybody who has the same open file, as the shell.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from socket import SHUT_WR, SO_LINGER, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

SOCKET = "socket"
PIPE = "pipe"
FILE = "file"
APPEND = "append"  # a file opened with O_APPEND: splice refuses it
TTY = "tty"
_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger
OTHER = "other"  # /dev/null and its kin


def kind_of(descriptor: int) -> str:
    """Return what a descriptor refers to."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return SOCKET
    if stat.S_ISFIFO(mode):
        return PIPE
    if stat.S_ISREG(mode):
        return APPEND if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND else FILE
    return TTY if os.isatty(descriptor) else OTHER


class End:
    """One end: `source` and `sink` are descriptors (-1: none), their kinds beside them.

    `foreign` says that the descriptors are not ours to make non-blocking: they are used only when epoll says so.
    """

    foreign = True
    plain = True  # the bytes on the descriptors are the bytes that are carried: not encrypted

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.source_kind = kind_of(source) if source >= 0 else OTHER
        self.sink_kind = kind_of(sink) if sink >= 0 else OTHER

    @property
    def unsent(self) -> bool:
        """Whether bytes that `write` took are still on their way out of this process."""
        return False

    @property
    def buffered(self) -> bool:
        """Whether there is something to read that epoll does not know of."""
        return False

    def flush(self) -> None:
        """Send on what `write` took; raises BlockingIOError where not everything went."""

    def read_into(self, buffer: memoryview) -> int:
        """Read what there is, at most the buffer; 0 at the end.  Raises BlockingIOError, OSError."""
        return os.readv(self.source, [buffer])

    def write(self, data: memoryview) -> int:
        """Write and return how much was taken.  Raises BlockingIOError, OSError."""
        return os.write(self.sink, data)

    def shut(self) -> None:
        """Tell the reader that nothing more comes."""
        self._close_sink()

    def abort(self) -> None:
        """Have `close` tell the peer that this is no regular end, where there are words for it."""

    def close(self) -> None:
        """Give both descriptors back."""
        self._close_sink()
        if self.source >= 0:
            os.close(self.source)
            self.source = -1

    def _close_sink(self) -> None:
        if self.sink >= 0:
            os.close(self.sink)
            self.sink = -1


class SocketEnd(End):
    """An end that is a connected stream socket of ours."""

    foreign = False

    def __init__(self, connection: socket) -> None:
        if connection.gettimeout() != 0.0:
            connection.setblocking(False)
        self.connection = connection
        self.source = self.sink = connection.fileno()
        self.source_kind = self.sink_kind = SOCKET

    @property
    def local(self) -> bool:
        """Whether the peer is on this host: a Unix socket's, or one at our own address."""
        try:
            here, there = self.connection.getsockname(), self.connection.getpeername()
        except OSError:  # it is gone already
            return False
        return not isinstance(here, tuple) or here[0] == there[0]

    def read_into(self, buffer: memoryview) -> int:
        """Receive what there is."""
        return self.connection.recv_into(buffer)

    def write(self, data: memoryview) -> int:
        """Send what fits."""
        return self.connection.send(data)

    def shut(self) -> None:
        """Send FIN (shutdown(2), SHUT_WR)."""
        try:
            self.connection.shutdown(SHUT_WR)
        except OSError:  # not connected any more: there is nobody to tell
            pass

    def abort(self) -> None:
        """Have `close` send RST (SO_LINGER of 0 seconds, socket(7))."""
        try:
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
        except OSError:  # it is closed
            pass

    def close(self) -> None:
        """Close the socket."""
        self.connection.close()
        self.source = self.sink = -1
