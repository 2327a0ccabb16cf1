"""What the small services answer, and which datagrams they answer: pure functions, after the RFCs."""

from __future__ import annotations

import itertools
import struct
from datetime import UTC, datetime

import pytest

from portside.errors import BadRequest
from portside.use.small.guard import Guard, source_of
from portside.use.small.server import parse_wanted
from portside.use.small.services import PERIOD, SERVICES, Facts, chargen, time_text

NOON = datetime(2026, 11, 25, 12, 0, 5, tzinfo=UTC).timestamp()


def answer(name, data=b"", now=NOON, users=()):
    return SERVICES[name].answer(data, lambda: Facts(now, users))


def test_ports_and_rfcs():
    """As IANA has them."""
    ports = {service.name: service.port for service in SERVICES.values()}
    assert ports == {
        "echo": 7, "discard": 9, "users": 11, "daytime": 13, "qotd": 17, "chargen": 19, "time": 37,
    }  # fmt: skip
    assert sorted(service.rfc for service in SERVICES.values()) == list(range(862, 869))


def test_echo_and_discard():
    assert answer("echo", b"\0any\xff") == b"\0any\xff"
    assert answer("discard", b"anything") is None


def test_chargen_turns_the_ring():
    lines = chargen(0, PERIOD + 1).split(b"\r\n")[:-1]
    assert {len(line) for line in lines} == {72}
    assert lines[0] == bytes(range(0x20, 0x20 + 72))
    assert all(later[:-1] == earlier[1:] for earlier, later in itertools.pairwise(lines))
    assert lines[PERIOD] == lines[0]
    assert 0 < len(answer("chargen")) <= 512


def test_texts():
    assert answer("daytime") == b"Wed Nov 25 12:00:05 2026 UTC\r\n"
    assert answer("users", users=("alice", "bob")) == b"alice\r\nbob\r\n"
    assert len(answer("qotd")) <= 512
    days = {answer("qotd", now=NOON + 86400 * day) for day in range(20)}
    assert len(days) > 4
    assert answer("qotd", now=NOON + 1) == answer("qotd")


@pytest.mark.parametrize("now", [0.0, 951_782_400.0, NOON, 4_102_444_799.0])
def test_daytime_is_asctime(now):
    moment = datetime.fromtimestamp(now, UTC)
    assert time_text(now) == f"{moment:%a %b} {moment.day:2} {moment:%H:%M:%S %Y} UTC"


def test_time_counts_from_1900_and_wraps_in_2036():
    assert answer("time", now=0.0) == struct.pack("!I", 2_208_988_800)
    assert answer("time", now=2**32 - 2_208_988_800.0) == bytes(4)


@pytest.mark.parametrize(
    ("text", "service", "port", "protocols"),
    [
        ("echo", "echo", 7, ("tcp", "udp")),
        ("echo:8888", "echo", 8888, ("tcp", "udp")),
        ("time:0/udp", "time", 0, ("udp",)),
        ("daytime/tcp", "daytime", 13, ("tcp",)),
    ],
)
def test_wanted(text, service, port, protocols):
    wanted = parse_wanted(text)
    assert (wanted.service.name, wanted.port, wanted.protocols) == (service, port, protocols)


@pytest.mark.parametrize("text", ["", "finger", "echo:", "echo:x", "echo:65536", "echo:7/sctp", "echo:-1"])
def test_what_is_no_service(text):
    with pytest.raises(BadRequest):
        parse_wanted(text)


def test_no_answer_to_other_services():
    guard = Guard(10)
    guard.own_ports = {8888}
    for service in SERVICES.values():
        assert guard.loops("192.0.2.1", service.port, local=False)
    assert guard.loops("127.0.0.1", 8888, local=True)
    assert not guard.loops("192.0.2.1", 8888, local=False)
    assert not guard.loops("127.0.0.1", 40000, local=True)


def test_a_source_has_a_rate():
    guard = Guard(10)
    assert sum(guard.allows("192.0.2.1", 1.0) for _ in range(50)) == 10
    assert guard.allows("192.0.2.2", 1.0)
    assert not guard.allows("192.0.2.1", 1.05)
    assert sum(guard.allows("192.0.2.1", 2.0) for _ in range(50)) == 10


def test_all_sources_together_have_a_rate():
    guard = Guard(10)
    assert sum(guard.allows(f"192.0.{number >> 8}.{number & 255}", 1.0) for number in range(9000)) == 100


def test_an_answer_is_at_most_three_times_the_question():
    """Headers of 28 bytes counted: a datagram without data may be answered by 56 bytes, so daytime and time fit."""
    guard = Guard(10)
    assert len(guard.cut(0, bytes(512))) == 56
    assert len(guard.cut(100, bytes(4000))) == 356
    for name in ("daytime", "time"):
        assert guard.cut(0, answer(name)) == answer(name)
    for day in range(20):
        text = answer("qotd", now=NOON + 86400 * day)
        assert len(text) <= 60


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2"),
        ("2001:db8::1", "2001:db8:0:0"),
        ("fe80::1%eth0", "fe80:0:0:0"),
        ("::1", "0:0:0:0"),
    ],
)
def test_source(host, source):
    assert source_of(host) == source
