"""The udp method on a real link: states and reasons as built and as nmap has them; a host that limits errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest
from tests.live.scanned import FAR, FAR6, Scanned
from tests.support import require

pytestmark = pytest.mark.live

NOBODY = 65_534
ANSWERS = (53, 123, 40_000)
SILENT = (5000,)
DROPPED = range(1000, 1004)
REJECTED = {2001: "admin-prohibited", 2002: "host-unreach"}
ALL = [(53, 53), (123, 123), (1000, 1005), (2001, 2002), (5000, 5002), (40_000, 40_000)]

# Answers to what is asked in the right language on 53 and 123, to anything on 40000, and to nothing on 5000.
SERVER = """
import select, socket, sys
def answer(port, data):
    if port == 53 and len(data) > 12:
        return data[:2] + bytes([0x84, 5]) + data[4:]
    if port == 123 and len(data) == 48 and data[0] & 7 == 3:
        return bytes([0x24, 2]) + bytes(46)
    return b"hello" if port == 40000 else b""
made = {}
for port in (53, 123, 40000, 5000):
    for family, address in ((socket.AF_INET, "192.0.2.2"), (socket.AF_INET6, "2001:db8::2")):
        each = socket.socket(family, socket.SOCK_DGRAM)
        each.bind((address, port))
        made[each] = port
print("ready", flush=True)
while True:
    for each in select.select([sys.stdin, *made], [], [])[0]:
        if each is sys.stdin:
            sys.exit()
        data, where = each.recvfrom(2000)
        said = answer(made[each], data)
        if said:
            each.sendto(said, where)
"""
RULES = """table inet datagrams {
 chain input {
 type filter hook input priority 0
 udp dport 1000-1003 drop
 meta nfproto ipv4 udp dport 2001 reject with icmp type admin-prohibited
 meta nfproto ipv6 udp dport 2001 reject with icmpv6 type admin-prohibited
 meta nfproto ipv4 udp dport 2002 reject with icmp type host-unreachable
 meta nfproto ipv6 udp dport 2002 reject with icmpv6 type addr-unreachable
 }
}
"""


@pytest.fixture(scope="module")
def hosts():
    require(os.geteuid() == 0 and shutil.which("ip") and shutil.which("nft"), "needs root, ip and nft")
    with Scanned(firewall=False) as made:
        made.nft(RULES)
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=made.far.enter,
        )  # fmt: skip
        assert server.stdout.readline() == b"ready\n"
        yield made
        server.communicate()


def truth(six):
    found = {port: ("closed", "port-unreach") for first, last in ALL for port in range(first, last + 1)}
    found |= dict.fromkeys(ANSWERS, ("open", "udp-response"))
    found |= dict.fromkeys((*DROPPED, *SILENT), ("open|filtered", "no-response"))
    found |= {port: ("filtered", reason) for port, reason in REJECTED.items()}
    return found | ({2002: ("filtered", "addr-unreach")} if six else {})


@pytest.mark.parametrize("uid", [None, NOBODY])
def test_every_state_and_reason_of_both_families(hosts, uid):
    results, counters = hosts.scan("udp", [FAR, FAR6], ALL, uid=uid, timeout=0.4, retries=1)
    for address in (FAR, FAR6):
        told = {port: (each.state, each.reason) for (host, port), each in results.items() if host == address}
        assert told == truth(six=":" in address)
    assert {(each.port, each.service) for each in results.values() if each.state == "open"} == {
        (53, "domain"), (123, "ntp"), (40_000, ""),
    }  # fmt: skip
    assert counters.decided == counters.total == len(results)


@pytest.mark.parametrize("own", ["127.0.0.1", "::1"])
def test_loopback(hosts, own):
    results, _ = hosts.scan("udp", [own], [(5000, 5003)], space=hosts.far, timeout=0.3, retries=0)
    assert {each.state for each in results.values()} == {"closed"}, "the server has other addresses"


def test_same_as_nmap_says(hosts):
    require(shutil.which("nmap"), "nmap is not installed")
    ports = ",".join(f"{first}-{last}" for first, last in ALL)
    said = hosts.near.run(["nmap", "-sU", "-Pn", "-n", "-T4", "-p", ports, "-oX", "-", FAR]).stdout
    theirs = {
        int(port.get("portid")): port.find("state").get("state") for port in xml.fromstring(said).iter("port")
    }
    results, _ = hosts.scan("udp", [FAR], ALL, timeout=0.4)
    ours = {port: each.state for (_, port), each in results.items()}
    assert {port: ours[port] for port in theirs} == theirs


@pytest.mark.parametrize(("milliseconds", "last"), [(100, 7029), (1000, 7008)])
def test_a_host_that_limits_its_errors_is_waited_for(milliseconds, last):
    """Six refusals at once, then one in so long (icmp_ratelimit): all is told all the same.

    Linux's own is 1000: all tries are over long before, so silence is not believed at once.
    """
    require(os.geteuid() == 0 and shutil.which("ip"), "needs root and ip")
    with Scanned(firewall=False) as hosts:
        hosts.far.run(["sh", "-c", f"echo {milliseconds} > /proc/sys/net/ipv4/icmp_ratelimit"])
        results, counters = hosts.scan("udp", [FAR], [(7000, last)], timeout=0.4)
    assert {each.state for each in results.values()} == {"closed"}
    assert any("limits its ICMP errors" in note for note in counters.notes)


def test_the_rate_is_kept(hosts):
    """The median slope of datagrams over a quarter of the time, to a host that is not there, at 400 a second."""
    slope, counters = hosts.near.call(_slope)
    assert slope == pytest.approx(400, rel=0.02)
    assert counters.sent == 800


def _slope():
    import time
    from statistics import median

    from tests.live import scanned

    from portside.probe.udp import Udp

    times = []
    put = Udp._put
    Udp._put = lambda *given: (times.append(time.monotonic()), put(*given))[1]
    ports = [(10_000 + at * 10, 10_000 + at * 10 + 9) for at in range(80)]
    _, counters = scanned._scan("udp", ["192.0.2.77"], ports, {"rate": 400.0, "retries": 0})
    part = len(times) // 4
    return median(part / (then - before) for before, then in zip(times, times[part:], strict=False)), counters
