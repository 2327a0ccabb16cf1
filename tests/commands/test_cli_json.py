"""What scripts rely on: every field that is promised is there, of its type.  More may be added, none may go."""

from __future__ import annotations

import json

import pytest
from tests import fakemachine
from tests.fakemachine import COMMAND, Run


@pytest.fixture
def portside(tmp_path, monkeypatch, capsys):
    """Run the command line on the made-up machine."""
    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    return lambda *words: Run(capsys, *words)


TEXT, NUMBER, LIST, FLAG = str, int, list, bool
OPTIONAL = (str, type(None))
ENVELOPE = {
    "portside": NUMBER,
    "kind": TEXT,
    "at": TEXT,
    "host": TEXT,
    "complete": FLAG,
    "gaps": LIST,
    "items": LIST,
}
OWNER = {
    "pid": NUMBER, "name": TEXT, "user": OPTIONAL, "uid": (int, type(None)), "fds": [NUMBER], "exe": OPTIONAL,
    "cmdline": (list, type(None)), "started": OPTIONAL, "unit": OPTIONAL, "container": (dict, type(None)),
}  # fmt: skip
PORT = {
    "protocol": TEXT, "port": NUMBER, "service": OPTIONAL,
    "addresses": [{"address": TEXT, "scope": TEXT, "device": OPTIONAL, "v6only": (bool, type(None))}],
    "state": TEXT, "backlog": (dict, type(None)), "owners": [OWNER], "owner_gap": OPTIONAL, "netns": TEXT,
    "reach": {"verdict": TEXT, "from": TEXT, "because": TEXT},
}  # fmt: skip
SOCKET = {
    "protocol": TEXT, "state": TEXT,
    "local": {"address": TEXT, "port": NUMBER, "scope": OPTIONAL, "device": OPTIONAL},
    "remote": {"address": TEXT, "port": NUMBER},
    "queues": {"receive": NUMBER, "send": NUMBER}, "uid": (int, type(None)), "inode": NUMBER, "cookie": NUMBER,
    "netns": TEXT, "cgroup": OPTIONAL, "timer": (dict, type(None)), "owners": [OWNER], "owner_gap": OPTIONAL,
}  # fmt: skip


def promised(value, shape):
    """Whether a value has the promised fields and types; more fields may be there."""
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        assert shape.keys() <= value.keys(), f"promised and missing: {shape.keys() - value.keys()}"
        return all(promised(value[name], part) for name, part in shape.items())
    if isinstance(shape, list):
        assert isinstance(value, list)
        return all(promised(one, shape[0]) for one in value)
    assert isinstance(value, shape), f"{value!r} is not {shape}"
    return True


def test_json_keeps_every_promise_about_ports(portside):
    run = portside("--json")
    document = json.loads(run.out)
    assert len(run.lines) == 1
    assert promised(document, ENVELOPE)
    assert (document["portside"], document["kind"], document["complete"]) == (1, "ports", True)
    assert all(promised(item, PORT) for item in document["items"])
    web = document["items"][1]
    assert [(one["address"], one["v6only"]) for one in web["addresses"]] == [("0.0.0.0", None), ("::", True)]
    assert web["owners"][0]["cmdline"] == COMMAND
    assert [(one["pid"], one["fds"], one["started"]) for one in web["owners"]] == [
        (90, [3, 4], "2023-11-14T22:13:25.000Z"), (91, [3, 4], "2023-11-14T22:13:21.000Z"),
    ]  # fmt: skip
    assert (web["backlog"], web["owner_gap"]) == ({"used": 2, "limit": 128}, None)


def test_json_keeps_every_promise_about_sockets(portside):
    document = json.loads(portside("-a", "--json").out)
    assert promised(document, ENVELOPE)
    assert document["kind"] == "sockets"
    assert len(document["items"]) == 13
    assert all(promised(item, SOCKET) for item in document["items"])
    gaps = {item["owner_gap"] for item in document["items"]}
    assert gaps == {None, "accept-queue", "time-wait"}


WHO = {
    "port": NUMBER, "ports": [PORT], "ancestry": dict, "connections": NUMBER,
    "peers": [{"address": TEXT, "scope": TEXT, "count": NUMBER, "states": dict, "owners": list}],
}  # fmt: skip
PROBE = {"name": TEXT, "answer": TEXT, "reason": TEXT, "since": TEXT, "cost": TEXT}


def test_json_of_who(portside):
    document = json.loads(portside("who", "9000", "--json").out)
    assert promised(document, ENVELOPE)
    assert document["kind"] == "who"
    (item,) = document["items"]
    assert promised(item, WHO)
    assert [process["name"] for process in item["ancestry"]["1200"]] == ["web", "init"]
    assert item["connections"] == 4
    assert [(peer["address"], peer["count"], peer["states"]) for peer in item["peers"]] == [
        ("198.51.100.7", 3, {"established": 2, "time-wait": 1}),
        ("198.51.100.8", 1, {"established": 1}),
    ]


def test_json_of_who_for_nothing(portside):
    run = portside("who", "7", "--json")
    (item,) = json.loads(run.out)["items"]
    assert promised(item, WHO)
    assert (run.code, run.err, item["ports"], item["peers"], item["connections"]) == (1, "", [], [], 0)


def test_json_of_doctor(portside):
    run = portside("doctor", "--json")
    document = json.loads(run.out)
    assert promised(document, ENVELOPE)
    assert document["kind"] == "doctor"
    assert all(promised(item, PROBE) for item in document["items"])
    assert {item["answer"] for item in document["items"]} <= {"yes", "no", "unknown"}
    assert run.code == int(any(item["answer"] != "yes" for item in document["items"]))


@pytest.mark.parametrize(
    "words", [("--json",), ("-a", "--json"), ("who", "80", "--json"), ("doctor", "--json")]
)
def test_one_document_on_one_line_in_a_pipe(portside, words):
    run = portside(*words)
    assert len(run.lines) == 1
    assert run.out.isascii()
    assert portside(*words, "--color", "always").out.count("\x1b") == 0


def test_two_forms_at_once_are_refused(portside):
    run = portside("--json", "--csv")
    assert (run.code, run.out) == (2, "")
    assert "choose one" in run.err


def test_json_wins_over_the_form_of_tables(portside):
    for words in (["--no-header"], ["--columns", "port"]):
        run = portside("--json", *words)
        assert all(promised(item, PORT) for item in json.loads(run.out)["items"])


def test_order_asked_for_is_kept(portside):
    items = json.loads(portside("--json", "--sort", "-port").out)["items"]
    assert [item["port"] for item in items] == [10000, 9000, 8080, 80, 53]
