"""A namespace in which causes are made for `portside why`, and `portside` as a shell there finds it."""

from __future__ import annotations

import contextlib
import encodings.ascii
import encodings.idna  # noqa: F401 (another user may not be able to read it)
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.live.test_cli_live import run as run_inside
from tests.support import require

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import os, signal, socket, ssl, struct, sys, time
def listener(port=8080, host="127.0.0.1", backlog=8):
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen(backlog)
    return made
def ready(*words):
    print("ready", *words, flush=True)
"""
WAIT = "sys.stdin.read()"


class Stage:
    """A namespace, programs in it, and `portside` as a shell there finds it."""

    def __init__(self, space, directory, stack):
        self.space = space
        self.stack = stack
        program = directory / "portside"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m portside "$@"\n')
        program.chmod(0o755)
        path = f"{directory}:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment = [f"PATH={path}", f"PYTHONPATH={ROOT / 'src'}"]

    def start(self, script, uid=None, space=None):
        """Start a program that says `ready` when it stands; it ends with the test."""
        step_down = (
            f"os.setgroups([])\nos.setresgid(*[{uid}] * 3)\nos.setresuid(*[{uid}] * 3)\n" if uid else ""
        )
        program = subprocess.Popen(
            [sys.executable, "-c", HEAD + step_down + textwrap.dedent(script)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=(space or self.space).enter,
        )  # fmt: skip
        self.stack.callback(end, program)
        assert program.stdout.readline().split()[:1] == ["ready"]
        return program

    def shell(self, command):
        """Run a command as somebody would who was told it: in a shell, as root."""
        words = ["env", *self.environment, "sh", "-c", command.removeprefix("sudo ")]
        return self.space.run(words, timeout=60)

    @contextlib.contextmanager
    def running(self, command):
        """Run a command that goes on, from when it says its first word to the end of the block."""
        words = [
            "env",
            *self.environment,
            "PYTHONUNBUFFERED=1",
            "sh",
            "-c",
            f"exec {command.removeprefix('sudo ')}",
        ]
        program = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=self.space.enter,
        )  # fmt: skip
        try:
            assert program.stdout.readline()
            yield
        finally:
            end(program)

    def why(self, *words, uid=None):
        """Return step -> the item of it that failed, else the last; the code must fit."""
        code, out, err = run_inside(self.space, "why", *words, "--json", uid=uid)
        assert code in (0, 1), err
        items = json.loads(out)["items"]
        assert json.loads(out)["kind"] == "why"
        assert code == int(any(item["outcome"] == "failed" for item in items))
        found = {}
        for item in items:
            if found.get(item["step"], {}).get("outcome") != "failed":
                found[item["step"]] = item
        return found

    def mended(self, step, *words, uid=None, then=None):
        """Check that a step fails, run the command it tells, and check that it passes (or is asked no more)."""
        before = self.why(*words, uid=uid)[step]
        assert before["outcome"] == "failed", before
        assert before["mend"], before
        done = self.shell(before["mend"])
        assert done.returncode == 0, (before["mend"], done.stdout, done.stderr)
        after = self.why(*(then or words), uid=uid).get(step)
        assert after is None or after["outcome"] == "passed", (before, after)
        return before


def end(program):
    program.kill()
    program.wait(10)
    program.stdin.close()
    program.stdout.close()


@contextlib.contextmanager
def staged(space, directory):
    """Make a stage that ends with the block."""
    require(not os.geteuid(), "needs root, for addresses, sysctls and other users")
    with contextlib.ExitStack() as stack:
        directory.chmod(0o755)
        yield Stage(space, directory, stack)


def set_sysctl(space, name, value):
    done = space.run(["sh", "-c", f"echo '{value}' > /proc/sys/{name.replace('.', '/')}"])
    assert done.returncode == 0, done.stderr


def linked(space):
    space.add_link("left", peer="right", addresses=["192.0.2.1/24", "2001:db8::1/64"])
