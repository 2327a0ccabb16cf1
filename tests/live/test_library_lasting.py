"""The library inside a long-running program: nothing stays behind, and any thread, namespace or child may call it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support import require

import portside
from portside import BadRequest
from portside.system import bpf
from portside.testing.namespaces import CLONE_NEWNET, Namespace, setns

BPF_PROG_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID = 11, 31  # include/uapi/linux/bpf.h, enum bpf_cmd


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def port_of(listener):
    return listener.getsockname()[1]


# what it leaves behind


def bpf_ids(command: int) -> set[int]:
    """The ids of the loaded BPF programs, or of the links; empty for who may not ask."""
    number = bpf.SYSCALL_NUMBERS.get(os.uname().machine, -1)
    found, last = set(), 0
    while True:
        attributes = ctypes.create_string_buffer(last.to_bytes(4, sys.byteorder) + bytes(12), 16)
        if ctypes.CDLL(None).syscall(number, command, attributes, 16) != 0:
            return found
        last = int.from_bytes(attributes.raw[4:8], sys.byteorder)
        found.add(last)


def in_kernel() -> set[tuple[int, int]]:
    return {(kind, one) for kind in (BPF_PROG_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID) for one in bpf_ids(kind)}


def in_process() -> set[str]:
    return {
        *(f"descriptor {number} {target}" for number, target in descriptors()),
        *(f"thread {number}" for number in os.listdir("/proc/self/task")),
        f"namespace {os.stat('/proc/thread-self/ns/net').st_ino}",
    }


def descriptors() -> list[tuple[str, str]]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the directory's own
            found.append((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


class Left:
    """What there was, to be compared with what there is.

    What other tests left to the garbage collector goes first; a thread of theirs may still end meanwhile.
    """

    def __init__(self) -> None:
        gc.collect()
        self.kernel, self.process = in_kernel(), in_process()

    def over(self) -> set[object]:
        """What has stayed; other programs load and unload BPF programs meanwhile, ours would stay."""
        deadline = time.monotonic() + 5
        while in_kernel() - self.kernel and time.monotonic() < deadline:
            time.sleep(0.05)
        return (in_kernel() - self.kernel) | (in_process() - self.process)


@pytest.mark.slow
@pytest.mark.timeout(600)  # every namespace of the machine, fifty times over: on a busy one that is long
def test_two_hundred_calls_leave_nothing(listener):
    calls = (
        portside.list_ports,
        portside.sockets,
        lambda: portside.who(port_of(listener)),
        lambda: portside.list_ports("proc python*", every_netns=True),
    )
    for call in calls:
        list(call()) if call is portside.sockets else call()
    before = Left()
    for number in range(200):
        calls[number % len(calls)]()
    assert not before.over()


def test_errors_leave_nothing():
    before = Left()
    for _ in range(20):
        for call in (lambda: portside.list_ports("("), lambda: portside.who(0)):
            with pytest.raises(BadRequest):
                call()
    assert not before.over()


# threads, namespaces, processes


def ours(rows) -> list[tuple[object, ...]]:
    """What is told of this process's own ports."""
    me = os.getpid()
    return sorted(
        (row.port, row.protocol, holder.fds)
        for row in rows
        for holder in row.holders
        if holder.process.pid == me
    )


def test_eight_threads_see_the_same(listener):
    expected = ours(portside.list_ports())
    assert (port_of(listener), "tcp", (listener.fileno(),)) in expected
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ours(portside.list_ports()), range(32)))
        reports = list(pool.map(lambda _: portside.who(port_of(listener)).ports, range(16)))
    assert all(answer == expected for answer in answers)
    assert all(report == reports[0] for report in reports)


def test_one_snapshot_read_by_several_threads(listener):
    found = portside.sockets("state listen")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: list(found), range(8)))
    assert all(answer == answers[0] for answer in answers)


def test_a_thread_in_another_namespace_reads_that_one(listener):
    require(os.geteuid() == 0, "needs root, to enter a namespace from a thread")
    with Namespace() as space, ThreadPoolExecutor(1) as pool:

        def inside():
            setns(f"/proc/{space.pid}/ns/net", CLONE_NEWNET)
            with socket.create_server(("127.0.0.1", 0)) as there:
                return port_of(there), portside.list_ports(), portside.who(port_of(there))

        port, rows, report = pool.submit(inside).result()
        assert [(row.port, row.netns) for row in rows] == [(port, f"net:[{space.inode}]")]
        assert report.ports[0].holders[0].process.pid == os.getpid()
    assert port_of(listener) in [row.port for row in portside.list_ports()]


def test_after_fork(listener):
    """A child that the library's user forked sees itself."""
    portside.list_ports()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            (row,) = portside.list_ports(f"port = {port_of(listener)}")
            os.write(writer, repr(sorted(holder.process.pid for holder in row.holders)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        assert answer.read() == repr(sorted([os.getpid(), child]))
    os.waitpid(child, 0)
