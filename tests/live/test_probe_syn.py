"""The syn method on a real link: each port's state and reason against what was built, and against nmap."""

from __future__ import annotations

import os
import shutil
import time
import xml.etree.ElementTree as xml

import pytest
from tests.live import scanned
from tests.live.scanned import DROPPED, FAR, FAR6, GONE, NEAR, OPEN, REJECTED, REJECTED6, RESET, Scanned
from tests.support import require

from portside.errors import NotPermitted
from portside.probe.method import Options, open_method
from portside.probe.order import Left
from portside.system import packets
from portside.wire.packets import TCP, icmp, ip, tcp

numpy = pytest.importorskip("numpy")
pytestmark = pytest.mark.live

ALL = [(22, 22), (80, 80), (443, 443), (1000, 1011), (2000, 2012), (61_234, 61_234)]


@pytest.fixture(scope="module")
def hosts():
    require(os.geteuid() == 0, "needs root: two namespaces and raw sockets")
    for command in ("ip", "nft"):
        require(shutil.which(command), f"{command} is not installed")
    with Scanned() as made:
        yield made


def truth(six: bool) -> dict[int, tuple[str, str]]:
    """State and reason of every port of ALL."""
    found = {port: ("closed", "reset") for first, last in ALL for port in range(first, last + 1)}
    found |= dict.fromkeys(OPEN, ("open", "syn-ack"))
    found |= dict.fromkeys(DROPPED, ("filtered", "no-response"))
    found |= {port: ("filtered", reason) for port, (_, reason) in (REJECTED6 if six else REJECTED).items()}
    return found | {RESET: ("closed", "reset")}


@pytest.mark.parametrize("road", ["xdp", "packet"])
def test_every_state_and_reason_of_both_families(hosts, road):
    results, counters = hosts.near.call(_by_road, road, hosts)
    for address in (FAR, FAR6):
        told = {port: (each.state, each.reason) for (host, port), each in results.items() if host == address}
        assert told == truth(six=":" in address)
    assert bool(counters.notes) == (road == "packet"), "the slower road is told"
    assert all(0 <= each.rtt < 1 for each in results.values() if each.reason != "no-response")
    assert counters.total == counters.decided == len(results)


def _by_road(road, hosts):
    open_sender = packets.open_sender
    from portside.probe.packets import transmit

    transmit.open_sender = lambda interface, roads=(road,): open_sender(interface, roads)
    return scanned._scan("syn", [FAR, FAR6], ALL, {"timeout": 0.4})


@pytest.mark.parametrize("own", ["127.0.0.1", "127.8.9.10", "::1", FAR, FAR6])
def test_loopback_and_own_addresses(hosts, own):
    results, _ = hosts.scan("syn", [own], ALL, space=hosts.far, timeout=0.4)
    assert {port: (each.state, each.reason) for (_, port), each in results.items()} == truth(":" in own)


def test_same_as_nmap_says(hosts):
    """nmap's states of the same ports, in the same minute.  Its word for both ICMP codes agrees with ours."""
    require(shutil.which("nmap"), "nmap is not installed")
    ports = ",".join(f"{first}-{last}" for first, last in ALL)
    for six, address in ((False, FAR), (True, FAR6)):
        said = hosts.near.run(
            ["nmap", "-sS", "-Pn", "-n", *(["-6"] if six else []), "-p", ports, "-oX", "-", "-T4", address]
        ).stdout
        theirs = {}
        for port in xml.fromstring(said).iter("port"):
            theirs[int(port.get("portid"))] = port.find("state").get("state")
        for each in xml.fromstring(said).iter("extraports"):
            rest = {port for port, (state, _) in truth(six).items() if state == each.get("state")} - set(
                theirs
            )
            theirs |= dict.fromkeys(rest, each.get("state"))
        results, _ = hosts.scan("syn", [address], ALL, timeout=0.4)
        assert {port: each.state for (_, port), each in results.items()} == theirs


def test_a_neighbour_that_nobody_is(hosts):
    results, counters = hosts.scan("syn", [GONE, FAR], [(22, 23)])
    assert {(each.state, each.reason) for (host, _), each in results.items() if host == GONE} == {
        ("filtered", "host-unreach")
    }
    assert results[FAR, 22].state == "open"
    assert counters.sent == 2, "nobody there: nothing is sent"


