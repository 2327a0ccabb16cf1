"""Network namespaces: which are found, what they are called, and that being inside one leaves nothing changed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest
from tests.support import require

import portside
from portside.errors import NotPermitted, Vanished
from portside.see import reading
from portside.system import netns
from portside.system.host import LIVE
from portside.testing.namespaces import NAMED, Namespace, become

NAME = f"portside-test-{os.getpid()}"
NOBODY = 65534


@pytest.fixture
def named():
    """A namespace with a name under /run/netns."""
    require(os.geteuid() == 0, "needs root, to bind a name")
    with Namespace(NAME) as made:
        yield made


@pytest.fixture
def open_space(space):
    """A namespace without a name, that we may enter."""
    require(os.geteuid() == 0, "needs root, to enter another namespace")
    return space


def own_inode() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def found() -> dict[int, netns.NetworkNamespace]:
    return {one.inode: one for one in netns.every(LIVE)[0]}


def by_inode(space: Namespace) -> netns.NetworkNamespace:
    return found()[space.inode]


# Which there are


def test_own_is_first_and_every_one_is_told_once():
    spaces, _ = netns.every(LIVE)
    assert spaces[0].inode == own_inode() == netns.own(LIVE).inode
    assert len({one.inode for one in spaces}) == len(spaces)


def test_a_named_one_is_called_by_its_name(named):
    one = by_inode(named)
    assert (one.name, one.path, str(one)) == (NAME, f"{NAMED}/{NAME}", NAME)


def test_one_without_a_name_is_found_by_its_process(space):
    one = by_inode(space)
    assert (one.name, one.path, one.pid) == ("", f"/proc/{space.pid}/ns/net", space.pid)
    assert str(one) == f"net:[{space.inode}]"


def test_a_name_alone_keeps_one_alive(named):
    """Without any process inside: only the bind mount tells of it."""
    path = f"{NAMED}/{NAME}-b"
    script = f"ip netns add {NAME}-b && ip netns delete {NAME}-b"
    require(
        subprocess.run(["sh", "-c", script], capture_output=True).returncode == 0,
        "ip netns does not work here",
    )
    subprocess.run(["ip", "netns", "add", f"{NAME}-b"], check=True)
    try:
        (one,) = [one for one in found().values() if one.name == f"{NAME}-b"]
        assert (one.path, one.pid) == (path, 0)
        assert netns.run_inside(one, own_inode) == one.inode
    finally:
        subprocess.run(["ip", "netns", "delete", f"{NAME}-b"], check=True)
    assert f"{NAME}-b" not in {one.name for one in found().values()}


FIRST_ON_THE_HOST = """
import os, subprocess
from portside.testing.namespaces import Namespace
subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
with Namespace("portside-first"):
    subprocess.run(["ip", "netns", "add", "second"], check=True)
    subprocess.run(["ip", "netns", "delete", "second"], check=True)
