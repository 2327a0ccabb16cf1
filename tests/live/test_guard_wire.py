"""What the evaluators say of packets, held against packets that the kernel let through."""

from __future__ import annotations

import os

import pytest
from tests import guard_wire
from tests.support import require

from portside.guard import plain, reading
from portside.guard.packet import Packet

RULES = """
table inet t {
 chain i { type filter hook input priority 0; policy drop;
  ct state established accept
  ip saddr 192.0.2.0/24 tcp dport { 22, 80 } accept
  iifname "eth1" udp dport 53 accept
  ip6 saddr 2001:db8:2::/64 accept
  tcp dport 443 reject with tcp reset
  tcp dport 8080 reject
 }
 chain n { type nat hook prerouting priority -100;
  tcp dport 81 redirect to :80
  iifname "eth0" tcp dport 82 dnat ip to 172.17.0.2:80
 }
}
"""


@pytest.fixture(scope="module")
def net():
    require(os.geteuid() == 0, "needs root, to join namespaces by links")
    with guard_wire.spaces() as found:
        yield found


def compare(pids, rules):
    """Return every packet on which the kernel and the plain evaluator differ (runs in the host's namespace)."""
    wire = guard_wire.Wire(pids)
    wire.run("nft", "-f", "-", input=rules)
    ruleset, environment = reading.read_rules(), reading.read_environment()
    differences, count = [], 0
    for space, protocol, source, target, port in guard_wire.every_packet((*guard_wire.LISTENING, 81, 82)):
        came, client = wire.send(space, protocol, source, target, port)
        said = plain.judge_packet(ruleset, environment, Packet(space, protocol, source, target, port))
        count += 1
        if not guard_wire.listens(said):
            continue
        if (said.verdict == "yes") != bool(came):
            differences.append((space, protocol, source, target, port, came, client, said))
    return count, differences


def test_plain_evaluator_agrees_with_the_kernel(net):
    host, pids = net
    count, differences = host.call(compare, pids, RULES)
    assert count > 200
    assert not differences
