"""Socket holders by eBPF against a look at /proc/PID/fd, for each road, and that nothing stays behind."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.kernel_types import kernel_btf
from tests.support import require

from portside.errors import BadReply, NotPermitted, NotSupported, PortsideError
from portside.system import bpf, kernel_layout, taskfiles

PERMITTED = os.geteuid() == 0 and os.path.exists(kernel_layout.BTF)


@pytest.fixture(autouse=True)
def needs_root(tmp_path, monkeypatch):
    """These tests load programs; the numbers they find are kept in a directory of their own."""
    require(PERMITTED, "loading eBPF programs needs root and a kernel with BTF")
    monkeypatch.setattr(kernel_layout, "_default_directory", lambda: str(tmp_path / "kept"))


def by_scan(wanted=None):
    layout = kernel_layout.kept(taskfiles._NEEDS) or kernel_layout.read(taskfiles._NEEDS)
    require("func:bpf_iter_num_new" in layout, "the kernel is older than 6.4")
    return taskfiles._with_witness(taskfiles._scan, layout, None if wanted is None else set(wanted))


def by_walk(wanted=None):
    layout = kernel_layout.kept(taskfiles._NEEDS) or kernel_layout.read(taskfiles._NEEDS)
    return taskfiles._with_witness(taskfiles._walk, layout, None if wanted is None else set(wanted))


ROADS = pytest.mark.parametrize("holders", [taskfiles.socket_holders, by_scan, by_walk])


def rows(columns, pids):
    """Rows of these processes as (inode, pid, descriptor)."""
    inodes, holders = columns
    found = [
        (inode, packed & 0xFFFFFFFF, packed >> 32) for inode, packed in zip(inodes, holders, strict=True)
    ]
    return sorted(row for row in found if row[1] in pids)


def links(directory, pid):
    """What /proc says: (inode, pid, descriptor) for each socket in a directory of descriptors."""
    found = []
    for name in os.listdir(directory):
        try:
            target = os.readlink(f"{directory}/{name}")
        except FileNotFoundError:  # the listing's own descriptor
            continue
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            found.append((int(match[1]), pid, int(name)))
    return found


def by_proc(*pids):
    return sorted(row for pid in pids for row in links(f"/proc/{pid}/fd", pid))


COMMON = """
import ctypes, json, os, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def inode(some):
    return os.fstat(some.fileno()).st_ino
def tell(**told):
    sys.stdout.write(json.dumps(told) + chr(10))
    sys.stdout.flush()
CLONE_FILES, CLONE_NEWNET, CLONE_NEWPID = 0x400, 0x40000000, 0x20000000
"""


class Actor:
    """A process that runs a script, tells one line of JSON, and lives until the block ends."""

    def __init__(self, script, **options):
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMON + script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            **options,
        )

    def __enter__(self):
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            pytest.fail("the actor ended without a word")
        self.told = json.loads(line)
        self.pid = self.process.pid
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def mine():
    """Sockets of several kinds, one of them under two descriptors.

    What other tests left to the garbage collector goes first, lest it be closed between two looks.
    """
    gc.collect()
    kinds = [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET),
        (socket.AF_NETLINK, socket.SOCK_RAW),
        (socket.AF_PACKET, socket.SOCK_RAW),
    ]
    opened = [socket.socket(*kind) for kind in kinds]
    opened.append(opened[0].dup())
    yield opened
    for one in opened:
        one.close()


@ROADS
def test_all_holders_are_those_of_proc(holders, mine):
    shared = mine[0].fileno()
    with Actor("tell(); sys.stdin.read()", pass_fds=[shared]) as child:
        expected = by_proc(os.getpid(), child.pid)
        assert rows(holders(), {os.getpid(), child.pid}) == expected
        inode = os.fstat(shared).st_ino
        assert {row[1] for row in expected if row[0] == inode} == {os.getpid(), child.pid}


@ROADS
def test_only_wanted_sockets(holders, mine):
    inodes = [os.fstat(one.fileno()).st_ino for one in mine]
    for wanted in (
        inodes[:1],
        inodes[1:3],
        [*inodes, 0, -1, 1 << 40],
        inodes + list(range(5000, 5000 + 600)),
    ):
        expected = [row for row in by_proc(os.getpid()) if row[0] in wanted]
        found = holders(wanted)
        assert rows(found, {os.getpid()}) == expected
        assert set(found[0]) <= set(wanted)


def test_no_socket_is_wanted():
    assert taskfiles.socket_holders([]) == ([], [])
    assert taskfiles.socket_holders([0, -5, 1 << 32]) == ([], [])


@ROADS
def test_a_file_with_the_number_of_a_socket_is_none(holders, tmp_path, mine):
    """Another file system may use the number; an O_PATH descriptor of a Unix socket's name is no socket either."""
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "name"))
    path = os.open(tmp_path / "name", os.O_PATH)
    try:
        number = os.fstat(path).st_ino
        assert path not in [row[2] for row in rows(holders([number]), {os.getpid()})]
        assert rows(holders(), {os.getpid()}) == by_proc(os.getpid())
    finally:
        os.close(path)
        bound.close()