print(os.listdir("/run/netns"))
"""


def test_the_first_name_on_a_host_leaves_nothing():
    """`ip netns add` turns a plain /run/netns into a mount point, which would cover a name bound before."""
    require(os.geteuid() == 0, "needs root, to bind a name")
    require(shutil.which("unshare"), "unshare of util-linux is not installed")
    command = ["unshare", "--mount", sys.executable, "-c", FIRST_ON_THE_HOST]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_file_that_is_no_namespace_is_not_listed(named):
    """What a crashed `ip netns add` leaves: an empty file, not a bind mount."""
    path = f"{NAMED}/{NAME}-stale"
    with open(path, "x"):
        pass
    try:
        assert f"{NAME}-stale" not in {one.name for one in found().values()}
    finally:
        os.unlink(path)


def test_our_own_may_have_a_name_too(named):
    def inside():
        return netns.own(LIVE)

    one = netns.run_inside(by_inode(named), inside)
    assert (one.inode, one.name) == (named.inode, NAME)


# Being inside


def test_a_function_runs_inside_and_the_caller_stays_outside(open_space):
    before, threads = own_inode(), threading.active_count()
    assert netns.run_inside(by_inode(open_space), own_inode) == open_space.inode
    assert (own_inode(), threading.active_count()) == (before, threads)


def test_what_a_function_raises_is_raised_here_and_nothing_changes(open_space):
    before, threads, descriptors = own_inode(), threading.active_count(), len(os.listdir("/proc/self/fd"))

    def fail():
        assert own_inode() == open_space.inode
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            netns.run_inside(by_inode(open_space), fail)
    after = own_inode(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    assert after == (before, threads, descriptors)


def test_where_the_caller_is_no_thread_is_made(open_space):
    here = threading.get_ident()
    assert netns.run_inside_or_here(netns.own(LIVE), threading.get_ident, LIVE) == here
    assert netns.run_inside_or_here(by_inode(open_space), threading.get_ident, LIVE) != here


def test_several_threads_at_once(open_space):
    one, told = by_inode(open_space), []
    threads = [
        threading.Thread(target=lambda: told.append(netns.run_inside(one, own_inode))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [open_space.inode] * 8


def test_a_path_that_leads_elsewhere_by_now_is_not_entered(space):
    one = by_inode(space)
    with pytest.raises(Vanished, match="its path now names another one"):
        netns.run_inside(one.replace(path="/proc/self/ns/net"), own_inode)


def test_one_that_has_gone_has_vanished():
    with Namespace() as space:
        one = by_inode(space)
    with pytest.raises(Vanished, match=r"enter network namespace 'net:\[\d+\]': no such file or directory"):
        netns.run_inside(one, own_inode)


def enter_as_nobody(one):
    become(NOBODY)
    try:
        netns.run_inside(one, own_inode)
    except NotPermitted as error:
        return str(error)
    return "entered"


def test_it_takes_the_right_to(named):
    with Namespace() as elsewhere:  # the child that tries is in another one
        told = elsewhere.call(enter_as_nobody, by_inode(named))
    assert told == f"enter network namespace '{NAME}': it takes CAP_SYS_ADMIN; run it with sudo"


# What the library says of them


def listen(number: int) -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", number))
    made.listen(2)
    return made


def test_ports_of_every_namespace_say_which(named, space):
    threads = threading.active_count()
    spaces = [by_inode(named), by_inode(space)]
    held = [netns.run_inside(one, lambda: listen(7321)) for one in spaces]
    try:
        rows = portside.list_ports("port = 7321", every_netns=True)
        assert sorted(row.netns for row in rows) == sorted([NAME, f"net:[{space.inode}]"])
        assert all([holder.process.pid for holder in row.holders] == [os.getpid()] for row in rows)
        assert portside.list_ports("port = 7321") == []
        assert [
            row.netns for row in portside.list_ports(f"port = 7321 and netns {NAME}", every_netns=True)
        ] == [NAME]
        report = portside.who(7321, every_netns=True)
        assert len(report.ports) == 2
    finally:
        for one in held:
            one.close()
    assert threading.active_count() == threads


def ask_as_nobody():
    become(NOBODY)
    snapshot = portside.sockets("port = 7322", every_netns=True)
    return [one.netns for one in snapshot], [(gap.what, gap.why, gap.next_step) for gap in snapshot.gaps]


def test_without_the_right_what_is_left_out_is_said(named):
    held = netns.run_inside(by_inode(named), lambda: listen(7322))
    with Namespace() as elsewhere:
        told, gaps = elsewhere.call(ask_as_nobody)
    held.close()
    assert told == []
    said = {what: next_step for what, why, next_step in gaps}
    alone, together = f"network namespace {NAME}", "network namespaces"  # other tests' may be there too
    assert said.get(alone, said.get(together)) == "run it with sudo"
    assert said["network namespaces of processes"] == "run it with sudo"


def test_namespaces_of_one_name_are_told_apart():
    """A name is anybody's choice; the inode is the identity."""
    spaces = [netns.NetworkNamespace(1, "web"), netns.NetworkNamespace(2, "web"), netns.NetworkNamespace(3)]
    assert [str(space) for space in reading._told_apart(spaces)] == ["web net:[1]", "web net:[2]", "net:[3]"]
