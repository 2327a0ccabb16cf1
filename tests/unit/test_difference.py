"""Who gains and who loses by a change of rules, by port, source and interface; yes, no and depends."""

from __future__ import annotations

import pytest
from tests.guard_host import host, saved

from portside.guard import portclasses
from portside.guard.changes import safety
from portside.guard.changes.scene import Scene
from portside.guard.changes.wish import Wish
from portside.guard.difference import MOST_PARTS, Asked, compare
from portside.guard.reach import Bound, Judge
from portside.guard.words import who
from portside.system.admin_session import Session

BASE = "-A INPUT -m state --state ESTABLISHED -j ACCEPT"
REDIRECT = (
    "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport {} -j REDIRECT --to-ports {}\nCOMMIT\n"
)


def rules(*lines, policy="DROP", more=""):
    return saved("\n".join(["*filter", f":INPUT {policy} [0:0]", BASE, *lines, "COMMIT", more]))


def judges(before, after):
    return safety.judges(before, after, host())


def told(before, after, *asked):
    """Every difference in short: word, ports, who, verdicts."""
    compared = compare(*judges(before, after), asked or (Asked("tcp", 22, 22),))
    return [
        (one.word, one.ports, f"{who(one)} on {one.interface}", f"{one.before} -> {one.after}")
        for one in compared.found
    ]


SOME = "-A INPUT -s 203.0.113.0/24 -p tcp --dport 22 -j ACCEPT"
LIMITED = "-A INPUT -p tcp --dport 22 -m limit --limit {}/min -j ACCEPT"
ANY = "-A INPUT -p tcp --dport 22 -j ACCEPT"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((), (SOME,), [("gains", "203.0.113.0/24 on eth0", "no -> yes")]),
        ((SOME,), (), [("loses", "203.0.113.0/24 on eth0", "yes -> no")]),
        ((SOME,), (SOME,), []),
        ((SOME,), ("-A INPUT -j LOG", SOME), []),
        ((), (LIMITED.format(3),), [("may gain", "most of IPv4 on eth0", "no -> depends")]),
        ((ANY,), (LIMITED.format(3),), [("may lose", "most of IPv4 on eth0", "yes -> depends")]),
        ((LIMITED.format(3),), (ANY,), [("gains", "most of IPv4 on eth0", "depends -> yes")]),
        ((LIMITED.format(3),), (), [("loses", "most of IPv4 on eth0", "depends -> no")]),
        (
            (LIMITED.format(3),),
            (LIMITED.format(9),),
            [("depends otherwise", "most of IPv4 on eth0", "depends -> depends")],
        ),
    ],
)  # fmt: skip
def test_each_of_the_nine_transitions(before, after, said):
    found = told(rules(*before), rules(*after))
    if "most" in str(said):  # everybody: whole interfaces
        found = [one for one in found if one[2].endswith("eth0")]
        assert [(one[0], one[3]) for one in found] == [(one[0], one[2]) for one in said]
    else:
        assert [(one[0], one[2], one[3]) for one in found] == said


def test_a_second_limit_takes_some_of_what_depends():
    both = "-A INPUT -p tcp --dport 22 -m time --timestart 08:00 --timestop 12:00 -j DROP"
    found = told(rules(LIMITED.format(3)), rules(both, LIMITED.format(3)))
    assert {one[0] for one in found} <= {"may lose", "depends otherwise"}
    assert found


def test_what_a_rule_takes_from_the_middle():
    inner = "-A INPUT -s 203.0.113.64/26 -j DROP"
    assert told(rules(SOME), rules(inner, SOME)) == [
        ("loses", ((22, 22),), "203.0.113.64/26 on eth0", "yes -> no")
    ]


def test_a_range_is_cut_where_the_rules_tell_ports_apart():
    opened = "-A INPUT -i eth1 -p tcp --dport 8000:8100 -j ACCEPT"
    before = rules("-A INPUT -p tcp --dport 8050 -j ACCEPT")
    found = told(before, rules(opened, "-A INPUT -p tcp --dport 8050 -j ACCEPT"), Asked("tcp", 7000, 9000))
    assert found == [("gains", ((8000, 8049), (8051, 8100)), "10.0.0.0/24 on eth1", "no -> yes")]


def test_parts_of_a_range():
    ruleset = rules(
        "-A INPUT -p tcp --dport 8000:8010 -j ACCEPT", "-A INPUT -p tcp -m tcp --sport 8005 -j DROP"
    )
    assert portclasses.parts(portclasses.starts((ruleset,)), 7990, 9000) == [
        (7990, 7999), (8000, 8004), (8005, 8005), (8006, 8010), (8011, 9000),
    ]  # fmt: skip


def test_a_listener_s_address_counts():
    before, after = rules(), rules("-A INPUT -d 192.0.2.10 -p tcp --dport 22 -j ACCEPT")
    (everywhere,) = {one.condition for one in compare(*judges(before, after), [Asked("tcp", 22, 22)]).found}
    assert everywhere == "to 192.0.2.10"
    elsewhere = Asked("tcp", 22, 22, (Bound("ip", 10 << 24 | 1),))
    assert not compare(*judges(before, after), [elsewhere]).found


