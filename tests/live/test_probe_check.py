"""check and wait against servers of our own, in a namespace: every kind of goal, deadlines, the command behind."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.live import probe_world as world_of
from tests.support import require

import portside
from portside.errors import NotPermitted, TimedOut
from portside.testing.namespaces import Namespace

TLS = Path(__file__).resolve().parents[1] / "data" / "tls"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}


@pytest.fixture
def scratch():
    try:
        with Namespace() as made:
            yield made
    except NotPermitted as error:
        require(False, str(error))


def serve(listener, answer, wrap=None):
    """Answer each connection with fixed bytes after its first, in a thread that ends with the process."""

    def work():
        while True:
            one = listener.accept()[0]
            try:
                one = wrap(one) if wrap else one
                if one.recv(4096):
                    one.sendall(answer)
                one.close()
            except OSError:
                one.close()

    threading.Thread(target=work, daemon=True).start()


def http(status, more=b""):
    return more + b"HTTP/1.1 %d Some Words\r\nContent-Length: 0\r\n\r\n" % status


def look(*targets, **options):
    return {one.target: (one.open, one.reason) for one in portside.check(*targets, **options)}


def test_every_kind_of_goal(scratch, tmp_path):
    path = str(tmp_path / "s")

    def inside():
        ports = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")

        def wrap(one):
            return context.wrap_socket(one, server_side=True)

        answers = [
            (http(200), None), (http(503), None), (http(204, http(103)), None), (b"SSH-2.0-x\r\n", None),
            (b"", None), (http(200), wrap), (b"\0" * 40_000, None),
        ]  # fmt: skip
        for answer, wrapping in answers:
            listener = socket.create_server(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
            serve(listener, answer, wrapping)
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(path)
        unix.listen()
        serve(unix, http(200))
        datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        datagram.bind(path + ".dgram")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path + ".stale")
        stale.close()
        a, b, c, d, e, f, g = (f"127.0.0.1:{port}" for port in ports)
        quoted = path.replace("/", "%2F")
        return look(
            a, f"http://{a}/", f"http://{b}/", f"http://{c}/", f"http://{d}/", f"http://{e}/", f"tls://{f}",
            f"https://{f}/", f"http://{g}/", f"tls://{a}", path, path + ".dgram", path + ".stale", path + ".none",
            f"http+unix://{quoted}/", f"file://{path}", f"file://{path}.none", "127.0.0.1:1", "gone.invalid:1",
            "/" + "x" * 200, "unix:///", timeout=5.0,
        )  # fmt: skip

    found = list(scratch.call(inside).values())
    assert found == [
        (True, "syn-ack"), (True, "http-200"), (False, "http-503"), (True, "http-204"), (False, "no-http"),
        (False, "no-http"), (False, "certificate"), (False, "certificate"), (False, "no-http"), (False, "no-tls"),
        (True, "connected"), (True, "connected"), (False, "conn-refused"), (False, "no-such-file"),
        (True, "http-200"), (True, "exists"), (False, "no-such-file"), (False, "conn-refused"),
        (False, "no-such-host"), (False, "local-error"), (False, "conn-refused"),
    ]  # fmt: skip


def test_tls_by_an_authority_and_without_verification(scratch):
    def inside():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
        listener = socket.create_server(("127.0.0.1", 0))
        serve(listener, http(201), lambda one: context.wrap_socket(one, server_side=True))
        place = f"localhost:{listener.getsockname()[1]}"
        plain = look(f"https://{place}/", insecure=True, statuses=[201])
        done = command("check", f"tls://{place}", "--ca", str(TLS / "localhost.crt"), "--json")
        return plain, done.stdout, done.returncode

    plain, printed, code = scratch.call(inside)
    assert list(plain.values()) == [(True, "http-201")]
    item = json.loads(printed)["items"][0]
    assert (item["open"], item["reason"], item["detail"], code) == (True, "tls", "TLSv1.3", 0)


def test_verdicts_are_those_of_the_world(probe_world):
    """The states of ports that were built, told by check as by scan."""
    wanted = {
        22: "syn-ack",
        1: "conn-refused",
        104: "port-unreach",
        107: "admin-prohibited",
        200: "no-response",
    }

    def inside():
        return look(*(f"{world_of.TARGET}:{port}" for port in wanted), timeout=1.0)

    found = probe_world.scanner.call(inside)
    assert {int(target.rpartition(":")[2]): reason for target, (_, reason) in found.items()} == wanted
    assert [target for target, (is_open, _) in found.items() if is_open] == [f"{world_of.TARGET}:22"]


def test_udp(probe_world):
    def inside():
        ports = (world_of.UDP_ECHO, world_of.UDP_SILENT, world_of.UDP_CLOSED, world_of.UDP_PROHIBITED)
        return list(
            look(*(f"udp://{world_of.TARGET}:{port}" for port in ports), timeout=1.0, payload=b"x").values()
        )

    assert probe_world.scanner.call(inside) == [
        (True, "udp-response"), (False, "no-response"), (False, "port-unreach"), (False, "admin-prohibited"),
    ]  # fmt: skip


def test_self_connection_is_not_open(scratch):
    """Looking often at a closed port of the ephemeral range never finds it open (tokio-rs/tokio#3405)."""

    def inside():
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
            file.write("40000 40001")
        return {one for _ in range(30) for one in look("127.0.0.1:40000", "127.0.0.1:40001").values()}

    found = scratch.call(inside)
    assert not any(is_open for is_open, _ in found)


def test_wait_until_open_and_until_closed(scratch):
    def inside():
        ready = socket.socket()
        ready.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ready.bind(("127.0.0.1", 7000))
        threading.Timer(0.4, lambda: ready.listen(64)).start()
        began = time.monotonic()
        opened = portside.wait("127.0.0.1:7000", timeout=20)
        took = time.monotonic() - began
        threading.Timer(0.3, ready.close).start()
        closed = portside.wait("127.0.0.1:7000", timeout=20, closed=True)
        return [one.open for one in opened], [one.open for one in closed], took

    opened, closed, took = scratch.call(inside)
    assert (opened, closed) == ([True], [False])
    assert took >= 0.4


def test_wait_runs_out_of_time(scratch):
    def inside():
        began = time.monotonic()
        try:
            portside.wait("127.0.0.1:1", "127.0.0.1:2", timeout=0.5)
        except TimedOut as error:
            return str(error), time.monotonic() - began
        return "", 0

    text, took = scratch.call(inside)
    assert "'127.0.0.1:1' (conn-refused), '127.0.0.1:2' (conn-refused)" in text
    assert 0.5 <= took < 10


def test_more_goals_than_threads_all_get_their_look(scratch):
    """A hundred that never open do not keep one that does from being seen."""

    def inside():
        with socket.create_server(("127.0.0.1", 7001)):
            found = portside.wait("127.0.0.1:100-250", "127.0.0.1:7001", timeout=20, every=False)
            return [one.target for one in found if one.open]

    assert scratch.call(inside) == ["127.0.0.1:7001"]


def test_wait_in_asyncio(scratch):
    def inside():
        with socket.create_server(("127.0.0.1", 7002)):
            return asyncio.run(asyncio.to_thread(portside.wait, "127.0.0.1:7002", timeout=20))

    assert [one.open for one in scratch.call(inside)] == [True]


def command(*words, **options):
    argv = [sys.executable, "-m", "portside", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, **options)


def test_command_line(scratch):
    """Exit codes: as wished, not so, time over; the command runs with its own words, and its exit code is ours."""

    def inside():
        with socket.create_server(("127.0.0.1", 7003)):
            told = [
                command("check", "127.0.0.1:7003"),
                command("check", "127.0.0.1:7003", "127.0.0.1:1"),
                command("check", "--closed", "127.0.0.1:1"),
                command("check", "--closed", "127.0.0.1:7003"),
                command("check", "--closed", "gone.invalid:1"),
                command("check", "nonsense"),
                command(
                    "wait",
                    "127.0.0.1:7003",
                    "-t",
                    "20",
                    "--",
                    sys.executable,
                    "-c",
                    "print(8); raise SystemExit(5)",
                ),
                command("wait", "127.0.0.1:1", "-t", "0.3", "--", "echo", "never"),
                command("wait", "127.0.0.1:7003", "--", "/nonexistent/program"),
                command("wait", "127.0.0.1:7003", "--", "/etc/passwd"),
                command("wait", "127.0.0.1:1", "127.0.0.1:7003", "--any", "-t", "20", "-q"),
            ]
            return [
                (done.returncode, done.stdout if index == 6 else "", done.stderr)
                for index, done in enumerate(told)
            ]

    told = scratch.call(inside, timeout=60)
    assert [code for code, _, _ in told] == [0, 1, 0, 1, 0, 2, 5, 124, 127, 126, 0]
    assert told[6][1] == "8\n", "standard output is the command's alone"
    assert "not open in 0.3 s: '127.0.0.1:1' (conn-refused)" in told[7][2]
    assert told[10][2] == ""


def test_interrupt_ends_a_wait(scratch):
    argv = [sys.executable, "-m", "portside", "wait", "127.0.0.1:1"]
    run = subprocess.Popen(argv, env=ENVIRONMENT, preexec_fn=scratch.enter, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while len(os.listdir(f"/proc/{run.pid}/task")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(2)
    _, said = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "Traceback" not in said
