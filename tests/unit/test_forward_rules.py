"""What a forwarder is told: places, networks, TOML, rinetd's syntax; and how it chooses among targets."""

from __future__ import annotations

import pytest

from portside.errors import BadRequest
from portside.ports.address import parse_address
from portside.use.access import Access, Network, Pattern, parse_network, raw_address
from portside.use.forward.files import read_configuration
from portside.use.forward.pool import Pool
from portside.use.forward.rinetd_file import parse_rinetd
from portside.use.forward.toml_file import parse_toml, rules_of
from portside.use.places import Place, parse_place
from portside.use.sockets import Address

PLACES = {
    "8080": Place("tcp", "", 8080),
    "http": Place("tcp", "", "http"),
    "*:80": Place("tcp", "*", 80),
    "10.0.0.5:80": Place("tcp", "10.0.0.5", 80),
    "[2001:db8::1]:80": Place("tcp", "2001:db8::1", 80),
    "example.org:https": Place("tcp", "example.org", "https"),
    "53/udp": Place("udp", "", 53),
    "10.0.0.5:53/udp": Place("udp", "10.0.0.5", 53),
    "/run/app.sock": Place("unix", name="/run/app.sock"),
    "./app.sock": Place("unix", name="./app.sock"),
    "@app": Place("unix", name="@app"),
    "fd:3": Place("fd", name="3"),
    "fd:web": Place("fd", name="web"),
}


@pytest.mark.parametrize("text", PLACES)
def test_place(text):
    assert parse_place(text) == PLACES[text]
    assert str(PLACES[text]) == text


def test_places_by_default_of_another_kind():
    assert parse_place("53", "udp").transport == "udp"
    assert parse_place("unix:app.sock") == Place("unix", name="app.sock")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "::1:80",
        "[::1]",
        "[::1:80",
        "10.0.0.5:",
        "99999",
        "80/sctp",
        "unix:",
        "@",
        "fd:0",
        "fd:",
        "fd:a:b",
        "a b",
    ],
)
def test_no_place(text):
    with pytest.raises(BadRequest):
        parse_place(text)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.0/8", "10.9.8.7", "11.0.0.1"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
        ("0.0.0.0/0", "203.0.113.9", "::1"),
    ],
)
def test_network(network, inside, outside):
    assert parse_network(network).matches(parse_address(inside))
    assert not parse_network(network).matches(parse_address(outside))


def test_mapped_addresses_are_ipv4():
    assert raw_address("::ffff:192.0.2.1") == raw_address("192.0.2.1")
    assert raw_address("fe80::1%eth0") == raw_address("fe80::1")
    assert raw_address("/run/x") == b""


@pytest.mark.parametrize(
    ("pattern", "address", "matches"),
    [
        ("10.0.*", "10.0.3.4", True),
        ("10.0.*", "10.1.3.4", False),
        ("10.0.0.?", "10.0.0.7", True),
        ("10.0.0.?", "10.0.0.17", False),
        ("*.7", "10.0.0.7", True),
        ("*", "1.2.3.4", True),
        ("1*1*1*1*1*2", "111.111.111.111", False),
    ],
)
def test_pattern(pattern, address, matches):
    assert Pattern(pattern).matches(parse_address(address)) is matches


def test_access():
    access = Access((parse_network("10.0.0.0/8"),), (parse_network("10.0.0.9"),))
    assert access.admits(parse_address("10.0.0.8"))
    assert not access.admits(parse_address("10.0.0.9"))
    assert not access.admits(parse_address("192.0.2.1"))
    assert Access(deny=(parse_network("10.0.0.9"),)).admits(parse_address("192.0.2.1"))


TOML = """
idle = 600
deny = "203.0.113.0/24"

[[forward]]
listen = ["8080", "*:81"]
target = ["10.0.0.5:80", "10.0.0.6:80"]
balance = "first"
allow = ["10.0.0.0/8", "2001:db8::/32"]
accept_proxy = ["10.0.0.1"]
send_proxy = "v2"
per_source = 10
health = 5

[[forward]]
listen = "53/udp"
target = "10.0.0.53:53"
idle = 20
"""


