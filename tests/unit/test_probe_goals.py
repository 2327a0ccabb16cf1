"""The words of check and wait, those of nc, wait-for-it and dockerize among them."""

from __future__ import annotations

import pytest

from portside.cli import check as cli_check
from portside.cli import load
from portside.cli.parsing import parse
from portside.errors import BadRequest
from portside.probe.goals import Goal, parse_goals


def goals(*words, **options):
    return [
        (goal.kind, goal.host, goal.port, goal.path or goal.socket_path, goal.family)
        for goal in parse_goals(words, **options)
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["db:5432"], ("tcp", "db", 5432, "", "")),
        (["[::1]:80"], ("tcp", "::1", 80, "", "")),
        (["[fe80::1%eth0]:80"], ("tcp", "fe80::1%eth0", 80, "", "")),
        ([":80"], ("tcp", "localhost", 80, "", "")),
        (["80"], ("tcp", "localhost", 80, "", "")),
        (["db:https"], ("tcp", "db", 443, "", "")),
        (["db", "80"], ("tcp", "db", 80, "", "")),
        (["::1", "80"], ("tcp", "::1", 80, "", "")),
        (["db:53/udp"], ("udp", "db", 53, "", "")),
        (["tcp://db:1"], ("tcp", "db", 1, "", "")),
        (["tcp4://db:1"], ("tcp", "db", 1, "", "4")),
        (["udp6://db:1"], ("udp", "db", 1, "", "6")),
        (["tls://db:1"], ("tls", "db", 1, "", "")),
        (["http://db"], ("http", "db", 80, "/", "")),
        (["https://db/a?b#c"], ("https", "db", 443, "/a?b", "")),
        (["http://[::1]:8080/x"], ("http", "::1", 8080, "/x", "")),
        (["/run/db.sock"], ("unix", "", 0, "/run/db.sock", "")),
        (["unix:///run/db.sock"], ("unix", "", 0, "/run/db.sock", "")),
        (["unix:/run/db.sock"], ("unix", "", 0, "/run/db.sock", "")),
        (["@name"], ("unix", "", 0, "@name", "")),
        (["file:///run/db.pid"], ("file", "", 0, "/run/db.pid", "")),
        (["http+unix://%2Frun%2Fdb.sock/v1"], ("http+unix", "localhost", 0, "/v1", "")),
    ],
)
def test_words(words, expected):
    assert goals(*words) == [expected]


def test_ranges_and_repeats():
    assert [port for _, _, port, _, _ in goals("db", "80-82", "db:81-82")] == [80, 81, 82], "each once"
    assert goals("db:80", "db:80") == goals("db:80")
    assert [goal.text for goal in parse_goals(["::1", "8-9"])] == ["[::1]:8", "[::1]:9"]
    assert goals("db", "80", udp=True) == [("udp", "db", 80, "", "")]
    assert goals("db", "80", "80") == [("tcp", "db", 80, "", ""), ("tcp", "localhost", 80, "", "")]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("db", "no port"),
        ("db:", "no port"),
        ("", "no port"),
        ("db:0", "is no port"),
        ("db:65536", "is no port"),
        ("db:nosuchservice", "neither a port nor a service name"),
        ("db:9-8", "reversed"),
        ("::1", "needs brackets"),
        ("::1:80", "needs brackets"),
        ("[::1:80", "brackets do not fit"),
        ("ftp://db:21", "unknown scheme 'ftp'"),
        ("unix://", "no path"),
        ("http+unix:///x", "no socket's path"),
        ("http://u:p@db/", "user names are not sent"),
        ("http://db/a b", "a blank"),
        ("http://db/a\r\nX: y", "a blank"),
        ("db/x:80", "neither HOST:PORT nor a URL"),
        ("db:1/sctp", "cannot be checked"),
    ],
)
def test_no_goal(word, reason):
    with pytest.raises(BadRequest) as raised:
        parse_goals([word])
    assert reason in raised.value.reason


def test_too_many():
    with pytest.raises(BadRequest, match="portside scan"):
        parse_goals(["db:1-2000"])


@pytest.mark.parametrize(
    ("text", "value"), [("10", 10), ("10s", 10), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("0", 0)]
)
def test_times(text, value):
    assert cli_check.seconds(text) == value


@pytest.mark.parametrize("text", ["", "x", "10x", "-1", "1sm", "nan", "inf"])
def test_no_time(text):
    with pytest.raises(ValueError, match="is not a time"):
        cli_check.seconds(text)


def test_statuses():
    assert cli_check.statuses("200, 204-206") == (200, 204, 205, 206)
    for text in ("", "2", "200-", "-200", "2000", "abc"):
        with pytest.raises(ValueError, match="is not a status"):
            cli_check.statuses(text)


def typed(name, *words):
    return parse(load(name), list(words))


def test_words_of_the_tools_people_know():
    nc = typed("check", "-z", "-v", "-w", "2", "db", "80-81")
    assert (nc.targets, nc.look_timeout) == (["db", "80-81"], 2)
    it = typed("wait", "db:5432", "-t", "15", "-s", "-q", "--", "server", "--port", "1")
    assert (it.targets, it.timeout, it.command) == (["db:5432"], 15, ["server", "--port", "1"])
    dock = typed(
        "wait", "-wait", "tcp://db:1", "-wait", "http://db/", "-timeout", "10s", "-wait-retry-interval", "2s"
    )
    assert (dock.wait, dock.timeout, dock.interval) == (["tcp://db:1", "http://db/"], 10, 2)
    assert typed("wait", "db:1").command == []
    assert typed("wait", "db:1", "--", "a", "--", "b").command == ["a", "--", "b"]


def test_goal_is_a_value():
    assert Goal("tcp", "a:1", "a", 1) == parse_goals(["a:1"])[0]
