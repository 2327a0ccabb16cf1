"""Small files: read though others may have made them, and given new content in one step.

What stands in a user's own directories can be a fifo that never answers, a device, or a link to one: a tool that
root runs must not wait there, nor open what it was led to.  So `read_small` reads only regular files, without
waiting, and follows a link only if root or the caller made it.

A file's new content stands in full, on the disk, before it takes the name.
"""

from __future__ import annotations

import errno
import os
import stat

from portside.errors import NotPermitted, PortsideError

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


def read_text(path: str) -> str | None:
    """Return the text of a file, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _file_error("read", path, error) from error


def replace(path: str, content: str | None, mode: int = 0o644) -> None:
    """Give a file new content, on the disk before it takes the name; None takes the file away.

    An existing file keeps its mode and owner.  Missing directories are made.
    """
    if content is None:
        _unlink(path)
        return
    path = os.path.realpath(path)
    directory = os.path.dirname(path)
    beside = f"{path}.portside-{os.urandom(4).hex()}"  # a number of ours could be that of one that died
    try:
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            _keep_owner(path, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _rename(beside, path, content)
        sync_directory(directory)
    except OSError as error:
        try:
            _unlink(beside)
        except OSError:  # what failed first is what is told
            pass
        raise _file_error("write", path, error) from error


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _rename(beside: str, path: str, content: str) -> None:
    """Give the new file the name; a file that something is mounted on (in a container) is written in place."""
    try:
        os.rename(beside, path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.unlink(beside)


def _keep_owner(path: str, descriptor: int) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    os.fchmod(descriptor, found.st_mode & 0o7777)
    os.fchown(descriptor, found.st_uid, found.st_gid)


def sync_directory(directory: str) -> None:
    """Wait until the names in a directory are on the disk (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_error(operation: str, path: str, error: OSError) -> PortsideError:
    reason = (error.strerror or str(error)).lower()
    if isinstance(error, PermissionError):
        return NotPermitted(operation, f"'{path}'", reason, "run it with sudo", errno=error.errno)
    return PortsideError(operation, f"'{path}'", reason, errno=error.errno)


def link(path: str, target: str | None) -> None:
    """Make a symbolic link in place of what has the name; None takes it away."""
    try:
        _unlink(path)
        if target is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)
    except OSError as error:
        raise _file_error("link", path, error) from error
