"""`netstat --bsd` on the running kernel: the same sockets as ss tells, the same routes and addresses as ip tells."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess

from tests.live.beside import rows_of
from tests.live.peers import _ss_endpoint
from tests.live.test_face_sockstat import ANY, stage
from tests.support import require

from portside.faces.netstat.bsd import main
from portside.testing import Namespace

BSD_STATES = {"ESTAB": "ESTABLISHED", "LISTEN": "LISTEN", "TIME-WAIT": "TIME_WAIT", "UNCONN": ""}


def netstat(*words):
    """Run the face in this process; return its lines split at blanks."""
    return rows_of(main, words)


def told_by(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def compare():
    """Return what netstat and what ss tell of the staged sockets: (proto, local, foreign, state)."""
    with contextlib.ExitStack() as stack:
        stage(stack)
        ours = sorted(
            (row[0], row[3], row[4], "".join(row[5:])) for row in netstat("-anW", "-4") + netstat("-anW", "-6")
            if row[0][:3] in ("tcp", "udp")
        )  # fmt: skip
        theirs = sorted(map(as_netstat, told_by("ss", "-HOtuan").splitlines()))
    return ours, theirs


def as_netstat(line):
    netid, state, _, _, *ends = line.split()
    found = [_ss_endpoint(end) for end in ends[:2]]
    address = found[0][0]
    versions = "46" if address == "*" else "4" if ":" not in address or "::ffff:" in address else "6"
    local, remote = (
        f"{ANY.get(host, host).removeprefix('::ffff:')}.{port or '*'}" for host, _, port in found
    )
    return netid + versions, local, remote, BSD_STATES[state] if netid == "tcp" else ""


def test_tells_the_sockets_that_ss_tells():
    require(shutil.which("ss"), "ss of iproute2 is not installed")
    with Namespace() as scratch:
        ours, theirs = scratch.call(compare)
    assert {row for row in ours if row[0].endswith("46")} == {row for row in theirs if row[0].endswith("46")}
    assert sorted({*ours}) == sorted({*theirs})


def queues():
    with socket.create_server(("127.0.0.1", 0), backlog=7) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        port = listener.getsockname()[1]
        lines = netstat("-Ln", "-p", "tcp")
        for client in clients:
            client.close()
    return port, lines


def test_queues_are_the_listeners_own():
    with Namespace() as scratch:
        port, lines = scratch.call(queues)
    assert lines[2:] == [["tcp4", "3/0/7", f"127.0.0.1.{port}"]]


def connections():
    return netstat("-rn"), netstat("-inW"), netstat("-s", "-p", "tcp"), netstat("-s", "-p", "icmp6")


def test_routes_and_interfaces_are_the_kernels():
    require(shutil.which("ip"), "ip(8) of iproute2 is not installed")
    with Namespace() as scratch:
        scratch.add_link("left", peer="right", addresses=["192.0.2.1/24", "2001:db8::1/64"])
        scratch.ip("route add default via 192.0.2.254", "route add unreachable 203.0.113.0/24")
        routes, interfaces, tcp, icmp6 = scratch.call(connections)
        links = json.loads(scratch.run(["ip", "-j", "addr"]).stdout)
    told = {row[0]: row[1:] for row in routes if len(row) > 3}
    assert told["default"] == ["192.0.2.254", "UGS", "left"]
    assert told["192.0.2.0/24"][1:] == ["U", "left"]
    assert told["192.0.2.1"][1:] == ["UH", "left"]
    assert told["203.0.113.0/24"][1] == "URS"
    assert told["2001:db8::/64"][1:] == ["U", "left"]
    for link in links:
        rows = [row for row in interfaces if row[0].rstrip("*") == link["ifname"]]
        assert rows[0][1:3] == [str(link["mtu"]), f"<Link#{link['ifindex']}>"]
        wanted = {f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"]}
        assert len(rows) - 1 == len(wanted)
        assert {row[3].partition("%")[0] for row in rows[1:]} == {one.partition("/")[0] for one in wanted}
    assert tcp[0] == ["tcp:"]
    assert any(row[1:] == ["packets", "sent"] for row in tcp)
    assert icmp6[0] == ["icmp6:"]


def traffic():
    """Return lo's row before and after 10 datagrams of 100 bytes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        before = netstat("-inbI", "lo")[1]
        for _ in range(10):
            receiver.sendto(b"x" * 100, receiver.getsockname())
        return before, netstat("-inbI", "lo")[1]


def test_counters_grow_with_the_traffic():
    with Namespace() as scratch:
        before, after = scratch.call(traffic)
    name, _, _, *numbers = before
    assert name == "lo"
    grown = [int(new) - int(old) for old, new in zip(numbers, after[3:], strict=True)]
    assert grown == [10, 0, 0, 1280, 10, 0, 1280, 0]
