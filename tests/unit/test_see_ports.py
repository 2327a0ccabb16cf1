"""What is one open port and what is two, how far it reaches, and what `who` says of it."""

from __future__ import annotations

import pytest

import portside
from portside.see import reach
from portside.see.ports import is_open, open_ports
from portside.see.records import Backlog, Container, Endpoint, Owner, Process, Socket
from portside.system.host import Host
from portside.testing.fakekernel import FakeKernel, FakeSocket
from portside.testing.fakeproc import FakeProc

SCOPES = {"0.0.0.0": "any", "::": "any", "127.0.0.1": "loopback", "10.0.0.1": "private"}


def process(pid, exe="/usr/bin/web", **more) -> Process:
    return Process(
        pid, exe.rpartition("/")[2], exe=exe, **{"uid": 33, "user": "www", "unit": "web.service"} | more
    )


def socket(address="0.0.0.0", *holders, number=80, **more) -> Socket:
    """A TCP listener, but for what `more` says; `holders` are processes, each with descriptor 3."""
    owners = tuple(Owner(one.pid, 3, one) for one in holders)
    local = Endpoint(address, number, SCOPES[address])
    fields = {"type": "stream", "protocol": "tcp", "state": "listen", "backlog": Backlog(0, 128), "uid": 33}
    fields |= {"remote": Endpoint("0.0.0.0"), "owners": owners, "owner_gap": "" if owners else "permission"}
    fields["unit"] = holders[0].unit if holders else ""
    return Socket(family="inet", local=local, **fields | more)


def rows(*sockets):
    """The ports of these sockets: addresses and pids of each row."""
    return [
        (sorted(one.address for one in row.addresses), [holder.process.pid for holder in row.holders])
        for row in open_ports(sockets)
    ]


# One row


@pytest.mark.parametrize(
    ("sockets", "row"),
    [
        (
            [socket("0.0.0.0", process(1), inode=1), socket("::", process(1), inode=2)],
            (["0.0.0.0", "::"], [1]),
        ),
        (
            [socket("0.0.0.0", process(1), inode=1), socket("::", process(2), inode=2)],
            (["0.0.0.0", "::"], [1, 2]),
        ),
        (
            [socket("0.0.0.0", process(pid), inode=pid) for pid in (3, 1, 2)],
            (["0.0.0.0"], [1, 2, 3]),
        ),
        (
            [socket("0.0.0.0", process(5, "/sbin/parent"), process(6, "/sbin/child"), inode=1)],
            (["0.0.0.0"], [5, 6]),
        ),
        (
            [socket("0.0.0.0", process(5, "/bin/one"), inode=1), socket("::", process(5, "/bin/two"), inode=2)],
            (["0.0.0.0", "::"], [5]),
        ),
        (
            [
                socket("0.0.0.0", process(1, "/a"), inode=1),
                socket("127.0.0.1", process(2, "/b"), inode=2),
                socket("::", process(1, "/a"), process(2, "/b"), inode=3),
            ],
            (["0.0.0.0", "127.0.0.1", "::"], [1, 2]),
        ),
        ([socket("0.0.0.0", inode=1), socket("::", inode=2)], (["0.0.0.0", "::"], [])),
        (
            [socket("0.0.0.0", process(1), inode=9), socket("0.0.0.0", process(1), inode=9, protocol="mptcp")],
            (["0.0.0.0"], [1]),
        ),
    ],
    ids=[
        "IPv4 and IPv6", "IPv4 and IPv6 of two processes of one program", "reuseport workers", "forked and renamed",
        "one process, two names", "joined by a third", "unknown holders, one creator", "mptcp and its subflow",
    ],
)  # fmt: skip
def test_one_service_is_one_row(sockets, row):
    assert rows(*sockets) == [row]
    assert rows(*reversed(sockets)) == [row]


# More rows


