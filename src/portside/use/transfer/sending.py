"""The sending side: walks what is to be sent, goes on from what the other side has, proves that all of it arrived.

The SHA-256 is made of the bytes that are sent, as they are sent.  Holes of sparse files are found by the file system
(SEEK_HOLE, lseek(2)) and sent as their length.  A file that changes meanwhile is an error, not a mixture.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from collections import deque

from portside.errors import (
    BadReply,
    BadRequest,
    NotPermitted,
    NotSupported,
    PortsideError,
    TimedOut,
    Vanished,
)
from portside.use import sockets
from portside.use.buffers import make_buffer
from portside.use.listening import addresses_of
from portside.use.transfer.channel import Channel, Refused, reason_of, transfer_place
from portside.use.transfer.landing import digest_of
from portside.use.transfer.records import Progress, Transferred
from portside.wire import transfer as wire
from portside.wire.transfer import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    import ssl
    from collections.abc import Callable, Iterator

    from portside.system.tls import Tls
    from portside.use.places import Place

_PLAIN_AFTER = 2.0  # seconds of silence after which the other side is taken for a plain netcat
_AHEAD = 256  # files that the receiver may be behind with its DONE: their frames fit into any socket's buffer
_HOLE = 1 << 28  # bytes of a hole that are told at once: their checksum takes a moment, on both sides
_AGAIN = "send it again to go on"
_ZEROS = bytes(wire.LARGEST)
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def send(
    path: str,
    target: str,
    *,
    code: str = "",
    tls: bool | Tls = False,
    plain: bool = False,
    timeout: float = 10.0,
    on_progress: Callable[[Progress], None] | None = None,
) -> Transferred:
    """Send a file, or a directory with all below it, to where `portside receive` listens.

    `target` is `HOST:PORT`, `[ADDRESS]:PORT` or the path of a Unix socket.  With the receiver's one-time `code` the
    transfer is encrypted.  With `tls` it is too, once the receiver has proven who it is: by a certificate for its
    name, or as a `Tls` says, by its pin for one.  `plain`: the other side is a plain netcat; without TLS and a code
    one is told by its silence.  Returns once the other side has compared the checksums and given everything its name.
    Raises PortsideError: NotPermitted for a wrong code, NotSupported for a certificate that is not good and for what
    the receiver refuses (`reason` has its words), Vanished for a connection that broke: sending again then goes on
    where it broke off.
    """
    place = transfer_place("send to", target, code, tls)
    path = os.path.abspath(path)  # also without a slash at the end
    first = _stat(path)
    connection = _connected(place, target, tls, timeout)
    with connection:
        sender = _Sender(Channel(connection), path, on_progress or (lambda _: None))
        if plain or not _is_greeted(connection, target, timeout if tls else _PLAIN_AFTER):
            if code:
                raise NotSupported("send to", f"'{target}'", "nobody there knows of codes: a plain netcat?")
            if tls and not plain:
                raise NotSupported(
                    "send to", f"'{target}'", "no receiver speaks there", "--plain is for a netcat"
                )
            return sender.send_plain(first, bool(tls))
        try:
            return sender.send_all(code)
        except Refused as refused:
            raise _refusal(path, refused.reason) from refused
        except (Vanished, TimedOut) as error:
            raise type(error)("send", f"'{path}'", error.reason, _AGAIN, errno=error.errno) from error


def _connected(place: Place, target: str, tls: bool | Tls, timeout: float) -> socket.socket:
    if not tls:
        return sockets.connect_any(addresses_of(place), timeout=timeout)
    from portside.use.tls import asked, secured

    context, wish = asked(tls)
    made = sockets.connect_any(addresses_of(place), timeout=timeout)
    return secured(made, place.host, context, wish, subject=f"'{target}'", timeout=timeout, whole=True)


def _refusal(path: str, reason: str) -> PortsideError:
    if "the code is" in reason or "a code is" in reason:
        return NotPermitted("send", f"'{path}'", f"the receiver says: {reason}")
    return NotSupported("send", f"'{path}'", f"the receiver says: {reason}")


def _stat(path: str) -> os.stat_result:
    try:
        found = os.stat(path)
    except OSError as error:
        raise BadRequest(
            "send", f"'{path}'", os.strerror(error.errno or 0).lower(), errno=error.errno
        ) from error
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise BadRequest("send", f"'{path}'", "it is neither a file nor a directory")
    return found


def _is_greeted(connection: socket.socket, target: str, within: float) -> bool:
    """Whether the other side is a receiver of ours: False if it says nothing."""
    connection.settimeout(within)
    heard = b""
    try:
        while len(heard) < len(wire.GREETING):
            got = connection.recv(len(wire.GREETING) - len(heard))
            heard += got
            if not got or not wire.GREETING.startswith(heard):
                raise BadReply(
                    "send to",
                    f"'{target}'",
                    "the other side is no receiver",
                    "start 'portside receive' there",
                )
    except TimeoutError:
        if heard:
            raise BadReply("send to", f"'{target}'", "the other side is no receiver") from None
        return False
    except OSError as error:
        raise Vanished("send to", f"'{target}'", reason_of(error), errno=error.errno) from error
    return True


class _Sender:
    """One conversation as the sender."""

    def __init__(self, channel: Channel, path: str, on_progress: Callable[[Progress], None]) -> None:
        self._channel = channel
        self._path = path
        self._tell = on_progress
        self._began = time.monotonic()
        self._files = self._bytes = self._resumed = 0
        self._sha256 = ""
        self._skipped: list[str] = []
        self._streams = False
        self._awaited: deque[tuple[str, tuple[int, bytes]]] = deque()

    def send_all(self, code: str) -> Transferred:
        """Greet, agree on a key where there is a code, send everything, hear that it is there."""
        channel = self._channel
        channel.connection.settimeout(None)
        channel.connection.sendall(wire.HELLO + (b"c" if code else b"-"))
        channel = self._channel = Channel(channel.connection)
        if code:
            from portside.use.transfer.sealing import seal

            seal(channel, code, sender=True)
        for path, entry in self._entries():
            self._entry(path, entry)
        self._listen(0)
        channel.send(wire.BYE)
        channel.expect(wire.BYE, patient=True)
        return self._result(confirmed=True)

    def _result(self, *, confirmed: bool) -> Transferred:
        seconds = time.monotonic() - self._began
        return Transferred(
            self._path,
            self._files,
            self._bytes,
            self._sha256,
            confirmed,
            seconds,
            self._resumed,
            tuple(self._skipped),
        )

    def _entries(self) -> Iterator[tuple[str, Entry]]:
        """Yield what is below the path, each directory before what is in it, in the order of names."""
        root = os.path.basename(self._path)
        if not wire.is_name(root):
            raise BadRequest("send", f"'{self._path}'", "it has no name to send")
        pending: list[tuple[str, tuple[str, ...]]] = [(self._path, (root,))]
        while pending:
            path, parts = pending.pop()
            found = os.stat(path, follow_symlinks=len(parts) == 1)
            kind = stat.S_IFMT(found.st_mode)
            mode, when = stat.S_IMODE(found.st_mode) & 0o777, found.st_mtime_ns
            if kind == stat.S_IFREG:
                yield path, Entry(parts, wire.FILE, found.st_size, mode, when)
            elif kind == stat.S_IFDIR:
                yield path, Entry(parts, wire.DIRECTORY, 0, mode, when)
                names = sorted(os.listdir(path), reverse=True)
                pending += [(os.path.join(path, name), (*parts, name)) for name in names]
            elif kind == stat.S_IFLNK and not wire.leads_out(parts, os.readlink(path)):
                yield path, Entry(parts, wire.LINK, target=os.readlink(path))
            else:
                what = (
                    "a link that leads out"
                    if kind == stat.S_IFLNK
                    else "neither a file, a directory nor a link"
                )
                self._skipped.append(f"{path}: {what}")

    def _entry(self, path: str, entry: Entry) -> None:
        if entry.kind != wire.FILE:
            self._channel.send(wire.ENTRY, wire.encode_entry(entry))
            if len(entry.path) == 1:
                self._streams = wire.parse_point(self._channel.expect(wire.FROM))[0] == 0
            return
        try:
            source = os.open(path, _OPEN & ~os.O_NOFOLLOW if len(entry.path) == 1 else _OPEN)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            if len(entry.path) == 1:
                raise NotPermitted("send", f"'{path}'", reason, errno=error.errno) from error
            self._skipped.append(f"{path}: {reason}")
            return
        try:
            self._channel.send(wire.ENTRY, wire.encode_entry(entry))
            self._file(source, path, entry)
        finally:
            os.close(source)

    def _file(self, source: int, path: str, entry: Entry) -> None:
        """Send one file from where the receiver's verified part ends, from its beginning if that has none."""
        has, digest_there = (0, b"") if self._streams else wire.parse_point(self._channel.expect(wire.FROM))
        digest = self._checked(source, path, has if has <= entry.size else 0)
        start = has if has <= entry.size and digest.digest() == digest_there else 0
        if not start:
            digest = digest_of(source, 0)
        self._channel.send(wire.START, wire.encode_number(start))
        self._resumed += start
        progress = Progress(path, start, entry.size, start)
        self._tell(progress)
        for piece in _pieces(source, start, entry.size):
            self._piece(piece, digest)
            progress = progress.replace(
                done=progress.done + (piece if isinstance(piece, int) else len(piece))
            )
            self._tell(progress)
        now = os.fstat(source)
        if (now.st_size, now.st_mtime_ns) != (entry.size, entry.time) or progress.done != entry.size:
            raise BadRequest("send", f"'{path}'", "it has changed while it was sent", "send it again")
        self._channel.send(wire.END, wire.encode_point(entry.size, digest.digest()))
        self._awaited.append((path, (entry.size, digest.digest())))
        self._listen(_AHEAD if self._streams else 0)
        self._files += 1
        self._bytes += entry.size
        self._sha256 = digest.hexdigest()

    def _checked(self, source: int, path: str, has: int) -> hashlib._Hash:
        """Return the SHA-256 of as much of a file as the receiver has; that is told meanwhile."""

        def tell(done: int) -> None:
            self._channel.busy()
            self._tell(Progress(path, done, has, checking=True))

        return digest_of(source, has, tell)

    def _piece(self, piece: int | memoryview, digest: hashlib._Hash) -> None:
        if isinstance(piece, int):
            self._channel.send(wire.HOLE, wire.encode_number(piece))
            for at in range(0, piece, len(_ZEROS)):
                digest.update(_ZEROS[: min(len(_ZEROS), piece - at)])
        else:
            digest.update(piece)
            self._channel.send(wire.DATA, piece)
        self._listen(_AHEAD)

    def _listen(self, most: int) -> None:
        """Hear what the receiver says, and wait for it while more than `most` files are not confirmed."""
        while len(self._awaited) > most or self._channel.hears():
            if not self._awaited:
                self._channel.expect(wire.FAIL)  # raises what it says
            path, point = self._awaited.popleft()
            if wire.parse_point(self._channel.expect(wire.DONE, patient=True)) != point:
                raise BadReply("send", f"'{path}'", "the receiver has another checksum")

    def send_plain(self, found: os.stat_result, tls: bool) -> Transferred:
        """Send a file's bytes and nothing else, and wait until the netcat has closed."""
        if not stat.S_ISREG(found.st_mode):
            raise BadRequest("send", f"'{self._path}'", "a plain netcat takes no directory", "tar it first")
        connection = self._channel.connection
        connection.settimeout(60.0)
        source = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            digest = digest_of(source, 0)
            done = 0
            self._tell(Progress(self._path, 0, found.st_size))
            while piece := os.pread(source, wire.LARGEST, done):
                digest.update(piece)
                connection.sendall(piece)
                done += len(piece)
                self._tell(Progress(self._path, done, found.st_size))
                while not tls and select.select([connection], [], [], 0)[0] and _answers(connection):
                    pass
            _end(connection, tls)
        except TimeoutError as error:
            raise TimedOut(
                "send", f"'{self._path}'", "the other side does not read, or does not close"
            ) from error
        except OSError as error:
            raise Vanished("send", f"'{self._path}'", reason_of(error)) from error
        finally:
            os.close(source)
        self._files, self._bytes, self._sha256 = 1, done, digest.hexdigest()
        return self._result(confirmed=False)


