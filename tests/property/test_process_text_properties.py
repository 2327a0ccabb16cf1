"""Any bytes into the readers of process files and of other programs' state: a record or our error, nothing else."""

import json
import os

from hypothesis import example, given, settings
from hypothesis import strategies as st

from portside.errors import BadReply
from portside.wire import cgroup, containers, procpid, systemd

NAMES = st.binary(max_size=15).map(lambda name: name.replace(b"\0", b"?"))
PIECES = st.sampled_from(
    ["system.slice", "user.slice", "user-1000.slice", "user@1000.service", "session-2.scope", "kubepods", "docker",
     "lxc", "lxc.payload.a", "..", "a" * 64, "docker-" + "b" * 64 + ".scope", "x.slice:cri-containerd:" + "c" * 64,
     "kubepods-podx.slice", "machine-\\x2d.scope", "machine-.scope", "systemd-nspawn@.service", "supervisor", "_", ""]
)  # fmt: skip


def reply_or_none(parse, data):
    try:
        return parse(data)
    except BadReply:
        return None


@given(st.binary(max_size=300))
@example(b"1 (" + b"9" * 5000 + b") ")
@settings(max_examples=200)
def test_any_bytes(data):
    for parse in (
        procpid.parse_stat,
        procpid.parse_status,
        procpid.parse_cgroup,
        procpid.parse_cmdline,
        procpid.parse_comm,
        procpid.parse_btime,
        containers.parse_docker,
        containers.parse_storage,
        containers.parse_bundle,
        containers.parse_data_root,
    ):
        reply_or_none(parse, data)


@given(NAMES)
@settings(max_examples=200)
def test_stat_gives_back_any_name(name):
    stat = procpid.parse_stat(b"7 (" + name + b") S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0 0\n")
    assert (os.fsencode(stat.comm), stat.ppid, stat.starttime) == (name, 1, 99)


@given(NAMES)
@settings(max_examples=200)
def test_status_gives_back_any_name(name):
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    status = procpid.parse_status(b"Name:\t" + escaped + b"\nPid:\t7\nPPid:\t1\nUid:\t1\t2\t3\t4\n")
    assert (os.fsencode(status.name), status.uids) == (name, (1, 2, 3, 4))


@given(
    st.lists(st.binary(min_size=1, max_size=8).map(lambda b: b.replace(b"\0", b"?")), min_size=1, max_size=5)
)
@settings(max_examples=100)
def test_cmdline_gives_back_the_arguments(arguments):
    data = b"".join(argument + b"\0" for argument in arguments)
    assert [os.fsencode(argument) for argument in procpid.parse_cmdline(data)] == arguments


@given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=7).map("/".join)))
@settings(max_examples=200)
def test_any_cgroup_path(path):
    names = cgroup.parse_path(path)
    assert str(names) == str(cgroup.parse_path(path))
    if names.container:
        assert names.container.id
        assert "/" not in names.container.id


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.one_of(
    st.lists(inner, max_size=3),
    st.dictionaries(st.sampled_from(["ID", "Name", "State", "NetworkSettings", "Networks", "Ports", "HostPort",
                                     "80/tcp", "IPAddress", "id", "names", "annotations",
                                     "io.kubernetes.pod.name", "nerdctl/name", "data-root"]), inner, max_size=4)),
    max_leaves=12))  # fmt: skip
@settings(max_examples=200)
def test_any_json(value):
    data = json.dumps(value).encode()
    containers.parse_docker(data)
    assert all(isinstance(name, str) for name in containers.parse_storage(data).values())
    assert isinstance(containers.parse_bundle(data), str)
    assert isinstance(containers.parse_data_root(data), str)


@given(st.lists(st.text(max_size=12), max_size=6))
@settings(max_examples=100)
def test_any_command_line(argv):
    containers.proxy_target(["docker-proxy", *argv])
    containers.monitored_container(["conmon", *argv])


SYSTEMD = st.lists(
    st.sampled_from(["Id=", "a.socket", "Listen=", "[::]:22", " (Stream)", "\n", "\n\n", "[Socket]", "ListenStream=",
                     "22", "%i", "\\", "#", "[fe80::1%x]:1", "=", ";", "\x00", "é"]), max_size=14
).map("".join)  # fmt: skip


@given(st.one_of(st.text(max_size=100), SYSTEMD))
@settings(max_examples=200)
def test_any_systemd_text(text):
    systemd.parse_show(text)
    systemd.parse_listen(text)
    listen = systemd.parse_address("stream", text)
    assert listen is None or listen.port or listen.address[0] in "/@"
    unit = systemd.socket_unit("a@b.socket", systemd.parse_unit_file(text))
    assert unit.id == "a@b.socket"
