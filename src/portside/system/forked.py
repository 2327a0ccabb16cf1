"""A function in a forked child, which may change what belongs to a process: namespaces, users.

What it returns, or the exception it raises, comes back through a pipe (pickle).  The child ends with us, at the
latest: nothing of ours runs in it afterwards.
"""

from __future__ import annotations

import os
import select
import signal
import time

from portside.errors import PortsideError, TimedOut, Vanished
from portside.system import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Answer = TypeVar("Answer")


def call(
    enter: Callable[[], None], function: Callable[..., Answer], *arguments: Any, timeout: float
) -> Answer:
    """Return `function(*arguments)`, run by a child after `enter()`; the exception of either is raised here.

    Raises TimedOut after so many seconds, and Vanished where the child ended without an answer.
    """
    import pickle

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(writer, enter, function, arguments)
    os.close(writer)
    try:
        answer = read_all(reader, timeout)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not answer:
        raise Vanished("run in child", "", "the child ended without an answer")
    good, value = pickle.loads(answer)
    if not good:
        raise value
    return value  # type: ignore[no-any-return]


def _answer(
    writer: int, enter: Callable[[], None], function: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    """In the child: enter, work, write the pickled outcome, and end without anything else: no handler, no flush."""
    import pickle

    try:
        try:
            enter()
            # after a change of user, or of user namespace, which clears it
            libc.call("prctl", libc.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            outcome = pickle.dumps((True, function(*arguments)))
        except BaseException as error:
            try:
                outcome = pickle.dumps((False, error))
                pickle.loads(outcome)
            except Exception:
                outcome = pickle.dumps((False, PortsideError("run in child", "", repr(error))))
        with os.fdopen(writer, "wb") as file:
            file.write(outcome)
    finally:
        os._exit(0)  # not by a signal: process 1 of a namespace ignores its own


def read_all(descriptor: int, timeout: float, until: bytes = b"") -> bytes:
    """Read a pipe to its end (or to `until`), for at most `timeout` seconds; raises TimedOut."""
    deadline = time.monotonic() + timeout
    chunks = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not (until and chunks.endswith(until)):
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimedOut("wait for child", "", f"no answer in {timeout:g} s")
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        chunks += chunk
    return bytes(chunks)