@pytest.mark.parametrize(
    "second",
    [
        socket("127.0.0.1", process(2, "/usr/bin/other"), inode=2),
        socket("127.0.0.1", process(2, uid=1000), inode=2),
        socket("127.0.0.1", process(2, unit="other.service"), inode=2),
        socket("127.0.0.1", process(2, container=Container("docker", "a" * 64)), inode=2),
        socket("127.0.0.1", inode=2),
        socket("0.0.0.0", process(1), inode=2, netns="blue"),
        socket("0.0.0.0", process(1), inode=2, state="bound-inactive", backlog=None),
        socket("0.0.0.0", process(1), inode=2, protocol="sctp"),
        socket(
            "0.0.0.0", process(1), inode=2, protocol="udp", type="dgram", state="unconnected", backlog=None
        ),
        socket("0.0.0.0", process(1), inode=2, number=81),
    ],
    ids=["program", "user", "unit", "container", "unknown", "netns", "bound", "sctp", "udp", "number"],
)
def test_different_services_are_different_rows(second):
    assert len(open_ports([socket("0.0.0.0", process(1), inode=1), second])) == 2


@pytest.mark.parametrize("other", [{"uid": 1}, {"cgroup": "/b"}, {"owner_gap": "kernel"}])
def test_unknown_holders_are_told_apart_by_their_creator(other):
    assert len(open_ports([socket("0.0.0.0", cgroup="/a"), socket("::", **{"cgroup": "/a"} | other)])) == 2
    assert len(open_ports([socket("0.0.0.0", cgroup="/a"), socket("::", cgroup="/a")])) == 1


# No row


@pytest.mark.parametrize(
    ("more", "is_one"),
    [
        ({}, True),
        ({"state": "bound-inactive"}, True),
        ({"state": "established"}, False),
        ({"state": "time-wait"}, False),
        ({"number": 0}, False),
        ({"protocol": "mptcp"}, True),
        ({"protocol": "udp", "state": "unconnected"}, True),
        ({"protocol": "udplite", "state": "unconnected"}, True),
        ({"protocol": "udp", "state": "established"}, False),
        ({"protocol": "udp", "state": "unconnected", "number": 0}, False),
        ({"protocol": "raw", "state": "unconnected"}, False),
        ({"protocol": "icmp", "state": "unconnected"}, False),
    ],
)
def test_what_is_open(more, is_one):
    assert is_open(socket("0.0.0.0", process(1), **more)) == is_one


# What a row says


def test_a_row_says_the_worst_the_first_and_the_oldest():
    one = socket("127.0.0.1", process(2, started=20.0), inode=1, backlog=Backlog(3, 128))
    other = socket("::", process(1, started=10.0), inode=2, backlog=Backlog(2, 4))
    (row,) = open_ports([one, other], lambda number, protocol: f"{number}-{protocol}")
    assert (row.backlog, row.started, row.service) == (Backlog(2, 4), 10.0, "80-tcp")
    assert (row.reach.verdict, row.user, row.unit) == ("anyone", "www", "web.service")
    assert row.sockets == (one, other)


def test_a_row_of_mptcp_says_tcp_and_mptcp():
    (row,) = open_ports([socket("0.0.0.0", process(1), inode=9, protocol="mptcp")])
    assert (row.protocol, row.mptcp) == ("tcp", True)


def test_rows_are_in_order():
    sockets = [
        socket("0.0.0.0", process(1), number=number, netns=netns, state=state, protocol=protocol)
        for number, netns, state, protocol in (
            (443, "", "listen", "tcp"),
            (80, "blue", "listen", "tcp"),
            (80, "", "bound-inactive", "tcp"),
            (80, "", "unconnected", "udp"),
            (80, "", "listen", "tcp"),
        )
    ]
    told = [(row.netns, row.port, row.protocol, row.state) for row in open_ports(sockets)]
    assert told == [
        ("", 80, "tcp", "listen"), ("", 80, "tcp", "bound-inactive"), ("", 80, "udp", "unconnected"),
        ("", 443, "tcp", "listen"), ("blue", 80, "tcp", "listen"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([], "unknown"),
        ([Endpoint("127.0.0.1", 1, "loopback")], "nobody"),
        ([Endpoint("0.0.0.0", 1, "any", "lo")], "nobody"),
        ([Endpoint("fe80::1", 1, "link", "eth0")], "some"),
        ([Endpoint("10.0.0.1", 1, "private")], "some"),
        ([Endpoint("224.0.0.251", 1, "multicast")], "some"),
        ([Endpoint("0.0.0.0", 1, "any")], "anyone"),
        ([Endpoint("198.51.100.1", 1, "public")], "anyone"),
        ([Endpoint("127.0.0.1", 1, "loopback"), Endpoint("10.0.0.1", 1, "private")], "some"),
        ([Endpoint("::", 1, "any"), Endpoint("127.0.0.1", 1, "loopback")], "anyone"),
        ([Endpoint("?", 1, "a new word")], "unknown"),
    ],
)
def test_reach_is_that_of_the_widest_address(ends, verdict):
    sockets = [Socket("inet", "stream", "tcp", "listen", end, Endpoint("")) for end in ends]
    assert reach.by_scope(sockets).verdict == verdict


