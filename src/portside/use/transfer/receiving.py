"""The receiving side: listens, takes one transfer, and gives it its name when all of it is there and proven.

Who is taken of several that connect: `arriving`.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time

from portside.errors import (
    BadReply,
    BadRequest,
    NotPermitted,
    NotSupported,
    PortsideError,
    TimedOut,
    Vanished,
)
from portside.use.datagrams import show
from portside.use.listening import forget_path, listen_at
from portside.use.transfer.arriving import FIRST, first_to_speak
from portside.use.transfer.channel import SILENCE, Channel, Refused, reason_of, transfer_place
from portside.use.transfer.landing import Landing, digest_of, settle
from portside.use.transfer.records import Progress, Transferred
from portside.wire import transfer as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from portside.system.tls import Tls
    from portside.use.places import Place
    from portside.wire.transfer import Entry

_HELLO_WITHIN = 5.0  # seconds for the rest of a HELLO that has begun
_KEPT = "what has come is kept; send it again to go on"
_ZEROS = bytes(wire.LARGEST)


def receive(
    listen: str,
    path: str | None = None,
    *,
    code: str = "",
    tls: bool | Tls = False,
    plain: bool = False,
    overwrite: bool = False,
    timeout: float | None = None,
    on_listening: Callable[[list[str]], None] | None = None,
    on_pin: Callable[[str], None] | None = None,
    on_refused: Callable[[str, str], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Transferred:
    """Receive one file or directory from `portside send`, or one file from a plain netcat.

    `listen` is where: `5000` on this host's loopback addresses, `*:5000` on every address, a Unix socket's path;
    `on_listening` is told the addresses.  `path` is the name to give it, or a directory to put it into; without one
    it gets the sender's name, in the working directory.  With a `code` only a sender that knows it is taken.  `tls`
    speaks TLS with the certificate of a `Tls`, or with one made for this once; `on_pin` is told its pin, by which the
    sender knows us.  With the `ca` of a `Tls` only senders with a certificate of theirs are taken; `on_refused` is
    told the address and the reason of each with whom TLS has failed.  `plain`: only netcats will come, and are not
    greeted; without it one is told by what it says.  Raises PortsideError; what a broken transfer has brought stays
    beside the name, and the next one goes on from it.
    """
    _check_directory(path)
    place = transfer_place("receive on", listen, code, tls)
    context, pin = _context(tls) if tls else (None, "")
    listeners = listen_at(place, {})
    try:
        if on_listening is not None:
            on_listening([show(each.getsockname()) for each in listeners])
        if context is not None and on_pin is not None:
            on_pin(pin)
        connection, heard = first_to_speak(
            listeners,
            timeout=timeout,
            context=context,
            greeting=b"" if plain else wire.GREETING,
            on_refused=on_refused or (lambda *_: None),
        )
    finally:
        _stop(listeners, place)
    with connection:
        return _Receiver(connection, heard, path, overwrite, on_progress or (lambda _: None)).take(code)


def _check_directory(path: str | None) -> None:
    """Refuse before a sender comes what nothing could be written into."""
    directory = os.path.abspath(path or ".")
    if not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    if not os.path.isdir(directory):
        raise NotSupported(
            "receive into", f"'{directory}'", "there is no such directory", "make it, or name another"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise NotPermitted(
            "receive into", f"'{directory}'", "it is not ours to write to", "name another directory"
        )


def _context(tls: bool | Tls) -> tuple[ssl.SSLContext, str]:
    from portside.system.tls import Tls, server_context

    context, pin = server_context(Tls() if isinstance(tls, bool) else tls)
    context.num_tickets = (
        0  # nobody comes twice, and tickets that a sender leaves unread would reset the connection
    )
    return context, pin


def _stop(listeners: list[socket.socket], place: Place) -> None:
    for each in listeners:
        each.close()
    forget_path(place)


class _Receiver:
    """One conversation as the receiver."""

    def __init__(
        self,
        connection: socket.socket,
        heard: bytes,
        path: str | None,
        overwrite: bool,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._connection = connection
        self._heard = heard
        self._channel = Channel(connection)
        self._wanted = path
        self._overwrite = overwrite
        self._tell = on_progress
        self._began = time.monotonic()
        self._landing: Landing | None = None
        self._root: Entry | None = None
        self._files = self._bytes = self._resumed = 0
        self._sha256 = ""
        self._truncated = self._streams = self._is_ours = False

    def take(self, code: str) -> Transferred:
        """Take what comes, of either kind."""
        try:
            if not self._says_hello():
                if code:
                    raise NotPermitted("receive", "", "the sender is no portside, and has no code")
                return self._take_plain()
            self._agree(code)
            return self._take_all()
        except Refused as refused:
            raise NotSupported("receive", "", f"the sender says: {refused.reason}") from refused
        except OSError as error:
            self._tell_why(reason_of(error))
            raise NotSupported("receive", self._shown, reason_of(error), _KEPT, errno=error.errno) from error
        except (Vanished, TimedOut) as error:
            self._tell_why(error.reason)
            step = _KEPT if self._landing else ""
            raise type(error)("receive", self._shown, error.reason, step, errno=error.errno) from error
        except PortsideError as error:
            self._tell_why(error.reason)
            raise
        finally:
            if self._landing is not None:
                self._landing.close()

    @property
    def _shown(self) -> str:
        return f"'{self._landing.path}'" if self._landing else ""

    def _tell_why(self, reason: str) -> None:
        """Tell a sender of ours why this is the end; a netcat would take it for data."""
        if self._is_ours:
            self._channel.fail(reason)

    def _says_hello(self) -> bool:
        """Whether the sender is ours; what it says otherwise is the beginning of a plain file."""
        self._connection.settimeout(_HELLO_WITHIN)
        try:
            while len(self._heard) < FIRST and wire.HELLO.startswith(self._heard[: len(wire.HELLO)]):
                more = self._connection.recv(FIRST - len(self._heard))
                if not more:
                    break
                self._heard += more
        except TimeoutError:
            return False
        finally:
            self._connection.settimeout(SILENCE)
        self._sealed = self._heard[-1:] == b"c"
        self._is_ours = len(self._heard) == FIRST and self._heard.startswith(wire.HELLO)
        return self._is_ours

    def _agree(self, code: str) -> None:
        if bool(code) != self._sealed:
            if code:
                raise NotPermitted("receive", "", "a code is needed, and the sender has none")
            raise NotPermitted("receive", "", "a code is what the sender has, and none was asked for")
        if code:
            from portside.use.transfer.sealing import seal

            seal(self._channel, code, sender=False)

    def _take_all(self) -> Transferred:
        while True:
            kind, payload = self._channel.receive()
            if kind == wire.BYE:
                break
            if kind != wire.ENTRY:
                raise BadReply("receive", "", f"a frame of kind {kind!r} came where an entry should")
            self._entry(wire.parse_entry(bytes(payload)))
        if self._landing is None:
            raise BadReply("receive", "", "the sender has sent nothing")
        self._landing.finish()
        self._channel.send(wire.BYE)
        return self._result(confirmed=True)

    def _result(self, *, confirmed: bool) -> Transferred:
        assert self._landing is not None
        seconds = time.monotonic() - self._began
        return Transferred(
            self._landing.path, self._files, self._bytes, self._sha256, confirmed, seconds, self._resumed,
            truncated=self._truncated,
        )  # fmt: skip

    def _entry(self, entry: Entry) -> None:
        if self._landing is None:
            self._root = entry
            self._land(entry.path[0], entry.kind)
            if len(entry.path) > 1:
                raise BadReply("receive", "", "the first entry is not the root")
        elif self._root is None or entry.path[0] != self._root.path[0] or len(entry.path) == 1:
            raise BadReply("receive", "", "an entry is outside the root")
        assert self._landing is not None
        below = entry.path[1:]
        if entry.kind == wire.DIRECTORY:
            new = self._landing.directory(below, entry)
            if not below:
                self._streams = new
                self._channel.send(wire.FROM, wire.encode_point(int(not new), bytes(32)))
        elif entry.kind == wire.LINK:
            self._landing.link(below, entry)
        else:
            self._file(below, entry)

    def _land(self, name: str, kind: str) -> None:
        """Choose where it goes, before the first byte of it is taken."""
        directory, own = ".", name
        if self._wanted:
            if os.path.isdir(self._wanted):
                directory = self._wanted
            else:
                directory, own = os.path.split(os.path.abspath(self._wanted))
        self._landing = Landing(directory, own, overwrite=self._overwrite)
        self._landing.check(kind)

    def _file(self, below: tuple[str, ...], entry: Entry) -> None:
        assert self._landing is not None
        sink = self._landing.file(below)
        try:
            has = os.fstat(sink).st_size
            there = self._checked(sink, has, below)
            if not self._streams:
                self._channel.send(wire.FROM, wire.encode_point(has, there.digest()))
            start = wire.parse_number(self._channel.expect(wire.START))
            if start not in (0, has):
                raise BadReply(
                    "receive", f"'{self._landing.path}'", f"the sender begins at {start}, not at {has}"
                )
            os.ftruncate(sink, start)
            digest = there if start else hashlib.sha256()
            self._content(sink, entry, start, digest, os.path.join(self._landing.path, *below))
            settle(sink, entry)
            if not below:  # those of a directory are synced together
                os.fsync(sink)
        finally:
            os.close(sink)
        self._channel.send(wire.DONE, wire.encode_point(entry.size, digest.digest()))
        self._files += 1
        self._bytes += entry.size
        self._resumed += start
        self._sha256 = digest.hexdigest()

    def _checked(self, sink: int, has: int, below: tuple[str, ...]) -> hashlib._Hash:
        """Return the SHA-256 of what an earlier try has left of a file; the sender is told meanwhile."""
        assert self._landing is not None
        shown = os.path.join(self._landing.path, *below)

        def tell(done: int) -> None:
            self._channel.busy()
            self._tell(Progress(shown, done, has, checking=True))

        return digest_of(sink, has, tell)

    def _content(self, sink: int, entry: Entry, start: int, digest: hashlib._Hash, shown: str) -> None:
        """Write what comes until its END, and compare."""
        at = start
        self._tell(Progress(shown, at, entry.size, start))
        while True:
            kind, payload = self._channel.receive()
            if kind == wire.END:
                if (at, digest.digest()) != wire.parse_point(bytes(payload)) or at != entry.size:
                    os.ftruncate(sink, 0)  # nothing to go on from
                    raise BadReply(
                        "receive", f"'{shown}'", "the checksum is not the sender's", "send it again"
                    )
                return
            size = wire.parse_number(bytes(payload)) if kind == wire.HOLE else len(payload)
            if kind not in (wire.HOLE, wire.DATA) or at + size > entry.size:
                raise BadReply("receive", f"'{shown}'", "more came than was announced")
            if kind == wire.HOLE:
                for done in range(0, size, len(_ZEROS)):
                    digest.update(_ZEROS[: min(len(_ZEROS), size - done)])
                os.ftruncate(sink, at + size)
            else:
                digest.update(payload)
                _write(sink, payload, at)
            at += size
            self._tell(Progress(shown, at, entry.size, start))

    def _take_plain(self) -> Transferred:
        """Write the bytes of a plain netcat up to its end, without a checksum: whether it is all nobody knows."""
        if not self._wanted or os.path.isdir(self._wanted):
            raise BadRequest("receive", "", "the sender is a plain netcat, and names no file", "give PATH")
        self._land("", wire.FILE)
        assert self._landing is not None
        sink = self._landing.file(())
        digest = hashlib.sha256()
        try:
            os.ftruncate(sink, 0)
            at = 0
            self._connection.settimeout(None)
            while piece := self._heard or self._more():
                self._heard = b""
                digest.update(piece)
                _write(sink, memoryview(piece), at)
                at += len(piece)
                self._tell(Progress(self._landing.path, at, at))
            os.fchmod(sink, 0o666 & ~_umask())
            os.fsync(sink)
        finally:
            os.close(sink)
        self._landing.finish()
        self._files, self._bytes, self._sha256 = 1, at, digest.hexdigest()
        return self._result(confirmed=False)

    def _more(self) -> bytes:
        """Return what a plain netcat sends next, empty at its end."""
        try:
            return self._connection.recv(wire.LARGEST)
        except OSError as error:
            if type(error).__name__ != "SSLEOFError":
                raise
            self._truncated = True
            return b""


def _write(sink: int, data: memoryview, at: int) -> None:
    while data:
        done = os.pwrite(sink, data, at)
        data, at = data[done:], at + done


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
