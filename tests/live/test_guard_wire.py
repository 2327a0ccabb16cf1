"""Three verdicts on every packet: the plain evaluator's, the symbolic one's, and the kernel's, which counts.

Random rulesets (`guard_rulesets`), loaded by nft, by iptables of the nft back end and of the legacy one; packets from
peers on two interfaces.  The seeds are fixed: a thousand pairs here, more than ten thousand with PORTSIDE_LONG=1.
"""

from __future__ import annotations

import os
import random
import shutil

import pytest
from tests import guard_rulesets, guard_wire
from tests.support import require

from portside.guard import plain, reading
from portside.guard.packet import Packet
from portside.guard.reach import Judge

LONG = os.environ.get("PORTSIDE_LONG", "") not in ("", "0")
RULESETS = 620 if LONG else 58
PACKETS = 20
PORTS = (*guard_wire.LISTENING, 81, 82)
EMPTY = "".join(
    f"*{table}\n" + "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains.split()) + "COMMIT\n"
    for table, chains in {
        "filter": "INPUT FORWARD OUTPUT", "nat": "PREROUTING INPUT OUTPUT POSTROUTING",
        "mangle": "PREROUTING", "raw": "PREROUTING",
    }.items()
)  # fmt: skip

# What was once judged otherwise than the kernel did, or is easily: each with the packets that told.
CASES = {
    "an accept ends its base chain alone": """
        table inet a { chain i { type filter hook input priority 0; tcp dport 22 accept
        } }
        table inet b { chain i { type filter hook input priority 10; ip saddr 192.0.2.8 drop
        } }""",
    "a port of another protocol breaks the rule, negated too": """
        table inet a { chain i { type filter hook input priority 0; policy drop; ct state established accept
        tcp dport != 80 accept
        } }""",
    "the input hook sees the translated port, ct the original one": """
        table inet a {
        chain n { type nat hook prerouting priority -100; tcp dport 81 redirect to :80
        }
        chain i { type filter hook input priority 0; policy drop; ct state established accept
        meta l4proto tcp tcp dport 80 ct original proto-dst 81 accept
        } }""",
    "a published port is judged in forward": """
        table inet a {
        chain n { type nat hook prerouting priority -100; tcp dport 82 dnat ip to 172.17.0.2:80
        }
        chain i { type filter hook input priority 0; policy drop;
        }
        chain f { type filter hook forward priority 0; policy drop; ct state established accept
        iifname "eth0" ct status dnat accept
        } }""",
    "goto falls out into the policy": """
        table inet a { chain side { tcp dport 22 accept
        }
        chain i { type filter hook input priority 0; policy drop; ct state established accept
        ip saddr 192.0.2.0/24 goto side
        accept
        } }""",
    "before -200 every packet is invalid to ct": """
        table inet a { chain p { type filter hook prerouting priority -300; ct state invalid tcp dport 22 drop
        } }""",
    "notrack leaves answers untracked": """
        table inet a { chain p { type filter hook prerouting priority -300; tcp dport 22 notrack
        }
        chain o { type filter hook output priority 0; policy drop; ct state established,related accept
        } }""",
    "a chain of type nat runs at the place of translations": """
        table inet a { chain n { type nat hook prerouting priority -160; tcp dport 81 redirect to :80
        }
        chain p { type filter hook prerouting priority -150; tcp dport 80 drop
        } }""",
    "answers that the output hook drops": """
        table inet a { chain o { type filter hook output priority 0; tcp sport 22 ip daddr 192.0.2.8 drop
        } }""",
    "a kind of reject is for its own family and protocol alone": """
        table inet a { chain i { type filter hook input priority 0;
        meta nfproto ipv6 reject
        tcp dport 22 reject with tcp reset
        udp dport 80 meta l4proto udp reject with icmp type admin-prohibited
        } }""",
    "a name of no interface is empty, not missing": """
        table inet a { chain i { type filter hook input priority 0; oifname != "eth0" tcp dport 22 drop
        } }""",
    "marks go from hook to hook": """
        table inet a { chain p { type filter hook prerouting priority -150; ip saddr 192.0.2.8 meta mark set 5
        }
        chain i { type filter hook input priority 0; meta mark and 4 == 4 drop
        } }""",
}