@ROADS
def test_more_sockets_in_one_process_than_any_buffer_holds(holders, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    require(hard >= 4000, "RLIMIT_NOFILE is below 4000")
    monkeypatch.setattr(taskfiles, "_FEW_ROWS", 4)
    monkeypatch.setattr(taskfiles, "_open_files", lambda: 4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4000, hard))
    many = []
    try:
        many = [socket.socket(socket.AF_UNIX) for _ in range(3000)]
        assert rows(holders(), {os.getpid()}) == by_proc(os.getpid())
        wanted = [os.fstat(one.fileno()).st_ino for one in many[:300]]
        assert len(rows(holders(wanted), {os.getpid()})) == 300
    finally:
        for one in many:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@ROADS
def test_sockets_of_other_network_namespaces(holders):
    """One opened after unshare, and one whose holder has moved on to a third namespace since."""
    script = """
must(libc.unshare(CLONE_NEWNET))
first = socket.socket()
must(libc.unshare(CLONE_NEWNET))
second = socket.socket()
tell(first=[inode(first), first.fileno()], second=[inode(second), second.fileno()])
sys.stdin.read()
"""
    with Actor(script) as actor:
        expected = sorted(
            (actor.told[name][0], actor.pid, actor.told[name][1]) for name in ("first", "second")
        )
        assert rows(holders(), {actor.pid}) == expected == by_proc(actor.pid)
        assert rows(holders([expected[0][0]]), {actor.pid}) == expected[:1]


PID_NAMESPACE = """
from portside.system import kernel_layout, taskfiles
kernel_layout._default_directory = lambda: sys.argv[1]
must(libc.unshare(CLONE_NEWPID))
ours, theirs = os.pipe()
child = os.fork()
if not child:
    os.close(ours)
    libc.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    held = socket.socket()
    layout = kernel_layout.kept(taskfiles._NEEDS) or kernel_layout.read(taskfiles._NEEDS)
    answers = [taskfiles.socket_holders(), taskfiles.socket_holders([inode(held)])]
    answers.append(taskfiles._with_witness(taskfiles._walk, layout, None))
    told = {"pid": os.getpid(), "inode": inode(held), "fd": held.fileno(), "answers": answers}
    os.write(theirs, json.dumps(told).encode())
    os.close(theirs)
    time.sleep(60)
os.close(theirs)
text = b""
while piece := os.read(ours, 65536):
    text += piece
tell(child=child, **json.loads(text))
sys.stdin.read()
os.kill(child, 9)
os.waitpid(child, 0)
"""


