"""Snapshots of a made-up machine: every socket once, every holder, and for each socket without one the reason why."""

from __future__ import annotations

import pytest

import portside
from portside.errors import BadReply, NotSupported
from portside.see import owners, records
from portside.see.owners import Holders
from portside.see.reading import Wish
from portside.see.records import Endpoint, Socket
from portside.see.snapshot import take
from portside.system import fds
from portside.system.fds import Found
from portside.system.host import Host
from portside.testing.fakekernel import FakeKernel, FakeSocket, FakeUnix, error
from portside.testing.fakeproc import FakeProc
from portside.wire import inet_diag, netlink

HERE = "127.0.0.1"
LISTENER = FakeSocket("tcp", "listen", (HERE, 8080), inode=101, send=128)
CONNECTION = FakeSocket("tcp", "established", (HERE, 8080), (HERE, 40000), inode=102)


class Machine:
    """A root directory with /proc, and a kernel."""

    def __init__(self, directory, *sockets, unix=(), replies=lambda request: None):
        self.proc = FakeProc(directory / "proc")
        self.proc.process(1, "init", exe="/sbin/init")
        self.kernel = FakeKernel(sockets, unix, replies=replies)
        self.host = Host(root=str(directory), netlink=self.kernel.open, bpf=False)

    def take(self, **wish):
        return take(Wish(**wish), self.host)

    def gaps_of(self, **wish):
        return [socket.owner_gap for socket in self.take(**wish)]


@pytest.fixture
def machine(tmp_path):
    return lambda *sockets, **more: Machine(tmp_path, *sockets, **more)


def tcp_dumps(requests) -> int:
    """How often IPv4 TCP sockets were asked for, in the form that the fake kernel answers."""
    family_and_protocol = bytes([inet_diag.AF_INET, inet_diag.IPPROTO_TCP])
    return sum(request[16:18] == family_and_protocol and request[4] == 20 for request in requests)


# Sockets


def test_sockets_have_owners(machine):
    made = machine(LISTENER, CONNECTION, unix=[FakeUnix(b"/run/x", 103)])
    held = {3: 101, 9: 101, 4: 102}
    made.proc.process(7, "web", exe="/usr/bin/web", sockets=held, cgroup="0::/system.slice/web.service")
    made.proc.process(8, "web", ppid=7, sockets={3: 101, 5: 103})
    found = {socket.inode: socket for socket in made.take()}
    assert [(owner.pid, owner.fd) for owner in found[101].owners] == [(7, 3), (7, 9), (8, 3)]
    assert [owner.process.exe for owner in found[102].owners] == ["/usr/bin/web"]
    assert (found[101].unit, found[103].owners[0].pid) == ("web.service", 8)
    assert not any(socket.owner_gap for socket in found.values())


def test_a_socket_told_twice_is_one(machine):
    """Dumps are not atomic: the cookie is the identity, not the inode, which two may share (0, or MPTCP)."""
    again = LISTENER.replace(state="established", remote=(HERE, 1))
    others = [CONNECTION.replace(inode=0, cookie=number) for number in (201, 202)]
    made = machine(LISTENER, *others, again, LISTENER, unix=[FakeUnix(b"/x", 5), FakeUnix(b"/x", 5)])
    assert [(socket.state, socket.cookie) for socket in made.take()] == [
        ("listen", 101), ("established", 201), ("established", 202), ("listen", 5),
    ]  # fmt: skip


def test_sockets_without_a_cookie_are_all_kept(machine):
    """Text tells none."""
    made = machine()
    line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {} 1\n"
    made.proc.net("tcp", "head\n" + line.format(7) + line.format(8))
    snapshot = take(Wish(families=("inet",)), made.host.replace(netlink=None))
    assert [(socket.inode, socket.cookie, socket.backlog.limit) for socket in snapshot] == [
        (7, 0, None),
        (8, 0, None),
    ]


def test_a_kernel_s_broken_answer_is_ours_to_say(machine):
    made = machine(LISTENER, replies=lambda request: [LISTENER.message(1)[:-4]])
    with pytest.raises(BadReply):
        made.take()


