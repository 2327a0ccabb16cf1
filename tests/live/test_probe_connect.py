"""The connect method against the truth of the world that was built, and against nmap -sT in the same run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from tests.live import probe_world as world_of
from tests.live.scanned import killed_and_resumed
from tests.support import require

from portside.ports.number import Range
from portside.probe.method import Options
from portside.probe.plan import Part, Plan
from portside.probe.scan import Scan, scan
from portside.probe.space import Addresses, Block

LONG = os.environ.get("PORTSIDE_LONG", "") not in ("", "0")

# Where nmap 7.93 -sT says another state or reason than was built, and why.  docs/guides/... lists them.
NMAP_DIFFERS = {
    "limited": "nmap asks faster than the limit lets through, and may call an open port filtered",
    "icmp": "nmap looks at errno alone: an ICMP error that comes while connect(2) runs is not in it, so it waits "
    "and says no-response; a port-unreachable that comes later is ECONNREFUSED to it, so it says closed",
}


def connect_words(reason):
    """The words that connect(2) has for what a SYN scan calls a reset."""
    return "conn-refused" if reason == "reset" else reason


def scanned(truths, **options):
    """Scan the ports of some truths by connect; (address, port) -> result."""
    found = {}
    by_address = {}
    for each in truths:
        by_address.setdefault(each.address, []).append(str(each.port))
    for address, ports in by_address.items():
        for one in scan(address, ",".join(ports), method="connect", **options):
            assert (one.address, one.port) not in found, "told twice"
            found[one.address, one.port] = one
    return found


def test_every_port_is_as_it_was_built(probe_world):
    truths = [each for each in probe_world.truth if each.protocol == "tcp"]
    found = probe_world.scanner.call(scanned, truths)
    told = {
        each: (one.state, one.reason, one.source)
        for each in truths
        for one in [found[each.address, each.port]]
    }
    wrong = [
        f"{each}: said {said}"
        for each, said in told.items()
        if said != (each.state, connect_words(each.reason), each.source)
    ]
    assert not wrong, "\n".join(wrong)


def test_nmap_agrees_or_is_wrong_where_we_know(probe_world):
    require(shutil.which("nmap"), "nmap is not installed")
    for flag, truths in (("-4", ipv4(probe_world)), ("-6", ipv6(probe_world))):
        addresses = sorted({each.address for each in truths})
        ports = ",".join(sorted({str(each.port) for each in truths}))
        argv = [
            "nmap",
            *([] if flag == "-4" else [flag]),
            "-sT",
            "-n",
            "-Pn",
            "-p",
            ports,
            "-oX",
            "-",
            *addresses,
        ]
        said = nmap_ports(probe_world.scanner.run(argv, timeout=60).stdout)
        for each in truths:
            state, reason = said[each.address, each.port]
            if (state, reason) == (each.state, connect_words(each.reason)):
                continue
            if each.port in world_of.LIMITED:
                assert (state, reason) == ("filtered", "no-response"), NMAP_DIFFERS["limited"]
            else:
                assert each.state == "filtered", f"{each}: nmap says {state}, {reason}"
                assert each.reason != "no-response", f"{each}: nmap says {state}, {reason}"
                words = {("filtered", "no-response"), ("closed", "conn-refused")}
                words |= {("filtered", word) for word in NMAP_ERRNO_WORDS}
                assert (state, reason) in words, (
                    f"{each}: nmap says {state}, {reason}; {NMAP_DIFFERS['icmp']}"
                )


# what nmap makes of the errno of an ICMP error: several codes are one errno, and it has its own words
NMAP_ERRNO_WORDS = ("host-unreach", "net-unreach", "proto-unreach", "admin-prohibited", "no-route")


def ipv4(probe_world):
    return [each for each in probe_world.truth if each.protocol == "tcp" and ":" not in each.address]


def ipv6(probe_world):
    return [each for each in probe_world.truth if each.protocol == "tcp" and ":" in each.address]


def nmap_ports(document):
    """(address, port) -> (state, reason) of nmap's XML; what it only counts is closed or filtered as it says."""
    found = {}
    for host in ElementTree.fromstring(document).iter("host"):
        address = host.find("address").get("addr")
        for port in host.iter("port"):
            state = port.find("state")
            found[address, int(port.get("portid"))] = (state.get("state"), state.get("reason"))
        for extra in host.iter("extrareasons"):
            state = next(one.get("state") for one in host.iter("extraports") if extra in list(one))
            for ports in extra.get("ports", "").split(","):
                first, _, last = ports.partition("-")
                for port in range(int(first), int(last or first) + 1) if first else ():
                    found[address, port] = (state, extra.get("reason"))
    return found