def test_without_a_route_nothing_is_learnt(hosts):
    results, _ = hosts.scan("syn", ["203.0.113.5"], [(22, 22)])
    assert [(each.state, each.reason) for each in results.values()] == [("unknown", "local-error")]


def test_a_gateway_s_error_names_its_sender(hosts):
    """The far host routes nowhere: what lies behind it is answered for by itself."""
    hosts.far.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    results, _ = hosts.scan("syn", ["198.51.100.9"], [(22, 22)], timeout=0.4)
    (only,) = results.values()
    assert (only.state, only.reason, only.source) == ("filtered", "net-unreach", FAR)


def test_one_in_a_hundred_lost_each_way_and_all_open_ports_found():
    require(os.geteuid() == 0 and shutil.which("nft"), "needs root and nft")
    with Scanned(firewall=False, loss=1) as hosts:
        results, counters = hosts.scan("syn", [FAR], [(1, 65_535)], wanted=frozenset(("open", "filtered")))
    assert {port for (_, port), each in results.items() if each.state == "open"} == set(OPEN)
    assert 200 < counters.retried < 20_000, "some were lost, and only these were sent again"
    assert counters.of_state("filtered") <= 3, "lost three times: eight in a million each"


@pytest.mark.parametrize("rate", [500.0, 8_000.0])
def test_the_rate_is_kept(hosts, rate):
    """The median slope of packets over a quarter of the time: what holds one up for a moment is in few of them."""
    assert hosts.near.call(_slope, rate, int(rate * 2)) == pytest.approx(rate, rel=0.02)


def _slope(rate, count):
    from portside.probe.packets.engine import Engine

    times, sent = [], [0]
    dispatch = Engine._dispatch

    def noted(self, chunk, at, attempt):
        times.append(time.monotonic())
        sent.append(sent[-1] + len(at))
        dispatch(self, chunk, at, attempt)

    Engine._dispatch = noted
    scanned._scan(
        "syn", [FAR], [(10_000, 10_000 + count - 1)], {"rate": rate, "wanted": frozenset(("open",))}
    )
    part = len(times) // 4
    then, gone = numpy.array(times), numpy.array(sent[:-1])
    return float(numpy.median((gone[part:] - gone[:-part]) / (then[part:] - then[:-part])))


def test_each_probe_arrives_once_though_two_threads_send(hosts):
    """The far host's own count of segments: no port of these is open, so nothing else comes to it."""
    before = _segments(hosts.far)
    results, counters = hosts.scan("syn", [FAR], [(3000, 60_999)])
    assert len(results) == counters.total == 58_000
    assert _segments(hosts.far) - before == counters.sent


def _segments(space):
    with open(f"/proc/{space.pid}/net/snmp") as table:
        names, values = (line.split() for line in table if line.startswith("Tcp:"))
    return int(dict(zip(names, values, strict=True))["InSegs"])


def test_forged_and_repeated_answers_count_for_nothing(hosts):
    """The far host sends, for closed ports, SYN-ACKs with made-up numbers, and ICMP errors that quote them."""
    results, counters = hosts.near.call(_while_forging, hosts.far)
    assert {each.state for each in results.values()} == {"closed"}
    assert counters.decided == 4000


def _while_forging(far):
    import threading

    forging = threading.Event()
    child = os.fork()
    if child == 0:
        try:
            far.enter()
            _forge()
        finally:
            os._exit(0)
    try:
        forging.wait(0.2)
        return scanned._scan("syn", [FAR], [(3000, 6999)], {"rate": 4000.0})
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def _forge():
    """Send what a liar on the link could, to every source port a scan may use, until ended."""
    import socket

    me, you = bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1])
    link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    number = 0
    while True:
        for port in range(61_000, 65_536, 3):
            number += 1
            answer = tcp.segment(
                (me, you), (3000 + number % 4000, port), tcp.SYN | tcp.ACK, (1, number * 7919)
            )
            link.sendto(ip.header(me, you, TCP, len(answer)) + answer, (NEAR, 0))
            quoted = tcp.segment((you, me), (port, 3000 + number % 4000), tcp.SYN, (number, 0))
            error = bytes([3, 13, 0, 0, 0, 0, 0, 0]) + ip.header(you, me, TCP, len(quoted)) + quoted
            assert icmp.read_error(1, error)
            link.sendto(ip.header(me, you, 1, len(error)) + error, (NEAR, 0))


