"""What ufw and firewalld were told, in their words, is what the rules they made mean: a reading oracle.

Both really run, on a host of the test's own; the verdicts come of `reading` and `Judge`, which know nothing of what
was said, and for the ports that have a listener a packet is the second witness.
"""

from __future__ import annotations

import json
import shutil
import sys
import time

import pytest
from tests.live.firewalled import CLIENT, CLIENT6, OTHER, Firewalled
from tests.support import require

FAR, FAR6 = "203.0.113.9", "2001:db8:9::9"
UFW = (
    ("allow", "7080/tcp"),
    ("allow", "from", "192.0.2.2", "to", "any", "port", "7081", "proto", "tcp"),
    ("deny", "82/tcp"),
    ("reject", "83/tcp"),
    ("limit", "84/tcp"),
    ("allow", "in", "on", "eth0", "to", "any", "port", "85", "proto", "udp"),
    ("allow", "90:95/tcp"),
    ("allow", "from", "2001:db8::/64", "to", "any", "port", "97", "proto", "tcp"),
    ("prepend", "deny", "from", "203.0.113.9"),
    ("allow", "to", "192.0.2.1", "port", "98", "proto", "tcp"),
)
# protocol, port, source -> verdict
UFW_SAYS = [
    ("tcp", 7080, CLIENT, "yes"), ("tcp", 7080, CLIENT6, "yes"), ("tcp", 7080, FAR6, "yes"), ("tcp", 7080, FAR, "no"),
    ("udp", 7080, CLIENT, "no"), ("tcp", 7081, CLIENT, "yes"), ("tcp", 7081, OTHER, "no"),
    ("tcp", 7081, CLIENT6, "no"), ("tcp", 82, CLIENT, "no"), ("tcp", 83, CLIENT, "no"),
    ("tcp", 84, CLIENT, "depends"), ("tcp", 84, FAR, "no"),
    ("udp", 85, OTHER, "yes"), ("tcp", 85, OTHER, "no"), ("tcp", 90, CLIENT, "yes"), ("tcp", 95, CLIENT6, "yes"),
    ("tcp", 96, CLIENT, "no"), ("tcp", 97, CLIENT6, "yes"), ("tcp", 97, FAR6, "no"), ("tcp", 98, CLIENT, "yes"),
    ("tcp", 98, CLIENT6, "no"), ("tcp", 22, CLIENT, "no"), ("udp", 5353, CLIENT, "no"),
]  # fmt: skip
FIREWALLD = (
    ("--add-port=7080/tcp",),
    ("--add-port=90-95/udp",),
    ("--add-service=https",),
    ('--add-rich-rule=rule family="ipv4" source address="192.0.2.2" port port="7081" protocol="tcp" accept',),
    ('--add-rich-rule=rule family="ipv4" source address="192.0.2.3" port port="7080" protocol="tcp" reject',),
    (
        '--add-rich-rule=rule family="ipv6" source address="2001:db8:9::/64" port port="86" protocol="tcp" accept',
    ),
    ('--add-rich-rule=rule port port="87" protocol="tcp" accept limit value="3/m"',),
    ("--add-forward-port=port=8000:proto=tcp:toport=7080",),
    ("--zone=trusted", "--add-source=198.51.100.0/24"),
    ("--zone=drop", "--add-source=203.0.113.0/24"),
)
FIREWALLD_SAYS = [
    ("tcp", 7080, CLIENT, "yes"), ("tcp", 7080, OTHER, "no"), ("tcp", 7080, CLIENT6, "yes"), ("tcp", 7080, FAR, "no"),
    ("udp", 7080, CLIENT, "no"), ("udp", 90, CLIENT, "yes"), ("udp", 96, CLIENT, "no"), ("tcp", 443, CLIENT, "yes"),
    ("tcp", 443, FAR6, "yes"), ("tcp", 7081, CLIENT, "yes"), ("tcp", 7081, CLIENT6, "no"), ("tcp", 86, FAR6, "yes"),
    ("tcp", 86, CLIENT6, "no"), ("tcp", 87, CLIENT, "depends"), ("tcp", 8000, CLIENT, "yes"),
    ("tcp", 9999, "198.51.100.9", "yes"), ("tcp", 9999, CLIENT, "no"), ("tcp", 22, CLIENT, "yes"),
]  # fmt: skip
JUDGE = """
import json, sys
from portside.guard import plain, reading
from portside.guard.model import Unknown
from portside.guard.packet import Packet
from portside.guard.reach import Judge
rules, environment = reading.read_rules(), reading.read_environment()
judge, said = Judge(rules, environment), []
for protocol, port, source in json.loads(sys.argv[1]):
    target = "2001:db8::1" if ":" in source else "192.0.2.1"
    packet = Packet("eth0", protocol, source, target, port)
    said.append([judge.judge_packet(packet), plain.judge_packet(rules, environment, packet).verdict])
unread = [one.what for _, chain in rules.chains() for rule in chain.rules for one in rule.statements
          if isinstance(one, Unknown) and one.kind == "unreadable"]
print(json.dumps([said, unread]))
"""


def judged(host, says):
    """What both evaluators say of each packet on a host, and what was not read of its rules."""
    asked = json.dumps([one[:3] for one in says])
    return json.loads(host.must(sys.executable, "-c", JUDGE, asked))


def held(host, says):
    host.space.ip("link set lo up", "route add default dev eth0", "route add ::/0 dev eth0")
    said, unread = judged(host, says)
    assert not unread
    for (protocol, port, source, promised), found in zip(says, said, strict=True):
        assert found == [promised, promised], (protocol, port, source)
    for protocol, port, source, promised in says:
        if protocol == "tcp" and port in (7080, 7081, 22) and source in (CLIENT, OTHER, CLIENT6):
            deadline = time.monotonic() + 20
            while (host.reach(port, source) == "open") != (promised == "yes"):
                assert time.monotonic() < deadline, (port, source, promised)


@pytest.mark.timeout(180)
def test_ufw():
    require(shutil.which("ufw"), "ufw is not installed")
    with Firewalled("ufw") as host:
        host.start_ufw()
        for words in UFW:
            host.must("ufw", *words)
        held(host, UFW_SAYS)


@pytest.mark.timeout(180)
def test_firewalld():
    require(shutil.which("firewalld"), "firewalld is not installed")
    with Firewalled("firewalld") as host:
        host.start_firewalld()
        host.must("firewall-cmd", "--remove-service=dhcpv6-client")
        for words in FIREWALLD:
            host.must("firewall-cmd", *words)
        held(host, FIREWALLD_SAYS)
