"""Starting netcats, ours and others', and talking to them: for the tests of the nc and ncat faces."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import random
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.support import require

SOURCE = Path(__file__).resolve().parents[1] / "src"
PATIENCE = 8.0
OURS = {
    "nc": ["nc"],
    "traditional": ["nc", "--as", "traditional"],
    "busybox": ["nc", "--as", "busybox"],
    "ncat": ["ncat"],
}
THEIRS = {
    "nc.openbsd": ["nc.openbsd"],
    "nc.traditional": ["nc.traditional"],
    "busybox nc": ["busybox", "nc"],
    "ncat.real": ["ncat"],
    "socat": ["socat"],
}


def command(name: str) -> list[str]:
    """Return how a netcat is started: one of ours by its face, one of theirs by its program."""
    if name in OURS:
        return [sys.executable, "-X", "frozen_modules=on", "-m", "portside", *OURS[name]]
    require(shutil.which(THEIRS[name][0]), f"{THEIRS[name][0]} is not installed")
    return THEIRS[name]


def stream(size: int) -> bytes:
    """Return bytes that look like none before them."""
    return random.Random(size).randbytes(size)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8"}


def run(name, *words, input=b"", timeout=PATIENCE, cwd=None, stdin=None):
    """Run to the end with bytes (or a file, `stdin`) as standard input."""
    given = {"stdin": stdin} if stdin is not None else {"input": input}
    return subprocess.run(
        [*command(name), *map(str, words)],
        capture_output=True,
        timeout=timeout,
        env=environment(),
        cwd=cwd,
        **given,
    )


def await_listener(port):
    """Wait until the kernel has a listener at the port, without connecting to it."""
    wanted = f":{port:04X}"
    for _ in range(2000):
        text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        lines = [line.split() for line in text.splitlines()]
        if any(line[1].endswith(wanted) and line[3] == "0A" for line in lines):
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens at {port}")


def here(face, *words):
    """Run a face in this process, for what it says before it touches a stream: exit code, output, complaints."""
    out, err = io.StringIO(), io.StringIO()
    main = importlib.import_module(f"portside.faces.{face}").main
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue().encode(), err.getvalue().encode()


class Started:
    """A running netcat; its streams are pipes unless they were given.  Ended with the block."""

    def __init__(self, name, *words, cwd=None, **streams):
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        self.process = subprocess.Popen(
            [*command(name), *map(str, words)], env=environment(), cwd=cwd, bufsize=0, **given
        )
        self.said = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def port(self, pattern=rb"(?:Listening|Bound|listening) on \S+ (\d+)"):
        """Return the port that a verbose listener says it has."""
        return int(self.says(pattern).group(1))

    def says(self, pattern, patience=PATIENCE):
        """Wait until standard error matches; return the match."""
        end = time.monotonic() + patience
        while (found := re.search(pattern, self.said)) is None:
            left = end - time.monotonic()
            assert left > 0, f"waited for {pattern!r}, it said {self.said!r}"
            if select.select([self.process.stderr], [], [], left)[0]:
                chunk = os.read(self.process.stderr.fileno(), 65536)
                assert chunk, f"it ended; waited for {pattern!r}, it said {self.said!r}"
                self.said += chunk
        return found

    def reads(self, count, patience=PATIENCE):
        """Return the next `count` bytes of standard output, or what came until its end."""
        found, end = bytearray(), time.monotonic() + patience
        while len(found) < count:
            left = end - time.monotonic()
            assert left > 0, f"waited for {count} bytes, got {len(found)}"
            if select.select([self.process.stdout], [], [], left)[0]:
                chunk = os.read(self.process.stdout.fileno(), min(count - len(found), 1 << 16))
                if not chunk:
                    break
                found += chunk
        return bytes(found)

    def writes(self, data):
        self.process.stdin.write(data)

    def ends_input(self):
        self.process.stdin.close()

    def ends(self, patience=PATIENCE):
        """Wait for the end and return the exit code."""
        return self.process.wait(patience)

    def rest(self, patience=PATIENCE):
        """Return all of standard output that is left, to its end."""
        return self.reads(1 << 40, patience)
