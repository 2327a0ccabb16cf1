"""The argument of lsof's -i."""

from __future__ import annotations

import pytest

from portside.faces.lsof.addresses import Address, Wrong, parse
from portside.system import resolver
from portside.system.resolver import AF_INET, AF_INET6

LOOPBACK, LOOPBACK6 = b"\x7f\0\0\1", bytes(15) + b"\1"


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """A resolver that knows `here` in both families, `old` in IPv4, and two services."""
    hosts = {("here", AF_INET): [LOOPBACK], ("here", AF_INET6): [LOOPBACK6], ("old", AF_INET): [b"\1\2\3\4"]}
    services = {
        ("web", "tcp"): 80, ("web", "udp"): 80, ("odd", "tcp"): 1, ("odd", "udp"): 2, ("time-b", "udp"): 525,
    }  # fmt: skip
    monkeypatch.setattr(resolver, "addresses", lambda name, family: hosts.get((name, family), []))
    monkeypatch.setattr(resolver, "port_of", lambda name, transport: services.get((name, transport)))


def read(argument, family=0):
    """Return (family, protocol, raw address, ports) of each."""
    return [(one.family, one.protocol, one.raw, one.ports) for one in parse(argument, family)]


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("TCP", [(0, "tcp", b"", None)]),
        ("6udp", [(AF_INET6, "udp", b"", None)]),
        ("UdpLite:5", [(0, "udplite", b"", (5, 5))]),
        (":22", [(0, "", b"", (22, 22))]),
        (":22,80-90", [(0, "", b"", (22, 22)), (0, "", b"", (80, 90))]),
        (":22,", [(0, "", b"", (22, 22))]),
        (":0-", [(0, "", b"", (0, 0))]),
        (":web", [(0, "", b"", (80, 80))]),
        (":1-web", [(0, "", b"", (1, 80))]),
        (":time-b", [(0, "", b"", (525, 525))]),
        ("udp:odd", [(0, "udp", b"", (2, 2))]),
        ("@127.0.0.1", [(AF_INET, "", LOOPBACK, None)]),
        ("4@127.0.0.1:1", [(AF_INET, "", LOOPBACK, (1, 1))]),
        ("@[::1]:1", [(AF_INET6, "", LOOPBACK6, (1, 1))]),
        ("@[::ffff:1.2.3.4]", [(AF_INET, "", b"\1\2\3\4", None)]),
        ("@here", [(AF_INET6, "", LOOPBACK6, None), (AF_INET, "", LOOPBACK, None)]),
        ("4@here", [(AF_INET, "", LOOPBACK, None)]),
        ("tcp@old:web", [(AF_INET, "tcp", b"\1\2\3\4", (80, 80))]),
    ],
)  # fmt: skip
def test_argument_is_read(argument, found):
    assert read(argument) == found


def test_every_port_is_sought_in_both_families():
    """Lsof forgets IPv6 behind the first port."""
    assert [(family, ports) for family, _, _, ports in read("@here:1,2")] == [
        (AF_INET6, (1, 1)), (AF_INET, (1, 1)), (AF_INET6, (2, 2)), (AF_INET, (2, 2)),
    ]  # fmt: skip


def test_an_earlier_version_holds_for_what_follows():
    assert read("tcp", 6) == [(AF_INET6, "tcp", b"", None)]


WRONG = [
    ("", "incomplete Internet address specification: -i "),
    ("@0.0.0.0", "incomplete Internet address specification: -i @0.0.0.0"),
    ("icmp", "unknown protocol name (icmp) in: -i icmp"),
    ("@", "unacceptable Internet address in: -i @"),
    ("@:22", "unacceptable Internet address in: -i @:22"),
    ("@[::]", "unacceptable Internet address in: -i @[::]"),
    ("@[::1", "unacceptable Internet address in: -i @[::1"),
    ("@nowhere", "unknown host name (nowhere) in: -i @nowhere"),
    ("6@[::ffff:1.2.3.4]", "IPv4 addresses are prohibited: -i 6@[::ffff:1.2.3.4]"),
    ("tcp:", "unacceptable port specification in: -i tcp:"),
    (":1-", "unacceptable port specification in: -i :1-"),
    (":2-1", "unacceptable port specification in: -i :2-1"),
    (":1-2-3", "unacceptable port specification in: -i :1-2-3"),
    (":22x", "unacceptable port specification in: -i :22x"),
    ("@[::1]x", "unacceptable port specification in: -i @[::1]x"),
    (":22,,23", "invalid service name: -i :22,,23"),
    (":nosuch", "unknown service nosuch in: -i :nosuch"),
    ("tcp:nosuch", "unknown service nosuch for tcp in: -i tcp:nosuch"),
    (":odd", 'TCP=1 and UDP=2 odd ports conflict;\n      specify "tcp:odd" or "udp:odd": -i :odd'),
]


@pytest.mark.parametrize(("argument", "said"), WRONG, ids=[argument for argument, _ in WRONG])
def test_what_is_wrong_is_said_as_lsof_says_it(argument, said):
    with pytest.raises(Wrong) as error:
        parse(argument, 0)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("argument", "covers"),
    [
        ("tcp", True),
        ("udp", False),
        (":80", True),
        (":79", False),
        ("@1.2.3.4:80", True),
        ("@1.2.3.5", False),
        ("6tcp", False),
    ],
)
def test_covering(argument, covers):
    (address,) = parse(argument, 0)
    assert isinstance(address, Address)
    assert address.covers("tcp", AF_INET, b"\1\2\3\4", 80) is covers