def test_in_another_pid_namespace(tmp_path):
    """Inside, pids are those of inside and nobody outside is seen; outside, the process has its outer pid."""
    with Actor(PID_NAMESPACE.replace("sys.argv[1]", repr(str(tmp_path / "inner")))) as actor:
        told = actor.told
        assert told["pid"] == 1
        for inodes, holders in told["answers"]:
            assert {packed & 0xFFFFFFFF for packed in holders} == {1}
            assert rows((inodes, holders), {1}) == [(told["inode"], 1, told["fd"])]
        outside = taskfiles.socket_holders([told["inode"]])
        assert rows(outside, {actor.pid, told["child"]}) == [(told["inode"], told["child"], told["fd"])]


OWN_TABLE = """
held = socket.socket()
ready = threading.Event()
def alone():
    global own
    must(libc.unshare(CLONE_FILES))
    own = socket.socket()
    told.update(tid=threading.get_native_id(), own=[inode(own), own.fileno()])
    ready.set()
    time.sleep(60)
told = {"held": [inode(held), held.fileno()]}
threading.Thread(target=alone, daemon=True).start()
ready.wait()
tell(**told)
sys.stdin.read()
os._exit(0)
"""


@ROADS
def test_a_thread_with_descriptors_of_its_own(holders):
    with Actor(OWN_TABLE) as actor:
        own, held = actor.told["own"], actor.told["held"]
        assert rows(holders([own[0]]), {actor.pid}) == [(own[0], actor.pid, own[1])]
        twice = [(held[0], actor.pid, held[1])] * 2  # inherited: the same number in both tables
        assert rows(holders([held[0]]), {actor.pid}) == twice


LEADER_GONE = """
held = socket.socket()
def rest():
    time.sleep(0.05)
    tell(held=[inode(held), held.fileno()])
    sys.stdin.read()
    os._exit(0)
for target in (rest, lambda: time.sleep(60), lambda: time.sleep(60)):
    threading.Thread(target=target, daemon=True).start()
libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # exit(2): of this thread alone
"""


@ROADS
def test_a_process_whose_first_thread_has_exited(holders):
    with Actor(LEADER_GONE) as actor:
        deadline = time.monotonic() + 10
        while not Path(f"/proc/{actor.pid}/stat").read_text().rpartition(")")[2].startswith(" Z"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        held = actor.told["held"]
        found = rows(holders([held[0]]), {actor.pid})
        assert set(found) == {(held[0], actor.pid, held[1])}
        if holders is by_scan:
            assert len(found) == 1  # not once for each thread left


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@ROADS
def test_no_descriptor_stays_open(holders, mine):
    holders()
    before = descriptors()
    for turn in range(50):
        holders(None if turn % 2 else [5])
    assert descriptors() <= before  # other tests' may be collected meanwhile; ours would be fifty


def test_no_descriptor_stays_open_after_a_failure(monkeypatch, tmp_path):
    taskfiles.socket_holders()
    layout = kernel_layout.kept(taskfiles._NEEDS)
    before = descriptors()
    for name, number in {
        "func:bpf_iter_task": 1,
        "type:file": 1,
        "file.f_inode": 1,
        "inode.i_ino": 40,
    }.items():
        for road in (taskfiles._scan, taskfiles._walk):
            spoilt = layout | {name: number}
            try:
                taskfiles._with_witness(road, spoilt, None)
            except PortsideError:
                continue
            assert road is taskfiles._walk, name
    with pytest.raises(BadReply):
        bpf.read_array(999_999, 16, "portside")
    monkeypatch.setattr(bpf, "BPF_ITER_CREATE", 9999)
    with pytest.raises(NotSupported):
        taskfiles.socket_holders()
    monkeypatch.setattr(bpf, "BPF_LINK_CREATE", 9999)
    with pytest.raises(NotSupported):
        taskfiles.socket_holders()
    assert descriptors() <= before


def test_no_descriptor_left_to_open():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taskfiles.socket_holders()
    before = descriptors()
    try:
        for room in range(4):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + room, hard)
            )
            try:
                taskfiles.socket_holders([5])
            except PortsideError:
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors() <= before


