"""`portside doctor`: each probe with its answer in words, and an exit code that says whether anything is missing."""

from __future__ import annotations

import json

import pytest

import portside.system.capabilities as capabilities
from portside.cli import main
from portside.cli.output import display_width
from portside.system.capabilities import Finding

FINDINGS = [
    Finding("sock_diag tcp", "yes", "the kernel answers", "3.3", "read from text"),
    Finding(
        "bpf owners", "no", "not permitted; run it with sudo", "5.8", "owners are read from /proc/PID/fd"
    ),
    Finding("odd", "unknown", "input/output error\x1b[31m", "", "nobody knows"),
]


@pytest.fixture
def findings(monkeypatch):
    made = list(FINDINGS)
    monkeypatch.setattr(capabilities, "examine_all", lambda: made)
    return made


def test_table(capsys, findings):
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    header, tcp, bpf, odd = captured.out.splitlines()
    assert captured.err == ""
    assert header.split() == ["PROBE", "ANSWER", "WHY", "LINUX", "WITHOUT", "IT"]
    assert "read from text" not in tcp  # what is there costs nothing
    assert bpf.split("  ")[0] == "bpf owners"
    assert "owners are read from /proc/PID/fd" in bpf
    assert "could not tell" in odd
    assert "\\x1b[31m" in odd
    main(["doctor", "--no-header"])
    bare = capsys.readouterr().out.splitlines()
    assert [line.split() for line in bare] == [line.split() for line in (tcp, bpf, odd)]


def test_json(capsys, findings):
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "doctor"
    assert document["items"][1] == dict(FINDINGS[1].items())


def test_exit_0_when_nothing_is_missing(capsys, findings):
    del findings[1:]
    assert main(["doctor"]) == 0


def test_colour_is_never_the_only_sign(capsys, findings):
    main(["doctor", "--color", "always"])
    colored = capsys.readouterr().out
    assert "\x1b[33mno\x1b[0m" in colored
    assert "\x1b[2mcould not tell\x1b[0m" in colored


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_narrow_terminal(monkeypatch, capsys, findings, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["doctor", "--color", "never"])
    lines = capsys.readouterr().out.splitlines()
    assert all(display_width(line) <= columns for line in lines)
    assert all(name in lines[at + 1] for at, name in enumerate(("sock_diag tcp", "bpf owners", "odd")))
    assert "could not tell" in lines[3]


def test_of_the_running_kernel(capsys):
    code = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(capabilities.PROBES)
    assert code in (0, 1)