@pytest.fixture(scope="module")
def net():
    require(os.geteuid() == 0, "needs root, to join namespaces by links")
    for program in ("nft", "iptables-nft-restore", "iptables-legacy-restore"):
        require(shutil.which(program), f"{program} is not installed")
    with guard_wire.spaces() as found:
        yield found


class Trial:
    """What one ruleset showed."""

    def __init__(self) -> None:
        self.pairs = self.rulesets = self.yes = self.no = self.depends = 0
        self.differences: list[str] = []

    def compare(self, wire, environment, packets, what):
        """Judge packets three times, and note what differs."""
        judge = Judge(reading.read_rules(), environment)
        self.rulesets += 1
        for space, protocol, source, target, port in packets:
            packet = Packet(space, protocol, source, target, port)
            said = plain.judge_packet(judge.ruleset, environment, packet)
            symbolic = judge.judge_packet(packet)
            if said.verdict != symbolic:
                self.differences.append(f"{what}: {packet}: plain {said.verdict}, symbolic {symbolic}")
            setattr(self, said.verdict, getattr(self, said.verdict) + 1)
            if said.verdict == "depends" or not guard_wire.listens(said):
                continue
            came = wire.send(space, protocol, source, target, port)
            if bool(came[0]) != (said.verdict == "yes"):  # on a busy machine a packet may take its time
                came = wire.send(space, protocol, source, target, port, 0.5)
            self.pairs += 1
            if bool(came[0]) != (said.verdict == "yes"):
                self.differences.append(
                    f"{what}: {packet}: {said.verdict}, {said.because}; the kernel: {came}"
                )
            elif (said.verdict, said.client, protocol) == ("no", "reset", "tcp") and came[
                1
            ] != "ECONNREFUSED":
                self.differences.append(f"{what}: {packet}: reset said, {came[1]} seen")


def load(wire, seed):
    """Load the ruleset of a seed; return whether it was accepted."""
    wire.run("nft", "flush", "ruleset")
    try:
        if seed % 3 != 2:
            wire.run("nft", "-f", "-", input=guard_rulesets.Nft(seed).text())
            return True
        legacy = "legacy" if seed % 9 == 8 else "nft"
        made = guard_rulesets.Iptables(seed)
        for word, family in (("iptables", "ip"), ("ip6tables", "ip6")):
            wire.run(f"{word}-{legacy}-restore", input=made.text(family))
    except ValueError:  # this kernel, or this nft, has not all that the generator knows
        return False
    return True


def clean(wire, seed):
    """Take the rules of the legacy back end away."""
    if seed % 9 == 8:
        for word in ("iptables", "ip6tables"):
            wire.run(f"{word}-legacy-restore", input=EMPTY)


def random_rulesets(pids, seeds, packets):
    wire, environment = guard_wire.Wire(pids), reading.read_environment()
    every = list(guard_wire.every_packet(PORTS))
    trial = Trial()
    for seed in seeds:
        if load(wire, seed):
            trial.compare(wire, environment, random.Random(seed).sample(every, packets), f"seed {seed}")
        clean(wire, seed)
    wire.run("nft", "flush", "ruleset")
    return trial


@pytest.mark.timeout(900)
def test_all_three_agree_on_random_rulesets(net):
    host, pids = net
    trial = host.call(random_rulesets, pids, range(RULESETS), PACKETS, timeout=850)
    assert not trial.differences, "\n".join(trial.differences[:20])
    assert trial.pairs >= (10_000 if LONG else 800)
    assert trial.rulesets > RULESETS * 0.8
    assert min(trial.yes, trial.no) > trial.pairs / 10


def one_ruleset(pids, rules):
    wire, environment = guard_wire.Wire(pids), reading.read_environment()
    wire.run("nft", "flush", "ruleset")
    wire.run("nft", "-f", "-", input=rules.replace("} }", "}\n}"))
    trial = Trial()
    trial.compare(wire, environment, list(guard_wire.every_packet((22, 80, 81, 82))), rules)
    wire.run("nft", "flush", "ruleset")
    return trial


@pytest.mark.parametrize("what", CASES)
def test_all_three_agree_where_it_is_easily_got_wrong(net, what):
    host, pids = net
    trial = host.call(one_ruleset, pids, CASES[what])
    assert not trial.differences, "\n".join(trial.differences[:20])
    assert trial.pairs > 60
    assert trial.yes
    assert trial.no
