"""Read small files that others may have made.

What stands in a user's own directories can be a fifo that never answers, a device, or a link to one: a tool that
root runs must not wait there, nor open what it was led to.  So only regular files are read, without waiting, and a
link is followed only if root or the caller made it.
"""

from __future__ import annotations

import errno
import os
import stat

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