def test_toml():
    first, second, third = parse_toml(TOML, "x.toml").rules
    assert (str(first.listen), str(second.listen)) == ("8080", "*:81")
    assert list(map(str, first.targets)) == ["10.0.0.5:80", "10.0.0.6:80"]
    assert (first.balance, first.send_proxy, first.per_source, first.health, first.idle) == (
        "first",
        "v2",
        10,
        5.0,
        600.0,
    )
    assert len(first.access) == 2
    assert first.access[0].deny == (parse_network("203.0.113.0/24"),)
    assert first.accept_proxy == (Network(bytes([10, 0, 0, 1]), 32),)
    assert (str(third.targets[0]), third.idle, len(third.access)) == ("10.0.0.53:53/udp", 20.0, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "x.toml"),
        ("a = 1", "no \\[\\[forward\\]\\] table"),
        ("[[forward]]\nlisten = '80'", "no 'target'"),
        ("[[forward]]\nlisten = '80'\ntarget = 'a:80'\nfoo = 1", "no such key"),
        ("[[forward]]\nlisten = '80'\ntarget = 'a:80'\nidle = 'x'", "number of seconds"),
        ("[[forward]]\nlisten = '80'\ntarget = 'a:80'\nmost = true", "whole number"),
        ("[[forward]]\nlisten = '80'\ntarget = []", "list of texts"),
        ("[[forward]]\nlisten = '80'\ntarget = 'a:80'\nsend_proxy = 'v3'", "'v1' or 'v2'"),
        ("[[forward]]\nlisten = '80/udp'\ntarget = 'a:80'\nsend_proxy = 'v1'", "for streams"),
        ("[[forward]]\nlisten = '80'\ntarget = 'a:80/udp'", "datagram"),
        ("[[forward]]\nlisten = ['80', '80']\ntarget = 'a:80'", "two rules"),
        ("[[forward]]\nlisten = '80'\ntarget = 'fd:3'", "inherited"),
        ("[[forward]]\nlisten = '80'\ntarget = 'a:80'\nallow = 'example.org'", "example.org"),
    ],
)
def test_bad_toml(text, said):
    with pytest.raises(BadRequest, match=said):
        parse_toml(text, "x.toml")


RINETD = """
# as in rinetd(8)
allow 10.0.*
deny 10.0.0.66
0.0.0.0 80 10.1.1.2 8080\t# a comment
allow 10.0.1.*
0 http web.example.org www
:: 53/udp 10.1.1.3 53/udp [timeout=1200,src=10.0.0.1]
127.0.0.1 5000/udp 127.0.0.1 5001/udp
logfile "/var/log/my rinetd.log"
pidlogfile /run/rinetd.pid
logcommon
"""


def test_rinetd():
    read = parse_rinetd(RINETD, "rinetd.conf")
    assert (read.log, read.log_common, read.pid_file) == ("/var/log/my rinetd.log", True, "/run/rinetd.pid")
    first, second, third, fourth = read.rules
    assert (first.listen, first.targets) == (Place("tcp", "0.0.0.0", 80), (Place("tcp", "10.1.1.2", 8080),))
    assert [len(rule.access) for rule in read.rules] == [2, 1, 1, 1]
    assert first.access[1].allow == (Pattern("10.0.1.*"),)
    assert second.listen == Place("tcp", "0.0.0.0", "http")
    assert (third.listen.transport, third.idle, third.source) == ("udp", 1200.0, "10.0.0.1")
    assert fourth.idle == 72.0
    admitted = {
        text: all(access.admits(parse_address(text)) for access in first.access)
        for text in ("10.0.1.5", "10.0.0.5", "10.0.0.66", "192.0.2.1")
    }
    assert admitted == {"10.0.1.5": True, "10.0.0.5": False, "10.0.0.66": False, "192.0.2.1": False}


@pytest.mark.parametrize(
    "line",
    ["", "0.0.0.0 80 10.1.1.2", "0.0.0.0 80 10.1.1.2 0", "0.0.0.0 80 10.1.1.2 80 [x=1]", "allow example.org"],
)
def test_bad_rinetd(line):
    with pytest.raises(BadRequest, match=r"rinetd\.conf"):
        parse_rinetd(line, "rinetd.conf")


def test_kinds_of_file(tmp_path):
    (tmp_path / "a.conf").write_text("127.0.0.1 80 127.0.0.1 81\n")
    (tmp_path / "b.conf").write_text(TOML)
    assert len(read_configuration(str(tmp_path / "a.conf")).rules) == 1
    assert len(read_configuration(str(tmp_path / "b.conf")).rules) == 3
    with pytest.raises(BadRequest, match="no such file"):
        read_configuration(str(tmp_path / "c.conf"))
    (tmp_path / "d.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(BadRequest, match="UTF-8"):
        read_configuration(str(tmp_path / "d.conf"))


def pool(balance, number=3):
    (rule,) = rules_of("80", ",".join(f"10.0.0.{each}:80" for each in range(number)), balance=balance)
    made = Pool(rule.targets, balance)
    for each in made.targets:
        each.addresses = [Address(2, 1, 0, (each.place.host, 80))]
    return made


def chosen(made, now=0.0):
    return [target.place.host[-1] for target, _ in made.candidates(now)]


def test_turns():
    made = pool("round")
    assert [chosen(made)[0] for _ in range(4)] == ["0", "1", "2", "0"]


def test_the_first_that_works():
    made = pool("first")
    assert [chosen(made)[0] for _ in range(3)] == ["0", "0", "0"]
    made.targets[0].failed(10.0)
    assert chosen(made, 11.0) == ["1", "2", "0"]
    assert chosen(made, 20.0)[0] == "0"


def test_health_changes_the_verdict_after_two_failures():
    made = pool("first", 2)
    target = made.targets[0]
    assert not target.checked(good=False)
    assert chosen(made)[0] == "0"
    assert target.checked(good=False)
    assert chosen(made) == ["1", "0"]
    assert target.checked(good=True)
    assert chosen(made)[0] == "0"
