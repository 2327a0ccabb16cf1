"""Programs that people put before and behind our netcats and forwards: curl, ssh, openssl, an inetd."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from tests.live.forwarding import Target, abort, connect, echo, forwarder, port_of, read_all, wait_for
from tests.netcats import SOURCE, Started, await_listener, command, environment, stream
from tests.support import require

DEADLINE = 60.0
TLS = Path(__file__).resolve().parents[1] / "data" / "tls"
PAGE = stream(3_000_001)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def quoted(name, *words):
    return " ".join(["env", f"PYTHONPATH={SOURCE}", *command(name), *map(str, words)])


@contextlib.contextmanager
def program(*words, **more):
    """A program in the background, ended with the block."""
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen([*map(str, words)], **(silent | more))
    try:
        yield running
    finally:
        running.terminate()
        running.wait(DEADLINE)


# ---- curl through a forward --------------------------------------------------------------------------------------


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(PAGE)

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(sent).hexdigest().encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Peer", str(self.client_address[1]))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def origin():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def curl(*words, **more):
    require(shutil.which("curl"), "curl is not installed")
    done = subprocess.run(
        ["curl", "-sS", "-m", "30", "--noproxy", "*", *words], capture_output=True, timeout=DEADLINE, **more
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_over_tcp(origin):
    """Much there and back, two requests over one connection, over IPv4 and IPv6."""
    with forwarder(("0", f"127.0.0.1:{origin}")) as forward:
        for host in ("127.0.0.1", "[::1]"):
            url = f"http://{host}:{port_of(forward.addresses[0])}/"
            assert curl(url) == PAGE
            assert curl("--data-binary", "@-", url, input=PAGE) == hashlib.sha256(PAGE).hexdigest().encode()
            peers = curl(
                "-o", os.devnull, "-o", os.devnull, "-w", "%header{x-peer} %{num_connects}\n", url, url
            )
            (first, one), (second, none) = map(bytes.split, peers.splitlines())
            assert (first, one, none) == (second, b"1", b"0")


def test_curl_over_a_unix_socket_and_with_a_proxy_header(origin, tmp_path):
    path = str(tmp_path / "web")
    with forwarder((path, f"127.0.0.1:{origin}")):
        assert curl("--unix-socket", path, "http://localhost/") == PAGE
    wanted = {"accept_proxy": ["127.0.0.0/8"]}
    with forwarder(("0", f"127.0.0.1:{origin}"), **wanted) as forward:
        assert curl("--haproxy-protocol", f"http://127.0.0.1:{port_of(forward.addresses[0])}/") == PAGE


def test_openssl_through_a_forward():
    """TLS from end to end: s_client, our forward, s_server with its answers turned round."""
    require(shutil.which("openssl"), "openssl is not installed")
    port = free_port()
    serving = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-rev"]
    serving += ["-cert", TLS / "localhost.crt", "-key", TLS / "localhost.key"]
    with program(*serving), forwarder(("127.0.0.1:0", f"127.0.0.1:{port}")) as forward:
        await_listener(port)
        there = f"127.0.0.1:{port_of(forward.addresses[0])}"
        asking = ["openssl", "s_client", "-quiet", "-connect", there, "-servername", "localhost"]
        with subprocess.Popen(
            asking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as client:
            client.stdin.write(b"hello\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"olleh\n"
            client.kill()


# ---- rude clients of a forward -----------------------------------------------------------------------------------


def test_rude_clients_keep_nobody_from_a_forward():
    """One reads nothing, one says nothing, one resets in the middle: the others are served."""
    with Target(echo) as target, contextlib.ExitStack() as stack:
        forward = stack.enter_context(forwarder(("127.0.0.1:0", f"127.0.0.1:{target.port}")))
        port = port_of(forward.addresses[0])
        deaf, mute, rude = (stack.enter_context(connect(port)) for _ in range(3))
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while deaf.send(bytes(1 << 20)):
                pass
        rude.sendall(bytes(100_000))
        rude.recv(1)
        abort(rude)
        for _ in range(3):
            with connect(port) as client:
                client.sendall(b"served")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"served"
        abort(deaf)
        mute.close()
        wait_for(lambda: not forward.statistics()[0].open, DEADLINE)


# ---- an inetd ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nc", "nc.openbsd", "ncat", "ncat.real", "traditional", "busybox"])
def test_a_netcat_of_an_inetd(name):
    """Its standard streams are one socket: what comes is passed on, its end too, and the answer comes back."""
    require(shutil.which("systemd-socket-activate"), "systemd-socket-activate is not installed")
    port = free_port()
    with Target(echo) as target:
        words = {"nc": ["-N"], "nc.openbsd": ["-N"], "traditional": ["-n", "-q", "20"]}.get(name, [])
        inetd = ["systemd-socket-activate", "-a", "--inetd", "-l", f"127.0.0.1:{port}", "-E", "PYTHONPATH"]
        with program(*inetd, *command(name), *words, "127.0.0.1", target.port, env=environment()):
            await_listener(port)
            for _ in range(2):
                with connect(port) as client:
                    client.settimeout(DEADLINE)
                    client.sendall(PAGE[:200_000])
                    client.shutdown(socket.SHUT_WR)
                    assert read_all(client) == PAGE[:200_000]


# ---- ssh ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """How ssh logs in to a server of our own, and its port."""
    for needed in ("dropbear", "ssh", "ssh-keygen", "unshare"):
        require(shutil.which(needed), f"{needed} is not installed")
    require(
        os.geteuid() == 0, "needs root: the server reads root's keys, which are ours in its mount namespace"
    )
    place, port = tmp_path_factory.mktemp("ssh"), free_port()
    for words in (
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "key"],
        ["dropbearkey", "-t", "ed25519", "-f", place / "host"],
    ):
        subprocess.run(words, check=True, capture_output=True, timeout=DEADLINE)
    script = "mount -t tmpfs -o mode=700 none ~root && mkdir -m 700 ~root/.ssh && "
    script += "cp $0/key.pub ~root/.ssh/authorized_keys && "
    script += f"exec dropbear -F -s -r $0/host -P $0/pid -p 127.0.0.1:{port}"
    options = [
        "-F",
        "none",
        "-i",
        place / "key",
        "-p",
        port,
        "-o",
        "LogLevel=ERROR",
        "-o",
        "IdentitiesOnly=yes",
    ]
    options += ["-o", f"UserKnownHostsFile={place}/known", "-o", "StrictHostKeyChecking=no"]
    with program("unshare", "-m", "sh", "-c", script, place):
        await_listener(port)
        yield ["ssh", *map(str, options)], port


def logged_in(words, *more):
    argv = [*words, *more, "root@127.0.0.1", "cat; echo end"]
    sent = PAGE[:300_000]  # nc.openbsd is slow here: it waits for the other side's acknowledgements (Nagle)
    done = subprocess.run(argv, input=sent, capture_output=True, timeout=DEADLINE)
    assert done.stdout == sent + b"end\n", done.stderr


WAYS = [("nc", ""), ("nc", "-F"), ("busybox", ""), ("ncat", "")]


@pytest.mark.parametrize(("name", "option"), WAYS)
def test_ssh_over_a_netcat(ssh, name, option):
    """ProxyCommand; with -F nc passes the connection itself to ssh, and is gone (ProxyUseFdpass)."""
    words, _ = ssh
    passes = ["-o", f"ProxyUseFdpass={'yes' if option else 'no'}"]
    logged_in(words, *passes, "-o", f"ProxyCommand={quoted(name, option, '%h', '%p')}")


def test_ssh_through_our_proxy(ssh):
    """CONNECT: our nc, their nc, and our ncat, all at our ncat's proxy."""
    words, _ = ssh
    port = free_port()
    with Started("ncat", "-lk", "--proxy-type", "http", "127.0.0.1", port):
        await_listener(port)
        for name in ("nc", "nc.openbsd"):
            through = quoted(name, "-X", "connect", "-x", f"127.0.0.1:{port}", "%h", "%p")
            logged_in(words, "-o", f"ProxyCommand={through}")
        logged_in(words, "-o", f"ProxyCommand={quoted('ncat', '--proxy', f'127.0.0.1:{port}', '%h', '%p')}")


def test_netcats_through_the_proxy_of_ssh(ssh):
    """ssh -D: SOCKS 4 and 5."""
    words, _ = ssh
    port = free_port()
    with Target(echo) as target, program(*words, "-N", "-D", f"127.0.0.1:{port}", "root@127.0.0.1"):
        await_listener(port)
        there = ["127.0.0.1", target.port]
        proxy = f"127.0.0.1:{port}"
        for given in (
            ("nc", "-N", "-X", "5", "-x", proxy),
            ("nc", "-N", "-X", "4", "-x", proxy),
            ("nc.openbsd", "-N", "-X", "5", "-x", proxy),
            ("ncat", "--proxy-type", "socks5", "--proxy", proxy),
            ("ncat", "--proxy-type", "socks4", "--proxy", proxy),
        ):
            name, *options = given
            done = subprocess.run(
                [*command(name), *options, *map(str, there)],
                input=PAGE,
                capture_output=True,
                timeout=DEADLINE,
                env=environment(),
            )
            assert done.stdout == PAGE, (given, done.stderr)