def test_a_protocol_that_the_kernel_lacks_is_a_gap_only_where_no_text_has_it(machine):
    made = machine(LISTENER)
    gaps = {gap.what: gap for gap in made.take(owners=False).gaps}
    assert {what.partition(" ")[0] for what in gaps} == {"mptcp", "sctp"}
    assert all("does not offer it" in gap.why for gap in gaps.values())


def test_a_machine_that_tells_nothing_is_an_error_and_not_empty(tmp_path):
    with pytest.raises(NotSupported, match="neither sock_diag nor /proc/net"):
        take(Wish(), Host(root=str(tmp_path), netlink=None))


# Why there is no holder


def socket(state="listen", inode=5, family="inet", port=80) -> Socket:
    return Socket(family, "stream", "tcp", state, Endpoint(HERE, port), Endpoint(HERE), inode=inode)


@pytest.mark.parametrize(
    ("word", "one", "holders", "gone"),
    [
        (records.TIME_WAIT, socket("time-wait", 0), Holders("proc", denied=[9]), ()),
        (records.SYN_QUEUE, socket("syn-recv", 0), Holders("proc"), ()),
        (records.ACCEPT_QUEUE, socket("established", 0), Holders("proc"), ()),
        (records.ACCEPT_QUEUE, socket("close-wait", 0), Holders("proc", denied=[9]), ()),
        (records.ORPHAN, socket("fin-wait-1", 0), Holders("proc"), ()),
        (records.ORPHAN, socket("last-ack", 0), Holders("proc"), ()),
        (records.GONE, socket(), Holders("proc"), {5}),
        (records.PERMISSION, socket(), Holders("proc", denied=[9]), ()),
        (records.KERNEL, socket(), Holders("bpf"), {6}),
        (records.KERNEL, socket("unconnected", 5, "netlink", 0), Holders("proc", denied=[9]), ()),
        (records.OTHER_PID_NAMESPACE, socket(), Holders("bpf", whole=False), ()),
    ],
)
def test_each_reason(word, one, holders, gone):
    assert owners.gap(one, holders, gone) == word


def test_the_kernel_s_own_is_found_by_asking_twice(machine):
    made = machine(LISTENER)
    assert made.gaps_of() == [records.KERNEL]
    assert tcp_dumps(made.kernel.requests) == 2
    assert made.take().complete is False  # mptcp and sctp
    assert [gap for gap in made.take().gaps if gap.what == "owners"] == []


def test_a_socket_that_is_gone_when_asked_again(machine):
    def forget(request):
        if tcp_dumps(made.kernel.requests) == 2:
            made.kernel.sockets = [one for one in made.kernel.sockets if one.inode != 102]

    made = machine(LISTENER, CONNECTION, replies=forget)
    made.proc.process(7, "web", sockets={3: 101})
    assert made.gaps_of() == ["", records.GONE]


def test_a_holder_that_came_between_the_looks_is_found(machine, monkeypatch):
    real, calls = fds.find_holders, []

    def late(wanted, **named):
        calls.append(set(wanted))
        if len(calls) == 2:
            made.proc.process(7, "late", sockets={3: 101})
        return real(wanted, **named)

    monkeypatch.setattr(fds, "find_holders", late)
    made = machine(LISTENER)
    assert [owner.pid for owner in made.take()[0].owners] == [7]
    assert calls == [{101}, {101}]


def test_a_holder_that_ended_before_it_was_read_leaves_no_kernel_s_socket(machine, monkeypatch):
    """Its descriptor was seen, so the socket was not the kernel's."""
    monkeypatch.setattr(fds, "find_holders", lambda wanted, **named: Found({101: [(7, 3)]}, {}, 1, False))
    assert machine(LISTENER).gaps_of() == [records.GONE]


