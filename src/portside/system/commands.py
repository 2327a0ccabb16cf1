"""Running the host's own administration commands, and giving files new content in one step.

Rule: no shell, no wait without a limit, nothing read from our standard input; what a command says on standard error
becomes the reason of our error.  A file's new content stands in full, on the disk, before it takes the name.
"""

from __future__ import annotations

import errno
import os

from portside.errors import NotPermitted, NotSupported, PortsideError, TimedOut

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT = 30.0  # seconds; loading 100,000 addresses takes under one


def find(name: str) -> str:
    """Return the path of a command of the host, empty where there is none; the caller's PATH counts first."""
    for directory in f"{os.environ.get('PATH', '')}:{PATH}".split(":"):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return ""


def run(argv: tuple[str, ...], input: str = "", *, timeout: float = TIMEOUT) -> str:
    """Run a command and return what it printed.

    Raises NotSupported where it is not installed, NotPermitted where it says that it lacks a right, TimedOut, and
    PortsideError with its own words where it fails otherwise.
    """
    import subprocess

    path = find(argv[0])
    if not path:
        raise NotSupported("run", f"'{argv[0]}'", "it is not installed", f"install {argv[0]}")
    words = {"LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:{PATH}".lstrip(":")}
    try:
        done = subprocess.run(
            (path, *argv[1:]), input=input, capture_output=True, encoding="utf-8", errors="surrogateescape",
            timeout=timeout, env=os.environ | words, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise TimedOut("run", f"'{argv[0]}'", f"no end in {timeout:g} s") from error
    except OSError as error:
        raise NotSupported("run", f"'{argv[0]}'", (error.strerror or str(error)).lower()) from error
    if done.returncode == 0:
        return done.stdout
    raise _failure(argv, done.returncode, (done.stderr.strip() or done.stdout.strip()))


def _failure(argv: tuple[str, ...], code: int, said: str) -> PortsideError:
    reason = " ".join(said.split())[:400] or f"it ended with {code}"
    subject = "'" + " ".join(argv)[:120] + "'"
    refusals = (
        "permission denied",
        "operation not permitted",
        "must be root",
        "need to be root",
        "not authorized",
    )
    if os.geteuid() and any(word in said.lower() for word in refusals):
        return NotPermitted("run", subject, reason, "run it with sudo")
    return PortsideError("run", subject, reason)


def read_text(path: str) -> str | None:
    """Return the text of a file, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _file_error("read", path, error) from error


def replace_file(path: str, content: str | None, mode: int = 0o644) -> None:
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