def _answers(connection: socket.socket) -> bool:
    """Read what a plain netcat says, which means nothing to us; raises NotSupported for a receiver with TLS."""
    heard = connection.recv(1 << 16)
    if heard.startswith(wire.TLS_ONLY):
        raise NotSupported("send", "", "the receiver takes TLS alone", "give its --pin, or --tls")
    return bool(heard)


def _end(connection: socket.socket, tls: bool) -> None:
    """Say that this is all, and wait until the other side has closed."""
    if tls:
        secured: ssl.SSLSocket = connection  # type: ignore[assignment]
        try:
            secured.unwrap()
        except OSError as error:
            if hasattr(error, "library"):  # it went without close_notify, as many do
                return
            raise
    connection.shutdown(socket.SHUT_WR)
    while _answers(connection):
        pass


def _pieces(source: int, start: int, size: int) -> Iterator[memoryview | int]:
    """Yield a file's bytes in pieces, and the length of each hole; a piece is good until the next."""
    buffer = make_buffer(min(wire.LARGEST, size - start))
    at = start
    while at < size:
        data, end = _extent(source, at, size)
        while at < data:
            yield min(data - at, _HOLE)
            at += min(data - at, _HOLE)
        while at < end:
            got = os.preadv(source, [buffer[: min(len(buffer), end - at)]], at)
            if not got:
                return
            yield buffer[:got]
            at += got


def _extent(source: int, at: int, size: int) -> tuple[int, int]:
    """Return where data begins at or after a place, and where it ends."""
    try:
        data = min(os.lseek(source, at, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole up to the end
            return size, size
        return at, size  # the file system does not tell
    return data, (size if data >= size else min(os.lseek(source, data, os.SEEK_HOLE), size))
