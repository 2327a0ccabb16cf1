"""Several clients at once around one standard input and output: ncat -lk, --broker and --chat.

What comes from standard input goes to every client.  What comes from a client goes to standard output, or (`between`)
to every other client, in a chat with the sender's name before it.  What a client does not take at once waits here,
and while much waits for any of them nothing more is read: memory stays flat and a slow one loses nothing.  One that
takes nothing at all for some seconds is dropped, so that the others go on.
"""

from __future__ import annotations

import os
import re
from collections import deque

from portside.use.buffers import make_buffer
from portside.use.relay.driver import READ, WRITE
from portside.use.relay.flow import LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.use.relay.driver import Driver
    from portside.use.relay.ends import End, SocketEnd

_CHUNK = 1 << 16
_PAUSE_AT = 1 << 20  # bytes that wait for one client, at which nothing more is read
_STALLED = 3.0  # seconds in which a client that much waits for has to take something
_UNTELLABLE = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


class Member:
    """One client: its end, its name in a chat, what waits for it."""

    def __init__(self, end: SocketEnd, name: str, address: str) -> None:
        self.end = end
        self.name = name
        self.address = address
        self.waiting: deque[memoryview] = deque()
        self.size = 0
        self.moved = 0.0  # when it last took something
        self.ended = False  # it sends nothing more, and goes when it has what waits for it

    @property
    def awaits(self) -> bool:
        """Whether something is on its way to it."""
        return bool(self.waiting) or self.end.unsent


class Hub:
    """The clients and the standard streams; `on_empty` is called whenever the last client has gone."""

    def __init__(
        self,
        driver: Driver,
        near: End,
        *,
        between: bool = False,
        chat: bool = False,
        change: Callable[[bytes], bytes] | None = None,
        seen: Callable[[bytes, bool], None] | None = None,
        on_gone: Callable[[Member], None] | None = None,
        tell: bool = True,
    ) -> None:
        self.members: dict[int, Member] = {}
        self._driver = driver
        self._near = near
        self._between = between
        self._chat = chat
        self._change = change
        self._seen = seen
        self._on_gone = on_gone
        self._tell = tell
        self._input = near.source >= 0
        self._ended = False
        self._paused = False
        self._scratch = make_buffer(_CHUNK)
        self._watch_input()

    def join(self, end: SocketEnd, number: int, address: str) -> Member:
        """Take a client in."""
        member = Member(end, f"user{number}", address)
        self.members[end.source] = member
        self._watch(member)
        if self._chat:
            others = [each for each in self.members.values() if each is not member]
            present = ", ".join(f"{each.address} as <{each.name}>" for each in others) or "nobody"
            self._announce(f"{address} is connected as <{member.name}>.", None)
            self._queue(member, f"<announce> already connected: {present}.\n".encode())
        if self._ended and self._tell:
            self._tell_end(member)
        self._watch_input()
        if end.buffered:
            self._receive(member)
        return member

    def close(self) -> None:
        """Let every client go."""
        for member in list(self.members.values()):
            self._leave(member)

    def _announce(self, text: str, but: Member | None) -> None:
        self._to_all(f"<announce> {text}\n".encode(), but)

    def _to_all(self, data: bytes, but: Member | None) -> None:
        for member in list(self.members.values()):
            if member is not but:
                self._queue(member, data)

    def _ready(self, descriptor: int) -> None:
        member = self.members.get(descriptor)
        if member is None:
            return
        if member.awaits:
            self._send(member)
        if member.end.source in self.members and not (self._paused or member.ended):
            self._receive(member)

    def _receive(self, member: Member) -> None:
        while True:
            try:
                size = member.end.read_into(self._scratch)
            except BlockingIOError:
                return
            except OSError:
                self._leave(member)
                return
            if not size:
                member.ended = True
                self._watch(member)
                return
            self._deliver(member, bytes(self._scratch[:size]))
            if not member.end.buffered:
                return

    def _deliver(self, member: Member, data: bytes) -> None:
        if self._seen is not None:
            self._seen(data, False)
        if self._chat:
            said = _UNTELLABLE.sub(b"", data)
            data = b"<" + member.name.encode() + b"> " + said
        if self._between:
            self._to_all(data, member)
        elif self._near.sink >= 0:
            self._print(data)

    def _print(self, data: bytes) -> None:
        """Write to standard output and wait for it: it belongs to all clients alike."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._near.sink, view) :]
            except BlockingIOError:
                import select

                select.select([], [self._near.sink], [])
            except OSError as error:
                if error.errno in LOST:
                    raise
                self._near.sink = -1
                return

    def _queue(self, member: Member, data: bytes) -> None:
        if not member.waiting:
            member.moved = self._driver.now()
        member.waiting.append(memoryview(data))
        member.size += len(data)
        self._send(member)

    def _send(self, member: Member) -> None:
        try:
            while member.waiting:
                taken = member.end.write(member.waiting[0])
                member.size -= taken
                member.moved = self._driver.now()
                rest = member.waiting[0][taken:]
                member.waiting.popleft()
                if rest:
                    member.waiting.appendleft(rest)
            member.end.flush()
        except BlockingIOError:
            pass
        except OSError:
            self._leave(member)
            return
        if not member.waiting and self._ended and self._tell:
            member.end.shut()
        self._watch(member)
        self._judge_pause()

    def _watch(self, member: Member) -> None:
        """Wait for what can be done with a client now; one that has ended goes where that is nothing."""
        if member.ended and not member.awaits:
            self._leave(member)
            return
        events = 0 if self._paused or member.ended else READ
        if member.awaits:
            events |= WRITE
        if events:
            self._driver.watch(member.end.source, events, self._ready)
        else:
            self._driver.forget(member.end.source)

    def _judge_pause(self) -> None:
        """Stop reading while much waits for somebody, go on when it does not."""
        paused = any(each.size >= _PAUSE_AT for each in self.members.values())
        if paused != self._paused:
            self._paused = paused
            for member in list(self.members.values()):
                self._watch(member)
            if paused:
                self._driver.after(_STALLED / 3, self._drop_stalled)
        self._watch_input()

    def _drop_stalled(self) -> None:
        now = self._driver.now()
        for member in list(self.members.values()):
            if member.size >= _PAUSE_AT and now - member.moved >= _STALLED:
                self._leave(member)
        if self._paused:
            self._driver.after(_STALLED / 3, self._drop_stalled)

    def _leave(self, member: Member) -> None:
        if self.members.pop(member.end.source, None) is None:
            return
        self._driver.forget(member.end.source)
        member.end.close()
        if self._chat:
            self._announce(f"<{member.name}> is disconnected.", None)
        if self._on_gone is not None:
            self._on_gone(member)
        self._judge_pause()

    def _watch_input(self) -> None:
        """Read standard input while somebody is there to get it, and nobody is far behind."""
        if not self._input:
            return
        if self.members and not self._paused:
            self._driver.watch(self._near.source, READ, self._read_input)
        else:
            self._driver.forget(self._near.source)

    def _read_input(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._driver.forget(descriptor)
            self._input, self._ended = False, True
            if self._tell:
                for member in list(self.members.values()):
                    self._tell_end(member)
            return
        if self._seen is not None:
            self._seen(data, True)
        self._to_all(data if self._change is None else self._change(data), None)

    def _tell_end(self, member: Member) -> None:
        if not member.waiting and not member.end.unsent:
            member.end.shut()
