import pytest

from portside.errors import BadReply
from portside.system.processes import ProcessReader
from portside.testing.fakeproc import FakeProc


@pytest.fixture
def proc(tmp_path):
    return FakeProc(tmp_path / "proc", btime=1_700_000_000)


def test_everything(proc):
    proc.process(
        42,
        "a) b\n",
        ppid=7,
        uid=33,
        cmdline=["/usr/sbin/x", "", "-v"],
        cgroup="0::/system.slice/x.service",
        exe="/usr/sbin/x",
        start_ticks=250,
        threads=3,
        nspids=[42, 1],
    )
    facts = ProcessReader(proc.root).read(42)
    assert (facts.pid, facts.name, facts.parent, facts.uid, facts.real_uid) == (42, "a) b\n", 7, 33, 33)
    assert (facts.cmdline, facts.exe) == (("/usr/sbin/x", "", "-v"), "/usr/sbin/x")
    assert (facts.start_ticks, facts.started) == (250, 1_700_000_002.5)
    assert (facts.cgroup.path, facts.pids, facts.threads) == ("/system.slice/x.service", (42, 1), 3)
    assert facts.denied == ()


def test_kernel_thread(proc):
    proc.process(2, "kthreadd", ppid=0, kernel_thread=True)
    facts = ProcessReader(proc.root).read(2)
    assert facts.kernel_thread
    assert (facts.cmdline, facts.exe, facts.denied) == ((), "", ())


def test_a_process_that_is_gone(proc):
    reader = ProcessReader(proc.root)
    assert reader.read(99) is None
    assert reader.comm(99) is None
    assert reader.stat(99) is None
    assert reader.parents(99) == ()


def test_what_was_read_is_kept(proc):
    proc.process(5, "first")
    reader = ProcessReader(proc.root)
    assert reader.comm(5) == "first"
    facts = reader.read(5)
    proc.remove(5)
    assert reader.read(5) is facts
    assert reader.comm(5) == "first"
    assert reader.stat(5) is None


def test_a_file_that_broke_is_a_bad_reply(proc):
    proc.process(5)
    proc.write("5/stat", "rubbish")
    with pytest.raises(BadReply):
        ProcessReader(proc.root).read(5)


def test_files_that_became_empty_are_a_process_that_ended(proc):
    proc.process(5)
    proc.write("5/stat", "")
    assert ProcessReader(proc.root).read(5) is None


def test_long_command_lines_are_cut(proc):
    proc.process(5, cmdline=["x" * 2_000_000])
    assert len(ProcessReader(proc.root).read(5).cmdline[0]) == 1 << 20


def test_parents(proc):
    proc.process(1, "init", ppid=0)
    proc.process(2, "sshd", ppid=1)
    proc.process(3, "bash", ppid=2)
    assert [facts.name for facts in ProcessReader(proc.root).parents(3)] == ["sshd", "init"]
    assert ProcessReader(proc.root).parents(1) == ()


def test_parents_that_go_in_a_circle(proc):
    proc.process(2, ppid=3)
    proc.process(3, ppid=2)
    assert [facts.pid for facts in ProcessReader(proc.root).parents(3)] == [2]


def test_parents_that_cannot_be_seen(proc):
    proc.process(3, ppid=2)
    assert ProcessReader(proc.root).parents(3) == ()


def test_parents_are_bounded(proc):
    for pid in range(2, 202):
        proc.process(pid, ppid=pid - 1)
    assert len(ProcessReader(proc.root).parents(201)) == 128