def test_every_open_port_is_found_on_a_lossy_way(probe_world):
    def look():
        made = scan(world_of.LOSSY, f"{world_of.MANY[0]}-{world_of.MANY[-1]},20200-20299", method="connect")
        states = [(one.port, one.state) for one in made]
        return states, made.progress()

    states, progress = probe_world.scanner.call(look)
    ours = sorted(port for port, state in states if state == "open")
    assert len(states) == 300
    assert set(world_of.MANY) - set(ours) == set() or len(set(world_of.MANY) - set(ours)) <= 1, (
        "0.1 ^ 3 of 200"
    )
    assert progress.late > 0, "loss shows as answers that came only when asked again"
    assert any("asked again" in note for note in progress.notes)


def test_a_far_host_is_not_mistaken_for_a_silent_one(probe_world):
    def look():
        return [(one.state, one.rtt) for one in scan(world_of.FAR, "20000-20199", method="connect")]

    found = probe_world.scanner.call(look)
    assert {state for state, _ in found} == {"open"}
    assert all(rtt >= 2 * world_of.DELAY for _, rtt in found)


def test_no_time_wait_is_left(probe_world):
    """Of our own ports: what other tests did in this world (nmap, check) may still wait."""

    def look():
        ports = "/proc/sys/net/ipv4/ip_local_port_range"
        with open(ports) as file:
            usual = file.read()
        try:
            with open(ports, "w") as file:
                file.write("15000 15999")
            return list(scan(world_of.TARGET, "22,80,8000", method="connect"))
        finally:
            with open(ports, "w") as file:
                file.write(usual)

    assert "open" in {each.state for each in probe_world.scanner.call(look)}
    left = probe_world.scanner.run(["ss", "-tan", "sport >= 15000 and sport <= 15999"]).stdout
    assert "TIME-WAIT" not in left


@pytest.mark.timeout(3600 if LONG else 300)
def test_no_false_open_in_the_ephemeral_range(probe_world):
    """A closed port may be chosen as the local one of the probe that asks for it: TCP joins the two halves."""

    def look(rounds):
        found = []
        for seed in range(rounds):
            for address in ("127.0.0.1", "::1"):
                found += [
                    one.port
                    for one in scan(address, "32768-60999", method="connect", seed=seed, states=("open",))
                ]
        return found

    rounds = 100 if LONG else 2
    assert probe_world.far.call(look, rounds, timeout=rounds * 30) == []


def test_self_connection_is_seen(probe_world):
    """With one local port to choose from, every probe of that port meets itself."""

    def look():
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
            file.write("40000 40001")
        try:
            made = scan("127.0.0.1", "40000,40001", method="connect")
            return [(one.state, one.reason) for one in made]
        finally:
            with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
                file.write("32768 60999")

    found = probe_world.far.call(look)
    assert {state for state, _ in found} == {"closed"}
    assert {reason for _, reason in found} <= {"conn-refused", "self-connect"}


def test_few_descriptors_and_local_ports_are_not_called_closed(probe_world):
    def look():
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
            file.write("40000 40009")
        try:
            made = scan(world_of.TARGET, "101-107,200-201,22,80,8000,1,2", method="connect")
            return {one.port: one.state for one in made}, made.progress()
        finally:
            with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
                file.write("32768 60999")

    found, _ = probe_world.scanner.call(look)
    truth = {
        each.port: each.state
        for each in probe_world.truth
        if each.address == world_of.TARGET and each.protocol == "tcp"
    }
    assert found == {port: truth[port] for port in found}


