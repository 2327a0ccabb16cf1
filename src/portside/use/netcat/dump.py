"""The files in which a session is kept: its bytes as they are, and as hexadecimal; both directions in one file."""

from __future__ import annotations

import os
from _thread import allocate_lock  # threading as a whole takes a millisecond

from portside.errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Dump:
    """Up to two files, open from the start to the end of `with`; without any it does nothing and is false."""

    def __init__(self, raw: str = "", hexadecimal: str = "", *, append: bool = False) -> None:
        """Open the files; raises NotSupported."""
        self._files: list[tuple[int, bool]] = []
        self._lock = allocate_lock()
        for path, in_hex in ((raw, False), (hexadecimal, True)):
            if path:
                self._files.append((_open(path, append), in_hex))

    def __bool__(self) -> bool:
        return bool(self._files)

    def write(self, data: bytes, _sent: bool = False) -> None:
        """Add a piece of either direction.  Raises OSError where the disk is full."""
        from portside.wire.hex_dump import lines

        with self._lock:
            for descriptor, in_hex in self._files:
                view = memoryview(lines(data).encode() if in_hex else data)
                while view:
                    view = view[os.write(descriptor, view) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._files:
            os.close(self._files.pop()[0])


def _open(path: str, append: bool) -> int:
    try:
        return os.open(
            path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC) | os.O_CLOEXEC, 0o666
        )
    except OSError as error:
        raise NotSupported(
            "write", f"'{path}'", os.strerror(error.errno or 0).lower(), errno=error.errno
        ) from error
