"""Many connections through one forwarder at once: 1,000, or up to 10,000 with PORTSIDE_LONG=1; each takes little."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time

import pytest

LONG = os.environ.get("PORTSIDE_LONG", "") not in ("", "0")
SPARE = 100  # descriptors of the interpreter, listeners and the like
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # raising it takes CAP_SYS_RESOURCE
MANY = min(10_000, (HARD - SPARE) // 2) if LONG else 1_000
PORTSIDE = [sys.executable, "-m", "portside"]
MOST_PER_CONNECTION = 16  # KiB of the forwarder's memory


def raise_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))


def memory_of(pid):
    """KiB that are resident."""
    with open(f"/proc/{pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS:")).split()[1])


def start(*words):
    """Start a command that prints into a file, which never holds it up, and wait until it listens."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
    process = subprocess.Popen(
        [*PORTSIDE, *words], stdout=log, stderr=subprocess.STDOUT, preexec_fn=raise_limit
    )
    deadline = time.monotonic() + 20
    while "Listening on" not in said(log):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.log = log
    return process


def said(log):
    return os.pread(log.fileno(), 1 << 24, 0).decode()


def talk():
    """Open all, have an answer on each, look at the forwarder's memory, and close all."""
    raise_limit()
    server = start("serve", "echo:7001/tcp", "--bind", "127.0.0.1", "--max-conns", str(2 * MANY))
    forward = start("forward", "127.0.0.1:7000", "127.0.0.1:7001", "--stats", "3600")
    try:
        before = memory_of(forward.pid)
        clients = [opened() for _ in range(MANY)]
        for number, client in enumerate(clients):
            client.sendall(b"%06d" % number)
        answers = sum(client.recv(100) == b"%06d" % number for number, client in enumerate(clients))
        grown = memory_of(forward.pid) - before
        for client in clients:
            client.close()
        return answers, grown, drained(forward)
    finally:
        for process in (server, forward):
            process.kill()
            process.wait()
            process.log.close()


def opened():
    client = socket.create_connection(("127.0.0.1", 7000), timeout=30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def drained(forward):
    """Have it end; return the line of its counters."""
    forward.terminate()
    assert forward.wait(30) == 0
    return said(forward.log).splitlines()[-1]


@pytest.mark.timeout(300)
def test_many_at_once(space):
    answers, grown, counters = space.call(talk, timeout=280)
    assert answers == MANY
    assert grown < MOST_PER_CONNECTION * MANY + 20_000
    moved = 6 * MANY
    assert counters == (
        f"127.0.0.1:7000: 0 open, {MANY} taken, 0 refused, 0 failed, {moved} bytes in, {moved} out"
    )
