"""The files in which a session is kept: its bytes as they are, or as hexadecimal; both directions in one file."""

from __future__ import annotations

import os
from _thread import allocate_lock  # threading as a whole takes a millisecond

from portside.errors import NotSupported
from portside.wire import hex_dump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    Form = Callable[[bytes, bool], bytes]  # a piece and whether it was sent -> what is kept of it


class Unkept(NotSupported):
    """A dump's file takes no more."""

    def __init__(self, error: OSError) -> None:
        reason = os.strerror(error.errno or 0).lower()
        super().__init__("write", "the dump of the session", reason, errno=error.errno)


class Dump:
    """Its files are open from the start to the end of `with`; without any it does nothing and is false.

    `directed` is a file in hexadecimal whose lines tell which way they went.
    """

    def __init__(
        self, raw: str = "", hexadecimal: str = "", directed: str = "", *, append: bool = False
    ) -> None:
        """Open the files; raises NotSupported."""
        self._files: list[tuple[int, Form]] = []
        self._lock = allocate_lock()
        for path, form in ((raw, _as_it_is), (hexadecimal, _in_hexadecimal), (directed, _directed())):
            if path:
                self._files.append((_open(path, append), form))

    def __bool__(self) -> bool:
        return bool(self._files)

    def write(self, data: bytes, sent: bool = False) -> None:
        """Add a piece of either direction; raises Unkept."""
        with self._lock:
            for descriptor, form in self._files:
                view = memoryview(form(data, sent))
                try:
                    while view:
                        view = view[os.write(descriptor, view) :]
                except OSError as error:
                    raise Unkept(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._files:
            os.close(self._files.pop()[0])


def _as_it_is(data: bytes, _sent: bool) -> bytes:
    return data


def _in_hexadecimal(data: bytes, _sent: bool) -> bytes:
    return hex_dump.lines(data).encode()


def _directed() -> Form:
    dump = hex_dump.Directed()
    return lambda data, sent: dump.lines(data, sent).encode()


def _open(path: str, append: bool) -> int:
    try:
        return os.open(
            path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC) | os.O_CLOEXEC, 0o666
        )
    except OSError as error:
        raise NotSupported(
            "write", f"'{path}'", os.strerror(error.errno or 0).lower(), errno=error.errno
        ) from error
