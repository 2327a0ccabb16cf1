"""The rules of well-known tools in nftables' own language are read without an unknown, and mean what they promise.

Docker's tables (its nftables back end), kube-proxy's in nftables mode and libvirt's, in the shapes that these write,
loaded and listed by nft; their shapes for iptables are in the unit tests of reach.
"""

from __future__ import annotations

import shutil

import pytest
from tests.guard_host import host
from tests.support import require

from portside.errors import PortsideError
from portside.guard import nft, plain
from portside.guard.model import Unknown
from portside.guard.packet import Packet
from portside.guard.reach import Judge
from portside.system import scratch

DOCKER = """
table ip docker-bridges {
    map filter-forward-in-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-in__docker0 }
    }
    map filter-forward-out-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-out__docker0 }
    }
    map nat-postrouting-out-jumps { type ifname : verdict
        elements = { "docker0" : jump nat-postrouting-out__docker0 }
    }
    chain filter-FORWARD {
        type filter hook forward priority filter; policy accept;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }
    chain filter-forward-in__docker0 {
        ct state established,related counter accept
        iifname "docker0" counter accept comment "ICC"
        ip daddr 172.17.0.2 tcp dport 80 counter accept
        counter drop comment "UNPUBLISHED PORT DROP"
    }
    chain filter-forward-out__docker0 {
        ct state established,related counter accept
        counter accept comment "OUTGOING"
    }
    chain nat-OUTPUT {
        type nat hook output priority -100; policy accept;
        ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output
    }
    chain nat-PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump nat-prerouting-and-output
    }
    chain nat-POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        iifname vmap @nat-postrouting-out-jumps
    }
    chain nat-postrouting-out__docker0 {
        oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade comment "MASQUERADE"
    }
    chain nat-prerouting-and-output {
        iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80 comment "DNAT"
        iifname != "docker0" tcp dport 8090 counter dnat to 172.17.0.2:90 comment "DNAT"
        iifname != "docker0" ip daddr 127.0.0.1 tcp dport 8081 counter dnat to 172.17.0.2:81
    }
    chain raw-PREROUTING {
        type filter hook prerouting priority raw; policy accept;
        ip daddr 172.17.0.2 iifname != "docker0" counter drop comment "DROP DIRECT ACCESS"
        ip daddr 127.0.0.1 iifname != "lo" tcp dport 8081 counter drop comment "DROP REMOTE"
    }
}
"""
KUBE = """
table ip kube-proxy {
    set cluster-ips { type ipv4_addr; elements = { 10.96.0.10, 10.96.0.11 }
    }
    set nodeport-ips { type ipv4_addr; elements = { 192.0.2.10 }
    }
    set affinity-A { type ipv4_addr; flags dynamic,timeout; timeout 3h
    }
    map firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 192.0.2.10 . tcp . 8443 : goto firewall-A }
    }
    map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 10.96.0.11 . tcp . 80 : goto reject-chain }
    }
    map no-endpoint-nodeports { type inet_proto . inet_service : verdict
        elements = { tcp . 30090 : goto reject-chain }
    }
    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 10.96.0.10 . tcp . 80 : goto service-A, 192.0.2.10 . tcp . 8443 : goto external-A }
    }
    map service-nodeports { type inet_proto . inet_service : verdict; elements = { tcp . 30080 : goto external-A }
    }
    chain filter-prerouting { type filter hook prerouting priority -110; policy accept;
        ct state new jump firewall-check
    }
    chain filter-input { type filter hook input priority -110; policy accept;
        ct state new jump nodeport-endpoints-check
        ct state new jump service-endpoints-check
    }
    chain filter-forward { type filter hook forward priority -110; policy accept;
        ct state new jump service-endpoints-check
        ct state new jump cluster-ips-check
    }
    chain filter-output { type filter hook output priority -110; policy accept;
        ct state new jump service-endpoints-check
        ct state new jump firewall-check
    }
    chain filter-output-post-dnat { type filter hook output priority -90; policy accept;
        ct state new jump cluster-ips-check
    }
    chain nat-output { type nat hook output priority -100; policy accept;
        jump services
    }
    chain nat-postrouting { type nat hook postrouting priority srcnat; policy accept;
        jump masquerading
    }
    chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept;
        jump services
    }
    chain cluster-ips-check {
        ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
    }
    chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips
    }
    chain firewall-A { ip saddr 203.0.113.0/24 return
        drop
    }
    chain mark-for-masquerade { meta mark set meta mark | 0x4000
    }
    chain masquerading { meta mark & 0x4000 == 0 return
        meta mark set meta mark ^ 0x4000
        masquerade fully-random
    }
    chain nodeport-endpoints-check { ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
    }
    chain reject-chain { reject
    }
    chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services
    }
    chain services { ip daddr . meta l4proto . th dport vmap @service-ips
        ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
    }
    chain service-A { ip daddr 10.96.0.10 tcp dport 80 ip saddr != 172.17.0.0/16 jump mark-for-masquerade
        ip saddr @affinity-A goto endpoint-A1
        numgen random mod 2 vmap { 0 : goto endpoint-A1, 1 : goto endpoint-A2 }
    }
    chain external-A { jump mark-for-masquerade
        goto service-A
    }
    chain endpoint-A1 { ip saddr 172.17.0.2 jump mark-for-masquerade
        update @affinity-A { ip saddr }
        meta l4proto tcp dnat to 172.17.0.2:8080
    }
    chain endpoint-A2 { ip saddr 172.17.0.3 jump mark-for-masquerade
        meta l4proto tcp dnat to 172.17.0.3:8080
    }
}
"""
LIBVIRT = """
table ip libvirt_network {
    chain forward { type filter hook forward priority filter; policy accept;
        counter jump guest_cross
        counter jump guest_input
        counter jump guest_output
    }
    chain guest_output { ip saddr 172.17.0.0/16 iif "docker0" counter accept
        iif "docker0" counter reject
    }
    chain guest_input { oif "docker0" ip daddr 172.17.0.0/16 ct state established,related counter accept
        oif "docker0" counter reject
    }
    chain guest_cross { iif "docker0" oif "docker0" counter accept
    }
    chain guest_nat { type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.17.0.0/16 ip daddr 224.0.0.0/24 counter return
        ip saddr 172.17.0.0/16 ip daddr 255.255.255.255 counter return
        meta l4proto tcp ip saddr 172.17.0.0/16 ip daddr != 172.17.0.0/16 counter masquerade to :1024-65535
        ip saddr 172.17.0.0/16 ip daddr != 172.17.0.0/16 counter masquerade
    }
}
table ip published {
    chain nat { type nat hook prerouting priority dstnat; policy accept;
        tcp dport 2222 dnat to 172.17.0.5:22
    }
}
"""
NEAR, FAR = "203.0.113.7", "198.51.100.7"
# tool, port, source -> verdict, and where it arrives
PROMISES = [
    (DOCKER, 8080, FAR, "yes", ("172.17.0.2", 80)),  # published, and let in
    (DOCKER, 8090, FAR, "no", ("", 0)),  # translated, but not let in
    (
        DOCKER,
        8081,
        FAR,
        "yes",
        ("192.0.2.10", 8081),
    ),  # published on loopback alone: this is a port of the host
    (DOCKER, 22, FAR, "yes", ("192.0.2.10", 22)),
    (KUBE, 30080, FAR, "yes", ("172.17.0.2", 8080)),  # to one of two endpoints, both there
    (KUBE, 30090, FAR, "no", ("", 0)),  # a node port without an endpoint
    (KUBE, 8443, NEAR, "yes", ("172.17.0.2", 8080)),  # an external address, for some sources
    (KUBE, 8443, FAR, "no", ("", 0)),
    (KUBE, 22, FAR, "yes", ("192.0.2.10", 22)),
    (LIBVIRT, 2222, FAR, "no", ("", 0)),  # libvirt refuses what comes to its guests from outside
    (LIBVIRT, 22, FAR, "yes", ("192.0.2.10", 22)),
]


@pytest.fixture(scope="module")
def read():
    """What is read of a tool's text, each once."""
    require(shutil.which("nft"), "nft is not installed")
    known = {}

    def of(text):
        if text not in known:
            try:
                known[text] = nft.from_json(scratch.nft_json_of(text))
            except PortsideError as error:
                require("permi" not in str(error), str(error))
                raise
        return known[text]

    return of


@pytest.mark.parametrize("text", [DOCKER, KUBE, LIBVIRT], ids=["docker", "kube-proxy", "libvirt"])
def test_nothing_is_unknown(read, text):
    found = [
        one
        for _, chain in read(text).chains()
        for rule in chain.rules
        for one in rule.statements
        if isinstance(one, Unknown)
    ]
    assert not found


@pytest.mark.parametrize(("text", "port", "source", "verdict", "arrives"), PROMISES)
def test_both_evaluators_find_what_the_tool_promises(read, text, port, source, verdict, arrives):
    packet = Packet("eth0", "tcp", source, "192.0.2.10", port)
    said = plain.judge_packet(read(text), host(), packet)
    assert said.verdict == Judge(read(text), host()).judge_packet(packet) == verdict
    if verdict == "yes":
        assert said.arrives == arrives
