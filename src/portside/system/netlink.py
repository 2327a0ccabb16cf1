"""A netlink socket that reads whole dumps into one buffer.

Every dump ends in one buffer, because the decoders work in bulk; datagrams are read into the same 64 KiB each time,
which stay in the processor's cache.  Handled here: multipart ends, NLMSG_ERROR with extended ack, a reply cut by a
short buffer, answers to somebody else's request, ENOBUFS and interrupted dumps (both asked again, a bounded number
of times).
"""

from __future__ import annotations

import _socket as socket  # the C half of `socket`, all that netlink needs: the rest takes 3 ms to import
import errno
import os
import sys
import time

from portside.errors import BadReply, NotPermitted, NotSupported, PortsideError, TimedOut, Vanished
from portside.wire import netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Protocol, Self

    class Transport(Protocol):
        """What Netlink needs of a socket; `portside.testing.FakeKernel` offers it too."""

        def send(self, data: bytes, /) -> int:
            """Send one request."""

        def recvfrom_into(self, buffer: memoryview, nbytes: int, flags: int, /) -> tuple[int, Any]:
            """Read one datagram; return its real length (MSG_TRUNC) and its sender: (port id, groups)."""

        def close(self) -> None:
            """Release the descriptor."""

    Opener = Callable[[int], Transport]

NETLINK_SOCK_DIAG = 4
NETLINK_ROUTE = 0

_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11  # 4.12
_NETLINK_CAP_ACK = 10  # 4.2: a complaint does not bring the whole request back
_SO_SNDBUFFORCE = 32
_ROOM = 1 << 16  # the kernel's dump datagrams are at most 32 KiB (netlink_dump)
_TRIES = 4
_KERNEL = 0  # the kernel's port id: whoever rules a network namespace could send us datagrams too
_SECONDS = 10.0


def open_socket(protocol: int, room: int = 0) -> Transport:
    """Open a netlink socket of the calling thread's network namespace.

    `room` is the size of the largest request, where that is beyond what every socket sends (net.core.wmem_default):
    root of a user namespace gets no more than net.core.wmem_max, and sending more fails (EMSGSIZE).
    """
    try:
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    except (OSError, AttributeError) as error:
        raise NotSupported("open", "netlink socket", str(error)) from error
    try:
        link.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    except OSError:
        pass  # before 4.12: errors come without text
    if room:
        _make_room(link, room)
    link.settimeout(_SECONDS)
    return link


def _make_room(link: socket.socket, room: int) -> None:
    link.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    try:
        link.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, room + _ROOM)
    except PermissionError:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room + _ROOM)


