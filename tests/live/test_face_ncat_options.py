"""The ncat face's options at work, each held against Ncat; and netcats through proxies that are not ours."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess

import pytest
from tests.netcats import Started, await_listener, run
from tests.support import require

NCATS = ["ncat", "ncat.real"]
DEADLINE = 40.0


def both(function):
    """Return what ours and theirs give, which must be the same."""
    ours, theirs = (function(name) for name in NCATS)
    assert ours == theirs
    return ours


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def met(name, *words, **streams):
    """A client of a plain socket, and that socket's end of the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with Started(name, *words, "127.0.0.1", server.getsockname()[1], **streams) as asking:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(DEADLINE)
                yield asking, peer


@contextlib.contextmanager
def waiting(name, *words, **streams):
    """A listener, and its port."""
    port = free_port()
    with Started(name, "-l", *words, "127.0.0.1", port, **streams) as started:
        await_listener(port)
        yield started, port


def said(asking):
    return asking.ends(DEADLINE), asking.process.stderr.read()


def test_line_ends():
    def sent(name):
        with met(name, "-C") as (asking, peer):
            asking.writes(b"one\ntwo\r\n\nthree")
            asking.ends_input()
            return b"".join(iter(lambda: peer.recv(100), b""))

    assert both(sent) == b"one\r\ntwo\r\n\r\nthree"


@pytest.mark.parametrize(
    "options", [b"\xff\xfd\x01\xff\xfb\x03", b"\xff\xfe\x01\xff\xfc\x03", b"\xff\xfd\x18"]
)
def test_telnet(options):
    def answers(name):
        with met(name, "-t") as (_asking, peer):
            peer.sendall(options)
            heard = b""
            while len(heard) < len(options):
                heard += peer.recv(100)
            return heard

    both(answers)


def test_idle():
    def idle(name):
        with met(name, "-i", "300ms") as (asking, _):
            return said(asking)

    assert both(idle)[0] == 1


@pytest.mark.parametrize(("ours", "theirs"), [("ncat", "ncat.real"), ("nc", "nc.openbsd")])
def test_a_connection_that_is_not_made_in_time(ours, theirs):
    """A listener whose queue is full drops what comes."""
    found = []
    for name in (ours, theirs):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            fill(server, stack)
            done = run(name, "-v", "-w", "1", *server.getsockname(), timeout=DEADLINE)
            text = done.stderr.replace(b"nc.openbsd: ", b"nc: ").replace(
                b"%d" % server.getsockname()[1], b"PORT"
            )
            found.append((done.returncode, text))
    assert found[0] == found[1]
    assert found[0][0] == 1
    assert re.search(rb"timed out|TIMEOUT", found[0][1])


def fill(server, stack):
    for _ in range(8):
        client = stack.enter_context(socket.socket())
        client.settimeout(0.3)
        try:
            client.connect(server.getsockname())
        except TimeoutError:
            return
    pytest.fail("the queue of a listener never fills")


@pytest.mark.parametrize("words", ["-o", "-x", "-o --append-output", "-x --append-output"])
def test_dumps(words, tmp_path):
    def dumped(name):
        option, *more = words.split()
        file = tmp_path / name
        file.write_bytes(b"before\n")
        with met(name, option, file, *more) as (asking, peer):
            asking.writes(b"question \x00\xff" + bytes(range(32, 64)))
            assert peer.recv(1) == b"q"
            peer.sendall(b"an answer\r\n")
            assert asking.reads(11) == b"an answer\r\n"
            asking.ends_input()
            peer.close()
            asking.ends(DEADLINE)
        return file.read_bytes()

    assert both(dumped).startswith(b"before\n") == ("--append-output" in words)


HOSTS = {
    "--allowfile": [("10.0.0.0/8 192.0.2.1\n127.0.0.1\n", True), ("10.0.0.0/8\n\n::1\n", False)],
    "--denyfile": [("10.0.0.0/8 192.0.2.1\n127.0.0.1\n", False), ("10.0.0.0/8\n\n::1\n", True)],
}


@pytest.mark.parametrize("option", HOSTS)
def test_files_of_hosts(option, tmp_path):
    for text, admitted in HOSTS[option]:
        (tmp_path / "hosts").write_text(text)

        def answer(name):
            with contextlib.ExitStack() as stack:
                words = ["-k", "-e", "/bin/cat", option, tmp_path / "hosts"]
                _, port = stack.enter_context(waiting(name, *words))
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.settimeout(DEADLINE)
                stack.enter_context(contextlib.suppress(ConnectionError))
                client.sendall(b"let me in")
                return client.recv(100)
            return b""

        assert both(answer) == (b"let me in" if admitted else b"")


def test_the_most_at_a_time():
    def third(name):
        with waiting(name, "-k", "-m", "2") as (started, port), contextlib.ExitStack() as stack:
            for _ in range(2):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(b"here")
                assert started.reads(4) == b"here"
            refused = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            refused.settimeout(DEADLINE)
            with contextlib.suppress(ConnectionResetError):
                assert refused.recv(1) == b""
            client.sendall(b"still")
            return started.reads(5)

    assert both(third) == b"still"


