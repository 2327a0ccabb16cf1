"""Two roads to the same answer: sock_diag and the text of /proc/net, the eBPF iterator and /proc/PID/fd.

The sockets are those of `kernels.py`, with some whose holders are several.  Text cannot tell cookies, devices,
v6only, a listener's limit, and sockets that are bound only; all else must be equal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest
from tests.contract.kernels import Live
from tests.golden.exchanges import readable
from tests.support import require

from portside.errors import NotPermitted
from portside.see import owners
from portside.system.host import Host
from portside.system.sockets import FAMILIES, PROTOCOLS, Reader, Request
from portside.testing.namespaces import Namespace
from portside.wire import tcp_states

pytestmark = pytest.mark.live
TEXT = Host(netlink=None, bpf=False)
BOUND = 1 << tcp_states.BOUND_INACTIVE


@pytest.fixture(scope="module")
def kernel():
    space = Namespace()
    try:
        space.__enter__()
    except NotPermitted as error:
        require(False, str(error))
    made = Live(space)
    yield made
    made.close()
    space.close()


def inet_rows(host: Host):
    """Every IP socket by protocol as both roads can tell it, and the roads taken."""
    found = {}
    with Reader(host) as reader:
        for protocol in PROTOCOLS.values():
            for family in FAMILIES if protocol.files else ():
                dump = reader.inet(family, protocol, Request(tcp_states.ALL & ~BOUND))
                found[protocol.name, family] = sorted(map(common, dump.rows()))
    return found, reader.roads


def common(row) -> tuple[object, ...]:
    """What of a row both roads tell: no device, no cookie; a listener's limit is sock_diag's alone.

    The retransmissions of a shadow, and how long a timer runs, depend on the moment.
    """
    family, state, timer, _, *ends, _, _, _, receive, send, uid, inode = readable(row)
    return family, state, timer, *ends, receive, send if state != "listen" else 0, uid, inode


def test_sock_diag_and_text_tell_the_same_ip_sockets(kernel):
    by_netlink, roads = kernel.ask(inet_rows)
    by_text, text_roads = kernel.space.call(inet_rows, TEXT)
    assert by_netlink == by_text
    assert set(text_roads.values()) == {"proc"}
    assert roads["tcp"] == roads["udp"] == "sock_diag"
    assert len(by_text["tcp", 2]) == 5


def other_sockets(host: Host):
    """Unix, packet and netlink sockets as both roads can tell them, opened here: they are this process's."""
    with contextlib.ExitStack() as held:
        packet = held.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        packet.bind(("lo", 3))
        route = held.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        route.bind((77, 1))
        for path in ("\0contract one", "\0contract\0two\n three"):
            held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).bind(path.encode())
        with Reader(host) as reader, Reader(TEXT) as text_reader:
            return [
                (function(reader), function(text_reader))
                for function in (unix_sockets, packets, netlink_sockets)
            ]


def unix_sockets(reader: Reader):
    return sorted(
        (numbers[:3], numbers[4], told.get("name", b"")[:1] + told.get("name", b"")[1:].replace(b"\0", b"@"))
        for numbers, told in reader.unix()
    )


def packets(reader: Reader):
    return sorted((numbers[:4], told["info"][0], told["uid"]) for numbers, told in reader.packet())


def netlink_sockets(reader: Reader):
    """By protocol, port id, inode and the first group; text has the type of none."""
    return sorted(
        (numbers[2], numbers[4], numbers[7], told.get("groups", b"\0")[0] & 1)
        for numbers, told in reader.netlink()
        if numbers[2] != 4  # sock_diag's own: the question itself
    )


def test_sock_diag_and_text_tell_the_same_other_sockets(kernel):
    unix, packet, netlink = kernel.ask(other_sockets)
    assert unix[0] == unix[1]
    assert {name for _, _, name in unix[0]} >= {b"\0contract one", b"\0contract@two\n three"}
    assert packet[0] == packet[1]
    assert len(packet[0]) == 1
    assert netlink[0] == netlink[1]
    assert (0, 77) in [one[:2] for one in netlink[0]]


def holders_by(bpf: bool, wanted):
    found = owners.find(Host(bpf=bpf), wanted)
    return found.road, {inode: found.of(inode) for inode in wanted}, found.missing(wanted)


def shared_sockets(_: Host):
    """Both roads' holders of sockets of this process: some of them dup'ed, shared with a child, or passed to it."""
    left, right = socket.socketpair()
    listener, alone = socket.socket(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    twice = os.dup(listener.fileno())
    child = os.fork()
    if child == 0:
        alone.close()
        _, (received,), _, _ = socket.recv_fds(right, 1, 1)
        os.write(right.fileno(), bytes([received]))
        signal.pause()
    try:
        socket.send_fds(left, [b"x"], [alone.fileno()])
        received = left.recv(1)[0]
        by_inode = [os.fstat(one.fileno()).st_ino for one in (listener, alone)]
        gone = socket.socket()
        by_inode.append(os.fstat(gone.fileno()).st_ino)
        gone.close()
        answers = [holders_by(bpf, by_inode) for bpf in (True, False)]
        wanted = {
            by_inode[0]: {
                (os.getpid(), listener.fileno()),
                (os.getpid(), twice),
                (child, listener.fileno()),
                (child, twice),
            },
            by_inode[1]: {(os.getpid(), alone.fileno()), (child, received)},
            by_inode[2]: set(),
        }
        return answers, wanted
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_both_roads_name_the_same_holders(kernel):
    require(os.geteuid() == 0, "the eBPF road needs root")
    ((road, by_bpf, missing), (other, by_proc, also_missing)), wanted = kernel.ask(shared_sockets)
    require(road == "bpf", "this kernel has no BPF iterators that can be used")
    assert other == "proc"
    assert by_bpf == by_proc
    assert {inode: set(pairs) for inode, pairs in by_bpf.items()} == wanted
    assert missing == also_missing == {inode for inode, pairs in wanted.items() if not pairs}
