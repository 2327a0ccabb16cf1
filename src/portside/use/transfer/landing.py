"""How what is received comes to the disk: below one directory, under a temporary name until all of it is there.

The temporary name is `.NAME.portside-part` beside the final one; what a broken transfer leaves there is gone on with.
Every part of a path is opened by itself and no link is followed (openat(2), O_NOFOLLOW), so nothing that came before
can lead a later name elsewhere.  What has the final name already stays, unless it is a file and may be replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from portside.errors import BadReply, BadRequest, NotSupported
from portside.system.disk import sync_file_system
from portside.use.buffers import make_buffer
from portside.wire.transfer import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.wire.transfer import Entry

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20


class Landing:
    """One thing on its way to `directory`/`name`, with everything below it."""

    def __init__(self, directory: str, name: str, *, overwrite: bool) -> None:
        self.path = os.path.join(directory, name)
        self.part = f".{name}.portside-part"
        self._name = name
        self._overwrite = overwrite
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._modes: list[tuple[tuple[str, ...], Entry]] = []
        self._known: set[tuple[str, ...]] = set()

    def check(self, kind: str) -> None:
        """Raise BadRequest where something has the final name already and may not be replaced."""
        try:
            there = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not self._overwrite:
            raise BadRequest("receive", f"'{self.path}'", "it exists", "--overwrite replaces it")
        if kind == DIRECTORY or stat.S_ISDIR(there.st_mode):
            raise BadRequest("receive", f"'{self.path}'", "it exists, and directories are not replaced")

    def directory(self, below: tuple[str, ...], entry: Entry) -> bool:
        """Make a directory; return whether it is new.

        Its mode and time are set at the end, when nothing is put into it any more.
        """
        parent, name = self._parent(below)
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            new = True
        except FileExistsError:  # of an earlier try
            os.close(os.open(name, _DIRECTORY, dir_fd=parent))
            new = False
        finally:
            os.close(parent)
        self._modes.append((below, entry))
        return new

    def link(self, below: tuple[str, ...], entry: Entry) -> None:
        """Make a symbolic link; parse_entry has looked where it leads."""
        parent, name = self._parent(below)
        try:
            if not below:
                raise BadReply("receive", f"'{self.path}'", "a link alone is not taken")
            try:
                os.unlink(name, dir_fd=parent)
            except FileNotFoundError:
                pass
            os.symlink(entry.target, name, dir_fd=parent)
        finally:
            os.close(parent)

    def file(self, below: tuple[str, ...]) -> int:
        """Return a descriptor of a file to write; it may hold what an earlier try has left."""
        parent, name = self._parent(below)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            found = os.open(name, flags, 0o600, dir_fd=parent)
        finally:
            os.close(parent)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise NotSupported("receive", f"'{self.path}'", f"'{self.part}' is no regular file")
        return found

    def _parent(self, below: tuple[str, ...]) -> tuple[int, str]:
        """Return a descriptor of the directory that holds a path, and the last name."""
        self._known.add(below)
        parts = (self.part, *below)
        here = os.dup(self._directory)
        for part in parts[:-1]:
            try:
                further = os.open(part, _DIRECTORY, dir_fd=here)
            finally:
                os.close(here)
            here = further
        return here, parts[-1]

    def finish(self) -> None:
        """Take away what an earlier try has brought and this one has not, set modes, give the whole its name."""
        if self._modes:
            self._prune()
            sync_file_system(self._directory)  # for all of its files at once
        for below, entry in reversed(self._modes):
            parent, name = self._parent(below)
            try:
                made = os.open(name, _DIRECTORY, dir_fd=parent)
            finally:
                os.close(parent)
            settle(made, entry)
            os.close(made)
        self._rename()
        os.fsync(self._directory)

    def _prune(self) -> None:
        import shutil

        start = len(self.part.split(os.sep))
        for place, directories, files, here in os.fwalk(self.part, dir_fd=self._directory):
            below = tuple(place.split(os.sep)[start:])
            for name in files:
                if (*below, name) not in self._known:
                    os.unlink(name, dir_fd=here)
            for name in [name for name in directories if (*below, name) not in self._known]:
                shutil.rmtree(name, dir_fd=here)
                directories.remove(name)

    def _rename(self) -> None:
        """Rename without replacing what came meanwhile: a hard link fails where the name is taken."""
        here = self._directory
        if not self._overwrite and not self._modes:
            try:
                os.link(self.part, self._name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
            except FileExistsError:
                raise BadRequest(
                    "receive", f"'{self.path}'", "it exists", "--overwrite replaces it"
                ) from None
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                    raise
            else:
                os.unlink(self.part, dir_fd=here)
                return
        os.rename(self.part, self._name, src_dir_fd=here, dst_dir_fd=here)

    def close(self) -> None:
        """Leave what is there for the next try."""
        os.close(self._directory)


def settle(descriptor: int, entry: Entry) -> None:
    """Give what was written its mode and time; set-user-ID and its kin are not taken from the network."""
    os.fchmod(descriptor, entry.mode & 0o777)
    os.utime(descriptor, ns=(entry.time, entry.time))


def digest_of(descriptor: int, size: int, on_piece: Callable[[int], None] = lambda _: None) -> hashlib._Hash:
    """Return the SHA-256 of a file's first bytes, to be gone on with; `on_piece` is told how many are done."""
    digest = hashlib.sha256()
    buffer = make_buffer(min(_PIECE, size))
    at = 0
    while at < size:
        got = os.preadv(descriptor, [buffer[: min(len(buffer), size - at)]], at)
        if not got:
            break
        digest.update(buffer[:got])
        at += got
        on_piece(at)
    return digest
