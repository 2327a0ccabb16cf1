"""Read small files that others may have made; give our own a new content in one step.

What stands in a user's own directories can be a fifo that never answers, a device, or a link to one: a tool that
root runs must not wait there, nor open what it was led to.  So only regular files are read, without waiting, and a
link is followed only if root or the caller made it.
"""

from __future__ import annotations

import errno
import os
import stat

from portside.errors import NotPermitted, NotSupported

_LONGEST = 1 << 20


def read_small(path: str) -> bytes:
    """Return up to 1 MiB of a regular file; raises OSError where there is none to read."""
    descriptor = _open(path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP or os.lstat(path).st_uid not in (0, os.geteuid()):
            raise
    return os.open(path, flags)


def replace(path: str, text: str | None, mode: int = 0o644) -> None:
    """Give a file a new content in one step (None: take it away); directories above it are made.

    The content stands on the disk before it takes the name.  Raises NotPermitted, NotSupported.
    """
    directory = os.path.dirname(path)
    beside = f"{path}.{os.getpid()}.new"
    try:
        if text is None:
            if os.path.lexists(path):
                os.unlink(path)
            return
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(
            beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode
        )
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            os.rename(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise NotPermitted("write", f"'{path}'", reason, "run it with sudo", errno=error.errno) from error
        raise NotSupported("write", f"'{path}'", reason, errno=error.errno) from error


def mode_of(path: str) -> int:
    """Return the permission bits of a file, those of a new one where there is none."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0o644
