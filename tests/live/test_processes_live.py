"""The readers against the running kernel, with psutil as the second source."""

import ctypes
import os
import pwd
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from portside.see.processes import ProcessTable
from portside.system.cgroups import CgroupTree, find_root
from portside.system.fds import find_holders
from portside.system.processes import ProcessReader, in_initial_pid_namespace

PR_SET_NAME = 15
NOBODY = 65534
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
EXIT = {"x86_64": 60, "aarch64": 93}  # exit(2) of one thread
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="changes its uid: needs root")


class Child:
    """A forked process that runs `prepare`, says so, and lives until closed."""

    def __init__(self, prepare=lambda: None, then=lambda: None):
        ready, told = os.pipe()
        wait, go = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                os.close(go)
                prepare()
                os.write(told, b"1")
                os.read(wait, 1)
                then()
                status = 0
            finally:
                os._exit(status)
        os.close(told)
        os.close(wait)
        self._go = go
        assert os.read(ready, 1) == b"1"
        os.close(ready)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        os.close(self._go)
        _, status = os.waitpid(self.pid, 0)
        assert status == 0


def in_child(question, uid=NOBODY, first=lambda: None):
    """Answer a question (a function that returns text) as another user; do something as root `first`."""
    read, write = os.pipe()

    def prepare():
        first()
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        os.write(write, question().encode())

    with Child(prepare):
        os.close(write)
        answer = os.read(read, 65536)
        os.close(read)
        return answer.decode()


def set_name(name):
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)


def inode(sock):
    return os.fstat(sock.fileno()).st_ino


def assert_as_psutil(facts, other):
    with other.oneshot():
        assert facts.name == other.name()[: len(facts.name)]
        assert facts.parent == (other.ppid() or 0)
        assert facts.started == pytest.approx(other.create_time(), abs=0.011)
        assert (facts.real_uid, facts.uid) == other.uids()[:2]
        assert facts.threads == other.num_threads()
        assert list(facts.cmdline) == other.cmdline()


def test_self():
    facts = ProcessReader().read(os.getpid())
    assert_as_psutil(facts, psutil.Process())
    assert facts.exe == os.readlink("/proc/self/exe")
    assert facts.pids[0] == os.getpid()
    assert facts.denied == ()


def test_a_child_agrees_with_psutil():
    with subprocess.Popen([sys.executable, "-c", "input()", "", "two words"], stdin=subprocess.PIPE) as child:
        assert_as_psutil(ProcessReader().read(child.pid), psutil.Process(child.pid))
        child.communicate(b"\n")


def test_every_process_agrees_with_psutil():
    reader = ProcessReader()
    compared = 0
    for other in psutil.process_iter():
        try:
            facts = reader.read(other.pid)
            if facts is None or facts.denied or facts.state == "Z":
                continue
            assert (facts.start_ticks, facts.parent) == (reader.stat(other.pid).starttime, other.ppid())
            assert (facts.real_uid, facts.uid) == other.uids()[:2]
            assert facts.started == pytest.approx(other.create_time(), abs=0.011)
            compared += 1
        except (psutil.NoSuchProcess, AttributeError):  # it ended meanwhile
            continue
    assert compared > 0


@pytest.mark.parametrize(
    "name", [b"a) b", b"(", b") S 1 2", b"two\nlines", b"\x1b[31m", b"", b" ", b"\xff\xfe", b"a\\nb"]
)
def test_hostile_names(name):
    with Child(lambda: set_name(name)) as child:
        reader = ProcessReader()
        assert os.fsencode(reader.comm(child.pid)) == name
        facts = reader.read(child.pid)
        assert os.fsencode(facts.name) == name
        assert facts.parent == os.getpid()


def test_parents():
    with Child() as child:
        chain = [facts.pid for facts in ProcessReader().parents(child.pid)]
        assert chain[0] == os.getpid()
        assert chain == [process.pid for process in psutil.Process(child.pid).parents()]


def test_a_process_that_ended():
    with Child() as child:
        reader = ProcessReader()
    assert reader.read(child.pid) is None
    assert reader.comm(child.pid) is None


def test_a_zombie_is_still_a_process():
    pid = os.fork()
    if not pid:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        facts = ProcessReader().read(pid)
        assert (facts.state, facts.cmdline, facts.exe) == ("Z", (), "")
    finally:
        os.waitpid(pid, 0)


@pytest.mark.skipif(not os.path.exists("/proc/2/stat"), reason="kernel threads are in another pid namespace")
def test_kernel_threads():
    process = ProcessTable(ProcessReader()).process(2)
    assert (process.name, process.exe, process.cmdline) == ("kthreadd", "", ())


def test_the_table_names_the_user():
    process = ProcessTable(ProcessReader()).process(os.getpid())
    assert process.user == pwd.getpwuid(os.geteuid()).pw_name
    assert abs(process.started - time.time()) < 86400


def test_initial_pid_namespace():
    assert in_initial_pid_namespace() == (os.readlink("/proc/self/ns/pid") == "pid:[4026531836]")


@root_only
def test_what_another_user_is_denied():
    mine = os.getpid()

    def question():
        facts = ProcessReader().read(mine)
        return f"{facts.name} {facts.uid} {bool(facts.cmdline)} {facts.exe!r} {facts.denied}"

    comm = ProcessReader().comm(mine)
    assert in_child(question) == f"{comm} 0 True '' ('exe',)"


