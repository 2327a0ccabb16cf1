"""Programs started with a socket for their standard input and output."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess

from portside.errors import BadRequest, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SHELL = "/bin/sh"


class Child:
    """A running program; `channel` is our end of its standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process = process
        self.channel = channel

    def finish(self, grace: float = 5.0) -> int:
        """Wait for its end, for a while; then end it.  Returns its exit status."""
        try:
            return self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.terminate()
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def end(self) -> None:
        """End it now."""
        self._process.terminate()
        self.finish(1.0)


def start(command: str, *, shell: bool, variables: Mapping[str, str]) -> Child:
    """Start a command line, by the shell or word by word, with more environment variables.  Raises PortsideError."""
    words = [SHELL, "-c", command] if shell else _words(command)
    ours, theirs = socket.socketpair()
    try:
        number = theirs.fileno()
        process = subprocess.Popen(words, stdin=number, stdout=number, env={**os.environ, **variables})
    except OSError as error:
        ours.close()
        raise NotSupported(
            "start", f"'{words[0]}'", os.strerror(error.errno or 0).lower(), errno=error.errno
        ) from error
    finally:
        theirs.close()
    return Child(process, ours)


def replace(command: str, descriptor: int, *, shell: bool, name: str = "") -> None:
    """Become a program whose standard streams are a descriptor; returns only by raising PortsideError."""
    words = [SHELL, "-c", command] if shell else [command]
    os.set_blocking(descriptor, True)
    for stream in (0, 1, 2):
        os.dup2(descriptor, stream)
    try:
        os.execvp(words[0], [name, *words[1:]] if name else words)
    except OSError as error:
        raise NotSupported(
            "start", f"'{words[0]}'", os.strerror(error.errno or 0).lower(), errno=error.errno
        ) from error


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadRequest("start", f"'{command}'", str(error).lower()) from error
    if not words:
        raise BadRequest("start", f"'{command}'", "there is no command")
    return words
