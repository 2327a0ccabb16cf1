"""What people type of a firewall change, and what is kept of it: durations, rates, targets, plans, records."""

from __future__ import annotations

import json

import pytest

from portside.errors import BadReply, BadRequest
from portside.guard import model
from portside.guard.changes import change as changes
from portside.guard.changes import making, plan
from portside.guard.changes.decide import Decision
from portside.guard.changes.scene import Scene
from portside.guard.changes.wish import (
    Network,
    Rate,
    Target,
    Wish,
    collapse,
    few,
    parse_duration,
    parse_network,
    parse_note,
    parse_rate,
    parse_target,
)
from portside.guard.environment import Environment
from portside.ports.number import Range


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1w", 604800), (" 5S ", 5)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "m", "1y", "-5", "1.5h", "h1", "400d", "٣m"])
def test_what_is_no_duration(text):
    with pytest.raises(BadRequest, match="not a time up to a year; write 90s"):
        parse_duration(text)


def test_rates():
    assert parse_rate("10/minute") == Rate(10, "minute")
    assert str(parse_rate("5/s")) == "5/second"
    for text in ("10", "0/s", "/s", "10/week", "x/s"):
        with pytest.raises(BadRequest, match="not so many in a time"):
            parse_rate(text)


def test_targets():
    assert parse_target("8080") == Target(8080)
    assert parse_target(":8080") == Target(8080)
    assert parse_target("10.0.0.5:80") == Target(80, "10.0.0.5")
    assert str(parse_target("[2001:db8::1]:80")) == "[2001:db8::1]:80"
    for text in ("", "0", "10.0.0.5", "a:b:80", "10.0.0.5:99999"):
        with pytest.raises(BadRequest):
            parse_target(text)


def test_a_comment_is_what_every_firewall_keeps():
    assert parse_note("app servers") == "app servers"
    for text in ("it's", 'a "b"', "a\nb", "x" * 101):
        with pytest.raises(BadRequest, match="plain text without quotes"):
            parse_note(text)


def test_networks_inside_others_are_left_out():
    texts = [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "192.0.2.1",
        "10.255.255.255",
        "2001:db8::/32",
        "2001:db8::1",
        "11.0.0.0/8",
    ]
    found = collapse(map(parse_network, texts))
    assert [str(one) for one in found] == ["10.0.0.0/8", "11.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
    assert parse_network("10.0.0.0/8").overlaps(parse_network("10.2.0.0/16"))
    assert not Network(b"\0" * 4, 0).overlaps(Network(b"\0" * 16, 0))


def test_many_are_told_as_few():
    assert few(("a", "b", "c")) == "a,b,c"
    assert few(tuple("abcdefgh")) == "a,b,c and 5 more"


FULL = Wish(
    "open",
    ports=(("tcp", Range(80, 90)), ("udp", Range(53, 53))),
    sources=(parse_network("10.0.0.0/8"), parse_network("2001:db8::1")),
    addresses=("192.0.2.1", "203.0.113.0/24"),
    interface="eth0",
    until=1795630000,
    rate=Rate(10, "minute"),
    log=True,
    note="why",
    target=Target(8080, "10.0.0.5"),
)
STEPS = (
    plan.Run(("nft", "-f", "-"), "add table x\n"),
    plan.Write("/etc/x", "text\n", 0o600),
    plan.Write("/etc/y", None),
    plan.Drop("/etc/z", ("a line", "another")),
    plan.Pull("inet", "filter", "input", "portside:7"),
)


def test_a_change_survives_the_journal():
    made = changes.Change(7, FULL, "ufw", True, STEPS, "waiting", 1.5, "boot", 42, 99.0, True, "no reason")
    assert changes.from_plain(json.loads(json.dumps(changes.to_plain(made)))) == made


@pytest.mark.parametrize("spoilt", [{}, {"wish": 3}, {"state": "lost"}, {"back": [{"kind": "format disk"}]}])
def test_a_damaged_record_is_our_error(spoilt):
    good = changes.to_plain(changes.Change(1, FULL, "", True, (), "kept", 0.0, "", 0))
    with pytest.raises(BadReply):
        changes.from_plain(good | spoilt if spoilt else {})


def test_a_wish_reads_as_it_was_typed():
    assert str(FULL) == (
        "open 80-90/tcp,53/udp from 10.0.0.0/8,2001:db8::1 to 10.0.0.5:8080 on eth0 at most 10/minute"
    )
    assert str(Wish("block", addresses=("192.0.2.1",))) == "block 192.0.2.1"


def test_a_plan_reads_as_it_would_be_typed():
    text = plan.describe(STEPS)
    assert text == (
        "nft -f - <<'END'\nadd table x\nEND\ncat >/etc/x <<'END'\ntext\nEND\nrm /etc/y\n"
        "sed -i '/^a line$/d' /etc/z\nsed -i '/^another$/d' /etc/z\n"
        "nft delete rule inet filter input handle …  # portside:7\n"
    )
    long = plan.describe([plan.Run(("nft", "-f", "-"), "x\n" * 1000)])
    assert "… 975 lines more" in long


def test_lines_are_taken_out_once_each():
    assert plan.without_lines("a\nb\na\nc", ["a", "z"]) == "b\na\nc"


def record(number, wish, **more):
    values = {"state": "kept", "boot": "b", "network": 1} | more
    return changes.Change(
        number, wish, "portside", True, (), values.pop("state"), 0.0, values.pop("boot"), **values
    )


def test_what_is_in_force():
    block = Wish("block", addresses=("192.0.2.1", "192.0.2.2"))
    known = [
        record(1, block),
        record(2, Wish("close", until=50)),
        record(3, Wish("close"), state="undone"),
        record(4, Wish("close"), boot="earlier"),
        record(5, Wish("close"), boot="earlier", lasting=True),
        record(6, Wish("close"), network=2),
        record(7, Wish("unblock", addresses=("192.0.2.1",))),
    ]
    found = changes.active(known, now=100, boot="b", network=1)
    assert found == [(1, Wish("block", addresses=("192.0.2.2",))), (5, Wish("close"))]
    assert changes.active([known[0], record(7, block.replace(verb="unblock"))], 100, "b", 1) == []


def test_a_plan_is_overtaken_by_every_other_change():
    """A number that another change got, and rules that went with one that was undone."""
    one, two = record(1, Wish("close")), record(2, Wish("open", log=True))
    scene = Scene(model.Ruleset(), Environment((), ()), (), (one,), 2, False)
    decision = Decision(Wish("open"), plan.Plan("", (), ()), scene=scene)
    assert not making.is_overtaken(decision, {1: changes.from_plain(changes.to_plain(one))})
    assert making.is_overtaken(decision, {1: one, 2: two})
    assert making.is_overtaken(decision, {1: one.replace(state="undone")})
    assert making.is_overtaken(decision, {})


@pytest.mark.parametrize("decided", [{"nothing": "open already"}, {"refusal": "would cut us off"}])
def test_without_anything_to_do_the_journal_is_left_alone(decided, monkeypatch, tmp_path):
    monkeypatch.setenv("PORTSIDE_STATE", str(tmp_path / "none"))
    decision = Decision(Wish("open"), plan.Plan("", (), ()), **decided)
    assert making.make(decision) == (decision, None)
    assert not (tmp_path / "none").exists()
