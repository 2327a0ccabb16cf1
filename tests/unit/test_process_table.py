import json
import os

import pytest

from portside.see.processes import ProcessTable
from portside.see.records import Container
from portside.system.containers import ContainerFiles
from portside.system.processes import ProcessReader
from portside.testing.fakeproc import FakeProc

A = "a" * 64


@pytest.fixture
def proc(tmp_path):
    return FakeProc(tmp_path / "proc")


def table(proc, tmp_path):
    config = tmp_path / f"var/lib/docker/containers/{A}/config.v2.json"
    os.makedirs(config.parent)
    network = {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}
    config.write_text(
        json.dumps({"ID": A, "Name": "/web", "State": {"Running": True}, "NetworkSettings": network})
    )
    return ProcessTable(ProcessReader(proc.root), ContainerFiles(str(tmp_path)))


def test_process(proc, tmp_path):
    proc.process(
        9, "sshd", ppid=1, uid=0, cgroup="0::/system.slice/ssh.service", exe="/usr/sbin/sshd", start_ticks=100
    )
    processes = table(proc, tmp_path)
    process = processes.process(9)
    assert (process.pid, process.name, process.parent, process.user) == (9, "sshd", 1, "root")
    assert (process.unit, process.cgroup, process.container) == (
        "ssh.service",
        "/system.slice/ssh.service",
        None,
    )
    assert (process.exe, process.started) == ("/usr/sbin/sshd", 1_700_000_001.0)
    assert processes.process(9) is process
    assert processes.process(10) is None


def test_user_unit(proc, tmp_path):
    path = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-foo.service"
    proc.process(9, cgroup=f"0::{path}")
    assert table(proc, tmp_path).process(9).unit == "app-foo.service (user 1000)"


def test_a_user_without_a_name(proc, tmp_path):
    proc.process(9, uid=3_000_000_123)
    process = table(proc, tmp_path).process(9)
    assert (process.uid, process.user) == (3_000_000_123, "")


def test_container(proc, tmp_path):
    proc.process(9, cgroup=f"0::/system.slice/docker-{A}.scope")
    process = table(proc, tmp_path).process(9)
    assert process.container == Container("docker", A, "web")
    assert process.unit == f"docker-{A}.scope"


def test_container_of_a_v1_host(proc, tmp_path):
    lines = f"5:memory:/docker/{A}\n1:name=systemd:/system.slice/docker.service\n0::/"
    proc.process(9, cgroup=lines)
    process = table(proc, tmp_path).process(9)
    assert (process.unit, process.container.name) == ("docker.service", "web")


def test_container_without_its_files(proc):
    proc.process(9, cgroup=f"0::/docker/{A}")
    assert ProcessTable(ProcessReader(proc.root)).process(9).container == Container("docker", A)


def test_docker_proxy(proc, tmp_path):
    line = "/usr/bin/docker-proxy -proto tcp -host-ip :: -host-port 80 -container-ip 172.17.0.2 -container-port 80"
    proc.process(9, "docker-proxy", cmdline=line.split(), cgroup="0::/system.slice/docker.service")
    process = table(proc, tmp_path).process(9)
    assert (process.unit, process.container) == ("docker.service", Container("docker", A, "web"))


def test_what_only_calls_itself_docker_proxy(proc, tmp_path):
    line = "docker-proxy -container-ip 172.17.0.2 -container-port 80"
    proc.process(9, "docker-proxy", cmdline=line.split(), exe="/usr/bin/python3")
    assert table(proc, tmp_path).process(9).container is None


def test_conmon(proc, tmp_path):
    proc.process(9, "conmon", cmdline=["/usr/bin/conmon", "-c", A], cgroup="0::/libpod_parent/conmon")
    assert table(proc, tmp_path).process(9).container == Container("podman", A)


def test_kernel_thread(proc, tmp_path):
    proc.process(2, "kthreadd", ppid=0, kernel_thread=True)
    process = table(proc, tmp_path).process(2)
    assert (process.name, process.cmdline, process.unit) == ("kthreadd", (), "")


def test_parents(proc, tmp_path):
    proc.process(1, "init", ppid=0)
    proc.process(2, "sshd", ppid=1)
    assert [process.name for process in table(proc, tmp_path).parents(2)] == ["init"]


@pytest.mark.parametrize(
    ("path", "unit", "container"),
    [
        ("/system.slice/ssh.service", "ssh.service", None),
        (f"/docker/{A}", "", Container("docker", A, "web")),
        ("/lxc.payload.box/system.slice/x.service", "", Container("lxc", "box", "box")),
        ("/", "", None),
        ("", "", None),
    ],
)
def test_from_cgroup(proc, tmp_path, path, unit, container):
    assert table(proc, tmp_path).from_cgroup(path) == (unit, container)