def test_a_judge_may_be_given_and_is_not_asked_of_what_does_not_listen():
    verdict = reach.Reach("depends", "the moon", "because")
    sockets = [socket("0.0.0.0", process(1)), socket("::", process(1), number=81, state="bound-inactive")]
    assert [row.reach.verdict for row in open_ports(sockets, judge=lambda ends: verdict)] == [
        "depends",
        "nobody",
    ]


# Who


@pytest.fixture
def host(tmp_path):
    proc = FakeProc(tmp_path / "proc")
    proc.process(1, "init")
    proc.process(7, "shell")
    proc.process(8, "web", ppid=7, sockets={3: 101, 4: 102, 5: 103})
    proc.process(9, "web", ppid=8, sockets={3: 101, 4: 104})
    local = ("10.0.0.1", 8080)
    kernel = FakeKernel([
        FakeSocket("tcp", "listen", ("0.0.0.0", 8080), inode=101, receive=1, send=5),
        FakeSocket("tcp", "established", local, ("10.0.0.2", 1000), inode=102),
        FakeSocket("tcp", "established", local, ("10.0.0.3", 1000), inode=103),
        FakeSocket("tcp", "close-wait", local, ("10.0.0.3", 1001), inode=104),
        FakeSocket("tcp", "time-wait", local, ("10.0.0.3", 1002), cookie=5),
        FakeSocket("mptcp", "established", local, ("10.0.0.2", 1000), inode=102, cookie=6),
        FakeSocket("tcp", "established", ("10.0.0.1", 40000), ("10.0.0.4", 8080), inode=105),
        FakeSocket("udp", "unconnected", ("0.0.0.0", 8080), inode=106),
        FakeSocket("tcp", "bound-inactive", ("127.0.0.1", 9), inode=107),
    ], protocols=("tcp", "udp", "mptcp"))  # fmt: skip
    return Host(root=str(tmp_path), netlink=kernel.open, bpf=False)


def test_who_holds_a_port_and_who_is_connected(host):
    report = portside.who(8080, host=host)
    assert [(row.protocol, row.port) for row in report.ports] == [("tcp", 8080), ("udp", 8080)]
    assert [holder.process.pid for holder in report.ports[0].holders] == [8, 9]
    assert {pid: [one.pid for one in parents] for pid, parents in report.ancestry} == {
        8: [7, 1],
        9: [8, 7, 1],
    }
    told = [(peer.address, peer.count, dict(peer.states)) for peer in report.peers]
    assert told == [
        ("10.0.0.3", 3, {"established": 1, "close-wait": 1, "time-wait": 1}),
        ("10.0.0.2", 1, {"established": 1}),
    ]
    assert [[one.pid for one in peer.processes] for peer in report.peers] == [[8, 9], [8]]
    assert (report.connections, report.found) == (4, True)


def test_who_may_be_asked_of_one_protocol(host):
    assert [row.protocol for row in portside.who(8080, "udp", host=host).ports] == ["udp"]
    assert portside.who(8080, "udp", host=host).peers == ()
    assert not portside.who(8081, host=host).found


def test_a_port_that_is_bound_only_is_found_by_its_number(host):
    """The kernel tells such sockets whatever port is asked for."""
    assert [row.port for row in portside.who(9, host=host).ports] == [9]
    assert [row.port for row in portside.list_ports("port = 8080", host=host)] == [8080, 8080]


@pytest.mark.parametrize(("number", "protocol"), [(0, ""), (65536, ""), (-1, ""), (80, "icmp"), (80, "raw")])
def test_who_of_no_port_is_a_bad_request(host, number, protocol):
    with pytest.raises(portside.BadRequest):
        portside.who(number, protocol, host=host)
