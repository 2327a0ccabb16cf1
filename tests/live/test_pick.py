"""pick: what it gives can be bound at once, and nobody else is given it for a minute."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import require

import portside
from portside.errors import BadRequest, NotPermitted, NotSupported
from portside.see import pick
from portside.system import reserving
from portside.testing.namespaces import become

SOURCE = Path(__file__).resolve().parents[2] / "src"
NOBODY = 65534
ADDRESSES = ((socket.AF_INET, ""), (socket.AF_INET6, "::"))

# One process with some callers: each picks, binds what it was given in every way without SO_REUSEADDR, and lets go.
CALLERS = """
import ctypes, socket, sys, threading, time
import portside
from portside.testing.namespaces import become

threads, rounds, uid = map(int, sys.argv[1:])

def bind_all(port):
    held = []
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for family, address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
                held.append(socket.socket(family, kind))
                if family == socket.AF_INET6:
                    held[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                held[-1].bind((address, port))
            if kind == socket.SOCK_STREAM:
                held[0].listen()
    finally:
        for one in held:
            one.close()

def caller():
    for _ in range(rounds):
        before = time.monotonic()
        port = portside.pick()
        given = time.monotonic()
        try:
            bind_all(port)
        except OSError as error:
            lines.append(f"{port} refused {error}")
        else:
            lines.append(f"{port} {before} {given}")

lines = []
portside.pick()  # imports what it needs while it may be read
if uid:
    become(uid)
print("ready", flush=True)
sys.stdin.readline()
running = [threading.Thread(target=caller) for _ in range(threads)]
for one in running:
    one.start()
for one in running:
    one.join()
print("\\n".join(lines))
"""


@pytest.mark.slow
def test_fifty_callers_a_hundred_times(space):
    """Forty processes and ten threads of one more, every other process as another user."""
    others = [1, NOBODY] if os.geteuid() == 0 else [1, 0]
    with contextlib.ExitStack() as stack:
        started = [start(space, stack, *others) for _ in range(20)]
        started += [start(space, stack, 1, 0) for _ in range(20)] + [start(space, stack, 10, 0)]
        for one in started:
            assert one.stdout.readline() == "ready\n"
        for one in started:
            one.stdin.write("\n")
            one.stdin.flush()
        lines = [line for one in started for line in one.stdout.read().splitlines()]
    assert len(lines) == 50 * 100
    assert [line for line in lines if "refused" in line] == []
    again = given_again([line.split() for line in lines])
    assert again == []


def start(space, stack, threads, uid):
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    started = subprocess.Popen(
        [sys.executable, "-c", CALLERS, str(threads), "100", str(uid)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        preexec_fn=space.enter,
    )  # fmt: skip
    stack.enter_context(started)
    stack.callback(started.kill)
    return started


def given_again(lines):
    """The ports that were given to a second caller who asked while the first one's minute ran."""
    last, again = {}, []
    for port, before, given in sorted(lines, key=lambda line: float(line[2])):
        if float(before) - last.get(port, float("-inf")) < reserving.SECONDS - 1:
            again.append(port)
        last[port] = float(given)
    return again


def errno_of_bind(kind, family, address, port, reuse=False):
    with socket.socket(family, kind) as attempt:
        if reuse:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
            if kind == socket.SOCK_STREAM:
                attempt.listen()
        except OSError as error:
            return errno.errorcode[error.errno]
    return ""


def left_over(count, chosen, first=20000):
    """What pick finds in a range of which sockets of every kind have taken all but the last ports."""
    makers = [
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", True),
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", False),
        (socket.AF_INET, socket.SOCK_DGRAM, "", False),
        (socket.AF_INET6, socket.SOCK_STREAM, "::1", True),
        (socket.AF_INET6, socket.SOCK_DGRAM, "::1", False),
    ]
    held = []
    for number, (family, kind, address, listens) in enumerate(makers):
        held.append(socket.socket(family, kind))
        if family == socket.AF_INET6:
            held[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held[-1].bind((address, first + number))
        if listens:
            held[-1].listen()
    found = pick.find(count, range=f"{first}-{first + len(makers) + 1}", **chosen)
    for one in held:
        one.close()
    return found


def test_whatever_has_a_port_is_passed_over(space):
    """Listening, only bound, UDP, IPv6: on whichever address."""
    assert space.call(left_over, 3, {}) == pick.Found((), in_use=5)
    assert sorted(space.call(left_over, 2, {}).ports) == [20005, 20006]


@pytest.mark.parametrize(
    ("chosen", "ports"),
    [
        ({"protocols": ("tcp",)}, [20002, 20004, 20005, 20006]),
        ({"protocols": ("udp",)}, [20000, 20001, 20003, 20005, 20006]),
        ({"address": "127.0.0.1"}, [20003, 20004, 20005, 20006]),
        ({"address": "::1", "protocols": ("udp",)}, [20000, 20001, 20002, 20003, 20005, 20006]),
    ],
)
def test_one_protocol_or_one_address_may_be_enough(space, chosen, ports):
    """UDP on every IPv4 address is in the way of 127.0.0.1, not of ::1."""
    assert sorted(space.call(left_over, len(ports), chosen).ports) == ports


def test_what_was_given_is_not_given_again(space):
    def twice():
        return sorted(portside.pick_ports(3, range="20000-20002")), pick.find(1, range="20000-20002")

    first, second = space.call(twice)
    assert first == [20000, 20001, 20002]
    assert second == pick.Found((), leased=3)
    # the test's own process sees the same: the namespace's kernel keeps it, no process does
    assert space.call(pick.find, 1).ports != ()


def test_a_search_that_fails_keeps_nothing(space):
    def search():
        short = pick.find(3, range="20000-20001").ports
        return short, sorted(pick.find(2, range="20000-20001").ports)

    assert space.call(search) == ((), [20000, 20001])


def test_ports_lie_where_nobody_has_a_claim(space):
    """Outside the ephemeral range, above 10000, without a name, not reserved, never the leases' own."""

    def many():
        Path("/proc/sys/net/ipv4/ip_local_reserved_ports").write_text("61000-65000")
        return portside.pick_ports(2000)

    require(os.geteuid() == 0, "needs root, to reserve ports")
    ports = space.call(many)
    assert len(set(ports)) == 2000
    assert all(10000 <= port < 32768 or port > 65000 for port in ports)
    assert not set(ports) & {*reserving.LEASE_PORTS, 27017, 11211}  # mongodb, memcached


def test_without_a_port_outside_the_ephemeral_range_it_takes_one_inside(space):
    require(os.geteuid() == 0, "needs root, to change the range")

    def all_ephemeral():
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("1024 65535")
        return pick.find(1)

    found = space.call(all_ephemeral)
    assert found.ephemeral == found.ports != ()


def kernel_choice(port, hold):
    """What the kernel gives from a range of the one port that was picked, and who can bind it by number."""
    portside.pick(range=str(port), hold=hold)
    server = socket.create_server(("127.0.0.1", 5000))
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{port} {port}")
    kind = socket.SOCK_STREAM
    asked = [
        (socket.AF_INET, ""),
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET6, "::"),
        (socket.AF_INET6, "::1"),
    ]
    by_itself = {errno_of_bind(kind, *place, 0, reuse) for place in asked for reuse in (False, True)}
    by_number = [{errno_of_bind(kind, *place, port, reuse) for place in asked} for reuse in (False, True)]
    with server, socket.socket(socket.AF_INET, kind) as client:
        connected = errno.errorcode.get(client.connect_ex(server.getsockname()), "")
    return by_itself, connected, *by_number


def test_a_held_port_is_not_given_away_by_the_kernel(space):
    """On no family, whether SO_REUSEADDR is set or not; a server that sets it has the port."""
    require(os.geteuid() == 0, "needs root, to change the range")
    assert space.call(kernel_choice, 40001, True) == ({"EADDRINUSE"}, "EADDRNOTAVAIL", {"EADDRINUSE"}, {""})


def test_a_port_that_is_not_held_can_be_bound_in_any_way(space):
    require(os.geteuid() == 0, "needs root, to change the range")
    assert space.call(kernel_choice, 40001, False) == ({""}, "", {""}, {""})


def test_it_waits_for_no_connection_and_leaves_none(space):
    """Nothing of pick is to be seen on the port itself."""

    def look():
        port = portside.pick()
        return [socket.state for socket in portside.sockets(f"port = {port}")]

    assert space.call(look) == []


def test_a_program_on_the_leases_port_is_no_obstacle(space):
    """A second place is kept for that; with both taken it says so."""

    def taken(count):
        held = [socket.create_server(("", port)) for port in reserving.LEASE_PORTS[:count]]
        try:
            first = portside.pick(range="20000")
            return first, pick.find(1, range="20000").leased
        finally:
            for one in held:
                one.close()

    assert space.call(taken, 1) == (20000, 1)
    with pytest.raises(NotSupported, match=r"programs have taken 29555 and 29777.*portside who 29555"):
        space.call(taken, 2)


def test_a_kernel_that_keeps_no_time_wait_is_told(space):
    require(os.geteuid() == 0, "needs root, to change the limit")

    def without():
        Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("0")
        return portside.pick()

    with pytest.raises(NotSupported, match="keeps no connection in TIME_WAIT; raise the sysctl"):
        space.call(without)


def test_loopback_that_is_down_is_told(space):
    space.ip("link set lo down")
    with pytest.raises(NotSupported, match=r"no connection on loopback .*; bring it up: ip link set lo up"):
        space.call(portside.pick)


def test_ports_that_take_a_right_are_refused_with_the_right_step(space):
    require(os.geteuid() == 0, "needs root, to be another user")

    def as_nobody():
        portside.pick()  # what is imported late must be read by root
        become(NOBODY)
        return portside.pick(range="80-90")

    with pytest.raises(
        NotPermitted, match="pick 1 port of 80-90: binding them takes a right; run it with sudo"
    ):
        space.call(as_nobody)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"range": "9-1"}, "reversed"),
        ({"range": "web"}, "a range is written A-B"),
        ({"protocols": ("sctp",)}, "tcp, udp or both"),
        ({"protocols": ()}, "tcp, udp or both"),
        ({"protocols": ("udp",), "hold": True}, "a UDP port cannot be held"),
        ({"address": "localhost"}, "not a numeric address"),
        ({"address": "192.0.2.1"}, "this host does not have that address"),
    ],
)
def test_what_cannot_be_meant_is_refused(space, words, text):
    with pytest.raises(BadRequest, match=text):
        space.call(lambda: portside.pick(**words))


def test_the_command_prints_one_on_each_line(space):
    environment = [f"PYTHONPATH={SOURCE}", sys.executable, "-m", "portside", "pick"]
    done = space.run(["env", *environment, "-n", "3", "--range", "20000-20002"])
    assert (done.returncode, sorted(done.stdout.split()), done.stderr) == (0, ["20000", "20001", "20002"], "")
    done = space.run(["env", *environment, "--range", "20000-20002"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "0 in use, 3 given to others in the last minute; name a wider range" in done.stderr