DENIED = ("stat", "status", "cmdline", "cgroup", "exe")


@root_only
@pytest.mark.parametrize(("hidepid", "seen"), [(1, f"0 {DENIED} hidden=False"), (2, "None hidden=True")])
def test_hidepid(hidepid, seen):
    """A /proc that keeps others' processes to itself: files denied (1), directories invisible (2)."""
    with Child() as other:

        def question():
            facts = ProcessReader().read(other.pid)
            hidden = find_holders({1}).hidden
            return f"{facts.uid} {facts.denied} {hidden=}" if facts else f"{facts} {hidden=}"

        assert in_child(question, first=lambda: mount_proc(b"hidepid=%d" % hidepid)) == seen


def mount_proc(options):
    """Put another /proc over this one, in a mount namespace of this process's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNS) == 0
    assert libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
    assert libc.mount(b"proc", b"/proc", b"proc", 0, options) == 0


# Descriptors


def test_all_holders_of_a_shared_socket():
    with socket.socket() as sock, Child() as one, Child() as two:
        copy = os.dup(sock.fileno())
        try:
            found = find_holders({inode(sock)}, uids={os.geteuid()})
            fd = sock.fileno()
            assert set(found.holders[inode(sock)]) >= {(os.getpid(), fd), (os.getpid(), copy), (one.pid, fd)}
            assert (two.pid, fd) in found.holders[inode(sock)]
        finally:
            os.close(copy)


@root_only
def test_a_worker_that_gave_up_root_is_found():
    with socket.socket() as sock, Child(lambda: os.setuid(NOBODY)) as worker:
        for uids in ({0}, {NOBODY}, set()):
            found = find_holders({inode(sock)}, uids=uids).holders[inode(sock)]
            assert {(os.getpid(), sock.fileno()), (worker.pid, sock.fileno())} <= set(found)


def test_large_tables_are_read_by_number_and_whole():
    socks = [socket.socket() for _ in range(300)]
    try:
        for sock in socks[50:70]:
            sock.close()
        kept = {inode(sock): sock.fileno() for sock in socks if sock.fileno() >= 0}
        found = find_holders(kept, uids={os.geteuid()})
        assert {number: (os.getpid(), fd) for number, fd in kept.items()} == {
            number: next(pair for pair in held if pair[0] == os.getpid())
            for number, held in found.holders.items()
        }
    finally:
        for sock in socks:
            sock.close()


@root_only
def test_denied_processes_are_named():
    mine = os.getpid()
    with socket.socket() as sock:
        wanted = inode(sock)

        def question():
            sock.close()  # its own copy
            found = find_holders({wanted})
            return f"{found.holders} {found.denied.get(mine)} {found.hidden}"

        assert in_child(question) == "{} 0 False"


@root_only
def test_another_user_sees_its_own():
    def question():
        with socket.socket() as sock:
            return str(
                find_holders({inode(sock)}, uids={NOBODY}).holders
                == {inode(sock): [(os.getpid(), sock.fileno())]}
            )

    assert in_child(question) == "True"


def test_a_process_whose_first_thread_ended():
    code = (
        "import ctypes, socket, sys, threading\n"
        "def rest():\n"
        "    s = socket.socket(); print(s.fileno(), flush=True); sys.stdin.read(); import os; os._exit(0)\n"
        "threading.Thread(target=rest).start()\n"
        f"ctypes.CDLL(None).syscall({EXIT[os.uname().machine]}, 0)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        fd = int(child.stdout.readline())
        deadline = time.monotonic() + 10
        while ProcessReader().stat(child.pid).state != "Z" and time.monotonic() < deadline:
            time.sleep(0.005)
        thread = max(map(int, os.listdir(f"/proc/{child.pid}/task")))
        wanted = os.stat(f"/proc/{child.pid}/task/{thread}/fd/{fd}").st_ino
        assert find_holders({wanted}).holders == {wanted: [(child.pid, fd)]}
        child.stdin.close()


def test_readers_in_several_threads():
    reader, names = ProcessReader(), []
    threads = [threading.Thread(target=lambda: names.append(reader.read(os.getpid()).pid)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == [os.getpid()] * 8


def test_no_descriptor_is_left_open():
    before = os.listdir("/proc/self/fd")
    ProcessReader().read(os.getpid())
    ProcessReader().read(2**22 + 1)
    find_holders({1}, thorough=True)
    assert os.listdir("/proc/self/fd") == before


# cgroups


@root_only
def test_a_cgroup_is_found_by_its_id_and_gone_when_removed():
    top = find_root()
    if not top:
        pytest.skip("cgroup v2 is not mounted")
    name = f"portside-test-{os.getpid()}"
    try:
        os.makedirs(f"{top}/{name}/inner")
    except OSError as error:
        pytest.skip(f"cannot make a cgroup: {error}")
    try:
        id = os.stat(f"{top}/{name}/inner").st_ino
        assert CgroupTree(top).path_of(id) == f"/{name}/inner"
        assert CgroupTree(top).path_of(os.stat(top).st_ino) == "/"
    finally:
        os.rmdir(f"{top}/{name}/inner")
        os.rmdir(f"{top}/{name}")
    assert CgroupTree(top).path_of(id) is None
