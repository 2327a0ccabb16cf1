"""The journal of changes to this host: one JSON file for each, written down before anything is done.

Rule: only root may write it, and who reads it checks that: the steps in it are run as root.  Whoever changes anything
holds the lock.  A file takes its name when it is on the disk.  The directory is /var/lib/portside/changes;
PORTSIDE_STATE names another (for tests, and for a user namespace's root).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time

from portside.errors import BadReply, NotPermitted, PortsideError, TimedOut
from portside.system import commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

DIRECTORY = "/var/lib/portside/changes"
PATIENCE = 15.0  # seconds to wait for another change


def directory() -> str:
    """Return where the journal is."""
    return os.environ.get("PORTSIDE_STATE") or DIRECTORY


class Journal:
    """The journal, locked from `with` to the end of the block (`locked=False`: for reading alone)."""

    def __init__(self, *, locked: bool = True, patience: float = PATIENCE) -> None:
        self.directory = directory()
        self._lock = -1
        self._locked = locked
        self._patience = patience
        self._known: dict[int, dict[str, Any]] | None = None  # while locked nobody else writes

    def __enter__(self) -> Self:
        if self._locked:
            self._lock = self._open_lock()
            self._wait()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def records(self) -> dict[int, dict[str, Any]]:
        """Return every change that was written down, by its number; an unreadable one is an error, never left out."""
        if self._known is not None:
            return dict(self._known)
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return {}
        except PermissionError as error:
            raise NotPermitted(
                "read", f"'{self.directory}'", "permission denied", "run it with sudo"
            ) from error
        numbers = sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())
        found = {number: self._read(number) for number in numbers}
        if self._locked:
            self._known = found
        return dict(found)

    def write(self, number: int, record: dict[str, Any]) -> None:
        """Write a change down; it is on the disk when this returns."""
        commands.replace_file(self._path(number), json.dumps(record, indent=1) + "\n", 0o600)
        if self._known is not None:
            self._known[number] = record

    def _read(self, number: int) -> dict[str, Any]:
        path = self._path(number)
        try:
            with open(path, encoding="utf-8") as file:
                _check_writers(file.fileno(), path)
                record = json.load(file)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise NotPermitted("read", f"'{path}'", "permission denied", "run it with sudo") from error
            raise PortsideError(
                "read", f"'{path}'", str(error.strerror).lower(), errno=error.errno
            ) from error
        except ValueError as error:
            raise BadReply(
                "read", f"'{path}'", f"it is damaged: {error}", "move it away and look at it"
            ) from error
        if not isinstance(record, dict):
            raise BadReply("read", f"'{path}'", "it is damaged: no record", "move it away and look at it")
        return record

    def _path(self, number: int) -> str:
        return os.path.join(self.directory, f"{number}.json")

    def _open_lock(self) -> int:
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            return os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            raise NotPermitted(
                "open", f"'{self.directory}'", "permission denied", "run it with sudo"
            ) from error
        except OSError as error:
            raise PortsideError("open", f"'{self.directory}'", str(error.strerror).lower()) from error

    def _wait(self) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(self._lock)
                    self._lock = -1
                    raise TimedOut(
                        "lock", f"'{self.directory}'", f"another change is being made for over {self._patience:g} s",
                        "see 'portside changes'",
                    ) from None  # fmt: skip
            time.sleep(0.05)


def _check_writers(descriptor: int, path: str) -> None:
    """Refuse a file that others than root (or we) could have written."""
    found = os.fstat(descriptor)
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BadReply(
            "read", f"'{path}'", "others than root could have written it", "look at it, then remove it"
        )


def boot_id() -> str:
    """Return the name of this boot (random, Documentation/admin-guide/sysctl/kernel.rst)."""
    return (commands.read_text("/proc/sys/kernel/random/boot_id") or "").strip()


def network() -> int:
    """Return the inode number of our network namespace."""
    return os.stat("/proc/self/ns/net").st_ino


def clock() -> float:
    """Return the seconds since the boot, sleep included (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
