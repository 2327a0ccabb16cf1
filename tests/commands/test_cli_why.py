"""`portside why`: what is typed, how it is drawn."""

from __future__ import annotations

import json

import pytest

from portside.cli import main
from portside.cli import why as command
from portside.cli.output import display_width
from portside.see import why
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, Walk

REPORT = Walk(
    "8080",
    (
        Step("bound", PASSED, "tcp on 127.0.0.1: web 7 of user alice"),
        Step(
            "connect", FAILED, "word " * 40 + "\x1b[31m", "kill -CONT 7", "2001:db8::1", (("seconds", 0.5),)
        ),
        Step("owner", UNKNOWN, "端口 " * 30),
    ),
)


@pytest.mark.parametrize(
    ("text", "host", "port", "protocol"),
    [
        ("8080", "", 8080, ""),
        ("53/udp", "", 53, "udp"),
        ("https", "", 443, ""),
        ("example.org:443", "example.org", 443, ""),
        ("example.org:53/udp", "example.org", 53, "udp"),
        ("[2001:db8::1]:22", "2001:db8::1", 22, ""),
        ("[fe80::1%eth0]:22", "fe80::1%eth0", 22, ""),
    ],
)
def test_what_is_typed(text, host, port, protocol):
    told = command._target(text)
    assert told[:2] == (host, port)
    assert told[2] == protocol


@pytest.mark.parametrize("text", ["::1:80", ":80", "host:", "host:99999", "x y", "[::1]:"])
def test_what_is_refused(text, capsys):
    assert main(["why", text]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_tls_takes_a_host(capsys):
    assert main(["why", "80", "--tls"]) == 2
    assert "--tls takes a host; write localhost:80" in capsys.readouterr().err


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(why, "why_port", lambda *_: REPORT)


def test_text(told, capsys):
    assert main(["why", "8080"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8080: 1 of 3 steps failed"
    assert lines[1].startswith("passed  bound                ")
    assert lines[3].split(maxsplit=2) == ["mend", "it", "kill -CONT 7"]
    assert "\\x1b[31m" in lines[2]


def test_a_narrow_terminal_folds_sentences_and_no_command(told, monkeypatch, capsys):
    monkeypatch.setattr("portside.cli.output.Output.width", lambda self: 60)
    main(["why", "8080"])
    lines = capsys.readouterr().out.splitlines()
    assert all(display_width(line) <= 60 for line in lines)
    assert sum("word" in line for line in lines) > 3
    assert any("kill -CONT 7" in line for line in lines)


def test_json(told, capsys):
    assert main(["why", "8080", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "why"
    assert document["items"][1] | {"evidence": ""} == {
        "asked": "8080", "step": "connect", "target": "2001:db8::1", "outcome": "failed", "evidence": "",
        "mend": "kill -CONT 7", "facts": {"seconds": 0.5},
    }  # fmt: skip
    assert document["items"][0]["mend"] is None
    assert document["complete"] is False
    assert document["gaps"][0]["what"] == "owner"


def test_nothing_failed(monkeypatch, capsys):
    monkeypatch.setattr(why, "why_port", lambda *_: Walk("1", (REPORT.steps[0], REPORT.steps[2])))
    assert main(["why", "1"]) == 0
    assert capsys.readouterr().out.startswith("1: nothing failed\n")
