"""The load that the benchmarks measure under: many established loopback connections in a throw-away namespace.

    with Load(connections=50_000, processes=100) as load:
        results = load.call(measure, commands)

50,000 connections are 100,000 sockets, both ends being of this host.  Nothing outside the namespace is touched,
and everything ends with the block, or with this process if that comes first.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from load_holders import QUIET_PORT
from portside.testing.namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Answer = TypeVar("Answer")

HOLDERS = Path(__file__).with_name("load_holders.py")
READY_WITHIN = 120.0  # seconds; 50,000 connections take one or two
END_WITHIN = 30.0

__all__ = ["QUIET_PORT", "Load"]


class Load:
    """`connections` established connections, held by `processes` processes with `fillers` other descriptors each."""

    def __init__(self, connections: int, processes: int, fillers: int = 0) -> None:
        self.connections = connections
        self.processes = processes
        self.fillers = fillers
        self.seconds_to_build = 0.0
        self.namespace = Namespace()
        self._holders: subprocess.Popen[bytes] | None = None

    @property
    def sockets(self) -> int:
        """How many TCP sockets there are: both ends of each connection, and the listeners."""
        return 2 * self.connections + self.processes + 1

    @property
    def descriptors(self) -> int:
        """How many descriptors the holders have open for the load, sockets included."""
        return self.sockets + self.processes * self.fillers

    def __enter__(self) -> Self:
        began = time.monotonic()
        self.namespace.__enter__()
        try:
            self._holders = subprocess.Popen(
                [sys.executable, "-I", "-S", str(HOLDERS)]
                + [str(number) for number in (self.connections, self.processes, self.fillers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                preexec_fn=self.namespace.enter,
                start_new_session=True,
            )
            assert self._holders.stdout is not None
            if not select.select([self._holders.stdout], [], [], READY_WITHIN)[0]:
                raise TimeoutError(f"build load: not ready after {READY_WITHIN:.0f} s")
            if self._holders.stdout.readline() != b"ready\n":
                raise RuntimeError("build load: the holders ended early; see what they said above")
        except BaseException:
            self.__exit__()
            raise
        self.seconds_to_build = time.monotonic() - began
        return self

    def __exit__(self, *_error: object) -> None:
        holders, self._holders = self._holders, None
        if holders is not None:
            assert holders.stdin is not None
            assert holders.stdout is not None
            holders.stdin.close()
            try:
                holders.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(holders.pid, signal.SIGKILL)
                holders.wait()
            holders.stdout.close()
        self.namespace.close()

    def call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Return `function(*arguments)`, run by a child inside the namespace."""
        return self.namespace.call(function, *arguments, timeout=3600)
