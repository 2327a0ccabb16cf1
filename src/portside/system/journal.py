"""Journals of what was changed on this host, so that it can be taken back: a directory each, a JSON file a record.

Rule: a record stands on the disk, in full, before what it tells of is done.  Whoever changes anything holds the lock.
The steps back are run with the right of who reads them, so a file that others could have written is not believed; a
damaged one is an error, never left out.  Each file tells the version of its form.

    /var/lib/portside/NAME/lock    who holds it (flock(2)) may change the journal
    /var/lib/portside/NAME/7.json  {"version": 1, "record": {...}}

PORTSIDE_STATE names another directory than /var/lib/portside (for tests, and for a user namespace's root).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from portside.errors import BadReply, NotPermitted, PortsideError, TimedOut
from portside.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

STATE = "/var/lib/portside"
VERSION = 1
PATIENCE = 15.0  # seconds to wait for another change


def place(name: str, root: str = "") -> str:
    """Return the directory of the journal of that name; `root` stands before /var/lib."""
    return os.path.join((not root and os.environ.get("PORTSIDE_STATE")) or root + STATE, name)


def read(directory: str) -> dict[int, dict[str, Any]]:
    """Return the records of a journal by number, oldest first; none where there is no journal.

    Raises NotPermitted, and BadReply for a record that cannot be believed.
    """
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise NotPermitted("read", f"'{directory}'", "permission denied", "run it with sudo") from error
    numbers = sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())
    found = ((number, _read(_path(directory, number))) for number in numbers)
    return {number: record for number, record in found if record is not None}


class Journal:
    """A journal that is locked from `with`, or `lock`, to the end of the block, or `close`."""

    def __init__(self, directory: str, *, patience: float = PATIENCE) -> None:
        self.directory = directory
        self._lock = -1
        self._patience = patience
        self._known: dict[int, dict[str, Any]] | None = None  # while locked nobody else writes

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def lock(self) -> None:
        """Wait for the lock; raises TimedOut, and NotPermitted or PortsideError where no journal can be kept."""
        self._lock = self._open_lock()
        self._wait()

    def close(self) -> None:
        """Let the lock go."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def records(self) -> dict[int, dict[str, Any]]:
        """Return every record by its number, as `read` does."""
        if self._known is None:
            self._known = read(self.directory)
        return dict(self._known)

    def write(self, number: int, record: dict[str, Any]) -> None:
        """Write a record down; it is on the disk when this returns."""
        import json

        text = json.dumps({"version": VERSION, "record": record}, indent=1) + "\n"
        files.replace(_path(self.directory, number), text, 0o600)
        if self._known is not None:
            self._known[number] = record

    def add(self, record: dict[str, Any]) -> int:
        """Write a record down under the next number; return that."""
        number = next_number(self.records())
        self.write(number, record)
        return number

    def remove(self, number: int) -> None:
        """Forget a record."""
        files.replace(_path(self.directory, number), None)
        if self._known is not None:
            self._known.pop(number, None)

    def _open_lock(self) -> int:
        try:
            if not os.path.isdir(self.directory):
                os.makedirs(self.directory, mode=0o700, exist_ok=True)
                files.sync_directory(os.path.dirname(self.directory))
            return os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _error("open", self.directory, error) from error

    def _wait(self) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self.close()
                    reason = f"another change is being made for over {self._patience:g} s"
                    raise TimedOut("lock", f"'{self.directory}'", reason, "try again") from None
            time.sleep(0.05)


def next_number(known: Iterable[int]) -> int:
    """Return the number that the next record gets."""
    return max(known, default=0) + 1


def _path(directory: str, number: int) -> str:
    return os.path.join(directory, f"{number}.json")


def _read(path: str) -> dict[str, Any] | None:
    """Return a record, None for one that was removed since its directory was read."""
    import json  # who finds no record does not need it

    try:
        with open(path, encoding="utf-8") as file:
            _check_writers(file.fileno(), path)
            whole = json.load(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _error("read", path, error) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(whole, dict) or not isinstance(whole.get("record"), dict):
        raise _damaged(path, "no record")
    if whole.get("version") != VERSION:
        reason = f"its version is '{whole.get('version')}', we read {VERSION}"
        raise BadReply("read", f"'{path}'", reason, "use the portside that wrote it")
    record: dict[str, Any] = whole["record"]
    return record


def _damaged(path: str, how: str) -> BadReply:
    return BadReply("read", f"'{path}'", f"it is damaged: {how}", "move it away and look at it")


def _check_writers(descriptor: int, path: str) -> None:
    """Refuse a file that others than root (or we) could have written."""
    found = os.fstat(descriptor)
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BadReply(
            "read", f"'{path}'", "others than root could have written it", "look at it, then remove it"
        )


def _error(operation: str, path: str, error: OSError) -> PortsideError:
    reason = (error.strerror or str(error)).lower()
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(operation, f"'{path}'", reason, "run it with sudo", errno=error.errno)
    return PortsideError(operation, f"'{path}'", reason, errno=error.errno)


def boot_id() -> str:
    """Return the name of this boot (random, Documentation/admin-guide/sysctl/kernel.rst)."""
    return (files.read_text("/proc/sys/kernel/random/boot_id") or "").strip()


def network() -> int:
    """Return the inode number of our network namespace."""
    return os.stat("/proc/self/ns/net").st_ino


def clock() -> float:
    """Return the seconds since the boot, sleep included (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
