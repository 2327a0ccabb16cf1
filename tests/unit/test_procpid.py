import pytest

from portside.errors import BadReply
from portside.wire import procpid

TAIL = b"S 1 77 70 0 -1 4194560 1 2 3 4 5 6 0 0 20 0 9 0 4242 1000 100 18446744073709551615 0 0\n"


@pytest.mark.parametrize(
    ("comm", "name"),
    [
        (b"sshd", "sshd"),
        (b"a) b", "a) b"),
        (b"(sd-pam)", "(sd-pam)"),
        (b") S 1 2 3", ") S 1 2 3"),
        (b"tmux: server", "tmux: server"),
        (b"two\nlines", "two\nlines"),
        (b"\x1b[31mred", "\x1b[31mred"),
        (b"", ""),
        (b" ", " "),
        (b"caf\xc3\xa9", "café"),
        (b"odd\xff\xfe", "odd\udcff\udcfe"),
        (b"kworker/u8:2+flush-254:0", "kworker/u8:2+flush-254:0"),
    ],
)
def test_stat_takes_the_name_between_the_first_and_the_last_parenthesis(comm, name):
    stat = procpid.parse_stat(b"4321 (" + comm + b") " + TAIL)
    assert stat == procpid.ProcStat(4321, name, "S", 1, 77, 70, 4194560, 9, 4242)
    assert not stat.kernel_thread


def test_stat_knows_kernel_threads():
    stat = procpid.parse_stat(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 16 0 0\n")
    assert stat.kernel_thread
    assert (stat.ppid, stat.starttime) == (0, 16)


@pytest.mark.parametrize(
    "data",
    [b"", b"1", b"1 (init) S 1 2", b"x (init) " + TAIL, b") (", b"1 (a) " + TAIL.replace(b"4242", b"soon")],
)
def test_stat_that_is_not_one_is_a_bad_reply(data):
    with pytest.raises(BadReply, match="stat"):
        procpid.parse_stat(data)


STATUS = b"""Name:\tnginx
Umask:\t0022
State:\tS (sleeping)
Tgid:\t812
Ngid:\t0
Pid:\t815
PPid:\t1
TracerPid:\t0
Uid:\t1000\t33\t33\t0
Gid:\t33\t33\t33\t33
FDSize:\t64
Groups:\t33
NStgid:\t812\t7
NSpid:\t815\t9
Threads:\t4
"""


def test_status():
    assert procpid.parse_status(STATUS) == procpid.ProcStatus(
        "nginx", 812, 815, 1, (1000, 33, 33, 0), (815, 9)
    )


def test_status_of_a_kernel_without_pid_namespaces_gives_the_pid():
    assert procpid.parse_status(STATUS.replace(b"NSpid:\t815\t9\n", b"")).nspids == (815,)


def test_status_undoes_the_escapes_of_the_name():
    assert procpid.parse_status(STATUS.replace(b"nginx", rb"a\nb\\nc")).name == "a\nb\\nc"


def test_a_name_cannot_forge_a_line_of_status():
    assert procpid.parse_status(STATUS.replace(b"nginx", rb"x\nUid:\t0\t0\t0\t0")).uids[0] == 1000


@pytest.mark.parametrize(
    "data",
    [b"", b"Name:\tx\n", b"Pid:\t1\n", STATUS.replace(b"\t33\t33\t0\n", b"\n"), STATUS.replace(b"815", b"?")],
)
def test_status_that_is_not_one_is_a_bad_reply(data):
    with pytest.raises(BadReply):
        procpid.parse_status(data)


@pytest.mark.parametrize(
    ("data", "argv"),
    [
        (b"", ()),
        (b"sleep\x0060\0", ("sleep", "60")),
        (b"python3\0-c\0\0x\0", ("python3", "-c", "", "x")),
        (b"printf\0a\0\0", ("printf", "a", "")),
        (b"nginx: master process /usr/sbin/nginx\0\0\0\0\0", ("nginx: master process /usr/sbin/nginx",)),
        (b"sshd: alice [priv]", ("sshd: alice [priv]",)),
        (b"postgres: walwriter \0\0\0", ("postgres: walwriter ",)),
        (b"\0\0", ("",)),
        (b"odd\xff\0arg\0", ("odd\udcff", "arg")),
    ],
)  # fmt: skip
def test_cmdline(data, argv):
    assert procpid.parse_cmdline(data) == argv


V1 = b"""12:pids:/user.slice/user-1000.slice/session-3.scope
11:cpu,cpuacct:/user.slice
3:cpuset:/
1:name=systemd:/user.slice/user-1000.slice/session-3.scope
"""


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"0::/system.slice/ssh.service\n", "/system.slice/ssh.service"),
        (b"0::/\n", "/"),
        (b"0::/system.slice/gone.service (deleted)\n", "/system.slice/gone.service"),
        (b"0::/../../system.slice/x.service\n", "/../../system.slice/x.service"),
        (b"0::/a:b\n", "/a:b"),
        (V1, "/user.slice/user-1000.slice/session-3.scope"),
        (
            V1 + b"0::/user.slice/user-1000.slice/session-3.scope\n",
            "/user.slice/user-1000.slice/session-3.scope",
        ),
        (b"4:memory:/docker/abc\n1:name=systemd:/\n0::/\n", "/docker/abc"),
        (b"", ""),
    ],
)
def test_cgroup(data, path):
    assert procpid.parse_cgroup(data).path == path


def test_cgroup_keeps_every_hierarchy():
    file = procpid.parse_cgroup(V1)
    assert file.unified is None
    assert file.controllers[1] == ("cpu,cpuacct", "/user.slice")
    assert file.paths() == ("/user.slice/user-1000.slice/session-3.scope", "/user.slice", "/")


@pytest.mark.parametrize("data", [b"x\n", b"0:/\n", b"0::relative\n"])
def test_cgroup_that_is_not_one_is_a_bad_reply(data):
    with pytest.raises(BadReply):
        procpid.parse_cgroup(data)


def test_boot_time_and_start():
    stat = b"cpu  1 2 3\nintr 5 0 0\nctxt 9\nbtime 1700000000\nprocesses 5\n"
    assert procpid.parse_btime(stat) == 1700000000
    assert procpid.start_epoch(250, 1700000000, 100) == 1700000002.5
    with pytest.raises(BadReply):
        procpid.parse_btime(b"cpu 1\n")
