"""A face beside the tool it stands for, in one namespace full of sockets: what both say, and where they differ.

    ss = Beside("ss", main, comparable)
    theirs, ours = world.space.call(ss.both, ["-tan"])

Both are run by a child that has entered the namespace.  The tool is asked twice where they differ: what changed in
between is no difference.  An answer is (standard output, standard error, exit code).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import re
import select
import subprocess
import time
from typing import NamedTuple

from tests.live.conftest import NOBODY
from tests.support import require

ATTEMPTS = 6
PATIENCE = 30.0


def load(face, *late):
    """Import what a face imports late: another user may not be able to read the source."""
    for found in pkgutil.iter_modules(face.__path__):
        importlib.import_module(f"{face.__name__}.{found.name}")
    for name in late:
        importlib.import_module(name)


def run_face(main, words):
    """Run a face in this process; return its answer."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([*words])
    return out.getvalue(), err.getvalue(), code


def rows_of(main, words):
    """Run a face in this process; return its lines split at blanks."""
    out, _, code = run_face(main, words)
    assert code == 0
    return [line.split() for line in out.splitlines()]


class Beside:
    """The tool of that name and the face whose `main` stands for it; `comparable` leaves out what may differ.

    The tool has more in its environment where so said.
    """

    def __init__(self, name, main, comparable=lambda answer: answer, **environment):
        self.name = name
        self.environment = os.environ | environment
        self.main = main
        self.comparable = comparable

    def face(self, words):
        """Run the face in this process; return its answer."""
        return run_face(self.main, words)

    def tool(self, words):
        """Run the tool; return its answer."""
        done = subprocess.run(
            [self.name, *words], capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
            env=self.environment,
        )  # fmt: skip
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        return out, err, done.returncode

    def both(self, words):
        """Return (the tool's, ours), asked again as long as the tool's own answer changes meanwhile."""
        for _ in range(ATTEMPTS):
            before, ours, after = self.tool(words), self.face(words), self.tool(words)
            if self.comparable(before) in (self.comparable(after), self.comparable(ours)):
                break
        return before, ours

    def every(self, combinations):
        """Return combination -> (the tool's, ours)."""
        return {one: self.both(one.split()) for one in combinations}


class Told:
    """What both said, all combinations asked at once for each user; `words` takes a combination apart."""

    def __init__(self, world, beside, combinations, words=str.split):
        self.world = world
        self._asked = lambda: {one: beside.both(words(one)) for one in combinations}
        self._said = {}

    def said(self, user, combination):
        """Return (the tool's, ours), as root or as nobody."""
        if user not in self._said:
            require(user == "root" or not os.geteuid(), "needs root, to be another user")
            uid = NOBODY if user == "nobody" else None
            self._said[user] = self.world.space.call(self._asked, uid=uid, timeout=300)
        return self._said[user][combination]


class Difference(NamedTuple):
    """Something a tool does otherwise: where it shows, what only its answer has, and what only ours, if anything."""

    what: str
    words: str
    theirs: str
    ours: str

    def check(self, theirs, ours):
        """Look for it in two texts."""
        assert re.search(self.theirs, theirs, re.MULTILINE)
        assert not re.search(self.theirs, ours, re.MULTILINE)
        if self.ours:
            assert re.search(self.ours, ours, re.MULTILINE)
            assert not re.search(self.ours, theirs, re.MULTILINE)


def written_until(space, command, enough):
    """Return what a command that goes on has written when `enough(written)`, and end it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=space.enter)
    written, deadline = b"", time.monotonic() + PATIENCE
    try:
        while not enough(written):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
            assert chunk, written
            written += chunk
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return written
