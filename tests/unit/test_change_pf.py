"""pf: what we write is read back as it was meant, and judged by pf's own order: last match wins, quick ends it."""

from __future__ import annotations

import pytest

from portside.errors import BadReply
from portside.guard.changes.managers.pf import Packet, anchor, parse, verdict
from portside.guard.changes.wish import Rate, Target, Wish, parse_network
from portside.ports.number import Range

HTTP = (("tcp", Range(80, 90)),)
CHANGES = [
    (1, Wish("close", HTTP, log=True)),
    (2, Wish("open", HTTP, sources=(parse_network("10.0.0.0/8"),), rate=Rate(10, "minute"), interface="em0")),
    (3, Wish("block", addresses=("10.9.9.9", "2001:db8::/32"))),
    (4, Wish("redirect", (("tcp", Range(8080, 8080)),), target=Target(80))),
]


def test_the_anchor_is_written():
    assert anchor(CHANGES).splitlines() == [
        "table <portside_blocked> { 10.9.9.9, 2001:db8::/32 }",
        "rdr pass proto tcp from any to any port 8080 -> 127.0.0.1 port 80",
        "block drop in quick from <portside_blocked> to any",
        "pass in quick on em0 proto tcp from 10.0.0.0/8 to any port 80:90 keep state (max-src-conn-rate 10/60)"
        ' label "portside:2"',
        'block drop in log quick proto tcp from any to any port 80:90 label "portside:1"',
    ]


@pytest.mark.parametrize(
    ("source", "port", "interface", "wanted"),
    [
        ("10.1.1.1", 80, "em0", "pass"),
        ("10.1.1.1", 80, "em1", "block"),
        ("10.9.9.9", 80, "em0", "block"),
        ("10.9.9.9", 22, "em0", "block"),
        ("192.0.2.1", 90, "em0", "block"),
        ("192.0.2.1", 91, "em0", "pass"),
        ("2001:db8::1", 22, "em0", "block"),
        ("2001:db9::1", 22, "em0", "pass"),
    ],
)
def test_what_was_written_is_judged(source, port, interface, wanted):
    packet = Packet(parse_network(source), "tcp", port, interface)
    assert verdict(packet, *parse(anchor(CHANGES))) == wanted


def test_the_last_match_wins_unless_one_is_quick():
    packet = Packet(parse_network("192.0.2.1"), "tcp", 22)
    assert verdict(packet, *parse("block in all\npass in proto tcp from any to any port = 22\n")) == "pass"
    assert verdict(packet, *parse("pass in proto tcp from any to any port 22\nblock in all\n")) == "block"
    assert (
        verdict(packet, *parse("pass in quick proto tcp from any to any port 22\nblock in all\n")) == "pass"
    )
    assert verdict(packet, *parse("block out all\n")) == "pass"
    assert verdict(packet, *parse("block in inet6 all\n")) == "pass"


@pytest.mark.parametrize(
    "text", ["scrub in all", "pass in route-to em1", "block in proto tcp from any to any port ssh"]
)
def test_what_is_not_understood_is_no_guess(text):
    with pytest.raises(BadReply):
        parse(text)