class Netlink:
    """One netlink conversation; use it as a context manager, from one thread at a time."""

    def __init__(self, protocol: int = NETLINK_SOCK_DIAG, opener: Opener = open_socket) -> None:
        self._opener, self._protocol = opener, protocol
        self._transport = opener(protocol)
        self._room = bytearray(_ROOM)
        self._seq = 0
        self.port_id = 0  # this socket's own address, known from the first answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; further calls fail."""
        self._transport.close()

    def dump(self, request: bytes, what: str) -> bytes:
        """Send a dump request and return its answers, whole messages end to end, without the final NLMSG_DONE.

        `what` names the dump in errors.  Raises NotSupported, NotPermitted, BadReply, TimedOut.
        """
        for _ in range(_TRIES):
            try:
                data, interrupted = self._collect(self._number(request), what)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise from_os(error, "read", what) from error
                self._reopen()
                continue
            if not interrupted:
                return data
        raise BadReply("read", what, f"the dump was interrupted {_TRIES} times", "try again")

    def _reopen(self) -> None:
        """Take a new socket: on the old one a dump that broke off is still running, and a second gets EBUSY."""
        self._transport.close()
        self._transport = self._opener(self._protocol)

    def call(self, request: bytes, what: str) -> None:
        """Send a request that is answered with an ack; raises what the kernel answered, Vanished for ENOENT."""
        try:
            self._collect(self._number(request), what)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise Vanished("change", what, "there is none such", errno=error.errno) from error
            raise from_os(error, "change", what) from error

    def _number(self, request: bytes) -> bytes:
        """Put the next sequence number into the request, so that a late answer to another is not taken for ours."""
        self._seq += 1
        return request[:8] + self._seq.to_bytes(4, sys.byteorder) + request[12:]

    def _collect(self, request: bytes, what: str) -> tuple[bytes, bool]:
        """Send, then read until the end; return the answers and whether the kernel called them inconsistent."""
        self._transport.send(request)
        pieces: list[bytes] = []
        interrupted = False
        deadline = time.monotonic() + _SECONDS
        with memoryview(self._room) as room:
            while time.monotonic() < deadline:
                got = self._receive(room)
                if not got:
                    continue
                end, changed = self._end(got, what)
                interrupted = interrupted or changed
                pieces.append(bytes(room[: got if end is None else end]))
                if end is not None:
                    return b"".join(pieces), interrupted
        raise TimedOut("read", what, f"no end of the dump after {_SECONDS:.0f} seconds")

    def _receive(self, room: memoryview) -> int:
        """Read one datagram and return its length, 0 for one that answers somebody else or is not the kernel's."""
        got, sender = self._transport.recvfrom_into(room, len(room), socket.MSG_TRUNC)
        if sender[0] != _KERNEL:
            return 0
        if got > len(room):
            raise BadReply("read", "netlink reply", f"{got} bytes came, {len(room)} were expected")
        if got < netlink.HEADER.size:
            raise BadReply("read", "netlink reply", f"a message of {got} bytes")
        _, _, _, seq, port_id = netlink.HEADER.read(room)
        if seq != self._seq:
            return 0
        self.port_id = port_id
        return got

    def _end(self, got: int, what: str) -> tuple[int | None, bool]:
        """Return where the answers end, None when more will come, and whether a message is marked as interrupted.

        The common datagram, answers of one length, type and flags and nothing else, is compared in bulk.  Every
        message counts: a guess from some of them could be led astray by bytes that a user chose (a Unix path).
        """
        length, kind, flags, _, _ = netlink.HEADER.read(self._room)
        step = netlink.align(length)
        if kind > netlink.NLMSG_OVERRUN and length >= netlink.HEADER.size and got % step == 0:
            with memoryview(self._room)[:got].cast("I") as words:
                lengths, kinds = words[:: step // 4].tolist(), words[1 :: step // 4].tolist()
            if lengths.count(length) == len(lengths) and kinds.count(kinds[0]) == len(kinds):
                return None, bool(flags & netlink.NLM_F_DUMP_INTR)
        return self._walk(got, what)

    def _walk(self, got: int, what: str) -> tuple[int | None, bool]:
        """Look at each message of one datagram for the end, an error, or the mark of an interrupted dump."""
        interrupted = False
        with memoryview(self._room)[:got] as view:
            for part in netlink.messages(view):
                interrupted = interrupted or bool(part.flags & netlink.NLM_F_DUMP_INTR)
                if part.type in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
                    said = netlink.failure(view, part)
                    if said.errno:
                        raise _Refusal(said)
                    return part.start - netlink.HEADER.size, interrupted
                if part.type == netlink.NLMSG_OVERRUN:
                    raise BadReply("read", what, "the kernel reports lost data (NLMSG_OVERRUN)")
        return None, interrupted


class _Refusal(OSError):
    """What an NLMSG_ERROR said, the extended ack with it."""

    def __init__(self, said: netlink.Failure) -> None:
        super().__init__(said.errno, os.strerror(said.errno))
        self.extack = said.message or None


def from_os(error: OSError, operation: str, what: str) -> PortsideError:
    """Turn an OSError into the child of PortsideError that says what the caller can do."""
    made = _from_errno(error, operation, what)
    made.extack = getattr(error, "extack", None)
    return made


def _from_errno(error: OSError, operation: str, what: str) -> PortsideError:
    number = error.errno or 0
    reason = os.strerror(number).lower() if number else str(error) or "failed"
    if isinstance(error, TimeoutError) or number == errno.EAGAIN:
        return TimedOut(operation, what, f"no answer within {_SECONDS:.0f} seconds", errno=number)
    if number in (errno.EPERM, errno.EACCES):
        return NotPermitted(operation, what, reason, "run it with sudo", errno=number)
    if number in (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL):
        return NotSupported(operation, what, f"this kernel does not offer it ({reason})", errno=number)
    if number in (errno.ESRCH, errno.ESTALE):
        return Vanished(operation, what, reason, errno=number)
    return BadReply(operation, what, reason, errno=number)
