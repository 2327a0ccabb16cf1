"""Running other programs: what they print, what their failures become, and that nothing is waited for without end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from portside.errors import NotPermitted, NotSupported, PortsideError, TimedOut
from portside.system import commands


def shell(script, input="", **more):
    return commands.run(("sh", "-c", script), input, **more)


def test_what_it_prints_is_returned(tmp_path, monkeypatch):
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho said $1; echo a warning >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands.find("tool") == str(program)
    assert commands.run(("tool", "yes")) == "said yes\n"
    assert commands.find("sh")  # though PATH has it not


def test_it_reads_what_it_is_given_and_nothing_of_ours():
    assert shell("cat", "text \udcff\n") == "text \udcff\n"
    assert shell("cat") == ""


def test_it_speaks_our_language_without_colours(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert shell("echo $LC_ALL $SYSTEMD_COLORS $SYSTEMD_PAGER") == "C 0 cat\n"


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo out; echo wrong >&2; exit 3", PortsideError, "wrong"),
        ("echo out; exit 3", PortsideError, "out"),
        ("exit 3", PortsideError, "it ended with 3"),
        ("kill -9 $$", PortsideError, "it ended with -9"),
        ("printf 'a\\n  b\\n  ^^^ ~~\\n' >&2; exit 1", PortsideError, "a b"),
        ("echo 'Operation not permitted (you must be root)' >&2; exit 1", NotPermitted, "operation not permitted"),
        ("printf '%9999s' x >&2; exit 1", PortsideError, "x"),
    ],
)  # fmt: skip
def test_a_failure_is_told_in_its_words(script, kind, said):
    with pytest.raises(kind) as caught:
        shell(script)
    assert type(caught.value) is kind
    assert caught.value.reason.lower().startswith(said)
    assert len(str(caught.value)) < 1000


def test_what_is_not_there():
    with pytest.raises(NotSupported, match="run 'no-such-tool now': 'no-such-tool' is not installed"):
        commands.run(("no-such-tool", "now"))


def test_a_file_that_is_no_program(tmp_path):
    (tmp_path / "tool").write_bytes(b"\x7fELF nothing")
    (tmp_path / "tool").chmod(0o755)
    with pytest.raises(NotSupported, match="exec format error"):
        commands.run((str(tmp_path / "tool"),))


def test_one_that_does_not_end_is_ended():
    with pytest.raises(TimedOut, match=r"no end in 0\.2 s"):
        commands.run(("sleep", "600"), timeout=0.2)


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for():
    began = time.monotonic()
    daemon = int(shell("sleep 120 & echo $!"))
    assert time.monotonic() - began < 100
    os.kill(daemon, signal.SIGKILL)