def test_a_redirected_port_leads_elsewhere():
    compared = compare(
        *judges(rules(policy="ACCEPT"), rules(policy="ACCEPT", more=REDIRECT.format(80, 8080))),
        [Asked("tcp", 80, 80)],
    )
    assert {(one.word, one.goes_to) for one in compared.found if one.interface == "eth0"} == {
        ("moves", "192.0.2.10:8080")
    }


def test_a_port_that_is_translated_is_compared_though_nobody_named_it():
    turned = REDIRECT.format(80, 8080)
    pair = judges(rules("-A INPUT -p tcp --dport 8080 -j ACCEPT", more=turned), rules(more=turned))
    assert portclasses.translated(pair[0].ruleset) == [(80, 80), (8080, 8080)]


def test_rules_that_answers_need():
    before, after = (saved(f"*filter\n:OUTPUT {policy} [0:0]\nCOMMIT\n") for policy in ("ACCEPT", "DROP"))
    assert {one[0] for one in told(before, after)} == {"loses"}
    assert not told(before, after, Asked("udp", 53, 53))


# The way we came by

CLIENT = Session("203.0.113.9", 50000, "192.0.2.10", 22)


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setattr(safety.admin_session, "find", lambda: CLIENT)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((SOME,), (), "would be cut off"),
        ((SOME,), (SOME,), ""),
        ((SOME,), (ANY,), ""),
        ((ANY,), ("-A INPUT -s 203.0.113.8/30 -j DROP", ANY), "would be cut off"),
        ((ANY,), ("-A INPUT -s 203.0.113.0/29 -j DROP", ANY), ""),
        ((ANY,), ("-A INPUT -p tcp --sport 1024:2000 -j DROP", ANY), "would be cut off"),
        ((ANY,), (LIMITED.format(5),), "could not be told to stay reachable (depends)"),
        ((), (), ""),
        ((LIMITED.format(5),), (LIMITED.format(5),), ""),
    ],
)
def test_the_way_we_came_by(session, before, after, said):
    found = safety.lock_out(judges(rules(*before), rules(*after)))
    assert said in found
    assert bool(said) == bool(found)


def test_the_way_we_came_by_is_led_elsewhere(session):
    found = safety.lock_out(judges(rules(ANY), rules(ANY, "-A INPUT -p tcp --dport 99 -j ACCEPT",
                                                     more=REDIRECT.format(22, 99))))  # fmt: skip
    assert "would be led to 192.0.2.10:99" in found


def test_the_way_we_came_by_through_a_translation(session):
    """The session is told as sshd sees it; the client came to port 2222, and 22 itself is closed to it."""
    turned = REDIRECT.format(2222, 22)
    mark = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 22 -j DROP\nCOMMIT\n"
    assert not safety.lock_out(judges(rules(ANY, more=mark + turned), rules(ANY, more=mark + turned)))
    closed = mark + turned.replace("2222", "2223")
    assert "would be cut off" in safety.lock_out(
        judges(rules(ANY, more=mark + turned), rules(ANY, more=closed))
    )


def many_redirected(last, to="22"):
    """Forty ports that lead elsewhere, and one more."""
    lines = [f"-A PREROUTING -p tcp --dport {1000 + at} -j REDIRECT --to-ports 8080" for at in range(40)]
    last = f"-A PREROUTING -p tcp --dport {last} -j REDIRECT --to-ports {to}"
    return "\n".join(["*nat", ":PREROUTING ACCEPT [0:0]", *lines, last, "COMMIT", ""])


@pytest.mark.parametrize("to", ["22", "20-30"])
def test_the_way_we_came_by_is_found_among_many_translations(session, to):
    mark = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 22 -j DROP\nCOMMIT\n"
    let_in = "-A INPUT -p tcp --dport 20:30 -j ACCEPT"
    before = rules(let_in, more=mark + many_redirected(2222, to))
    after = rules(let_in, more=mark + many_redirected(2223, to))
    assert not safety.lock_out(judges(before, before))
    assert "would be cut off" in safety.lock_out(judges(before, after))


def test_what_is_not_compared_is_counted():
    ports = [f"-A INPUT -p tcp --dport {port} -j ACCEPT" for port in range(1000, 1200, 2)]
    pair = judges(rules(*ports), rules(*ports, ANY))
    compared = compare(*pair, [Asked("tcp", 1000, 2000)])
    assert (compared.found, compared.left) == ((), 200 + 1 - MOST_PARTS - 1)
    turned = judges(rules(more=many_redirected(2222)), rules())
    asked = safety.changed(turned, Wish("close"), Scene(turned[0].ruleset, host(), (), (), 1, False))
    assert asked.left == len(portclasses.translated(turned[0].ruleset)) - 16


def test_a_session_from_this_host_itself(monkeypatch):
    here = Session("192.0.2.10", 50000, "192.0.2.10", 22)
    monkeypatch.setattr(safety.admin_session, "find", lambda: here)
    lo = "-A INPUT -i lo -j ACCEPT"
    assert not safety.lock_out(judges(rules(lo), rules(lo)))
    assert "would be cut off" in safety.lock_out(judges(rules(lo), rules()))


def test_both_judges_share_their_sets():
    before = Judge(rules(SOME), host())
    after = Judge(rules(SOME), host(), beside=before)
    device = host().device("eth0")
    assert before.crossing(device, "tcp", "ip", 22).all == after.crossing(device, "tcp", "ip", 22).all
