"""The settings about ports: what people type, what bites, what a change is, from values alone."""

from __future__ import annotations

import json

import pytest

from portside.errors import BadReply, BadRequest, NotSupported
from portside.ports.number import HostRanges, Range
from portside.see.tune import advice, changes, freebsd, settings, usage
from portside.see.tune.changes import Change
from portside.see.tune.settings import SETTINGS
from portside.see.tune.usage import Destination, Facts, Listener, Use

DEFAULTS = {name: setting.default or "2048" for name, setting in SETTINGS.items()} | {"reserved": ""}


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("ephemeral", "1024-65535", "1024-65535"),
        ("ephemeral", "1024 65535", "1024-65535"),
        ("ephemeral", "1024:65535", "1024-65535"),
        ("ephemeral", "default", "32768-60999"),
        ("reserved", "8080", "8080"),
        ("reserved", "9000-9010, 8080,9005-9020", "8080,9000-9020"),
        ("reserved", "none", ""),
        ("reserved", "default", ""),
        ("reserved", "+81", "80-82,9000"),
        ("reserved", "-80", "82,9000"),
        ("reserved", "-70-85,9001", "9000"),
        ("unprivileged", "0", "0"),
        ("keepalive", "2000", "2000"),
        ("keepalive", "2000s", "2000"),
        ("keepalive", "30min", "1800"),
        ("keepalive", "2 h", "7200"),
        ("keepalive-probes", "255", "255"),
        ("somaxconn", "65535", "65535"),
    ],
)
def test_what_people_type(name, words, value):
    now = "80,82,9000"
    if words.startswith("+"):
        assert settings.typed(SETTINGS[name], words, "80,82,9000") == value
    else:
        assert settings.typed(SETTINGS[name], words, now) == value


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("ephemeral", "1024", "written A-B"),
        ("ephemeral", "65535-1024", "reversed"),
        ("ephemeral", "0-100", "from 1 to 65535"),
        ("ephemeral", "1024-70000", "from 1 to 65535"),
        ("ephemeral", "a-b", "written A-B"),
        ("reserved", "web", "a port or a range"),
        ("reserved", "0", "a port or a range"),
        ("reserved", "9-", "a port or a range"),
        ("reserved", "70000", "above 65535"),
        ("unprivileged", "65536", "from 0 to 65535"),
        ("keepalive", "0", "from 1 to"),
        ("keepalive", "soon", "a number of seconds"),
        ("keepalive", "2 weeks", "a number of seconds"),
        ("keepalive", "", "a number of seconds"),
        ("keepalive-probes", "256", "from 1 to 255"),
        ("keepalive-probes", "9s", "a number is meant"),
        ("somaxconn", "-1", "a number is meant"),
        ("syn-backlog", "default", "from the memory"),
    ],
)
def test_what_cannot_be_meant(name, words, reason):
    with pytest.raises(BadRequest, match=reason):
        settings.typed(SETTINGS[name], words)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ephemeral", "32768\t60999\n", "32768-60999"),
        ("reserved", "\n", ""),
        ("reserved", "80,9000-9010\n", "80,9000-9010"),
        ("keepalive", "7200\n", "7200"),
    ],
)
def test_the_kernel_s_text_and_back(name, text, value):
    setting = SETTINGS[name]
    assert settings.canonical(setting, text) == value
    assert settings.kernel_text(setting, value).split() == text.split()


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "a b", "-1 5"])
def test_a_text_that_is_no_range(text):
    with pytest.raises(BadReply, match="unexpected text"):
        settings.canonical(SETTINGS["ephemeral"], text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (75, "75 s"),
        (120, "120 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (7875, "2 h 11 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    assert settings.duration(seconds) == text


@pytest.mark.parametrize("word", ["somaxconn", "net.core.somaxconn", "net/core/somaxconn"])
def test_a_setting_is_found_by_either_name(word):
    assert settings.find(word).name == "somaxconn"
    assert settings.find("tcp_keepalive_time").name == "keepalive"


def test_an_unknown_setting():
    with pytest.raises(BadRequest, match="did you mean 'ephemeral'"):
        settings.find("ephemral")
    with pytest.raises(BadRequest, match="there are ephemeral, reserved"):
        settings.find("xyz")


def listener(port=40000, **more):
    fields = {"address": "0.0.0.0", "used": 0, "limit": 128, "drops": 0, "owner": "web 7", "by_number": True}
    return Listener(port=port, **fields | more)


def bites(facts=Facts(), **values):  # noqa: B008 (frozen)
    """The warnings about some values, the rest the kernel's defaults: (setting, text, next step)."""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return [(one.setting, one.text, one.next_step) for one in advice.warnings(DEFAULTS | named, facts)]


def test_the_defaults_bite_nobody():
    assert bites() == []
    assert bites(Facts(listeners=(listener(8080), listener(50000, by_number=False)))) == []


def test_a_listener_inside_the_ephemeral_range():
    facts = Facts(listeners=(listener(),))
    [(setting, text, mend)] = bites(facts)
    assert (setting, mend) == ("ephemeral", "portside tune reserved +40000")
    assert text.startswith("40000/tcp (web 7) listens inside the range")
    assert bites(facts, reserved="40000") == []


@pytest.mark.parametrize(
    ("values", "setting", "text"),
    [
        ({"ephemeral": "32768-60998"}, "ephemeral", "both even, or both odd"),
        ({"ephemeral": "40000-40099"}, "ephemeral", "only 100 ports"),
        ({"reserved": "80"}, "reserved", "80: outside the ephemeral range 32768-60999"),
        ({"reserved": "32768-60999"}, "reserved", "no connection gets a port"),
        ({"reserved": "32768-50000"}, "reserved", "10999 ports are left"),
        ({"unprivileged": "80"}, "unprivileged", "any user may bind ports from 80"),
        ({"unprivileged": "2000"}, "unprivileged", "cannot bind ports 1024-1999"),
        ({"keepalive": "5"}, "keepalive", "sends a packet that often"),
    ],
)
def test_values_that_bite(values, setting, text):
    found = [told for where, told, _ in bites(**values) if where == setting]
    assert any(text.replace("both even, or both odd", "both ends are even") in told for told in found), found


def test_a_destination_that_has_used_the_range_up():
    use = Use(100, tcp=90, destinations=(Destination("10.0.0.1", "10.0.0.2", 443, 90),))
    found = bites(Facts(use=use), ephemeral="40000-40099")
    assert (
        "ephemeral",
        "90 of 100 ports are in use towards 10.0.0.2 port 443: with none left, connect fails with EADDRNOTAVAIL",
        "portside tune ephemeral 1024-65535",
    ) in found
    few = use.replace(destinations=(Destination("10.0.0.1", "10.0.0.2", 443, 9),))
    assert len(bites(Facts(use=few), ephemeral="40000-40099")) == len(found) - 1


def test_backlogs_that_overflow():
    full = listener(80, used=129, limit=128, drops=7)
    [(setting, text, mend)] = bites(Facts(listeners=(full,)))
    assert (setting, mend) == ("somaxconn", "")
    assert (
        "129 of 128 wait to be accepted, 7 connection attempts dropped so far; its program asked for 128"
        in text
    )
    [(_, text, mend)] = bites(Facts(listeners=(full,)), somaxconn="128")
    assert (text.endswith("so far"), mend) == (True, "portside tune somaxconn 512")


def test_syn_backlog_matters_without_cookies():
    assert bites(Facts(cookies=False), syn_backlog="128")[0][0] == "syn-backlog"
    assert bites(Facts(cookies=True), syn_backlog="128") == []


def test_a_dead_peer_s_time():
    assert advice.dead_peer_seconds(DEFAULTS) == 7875  # 2 h 11 min 15 s, tcp(7)
    assert advice.dead_peer_seconds({"keepalive": "10"}) is None


def raw(text):
    return bytes(map(int, text.split(".")))


def test_use_is_counted_by_source_and_destination():
    ranges = HostRanges(ephemeral=Range(40000, 40009), reserved=(Range(40000, 40001),))
    rows = [
        ("tcp", raw("10.0.0.1"), raw("10.0.0.2"), 40002, 443),
        ("tcp", raw("10.0.0.1"), raw("10.0.0.2"), 40003, 443),
        ("tcp", raw("10.0.0.1"), raw("10.0.0.3"), 40003, 443),  # the same port, towards another
        ("tcp", raw("10.0.0.1"), raw("10.0.0.2"), 50000, 443),  # not of the range
        ("udp", raw("0.0.0.0"), raw("0.0.0.0"), 40004, 0),
        ("tcp", raw("127.0.0.1"), raw("0.0.0.0"), 40005, 0),
    ]
    use = usage.count(ranges, rows)
    assert (use.size, use.tcp, use.udp) == (8, 3, 1)
    assert use.destinations == (
        Destination("10.0.0.1", "10.0.0.2", 443, 2), Destination("10.0.0.1", "10.0.0.3", 443, 1),
    )  # fmt: skip


def test_a_change_is_planned_against_what_is_in_force():
    change = changes.plan(SETTINGS["reserved"], "+9000", DEFAULTS | {"reserved": "8080"}, persist=True)
    assert (change.name, change.before, change.after, change.persist) == (
        "reserved",
        "8080",
        "8080,9000",
        True,
    )


@pytest.mark.parametrize(("name", "words"), [("ephemeral", "1000-65535"), ("unprivileged", "40000")])
def test_values_that_the_kernel_refuses_together(name, words):
    with pytest.raises(BadRequest, match="may not begin below the first port that any user may bind"):
        changes.plan(SETTINGS[name], words, DEFAULTS)


def test_a_setting_that_is_not_here():
    with pytest.raises(BadRequest, match="does not have it"):
        changes.plan(SETTINGS["somaxconn"], "5", {})


HERE = {"network": 5, "boot": "b"}


def test_the_last_change_of_this_namespace_and_boot_is_undone():
    record = (
        Change("keepalive", "7200", "100", **HERE),
        Change("somaxconn", "4096", "5", **HERE),
        Change("keepalive", "7200", "9", network=6, boot="b"),
        Change("keepalive", "7200", "8", network=5, boot="earlier"),
    )
    assert changes.to_undo(record, "", 5, "b", lasting=False) == record[1]
    assert changes.to_undo(record, "keepalive", 5, "b", lasting=False) == record[0]
    assert changes.to_undo(record, "keepalive", 7, "b", lasting=True) is None


def test_a_change_that_lasts_can_be_undone_after_a_boot():
    record = (Change("keepalive", "7200", "8", persist=True, network=1, boot="earlier"),)
    assert changes.to_undo(record, "", 1, "b", lasting=True) == record[0]
    assert changes.to_undo(record, "", 5, "b", lasting=False) is None


def test_the_record_survives_json():
    record = {
        1: Change("ephemeral", "32768-60999", "1024-65535", True, "32768 60999", 5, "b", 1.5),
        4: Change("reserved", "", "80"),
    }
    plain = {number: json.loads(json.dumps(changes.to_json(one))) for number, one in record.items()}
    assert changes.of_journal(plain) == record


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "keepalive", "before": "1; rm", "after": "2"},
        {"name": "kernel.core_pattern", "before": "1", "after": "2"},
        {"name": "keepalive", "before": "7200"},
        {"name": "keepalive", "before": 7200, "after": 100},
        {"name": "keepalive", "before": "7200", "after": "100", "file_before": 5},
        {},
    ],
)
def test_a_record_of_what_nobody_could_type_is_an_error(bad):
    with pytest.raises(BadReply, match="change 3 of tune's journal: it is not one of ours"):
        changes.of_journal({3: bad})


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("ephemeral", "5-9", ("sysctl net.inet.ip.portrange.first=5", "sysctl net.inet.ip.portrange.last=9")),
        ("unprivileged", "0", ("sysctl net.inet.ip.portrange.reservedhigh=0",)),
        ("unprivileged", "1024", ("sysctl net.inet.ip.portrange.reservedhigh=1023",)),
        ("keepalive", "2000", ("sysctl net.inet.tcp.keepidle=2000000",)),
        ("keepalive-probes", "5", ("sysctl net.inet.tcp.keepcnt=5",)),
        ("somaxconn", "1024", ("sysctl kern.ipc.soacceptqueue=1024",)),
    ],
)  # fmt: skip
def test_freebsd_s_commands(name, value, lines):
    assert freebsd.commands(SETTINGS[name], value) == lines


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_freebsd_s_name_or_a_reason(name):
    if name in freebsd.NAMES:
        assert freebsd.commands(SETTINGS[name], DEFAULTS[name])
    else:
        with pytest.raises(NotSupported, match=r"tune '.*': FreeBSD .*; "):
            freebsd.commands(SETTINGS[name], DEFAULTS[name])
