"""The recorded machine that the environment names: PROC_ROOT for /proc, single files, the rest of the running one."""

from __future__ import annotations

from portside.see import owners
from portside.system.host import LIVE, Host
from portside.system.replay import host_from_environment, process_name, read_text
from portside.testing.fakeproc import FakeProc


def test_without_proc_root_it_is_the_running_machine():
    assert host_from_environment({"PROC_NET_TCP": "/x"}) is LIVE


def test_proc_root_stands_for_proc_alone(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("recorded\r\n")
    host = host_from_environment({"PROC_ROOT": f"{tmp_path}/"})
    assert (host.live, host.proc, host.bpf) == (False, str(tmp_path), False)
    assert host.read("/proc/net/tcp") == host.net("tcp") == "recorded\r\n"
    assert host.read("/etc/hostname") == LIVE.read("/etc/hostname")


def test_an_empty_proc_root_is_the_root_directory():
    assert host_from_environment({"PROC_ROOT": ""}).proc == "/"


def test_owners_are_those_below_proc_root(tmp_path):
    proc = FakeProc(tmp_path / "proc")
    proc.process(7, "server", sockets={3: 4711})
    held = owners.find(host_from_environment({"PROC_ROOT": str(tmp_path / "proc")}), [4711])
    assert (held.of(4711), held.road) == (((7, 3),), "proc")


def test_a_knob_names_a_single_file(tmp_path):
    given = tmp_path / "tcp"
    given.write_bytes(b"a\xff")
    host = Host(procfs=str(tmp_path))
    assert read_text(host, {"PROC_NET_TCP": str(given)}, "PROC_NET_TCP", "net/tcp") == "a\udcff"
    assert read_text(host, {}, "PROC_NET_TCP", "tcp") == "a\udcff"
    assert read_text(host, {}, "PROC_NET_TCP", "net/tcp") is None
    assert read_text(LIVE, {"PROC_NET_TCP": "/nowhere"}, "PROC_NET_TCP", "net/tcp") is None


def test_the_running_machine_s_own_files_are_read():
    assert read_text(LIVE, {}, "PROC_NET_UNIX", "net/unix").startswith("Num")
    assert read_text(LIVE, {}, "PROC_IP_LOCAL_PORT_RANGE", "sys/net/ipv4/ip_local_port_range").split()


def test_a_name_is_read_from_the_beginning_of_stat(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text("7 (a (b) c) S\n")
    (tmp_path / "8").mkdir()
    (tmp_path / "8/stat").write_text("8 no name")
    host = Host(procfs=str(tmp_path))
    assert [process_name(host, pid) for pid in (7, 8, 9)] == ["a (b) c", "", ""]