def test_what_is_left_after_a_stop_is_scanned_by_the_next_run(hosts):
    first, left, second = hosts.near.call(_in_two_runs)
    assert first.isdisjoint(second), "decided once"
    assert first | second == set(range(5000, 9000))
    assert 0 < len(first) < 4000
    assert left.next > 0


def _in_two_runs():
    order = scanned.make_order("tcp", [FAR], [(5000, 8999)])
    one = open_method("syn", order, Options(rate=8000.0), Left())
    seen = set()
    batches = one.batches()
    while len(seen) < 1000:
        seen |= {each.port for each in next(batches)}
    batches.close()
    left = one.left()
    two = open_method("syn", order, Options(), left)
    return seen, left, {each.port for batch in two.batches() for each in batch}


def test_resume_after_kill_leaves_no_probe_out(hosts, tmp_path):
    """Both families, states of every kind; some are told twice, but only what was decided since the last save."""
    ports = "22,80,443,1000-1009,2001-2008,2010,3000-5999"
    what = [FAR, FAR6, "-p", ports, "--method", "syn", "--rate", "1500", "--timeout", "0.4", "--all"]
    items, last = scanned.killed_and_resumed(hosts.near, what, tmp_path)
    told = {(item["address"], item["port"]): (item["state"], item["reason"]) for item in items}
    wanted = [*OPEN[:3], *DROPPED, *range(2001, 2009), RESET, *range(3000, 6000)]
    for address in (FAR, FAR6):
        known = truth(":" in address)
        right = {(address, port): known.get(port, ("closed", "reset")) for port in wanted}
        assert {each: state for each, state in told.items() if each[0] == address} == right
    assert len(told) <= len(items) < len(told) + 3000
    assert last["probes"] == last["decided"] == len(told)


def test_nobody_may_without_the_right(hosts):
    with pytest.raises(NotPermitted, match="sudo"):
        hosts.scan("syn", [FAR], [(22, 22)], uid=65_534)


def test_without_a_rate_it_slows_down_for_a_way_that_bears_little_and_says_so():
    """The far host takes 5,000 SYNs a second and drops the others: what was dropped is asked again, more slowly."""
    require(os.geteuid() == 0 and shutil.which("nft"), "needs root and nft")
    limit = "tcp flags syn limit rate over 5000/second burst 200 packets drop"
    with Scanned(firewall=False) as hosts:
        hosts.nft(
            f"table inet narrow {{\n chain input {{\n type filter hook input priority 0\n {limit}\n }}\n}}\n"
        )
        results, counters = hosts.scan("syn", [FAR], [(1, 8_000)])
    assert any("slowed down" in note for note in counters.notes)
    assert counters.retried > 1000
    missed = sum(each.state == "filtered" for each in results.values())
    assert missed < 0.01 * len(results), "without slowing down it is most of them"


def test_answers_that_the_ring_has_no_room_for_are_counted_and_asked_again():
    """A ring of the smallest size, read twenty times a second: most answers to 6,000 probes do not fit into it."""
    with Scanned(firewall=False) as hosts:
        results, counters = hosts.near.call(_little_room, timeout=100)
    assert counters.dropped > 1000
    assert any("lost on this host" in note for note in counters.notes), "it slowed down and says why"
    assert counters.retried >= counters.dropped / 2
    states = {(each.port in OPEN, each.state, each.reason) for each in results.values()}
    assert states == {(True, "open", "syn-ack"), (False, "closed", "reset")}, (
        "nothing is told that was not read"
    )


def _little_room():
    from functools import partial

    from portside.probe.packets import engine

    engine.Ring = partial(packets.Ring, count=1024)
    engine._GATHER = engine._GATHER_MANY = 0.05
    return scanned._scan("syn", [FAR], [(1, 6_000)], {})