def test_own_firewall_is_named(probe_world):
    """What this host itself refuses to send is told with this host as the sender of the error."""
    rules = "table ip own { chain out { type filter hook output priority 0; tcp dport 8000 reject; }\n}\n"
    assert not probe_world.scanner.run(["nft", "-f", "-"], input=rules).returncode
    try:
        found = probe_world.scanner.call(
            lambda: [
                (one.port, one.state, one.reason, one.source)
                for one in scan(world_of.TARGET, "80,8000", method="connect")
            ]
        )
    finally:
        probe_world.scanner.run(["nft", "delete", "table", "ip", "own"])
    assert sorted(found) == [
        (80, "open", "syn-ack", ""),
        (8000, "filtered", "port-unreach", world_of.SCANNER),
    ]


def test_resume_after_kill_leaves_no_port_out(probe_world, tmp_path):
    """A scan killed in the middle goes on from its checkpoint: every port is told, few of them twice."""
    what = [world_of.TARGET, "-p", "1000-4999", "--method", "connect", "--rate", "1000", "--all"]
    items, _ = killed_and_resumed(probe_world.scanner, what, tmp_path)
    told = [item["port"] for item in items]
    assert set(told) == set(range(1000, 5000))
    assert len(told) < 4000 + 1500, "at most about what was done since the last save"


def test_shards_share_the_work(probe_world):
    def look(shard):
        return [one.port for one in scan(world_of.TARGET, "3000-3999", method="connect", seed=4, shard=shard)]

    told = [port for number in (1, 2, 3) for port in probe_world.scanner.call(look, f"{number}/3")]
    assert sorted(told) == list(range(3000, 4000))


def test_rate_is_held(probe_world):
    """A thousand probes at 2000 a second take half a second at least, however fast the machine."""

    def look():
        made = scan(world_of.TARGET, "3000-3999", method="connect", rate=2000)
        list(made)
        return made.progress().seconds

    assert probe_world.scanner.call(look) > 0.49


def test_without_privilege(probe_world):
    list(scan("127.0.0.1", "9", method="connect"))  # that user may not be able to read what is imported later
    found = probe_world.scanner.call(
        lambda: {
            one.port: (one.state, one.reason) for one in scan(world_of.TARGET, "22,1,104", method="connect")
        },
        uid=65534,
    )
    assert found == {
        22: ("open", "syn-ack"),
        1: ("closed", "conn-refused"),
        104: ("filtered", "port-unreach"),
    }


def test_zone_and_source(probe_world):
    """A link-local address needs its interface; a source address is kept to."""

    def look():
        zoned = [(one.address, one.state) for one in scan("fe80::1%lo", "9", method="connect")]
        plan = Plan(
            Addresses([Block(4, *[int.from_bytes(socket.inet_aton(world_of.TARGET), "big")] * 2)]),
            (Part("tcp", (Range(22, 22),), ("connect",)),),
            Options(source=world_of.SCANNER, device="out"),
            1,
        )
        return zoned, [one.state for one in Scan(plan)]

    zoned, bound = probe_world.scanner.call(look)
    assert zoned[0][0] == "fe80::1%lo"
    assert zoned[0][1] != "open"
    assert bound == ["open"]


def test_async_yields_the_same(probe_world):
    def look():
        import asyncio

        async def collect():
            return [(one.port, one.state) async for one in scan(world_of.TARGET, "22,80,1", method="connect")]

        return asyncio.run(collect())

    assert sorted(probe_world.scanner.call(look)) == [(1, "closed"), (22, "open"), (80, "open")]


@pytest.mark.parametrize("form", ["xml", "grepable"])
def test_nmap_forms_of_the_world(probe_world, form, tmp_path):
    file = tmp_path / "out"
    argv = [
        sys.executable,
        "-m",
        "portside",
        "scan",
        world_of.TARGET,
        world_of.TARGET6,
        "-p",
        "1-110,22",
        f"--{form}",
    ]
    done = subprocess.run(
        [*argv, "--method", "connect"], capture_output=True, text=True, timeout=60,
        preexec_fn=probe_world.scanner.enter, env=os.environ | {"PYTHONPATH": "src"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    file.write_text(done.stdout)
    if form == "xml":
        found = nmap_ports(done.stdout)
        assert found[world_of.TARGET, 22] == ("open", "syn-ack")
        assert found[world_of.TARGET, 104] == ("filtered", "port-unreach")
        assert found[world_of.TARGET6, 106] == ("filtered", "reject-route")
    else:
        assert f"Host: {world_of.TARGET} ()\tPorts: 22/open/tcp//ssh?///" in done.stdout