@pytest.mark.parametrize("alive", [True, False])
def test_a_scan_of_a_datagram_port(alive):
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        if not alive:
            server.close()

        def scanned(name):
            done = run(name, "-zuv", "127.0.0.1", port, timeout=DEADLINE)
            return done.returncode, done.stderr.partition(b" received in")[0]

        assert both(scanned)[0] == (0 if alive else 1)


DANTE = """\
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""


@contextlib.contextmanager
def proxy(kind, tmp_path):
    """A running proxy: `dante` for SOCKS 4 and 5, `microsocks` for SOCKS 5 with a password."""
    port = free_port()
    if kind == "dante":
        require(shutil.which("danted"), "danted is not installed")
        (tmp_path / "dante").write_text(DANTE.format(port=port))
        words = ["danted", "-N", "1", "-f", tmp_path / "dante", "-p", tmp_path / "pid"]
    else:
        require(shutil.which("microsocks"), "microsocks is not installed")
        words = ["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", "user", "-P", "secret"]
    running = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await_listener(port)
        yield port
    finally:
        running.terminate()
        running.wait(DEADLINE)


# what a proxy answers to the greeting, and to the request
REFUSALS = [
    *(("socks5", b"\5\0", b"\5%c\0\1aaaabb" % code) for code in range(1, 10)),
    ("socks5", b"\5\xff", b""),
    ("socks5", b"\5\2", b""),
    ("socks5", b"\4\0", b""),
    ("socks5", b"\5\0", b"\4\0\0\1aaaabb"),
    ("socks5", b"\5\0", b"\5\0\0\7"),
    ("socks5", b"\5\0", b"\5\0"),
    ("socks5", b"\5", b""),
    ("socks4", b"\0\x5baaaaaa", b""),
    ("socks4", b"\0\x5daaaaaa", b""),
    ("socks4", b"\0", b""),
    ("http", b"HTTP/1.0 403 No\r\n\r\n", b""),
    ("http", b"HTTP/1.0 407 No\r\n\r\n", b""),
    ("http", b"nonsense\r\n\r\n", b""),
    ("http", b"HTTP/1.0 2", b""),
]


@pytest.mark.parametrize(("kind", "first", "second"), REFUSALS)
def test_words_about_proxies_that_refuse(kind, first, second):
    def refused(name):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(DEADLINE)
            words = ["--proxy-type", kind, "--proxy", f"127.0.0.1:{server.getsockname()[1]}"]
            with Started(name, *words, "127.0.0.1", "80") as asking:
                peer, _ = server.accept()
                with peer:
                    peer.settimeout(DEADLINE)
                    heard = peer.recv(1000)
                    peer.sendall(first)
                    if second:
                        heard += peer.recv(1000)
                        peer.sendall(second)
                    with contextlib.suppress(OSError):  # it may be gone
                        peer.shutdown(socket.SHUT_WR)
                    return heard, *said(asking)

    both(refused)


@contextlib.contextmanager
def echoing():
    """A server that says what it hears."""
    with waiting("ncat.real", "-k", "-e", "/bin/cat") as (_, port):
        yield port


THROUGH = [
    ("ncat", "dante", "--proxy-type socks4 --proxy {proxy}", "127.0.0.1", b"said"),
    ("ncat", "dante", "--proxy-type socks4 --proxy {proxy}", "localhost", b"said"),
    ("ncat", "dante", "--proxy-type socks5 --proxy {proxy}", "127.0.0.1", b"said"),
    ("ncat", "dante", "--proxy-type socks5 --proxy {proxy} --proxy-dns local -4", "localhost", b"said"),
    (
        "ncat",
        "microsocks",
        "--proxy-type socks5 --proxy {proxy} --proxy-auth user:secret",
        "127.0.0.1",
        b"said",
    ),
    ("ncat", "microsocks", "--proxy-type socks5 --proxy {proxy} --proxy-auth user:wrong", "127.0.0.1", b""),
    ("ncat", "microsocks", "--proxy-type socks5 --proxy {proxy}", "127.0.0.1", b""),
    ("nc", "dante", "-N -X 4 -x {proxy}", "127.0.0.1", b"said"),
    ("nc", "dante", "-N -X 5 -x {proxy}", "localhost", b"said"),
]


@pytest.mark.parametrize(("ours", "kind", "words", "host", "heard"), THROUGH)
def test_through_a_socks_proxy(ours, kind, words, host, heard, tmp_path):
    with proxy(kind, tmp_path) as port, echoing() as there:
        given = [*words.format(proxy=f"127.0.0.1:{port}").split(), host, there]
        found = [
            heard_by(name, given, heard) for name in (ours, {"ncat": "ncat.real", "nc": "nc.openbsd"}[ours])
        ]
    assert found[0] == found[1]


def heard_by(name, words, heard):
    """Return the answer, or the complaint where there is to be none; these proxies take one end for both."""
    with Started(name, *words) as asking:
        if not heard:
            return said(asking)
        asking.writes(heard)
        return asking.reads(len(heard), DEADLINE)
