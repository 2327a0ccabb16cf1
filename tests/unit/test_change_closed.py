"""Who is kept out of what is to be opened: which rule, and whether it is a ban that an opening does not lift."""

from __future__ import annotations

import pytest
from tests.guard_host import host, saved

from portside.guard.changes import closed
from portside.guard.changes.wish import Wish, parse_network
from portside.guard.reach import Judge
from portside.guard.words import sources
from portside.ports.number import Range

SSH = Wish("open", (("tcp", Range(22, 22)),), interface="eth0")
LAN = SSH.replace(interface="eth1")


def kept(*lines, policy="ACCEPT", wish=SSH):
    """(rule, sources, ban) of who is kept out over IPv4."""
    rules = saved("\n".join(["*filter", f":INPUT {policy} [0:0]", *lines, "COMMIT", ""]))
    found = closed.kept_out(Judge(rules, host()), wish)
    return [(one.because.rule, sources(one, 1), one.ban) for one in found if one.family == "ip"]


def test_a_policy_is_no_ban_though_some_get_in():
    half = "-A INPUT -s 10.0.0.128/25 -p tcp --dport 22 -j ACCEPT"
    assert kept(half, policy="DROP", wish=LAN) == [("policy drop", "10.0.0.0/25", False)]
    assert kept("-A INPUT -j ACCEPT", policy="DROP") == []


@pytest.mark.parametrize("network", ["198.51.100.0/24", "203.0.113.7", "0.0.0.0/2"])
def test_a_rule_that_names_some_sources_is_a_ban(network):
    ((_, _, ban),) = kept(f"-A INPUT -s {network} -j DROP")
    assert ban


def test_for_just_these_sources_it_is_what_keeps_the_port_closed():
    wish = SSH.replace(sources=(parse_network("198.51.100.7"),))
    assert [one[1:] for one in kept("-A INPUT -s 198.51.100.0/24 -j DROP", wish=wish)] == [
        ("198.51.100.7", False)
    ]


def test_a_rule_that_spares_a_few_is_no_ban():
    assert [one[2] for one in kept("-A INPUT ! -s 192.0.2.0/24 -j DROP")] == [False]


def test_what_only_odd_packets_pass_is_closed():
    assert kept("-A INPUT -p tcp --sport 53 -j ACCEPT", policy="DROP")[0][2] is False


def test_every_port_that_rules_tell_apart_is_looked_at():
    middle = "-A INPUT -p tcp --dport 8050 -j DROP"
    wish = SSH.replace(ports=(("tcp", Range(8000, 8100)),))
    assert [one[0] for one in kept(middle, wish=wish)] == ["-p tcp --dport 8050 -j DROP (rule 1)"]


def test_an_interface_by_which_none_of_them_come_is_not_looked_at():
    wish = Wish("open", SSH.ports, sources=(parse_network("10.0.0.7"), parse_network("2001:db8:1::7")))
    found = closed.scopes(Judge(saved("*filter\n:INPUT DROP [0:0]\nCOMMIT\n"), host()), wish)
    assert sorted((device.name, family) for device, family, _ in found) == [("eth0", "ip6"), ("eth1", "ip")]
