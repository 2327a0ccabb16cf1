"""Runs other programs: the host's administration commands, and those that know what the kernel does not tell.

Rule: no shell, no wait without a limit, nothing read from our standard input, the C locale; what a program says on
standard error becomes the reason of our error.  It writes into files, not into pipes: what it leaves running may keep
its output open, and we would wait for the end of that.
"""

from __future__ import annotations

import os

from portside.errors import NotPermitted, NotSupported, PortsideError, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import Popen
    from typing import IO

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT = 120.0  # seconds; a service may take 90 to stop (TimeoutStopSec= in systemd.service(5))
_MOST_TOLD = 600  # characters
_REFUSALS = (
    "permission denied", "operation not permitted", "must be root", "need to be root", "not authorized",
    "access denied",
)  # fmt: skip


def find(name: str) -> str:
    """Return the path of a command of the host, empty where there is none; the caller's PATH counts first."""
    for directory in f"{os.environ.get('PATH', '')}:{PATH}".split(":"):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return ""


def run(argv: Sequence[str], input: str = "", *, timeout: float = TIMEOUT) -> str:
    """Run a command and return what it printed.

    Raises NotSupported where it is not installed, NotPermitted where it says that it lacks a right, TimedOut, and
    PortsideError with its own words where it fails otherwise.
    """
    import subprocess

    subject = "'" + " ".join(argv)[:120] + "'"
    path = find(argv[0])
    if not path:
        raise NotSupported("run", subject, f"'{argv[0]}' is not installed")
    with _file() as output, _file() as errors, _file() as given:
        given.write(input.encode("utf-8", "surrogateescape"))
        given.seek(0)
        try:
            with subprocess.Popen(
                (path, *argv[1:]), stdin=given, stdout=output, stderr=errors, env=_environment()
            ) as process:
                code = _await(process, timeout)
        except subprocess.TimeoutExpired as error:
            raise TimedOut("run", subject, f"no end in {timeout:g} s") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise NotSupported("run", subject, reason, errno=error.errno) from error
        if code == 0:
            return _text(output)
        raise _failure(subject, code, _said(_text(errors)) or _said(_text(output)))


def _await(process: Popen[bytes], timeout: float) -> int:
    """Return how a process ended; one that has not by then is killed, and TimeoutExpired raised.

    A descriptor for it tells the moment (pidfd_open(2), Linux 5.3): Popen.wait() with a limit sleeps for up to 50 ms
    between two looks.
    """
    import select

    try:
        try:
            descriptor = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            return process.wait(timeout)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(timeout * 1000)
        finally:
            os.close(descriptor)
        return process.wait(0)
    except BaseException:
        process.kill()
        raise


def _file() -> IO[bytes]:
    """Return a file without a name."""
    if hasattr(os, "memfd_create"):  # Linux 3.17
        return os.fdopen(os.memfd_create("output"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")


def _environment() -> Mapping[str, str]:
    fixed = {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"}
    fixed["PATH"] = f"{os.environ.get('PATH', '')}:{PATH}".lstrip(":")
    runtime = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}"}  # sudo drops it; systemctl --user asks
    return runtime | os.environ | fixed


def _said(text: str) -> str:
    """Return a complaint in one line, without the marks by which nft points into its input."""
    lines = [line for line in text.splitlines() if line.strip(" ^~")]
    return " ".join(" ".join(lines).split())[:_MOST_TOLD]


def _failure(subject: str, code: int, said: str) -> PortsideError:
    reason = said or f"it ended with {code}"
    if any(word in said.lower() for word in _REFUSALS):
        return NotPermitted("run", subject, reason, "run it with sudo" if os.geteuid() else "")
    return PortsideError("run", subject, reason)