def test_from_eight_threads_at_once(mine):
    me = {os.getpid()}
    wanted = [os.fstat(one.fileno()).st_ino for one in mine]
    expected = [row for row in by_proc(os.getpid()) if row[0] in wanted]
    wrong = []

    def work():
        for _ in range(5):
            everything = [row for row in rows(taskfiles.socket_holders(), me) if row[0] in wanted]
            if not everything == rows(taskfiles.socket_holders(wanted), me) == expected:
                wrong.append(everything)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def kernel_objects():
    """Ids of all programs, links and maps: BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID."""
    found = set()
    for command in (11, 12, 31):
        number = 0
        while True:
            attributes = ctypes.create_string_buffer(struct.pack("=4I", number, 0, 0, 0), 16)
            if bpf._syscall(bpf.SYSCALL_NUMBERS[os.uname().machine], command, attributes, 16) < 0:
                break
            number = struct.unpack_from("=I", attributes.raw, 4)[0]
            found.add((command, number))
    return found


def test_nothing_stays_in_the_kernel():
    before = kernel_objects()
    for _ in range(20):
        taskfiles.socket_holders()
        by_walk([5])
    deadline = time.monotonic() + 20
    while left := kernel_objects() - before:  # the kernel frees them a grace period later
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@pytest.mark.parametrize("kept", [True, False])
def test_nobody_is_not_permitted(kept):
    if kept:
        taskfiles.socket_holders()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            taskfiles.socket_holders()
            os.write(theirs, b"permitted")
        except NotPermitted as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    text = os.read(ours, 4096).decode()
    os.close(ours)
    os.waitpid(child, 0)
    for word in ("CAP_BPF", "CAP_PERFMON", "unprivileged_bpf_disabled", "sudo"):
        assert word in text


def test_kept_numbers_of_another_kernel_are_found_out(mine, tmp_path):
    """Whole, trusted and wrong: the program is refused or the witness missing, and the numbers are mended."""
    expected = by_proc(os.getpid())
    right = kernel_layout.read(taskfiles._NEEDS)
    for name in right:
        with kernel_layout._Directory(None) as directory:
            directory.write(kernel_layout._text(taskfiles._NEEDS, right | {name: right[name] + 8}))
        assert rows(taskfiles.socket_holders(), {os.getpid()}) == expected, name


def test_without_the_witness_there_is_no_answer(monkeypatch):
    monkeypatch.setattr(taskfiles.os, "getpid", lambda: 4_000_000)
    with pytest.raises(NotSupported, match="did not come out"):
        taskfiles.socket_holders()


def test_an_older_kernel_takes_the_slow_road(monkeypatch, mine):
    read = kernel_layout.read

    def old(names):
        return {name: number for name, number in read(names).items() if "iter_num" not in name}

    monkeypatch.setattr(kernel_layout, "kept", lambda names: None)
    monkeypatch.setattr(kernel_layout, "read", old)
    assert rows(taskfiles.socket_holders(), {os.getpid()}) == by_proc(os.getpid())


def test_another_machine_is_not_supported(monkeypatch):
    monkeypatch.setattr(bpf, "SYSCALL_NUMBERS", {})
    with pytest.raises(NotSupported, match="machine"):
        taskfiles.socket_holders()


def test_the_verifiers_reason_is_told():
    code = bytes.fromhex("7911000000000000 9500000000000000")  # r1 = *(u64 *)(r1 +0), exit: R0 was never set
    target = kernel_btf().func_id("bpf_iter_task")
    with pytest.raises(NotSupported, match="R0 !read_ok"):
        bpf.run_iterator(code, target, "portside")
    assert "processed" in bpf.verifier_log(code, target)


def test_a_signal_during_the_call_does_no_harm(mine):
    """The verifier gives up with EAGAIN when a signal is pending."""
    counted = []
    before = signal.signal(signal.SIGALRM, lambda *_: counted.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        expected = by_proc(os.getpid())
        for _ in range(50):
            assert rows(taskfiles.socket_holders(), {os.getpid()}) == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert counted
