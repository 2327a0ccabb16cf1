"""Netcats in trouble beside their models: full disks, resets, slow readers, no descriptors left, rude clients."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.netcats import Started, await_listener, command, environment
from tests.support import require

DEADLINE = 60.0
RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: close(2) sends RST
LISTENERS = {
    "nc": "-l 127.0.0.1 {port}",
    "nc.openbsd": "-l 127.0.0.1 {port}",
    "traditional": "-l -p {port}",
    "nc.traditional": "-l -p {port}",
    "busybox": "-l -p {port}",
    "busybox nc": "-l -p {port}",
    "ncat": "-l 127.0.0.1 {port}",
    "ncat.real": "-l 127.0.0.1 {port}",
}
MODELS = [
    ("nc", "nc.openbsd"),
    ("traditional", "nc.traditional"),
    ("busybox", "busybox nc"),
    ("ncat", "ncat.real"),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def listening(name, *more, **streams):
    port = free_port()
    with Started(name, *LISTENERS[name].format(port=port).split(), *more, **streams) as started:
        await_listener(port)
        yield started, port


def connected(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(DEADLINE)
    return client


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


@pytest.mark.parametrize("name", [ours for ours, _ in MODELS])
def test_a_full_disk(name, tmp_path):
    """What fits is in the file, the failure is told in a line, and the exit code is not 0."""
    require(shutil.which("unshare"), "unshare is not installed")
    port = free_port()
    words = [*command(name), *LISTENERS[name].format(port=port).split()]
    script = 'mount -t tmpfs -o size=256k none "$1" && shift && exec "$@" >"$OUT"; '
    told = environment() | {"OUT": str(tmp_path / "out")}
    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), *words]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=told) as process:
        try:
            await_listener(port)
            with connected(port) as client, contextlib.suppress(OSError):
                client.sendall(bytes(1 << 22))
                client.shutdown(socket.SHUT_WR)
                client.recv(1)
            code = process.wait(DEADLINE)
            said = process.stderr.read()
        finally:
            process.kill()
    assert code != 0
    assert b"No space left on device" in said
    assert said.count(b"\n") == 1


@pytest.mark.parametrize(("ours", "theirs"), MODELS)
def test_a_reset_in_the_middle(ours, theirs):
    found = []
    for name in (ours, theirs):
        with listening(name) as (started, port):
            client = connected(port)
            client.sendall(b"half")
            assert started.reads(4) == b"half"
            reset(client)
            found.append((started.ends(DEADLINE), started.process.stderr.read()))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", [ours for ours, _ in MODELS])
def test_a_slow_reader_costs_no_memory(name):
    """Much waits at our input, nobody takes it: it stays there."""
    with open("/dev/zero", "rb") as endless, listening(name, stdin=endless) as (started, port):
        with connected(port) as client:
            assert client.recv(1)
            for _ in range(20):
                time.sleep(0.02)
                client.recv(4096)
            status = Path(f"/proc/{started.process.pid}/status").read_text()
            assert int(status.partition("VmHWM:")[2].split()[0]) < 80_000
            reset(client)
        started.ends(DEADLINE)


def test_the_next_client_is_served_after_a_rude_one():
    with listening("nc", "-k") as (started, port):
        for said in (b"one", b"two"):
            rude = connected(port)
            rude.sendall(said)
            assert started.reads(3) == said
            reset(rude)
        with connected(port) as last:
            last.sendall(b"end")
            assert started.reads(3) == b"end"


def test_no_descriptors_left():
    """ncat -lk with few descriptors: it says so, lives on, and serves again when some are free."""
    require(shutil.which("prlimit"), "prlimit is not installed")
    with listening("ncat", "-k", "-e", "/bin/cat") as (started, port):
        limit = ["prlimit", f"--pid={started.process.pid}", "--nofile=24:24"]
        subprocess.run(limit, check=True, timeout=DEADLINE)
        with contextlib.ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(connected(port))
            started.says(rb"(?i)too many open files", DEADLINE)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            with connected(port) as client, contextlib.suppress(OSError):
                client.sendall(b"again")
                if client.recv(5) == b"again":
                    return
        pytest.fail("it serves nobody any more")


def test_many_clients_at_once_are_all_served():
    with listening("ncat", "-k", "-m", "60", "-e", "/bin/cat") as (_, port):
        heard = []

        def ask(number):
            with connected(port) as client:
                client.sendall(b"%d" % number)
                client.shutdown(socket.SHUT_WR)
                heard.append(client.recv(10) == b"%d" % number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert heard == [True] * 50
