"""The difference of two rulesets is the one that the plain evaluator finds, packet by packet."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard_host import host, saved
from tests.guard_rulesets import Iptables

from portside.guard import plain
from portside.guard.crossing import Crossing
from portside.guard.difference import Comparison
from portside.guard.packet import Packet, number
from portside.guard.reach import Judge
from portside.guard.space import QUESTIONS

SOURCES = {
    "eth0": ["192.0.2.7", "203.0.113.5", "198.51.100.7", "11.1.2.3", "2001:db8:1::7", "2001:db8:9::5"],
    "eth1": ["10.0.0.7", "10.0.0.200"],
}
TARGETS = {"ip": ["192.0.2.10", "10.0.0.1"], "ip6": ["2001:db8:1::10"]}
PORTS = (22, 80, 81, 443, 53, 9999)
LIMIT = "-m limit --limit 3/min"


def changed(text: str, choose: random.Random, extra: str) -> str:
    """A ruleset with one rule taken out, put in, limited, or with another policy."""
    lines = text.splitlines()
    rules = [at for at, line in enumerate(lines) if line.startswith("-A INPUT")]
    at = choose.choice(rules) if rules else 1
    way = choose.randrange(4)
    if way == 0 and rules:
        del lines[at]
    elif way == 1:
        lines.insert(at, extra)
    elif way == 2 and rules:
        lines[at] = lines[at].replace(" -j", f" {LIMIT} -j")
    else:
        swap = {"ACCEPT": "DROP", "DROP": "ACCEPT"}
        at = next(at for at, line in enumerate(lines) if line.startswith(":INPUT"))
        word = lines[at].split()[1]
        lines[at] = f":INPUT {swap[word]} [0:0]"
    return "\n".join(lines) + "\n"


def packets(choose: random.Random):
    for _ in range(12):
        interface = choose.choice(list(SOURCES))
        source = choose.choice(SOURCES[interface])
        target = choose.choice(TARGETS["ip6" if ":" in source else "ip"])
        yield Packet(
            interface, choose.choice(("tcp", "udp")), source, target, choose.choice(PORTS),
            choose.choice((40000, 53, 1023)), choose.choice((64, 8)),
        )  # fmt: skip


def region(comparison: Comparison, packet: Packet) -> str:
    """The word of the region that a packet is in, empty if in none."""
    manager, space = comparison.manager, comparison.engine.space
    node = manager.forall(1, QUESTIONS)
    for name, value in (
        ("saddr", number(packet.source)), ("daddr", number(packet.destination)),
        ("sport", packet.source_port), ("ttl", packet.ttl), ("dscp", packet.dscp),
    ):  # fmt: skip
        node = manager.both(node, space.within(name, [(value, value)]))
    found = [
        (word, old, new) for word, old, new, part in comparison.regions() if manager.both(part, node) != 0
    ]
    assert len(found) < 2  # the regions do not meet
    return found[0] if found else ("", "", "")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30))
def test_the_difference_is_the_plain_evaluator_s(seed):
    choose = random.Random(seed)
    made = Iptables(seed)
    extra = made.rule("ip", "INPUT")
    text = made.text("ip")
    six = made.text("ip6")
    before = Judge(saved(text, six), host())
    after = Judge(saved(changed(text, choose, extra), six), host(), beside=before)
    for packet in packets(choose):
        old, new = (plain.judge_packet(judge.ruleset, judge.environment, packet) for judge in (before, after))
        device = before.environment.device(packet.interface)
        crossings: list[Crossing] = [
            judge.crossing(device, packet.protocol, packet.family, packet.port) for judge in (before, after)
        ]
        word, was, became = region(Comparison(*crossings, 1, packet.protocol), packet)
        if old.verdict != new.verdict:
            assert (was, became) == (old.verdict, new.verdict), packet
        elif old.verdict == "yes":
            assert (word == "moves") == ((old.arrives, old.way) != (new.arrives, new.way)), packet
        elif old.verdict == "no":
            assert not word, packet
        else:
            assert word in ("", "may gain", "may lose", "depends otherwise"), packet
