"""Whose a socket is: what is believed of the processes that were seen to hold it."""

from __future__ import annotations

from portside.see import records
from portside.see.attribution import Attribution
from portside.see.owners import Holders
from portside.see.processes import ProcessTable
from portside.see.records import Endpoint, Socket
from portside.system.host import Host
from portside.system.netns import NetworkNamespace
from portside.system.processes import ProcessReader
from portside.testing import FakeProc

SPACE = NetworkNamespace(1)
LISTENER = Socket(
    "inet", "stream", "tcp", "listen", Endpoint("0.0.0.0", 80), Endpoint("0.0.0.0"), inode=7, uid=0
)


def attribution(tmp_path, *held, ticks=None, **process):
    proc = FakeProc(tmp_path / "proc")
    proc.process(42, "web", start_ticks=1000, **process)
    holders = Holders("proc")
    holders.add_packed([7] * len(held), list(held))
    holders.ticks = ticks
    return Attribution(Host(root=str(tmp_path), bpf=False), ProcessTable(ProcessReader(proc.root)), holders)


def test_holder_that_was_there(tmp_path):
    made = attribution(tmp_path, 3 << 32 | 42, ticks=1000)
    (owner,), *_ = made.plain(7, 0)
    assert (owner.pid, owner.fd, owner.process.name) == (42, 3, "web")
    assert made.of(LISTENER, SPACE).owners == (owner,)


def test_process_that_took_the_pid_of_the_holder(tmp_path):
    made = attribution(tmp_path, 3 << 32 | 42, ticks=999)
    assert made.plain(7, 0) is None
    told = made.of(LISTENER, SPACE)
    assert (told.owners, told.owner_gap) == ((), records.GONE)


def test_holder_that_ended_beside_one_that_did_not(tmp_path):
    made = attribution(tmp_path, 3 << 32 | 42, 3 << 32 | 43, ticks=1000)
    told = made.of(LISTENER, SPACE)
    assert ([owner.pid for owner in told.owners], told.owner_gap) == ([42], "")


def test_program_that_calls_itself_systemd_is_no_manager(tmp_path):
    made = attribution(tmp_path, 3 << 32 | 42)
    assert made.plain(7, 0) is not None
    other = attribution(tmp_path / "other", 3 << 32 | 44)
    FakeProc(tmp_path / "other" / "proc").process(44, "systemd", exe="/tmp/systemd-not")
    assert other.plain(7, 0) is not None
    FakeProc(tmp_path / "other" / "proc").process(45, "systemd", exe="/usr/lib/systemd/systemd")
    other.holders.packed[7] = 3 << 32 | 45
    assert other.plain(7, 0) is None


def test_very_many_holders_of_one_socket_are_counted_in_time():
    """A socket that was duplicated 50,000 times: it took most of a minute."""
    holders = Holders("bpf")
    holders.add_packed([7] * 50_000 + [8], [fd << 32 | 42 for fd in range(50_000)] + [43])
    assert len(holders.of(7)) == 50_000
    assert holders.of(8) == ((43, 0),)


def test_each_holder_once_and_in_order_of_pid():
    holders = Holders("bpf")
    holders.add_packed([7, 7, 7, 7], [4 << 32 | 50, 3 << 32 | 42, 4 << 32 | 50, 3 << 32 | 42])
    assert holders.of(7) == ((42, 3), (50, 4))
