"""The search order on fake trees; that it finds what the kernel has is in the live tests."""

import os

import pytest

from portside.system import fds
from portside.system.fds import find_holders
from portside.testing.fakeproc import FakeProc

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the fake tree needs chown to tell uids apart")


@pytest.fixture
def proc(tmp_path):
    proc = FakeProc(tmp_path / "proc")
    proc.process(1, "systemd", ppid=0, session=0, files={0: "/dev/null"})
    proc.process(2, "kthreadd", ppid=0, kernel_thread=True)
    proc.net("tcp", "")
    return proc


def scanned(monkeypatch):
    """Record which processes are looked at."""
    seen = []
    scan = fds._Search.scan
    monkeypatch.setattr(fds._Search, "scan", lambda self, pid: (seen.append(pid), scan(self, pid))[1])
    return seen


def test_all_holders_and_all_descriptors(proc):
    proc.process(10, "a", uid=33, sockets={3: 100, 7: 100, 8: 101})
    proc.process(
        11, "b", uid=33, sockets={4: 100}, files={0: "/dev/null", 1: "pipe:[100]", 2: "anon_inode:[100]"}
    )
    found = find_holders({100, 102}, root=proc.root, uids=[33])
    assert found.holders == {100: [(10, 3), (10, 7), (11, 4)]}
    assert (found.denied, found.hidden) == ({}, False)


def test_nothing_wanted_looks_at_nothing(proc, monkeypatch):
    seen = scanned(monkeypatch)
    assert find_holders([0], root=proc.root).holders == {}
    assert seen == []


def test_the_likely_are_first_and_the_unrelated_are_left_out(proc, monkeypatch):
    proc.process(10, "other", uid=5, sockets={3: 1})
    proc.process(20, "web", uid=33, sockets={3: 100})
    seen = scanned(monkeypatch)
    assert find_holders({100}, root=proc.root, uids={33}).holders == {100: [(20, 3)]}
    assert seen == [1, 20]


def test_a_cgroup_makes_likely(proc, monkeypatch):
    proc.process(10, "other", sockets={3: 1})
    proc.process(20, "web", cgroup="0::/system.slice/web.service", sockets={3: 100})
    seen = scanned(monkeypatch)
    find_holders({100}, root=proc.root, cgroups={"/system.slice/web.service"})
    assert seen == [1, 20]


def test_pid_1_is_always_asked(proc):
    proc.process(30, "sshd", sockets={3: 100})
    proc.remove(1)
    proc.process(1, "systemd", ppid=0, sockets={40: 100})
    assert find_holders({100}, root=proc.root, uids={0}).holders == {100: [(1, 40), (30, 3)]}


@pytest.mark.parametrize(
    "worker",
    [
        {"ppid": 20, "session": 900},
        {"ppid": 1, "session": 20},
        {"ppid": 1, "session": 901, "cgroup": "0::/system.slice/nginx.service"},
    ],
    ids=["child", "session", "cgroup"],
)
def test_kin_of_a_holder_with_another_uid_is_found(proc, worker):
    proc.process(20, "nginx", uid=7, cgroup="0::/system.slice/nginx.service", sockets={6: 100})
    proc.process(21, "nginx", uid=33, sockets={6: 100}, **worker)
    found = find_holders({100}, root=proc.root, uids={7})
    assert found.holders == {100: [(20, 6), (21, 6)]}


def test_the_ancestor_of_a_holder_is_found(proc):
    proc.process(20, "supervisor", uid=7, session=20, sockets={9: 100})
    proc.process(21, "between", ppid=20, uid=7, session=21)
    proc.process(22, "worker", ppid=21, uid=33, session=22, sockets={0: 100})
    assert find_holders({100}, root=proc.root, uids={33}).holders == {100: [(20, 9), (22, 0)]}


def test_kin_of_kin_is_found(proc):
    proc.process(20, "a", uid=33, session=20, sockets={3: 100})
    proc.process(21, "b", ppid=20, uid=7, session=21, cgroup="0::/x.slice/b.service", sockets={3: 100})
    proc.process(22, "c", ppid=1, uid=8, session=22, cgroup="0::/x.slice/b.service", sockets={3: 100})
    found = find_holders({100}, root=proc.root, uids={33})
    assert found.holders == {100: [(20, 3), (21, 3), (22, 3)]}


def test_thorough_finds_the_stranger_that_the_quick_search_may_miss(proc):
    proc.process(20, "web", uid=33, sockets={3: 100})
    proc.process(30, "stranger", uid=44, session=30, sockets={5: 100})
    assert find_holders({100}, root=proc.root, uids={33}).holders == {100: [(20, 3)]}
    assert find_holders({100}, root=proc.root, uids={33}, thorough=True).holders == {100: [(20, 3), (30, 5)]}


def test_hidepid_is_told(proc):
    proc.remove(1)
    assert find_holders({100}, root=proc.root).hidden
    assert not find_holders({100}, root=proc.root + "/missing").hidden


def test_a_process_whose_first_thread_has_ended(proc):
    proc.process(50, "rust", state="Z", threads=2)
    os.makedirs(proc.path("50/task/51/fd"))
    os.symlink("socket:[100]", proc.path("50/task/51/fd/9"))
    assert find_holders({100}, root=proc.root).holders == {100: [(50, 9)]}


def test_a_process_that_disappears(proc, monkeypatch):
    proc.process(10, "gone", sockets={3: 1})
    monkeypatch.setattr(fds._Search, "pids", lambda self: [1, 9, 10, 99999])
    proc.remove(10)
    found = find_holders({100}, root=proc.root)
    assert (found.holders, found.denied) == ({}, {})


def test_tables_with_holes(proc):
    """A size that promises more descriptors than there are in a row makes it list the directory."""
    proc.process(10, "holes", sockets={0: 100, 900: 100, 65535: 101})
    search = fds._Search({100, 101}, proc.root)
    directory = os.open(proc.path("10/fd"), os.O_RDONLY)
    try:
        assert search._by_number(directory, 3) == ([], False)
        assert search._by_number(directory, 80)[1] is False
    finally:
        os.close(directory)
    search.scan(10)
    held = {inode: sorted(pairs) for inode, pairs in search.holders.items()}
    assert held == {100: [(10, 0), (10, 900)], 101: [(10, 65535)]}
