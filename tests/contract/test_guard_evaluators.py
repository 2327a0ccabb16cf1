"""One contract for both evaluators of rules: the plain one and the symbolic one give these answers.

Each kind of test, verdict, hook order, translation, set, limit, and what this version does not know.  The rulesets
of nft's language are read as nft itself prints them, in one scratch namespace.
"""

from __future__ import annotations

import json
import shutil

import pytest
from tests.contract import guard_cases
from tests.contract.guard_cases import (
    DEPENDS,
    MATCHES,
    NO,
    OPEN_MATCHES,
    OPEN_TESTS,
    SAVED,
    TESTS,
    WHOLE,
    YES,
)
from tests.guard_host import host, saved
from tests.support import require

from portside.errors import PortsideError
from portside.guard import nft, plain
from portside.guard.packet import Packet
from portside.guard.reach import Judge
from portside.system import commands, scratch

HOST = host()
SYN = {
    "interface": "eth0", "protocol": "tcp", "source": "203.0.113.7", "destination": "192.0.2.10", "port": 22,
}  # fmt: skip


def by_plain(ruleset, packet):
    return plain.judge_packet(ruleset, HOST, packet).verdict


def by_symbols(ruleset, packet):
    return Judge(ruleset, HOST).judge_packet(packet)


@pytest.fixture(params=[by_plain, by_symbols], ids=["plain", "symbolic"])
def verdict(request):
    """An evaluator: a ruleset and a packet to yes, no, depends."""
    return request.param


def _texts():
    accept = {test: guard_cases.table(f"{test} accept") for test in (*TESTS, *OPEN_TESTS)}
    return accept | {f"whole {name}": text for name, text, _ in WHOLE}


def _listed(texts):
    """What nft prints of each text, in a namespace of its own; its words where it does not take one."""
    found = {}
    for name, text in texts.items():
        commands.run(("nft", "flush", "ruleset"))
        try:
            found[name] = scratch._load(text)
        except PortsideError as error:
            found[name] = f"does not load: {error}"
    return found


@pytest.fixture(scope="module")
def listed():
    """The ruleset of a case, by its name."""
    require(shutil.which("nft"), "nft(8) of nftables is not installed")
    texts = _texts()
    try:
        found = scratch.run(_listed, texts)
    except PortsideError as error:
        require(False, str(error))

    def of(name):
        assert found[name].startswith("{"), found[name]
        return nft.from_json(found[name])

    return of


def judged(verdict, ruleset, packets, wanted):
    for packet in packets:
        made = Packet(**(SYN | packet))
        assert verdict(ruleset, made) == wanted, made


@pytest.mark.parametrize("test", TESTS)
def test_a_test_of_nft(verdict, listed, test):
    passes, fails = TESTS[test]
    judged(verdict, listed(test), passes, YES)
    judged(verdict, listed(test), fails, NO)


@pytest.mark.parametrize("test", OPEN_TESTS)
def test_a_test_that_nobody_can_tell(verdict, listed, test):
    depends, fails = OPEN_TESTS[test]
    judged(verdict, listed(test), depends, DEPENDS)
    judged(verdict, listed(test), fails, NO)


@pytest.mark.parametrize(
    ("name", "said"), [(name, said) for name, _, said in WHOLE], ids=[one[0] for one in WHOLE]
)
def test_a_ruleset_of_nft(verdict, listed, name, said):
    pairs = said if isinstance(said, list) else [({"port": port}, wanted) for port, wanted in said.items()]
    for packet, wanted in pairs:
        judged(verdict, listed(f"whole {name}"), [packet], wanted)


@pytest.mark.parametrize("match", MATCHES)
def test_a_match_of_iptables(verdict, match):
    passes, fails = MATCHES[match]
    ruleset = saved(guard_cases.saved(f"-A INPUT {match} -j ACCEPT"))
    judged(verdict, ruleset, passes, YES)
    judged(verdict, ruleset, fails, NO)


@pytest.mark.parametrize("match", OPEN_MATCHES)
def test_a_match_that_nobody_can_tell(verdict, match):
    judged(verdict, saved(guard_cases.saved(f"-A INPUT {match} -j ACCEPT")), [{}], DEPENDS)
    judged(verdict, saved(guard_cases.saved(f"-A INPUT -p udp {match} -j ACCEPT")), [{}], NO)


@pytest.mark.parametrize(("text", "pairs"), [one[1:] for one in SAVED], ids=[one[0] for one in SAVED])
def test_a_ruleset_of_iptables(verdict, text, pairs):
    for packet, wanted in pairs:
        judged(verdict, saved(text), [packet], wanted)


def test_rules_that_could_not_be_read(verdict):
    """An expression that this version does not know is a question wherever it stands, never a guess."""
    exprs = [
        [{"future": {"key": 1}}, {"accept": None}],
        [{"match": {"op": "==", "left": {"future": {}}, "right": 1}}, {"accept": None}],
    ]
    for expr in exprs:
        for policy in ("accept", "drop"):
            objects = [
                {"table": {"family": "inet", "name": "t"}},
                {"chain": {"family": "inet", "table": "t", "name": "i", "type": "filter", "hook": "input",
                           "prio": 0, "policy": policy}},
                {"rule": {"family": "inet", "table": "t", "chain": "i", "expr": expr}},
            ]  # fmt: skip
            ruleset = nft.from_json(json.dumps({"nftables": objects}))
            unsure = policy == "drop" or "future" in expr[0]
            judged(verdict, ruleset, [{"protocol": "udp"}], DEPENDS if unsure else YES)
