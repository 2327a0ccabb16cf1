"""Identification of real servers: OpenSSL, Python's http.server, Redis, memcached, Dropbear; and of hostile ones."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from tests.support import require

from portside.probe.identify.asking import Bounds, ask
from portside.probe.identify.crowd import identify
from portside.probe.records import Result
from portside.probe.scan import Scan, scan

pytestmark = pytest.mark.live

QUICK = Bounds(wait=0.6, deadline=6.0)


@pytest.fixture
def serve(space):
    """Start a program in the namespace, wait until its port listens, end it afterwards."""
    started = []

    def start(port, *command, **more):
        require(shutil.which(command[0]) or command[0] == sys.executable, f"{command[0]} is not installed")
        process = subprocess.Popen(
            command, preexec_fn=space.enter, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, **more,
        )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 10
        while not space.call(_listens, port):
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            assert process.poll() is None, f"{command[0]} ended"
            time.sleep(0.05)
        return space

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def _listens(port):
    with socket.socket() as used:
        return used.connect_ex(("127.0.0.1", port)) == 0


def _ask(port, host=""):
    return ask("127.0.0.1", port, host, bounds=QUICK)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    require(shutil.which("openssl"), "openssl is not installed")
    where = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=box.example"
    )
    command += " -addext subjectAltName=DNS:box.example,DNS:www.box.example -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=where, check=True, capture_output=True)
    return where


def test_https_of_openssl(serve, certificate):
    command = "openssl s_server -accept 4433 -cert cert.pem -key key.pem -alpn http/1.1 -www"
    known = serve(4433, *command.split(), cwd=certificate).call(_ask, 4433, "box.example")
    details = dict(known.service.details)
    assert known.service.name == "https"
    assert details["subject"] == "box.example"
    assert details["names"] == "box.example www.box.example"
    assert details["tls"] == "TLSv1.3"
    assert details["alpn"] == "http/1.1"
    assert details["expires"].endswith("Z")
    assert details["status"].startswith("200")


@pytest.mark.parametrize("port", [8000, 7777, 443])
def test_http_on_any_port(serve, tmp_path, port):
    (tmp_path / "index.html").write_text("<html><head><title>Hello, ports</title></head></html>")
    space = serve(port, sys.executable, "-m", "http.server", str(port), cwd=tmp_path)
    known = space.call(_ask, port)
    details = dict(known.service.details)
    assert known.service.name == "http"
    assert details["server"].startswith("SimpleHTTP")
    assert details["title"] == "Hello, ports"


def test_redis(serve):
    known = serve(6400, "redis-server", "--port", "6400", "--save", "").call(_ask, 6400)
    assert known.service.name == "redis"
    assert dict(known.service.details)["version"][0].isdigit()


def test_memcached(serve):
    known = serve(11_211, "memcached", "-u", "nobody", "-l", "127.0.0.1").call(_ask, 11_211)
    assert known.service.name == "memcached"


def test_ssh_of_dropbear(serve, tmp_path):
    require(shutil.which("dropbear"), "dropbear is not installed")
    known = serve(2200, "dropbear", "-F", "-R", "-p", "2200", "-P", str(tmp_path / "pid")).call(_ask, 2200)
    assert known.service.name == "ssh"
    assert "dropbear" in dict(known.service.details)["product"]
    assert known.banner.startswith("SSH-2.0-dropbear")


HOSTILE = {
    "endless bytes": lambda used: [used.sendall(b"A" * 65_536) for _ in range(10_000)],
    "endless lines": lambda used: [used.sendall(b"220-\r\n" * 1000) for _ in range(100_000)],
    "byte by byte": lambda used: [(used.sendall(b"x"), time.sleep(0.05)) for _ in range(1000)],
    "nothing": lambda used: time.sleep(30),
    "resets at once": lambda used: used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),
    "half of a hello": lambda used: (
        used.recv(1),
        used.sendall(b"\x16\3\3\x3f\xff\2\0\x3f\xfb"),
        time.sleep(30),
    ),
    "zeros": lambda used: used.sendall(bytes(5000)),
    "terminal's control": lambda used: used.sendall(b"\x1b]0;owned\x07\x1b[2J\r\n"),
}


@pytest.mark.parametrize("behaviour", HOSTILE)
def test_what_a_peer_does_costs_bounded_time_and_room(behaviour):
    bounds = Bounds(wait=0.2, deadline=1.5, connections=10)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_misbehave, args=(server, HOSTILE[behaviour]), daemon=True).start()
        began = time.monotonic()
        known = ask("127.0.0.1", server.getsockname()[1], bounds=bounds)
        assert time.monotonic() - began < bounds.deadline + 1.5
    assert len(known.banner) <= 200
    assert known.service is None or known.service.name in ("smtp", "ftp", "tls")


def _misbehave(server, act):
    def one(used):
        try:
            with used:
                act(used)
        except OSError:
            pass

    while True:
        try:
            used, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(used,), daemon=True).start()


def test_a_crowd_keeps_its_order_and_leaves_closed_ports_alone(serve, tmp_path):
    space = serve(8000, sys.executable, "-m", "http.server", "8000", cwd=tmp_path)
    rows = [
        Result("127.0.0.1", "tcp", 9, "closed", "reset"),
        Result("127.0.0.1", "tcp", 8000, "open", "syn-ack"),
        Result("127.0.0.1", "udp", 8000, "open", "udp-response"),
    ]
    told = space.call(identify, rows, False, QUICK)
    assert [(each.port, each.service) for each in told] == [(9, ""), (8000, "http"), (8000, "")]
    assert dict(told[1].details)["status"] == "200 OK"


def test_the_command_tells_what_answered_apart_from_a_guess(serve, tmp_path):
    """Port 8000 is registered for something else than what listens there."""
    space = serve(8000, sys.executable, "-m", "http.server", "8000", cwd=tmp_path)
    portside = [sys.executable, "-m", "portside", "scan", "127.0.0.1", "-p", "8000,8001", "--json"]
    plain, asked = (
        {row["port"]: row for row in map(json.loads, space.run([*portside, *more]).stdout.splitlines()[:-1])}
        for more in ([], ["--identify"])
    )
    assert plain[8000]["service"] is None
    assert plain[8000]["guess"] == asked[8000]["guess"] != "http"
    assert asked[8000]["service"] == "http"
    assert asked[8000]["details"]["status"] == "200 OK"
    assert asked[8001]["state"] == "closed"
    table = space.run([*portside[:-1], "--identify"]).stdout
    assert "200 OK" in table


def test_what_was_found_open_and_not_asked_yet_is_left_for_the_next_run(serve, tmp_path):
    space = serve(8000, sys.executable, "-m", "http.server", "8000", cwd=tmp_path)
    held, places, after = space.call(_stopped)
    assert held
    assert places == 1, "decided, but nobody was told"
    assert [(each.port, each.service) for each in after] == [(8000, "http")]


def _stopped():
    first = scan("127.0.0.1", "8000", method="connect", identify=True)
    batches = first.batches()
    while not first._held:
        assert next(batches) == []
    held = len(first._held)
    checkpoint = first.checkpoint()
    batches.close()
    assert first.checkpoint().left == checkpoint.left
    places = sum(len(left.places) for left in checkpoint.left)
    return held, places, list(Scan(first.plan, checkpoint, "identify"))