def test_processes_that_refuse(machine, monkeypatch):
    real, looks = fds.find_holders, []

    def refused(wanted, **named):
        looks.append(wanted)
        return real(wanted, **named).replace(denied={50: 0, 51: 0})

    monkeypatch.setattr(fds, "find_holders", refused)
    time_wait = CONNECTION.replace(state="time-wait", inode=0, cookie=9)
    made = machine(LISTENER, CONNECTION, LISTENER.replace(inode=103, local=(HERE, 81)), time_wait)
    made.proc.process(7, "web", sockets={3: 101})
    snapshot = made.take()
    assert [one.owner_gap for one in snapshot] == [
        "",
        records.PERMISSION,
        records.PERMISSION,
        records.TIME_WAIT,
    ]
    (gap,) = [gap for gap in snapshot.gaps if gap.what == "owners"]
    assert (gap.why, gap.count) == (records.PERMISSION, 2)
    assert gap.next_step
    assert len(looks) == 1  # a second look would be refused too
    assert tcp_dumps(made.kernel.requests) > 1  # but whether they are still there can be asked


def test_hidden_processes_are_a_matter_of_permission(machine):
    """Not even pid 1 is shown: hidepid."""
    made = machine(LISTENER)
    made.proc.remove(1)
    made.proc.process(7, "ours")
    assert made.gaps_of() == [records.PERMISSION]


def test_a_descriptor_under_way_is_said_to_be(machine):
    made = machine(LISTENER, unix=[FakeUnix(b"", 105, state=1)])
    made.proc.process(7, "sender", sockets={3: 105})
    made.proc.write("7/fdinfo/3", "pos:\t0\nscm_fds: 1\n")
    assert made.gaps_of() == [records.IN_FLIGHT, ""]


def test_the_creator_stands_in(machine):
    made = machine(LISTENER.replace(uid=0))
    (one,) = made.take()
    assert (one.owners, one.uid, one.user, one.owner_gap) == ((), 0, "root", records.KERNEL)


# From text alone


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000    33        0 101 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000    33        0 102 1 0 20 4 0 10 -1
"""
ANY6 = "0" * 32
TCP6 = f"""head
   0: {ANY6}:1F90 {ANY6}:0000 0A 00000000:00000000 00:00000000 00000000    33        0 103 1
"""
UDP = """head
  1: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 104 2 0 0
  2: 0100007F:9C41 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 105 2 0 0
"""


def test_a_recorded_tree_is_read_from_text(machine):
    made = machine()
    host = made.host.replace(netlink=None)
    for name, text in (("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)):
        made.proc.net(name, text)
    made.proc.process(7, "web", uid=33, exe="/usr/bin/web", sockets={3: 101, 4: 103, 5: 102})
    made.proc.process(8, "dns", exe="/usr/bin/dns", sockets={3: 104, 4: 105})
    rows = portside.list_ports(host=host)
    assert [(row.protocol, row.port, [holder.process.name for holder in row.holders]) for row in rows] == [
        ("udp", 53, ["dns"]), ("tcp", 8080, ["web"]),
    ]  # fmt: skip
    assert [endpoint.address for endpoint in rows[1].addresses] == [HERE, "::"]
    assert (rows[1].backlog.used, rows[1].backlog.limit) == (3, None)
    assert len(portside.sockets(host=host)) == 5
    assert [row.port for row in portside.list_ports("port = 53", host=host)] == [53]
    report = portside.who(8080, host=host)
    assert [(peer.address, peer.count) for peer in report.peers] == [(HERE, 1)]
    assert portside.sockets(host=host).roads == {"tcp": "proc", "udp": "proc", "unix": "proc", "packet": "proc",
                                                  "netlink": "proc", "owners": "proc"}  # fmt: skip


def test_sock_diag_refused_falls_back_on_text(machine):
    """A kernel without inet_diag: ENOENT for every dump."""
    made = machine(replies=lambda request: [error(netlink.HEADER.read(request)[3], 2)])
    made.proc.net("tcp", TCP)
    snapshot = made.take(families=("inet",), protocols=("tcp",))
    assert [one.inode for one in snapshot] == [101, 102]
    assert snapshot.roads["tcp"] == "proc"


def test_text_that_is_none_is_said_to_be(machine):
    made = machine()
    made.proc.net("tcp", "head\nnonsense\n")
    with pytest.raises(BadReply, match="read proc/net/tcp: line 2 is not an entry: 'nonsense'"):
        take(Wish(), made.host.replace(netlink=None))
