"""The nc face against nc.openbsd: the same words and exit codes, and each of our ends against each of theirs."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import threading

import pytest
from tests.netcats import Started, await_listener, here, run, stream

# command lines that end by themselves, whatever the host
WORDS = [
    "",
    "127.0.0.1",
    "-l",
    "-U",
    "-Ul",
    "-U a b",
    "-U -l -p 3",
    "-U -p 3 x",
    "-l host -p 1",
    "-l -s 127.0.0.1 1",
    "-l 127.0.0.1 1 2",
    "-l 1-3",
    "-l nonsense-service",
    "-lvn localhost 45555",
    "-l 192.0.2.77 0",
    "127.0.0.1 1",
    "-v 127.0.0.1 1",
    "-v localhost 1",
    "-vn 127.0.0.1 1",
    "-v ::1 1",
    "-v -4 ::1 1",
    "-6 -4 -v localhost 1",
    "-zv localhost 1-3",
    "-zv 127.0.0.1 1 2 tcpmux",
    "-z localhost 1",
    "-zv 127.0.0.1 20-x",
    "-zv 127.0.0.1 0-5",
    "-zv 127.0.0.1 5-99999",
    "-zv 127.0.0.1 70000-5",
    "-v 127.0.0.1 echo-smtp",
    "-n localhost 1",
    "no-such-host.invalid 1",
    "-zvn 256.1.1.1 80",
    "127.0.0.1 99999",
    "127.0.0.1 nonsense-service",
    "127.0.0.1 0",
    "-k localhost 1",
    "-l -z 1",
    "-x a -z -l 1",
    "-Q",
    "-i",
    "--help",
    "-X 9 a 1",
    "-i x a 1",
    "-w -1 a 1",
    "-w 99999999 a 1",
    "-q x a 1",
    "-W 0 a 1",
    "-I 0 a 1",
    "-O x a 1",
    "-T zz a 1",
    "-T 300 a 1",
    "-T 020x a 1",
    "-T lowcost -v 127.0.0.1 1",
    "-T 0x10 -v 127.0.0.1 1",
    "-M 256 a 1",
    "-M x a 1",
    "-M -1 a 1",
    "-M 0 127.0.0.1 1",
    "-m 300 a 1",
    "-m 0 127.0.0.1 1",
    "-V 0 127.0.0.1 1",
    "-U /nonexistent",
    "-zU /nonexistent",
    "-lU /nonexistent/x",
    "-FU a",
    "-ZU a",
    "-S 127.0.0.1 1",
    "-x a -u h 1",
    "-x a -l 1",
    "-x a -U h",
    "-x a -s b h 1",
    "-x [a h 1",
    "-x [::1]x h 80",
    "-x 127.0.0.1:x h 80",
    "-v -x 127.0.0.1:1 h 80",
    "-X 5 -x 127.0.0.1:1 h xx",
    "-X connect -x no-such-host.invalid h 80",
    "-s 192.0.2.99 -v 127.0.0.1 1",
    "-p 0 -b -D -v 127.0.0.1 1",
    "-uz -v 127.0.0.1 1",
    "-C -t -N -q 0 -W 1 -v 127.0.0.1 1",
]


@pytest.mark.parametrize("words", WORDS)
def test_words_and_exit_codes(words):
    theirs = run("nc.openbsd", *words.split())
    said = re.sub(
        rb"(?m)^(\S*/)?nc\.openbsd: ", b"nc: ", theirs.stderr
    )  # it tells the name it was started by
    assert here("nc", *words.split()) == (theirs.returncode, theirs.stdout, said)


def test_help():
    done = run("nc", "-h")
    assert done.returncode == 0
    assert done.stderr.startswith(b"OpenBSD netcat (Debian patchlevel 1.219-1)\nusage: nc [-46")


SERVERS = {
    "nc": "-lv 127.0.0.1 0",
    "nc.openbsd": "-lv 127.0.0.1 0",
    "nc.traditional": "-nlv -s 127.0.0.1 -p {free}",
    "busybox nc": "-l -p {free}",
    "ncat.real": "-lv 127.0.0.1 {free}",
    "socat": "-t 20 -d -d TCP-LISTEN:{free},bind=127.0.0.1,reuseaddr STDIO",
}
# told the peer of the end of standard input
CLIENTS = {
    "nc": "-N 127.0.0.1 {port}",
    "nc.openbsd": "-N 127.0.0.1 {port}",
    "nc.traditional": "-q 10 -n 127.0.0.1 {port}",
    "busybox nc": "127.0.0.1 {port}",
    "ncat.real": "127.0.0.1 {port}",
    "socat": "-t 20 STDIO TCP:127.0.0.1:{port}",
}
SIZES = [0, 1, 70_001, 5_000_003]
PAIRS = [("nc", other) for other in SERVERS] + [(other, "nc") for other in SERVERS if other != "nc"]


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(name, **streams):
    """Start a listener of that name and return it with its port, once it listens."""
    port = free_port()
    started = Started(name, *SERVERS[name].format(free=port).split(), **streams)
    try:
        if name in ("nc", "nc.openbsd"):
            return started, started.port()
        await_listener(port)
    except BaseException:
        started.__exit__()
        raise
    return started, port


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_from_the_client(server, client, size, tmp_path):
    """A file at the client's standard input arrives whole at the server's standard output, and both end."""
    (tmp_path / "in").write_bytes(stream(size))
    with (tmp_path / "in").open("rb") as file, (tmp_path / "out").open("wb") as out:
        started, port = listening(server, stdin=subprocess.DEVNULL, stdout=out)
        with started:
            run(client, *CLIENTS[client].format(port=port).split(), stdin=file)
            started.ends()
    assert digest(tmp_path / "out") == digest(tmp_path / "in")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("server", "client"), PAIRS)
def test_from_the_server(server, client, size):
    """The other way round, through pipes: the server's end of input reaches the client where the server tells it."""
    started, port = listening(server)
    with started, Started(client, *CLIENTS[client].format(port=port).split()) as asking:
        feed(started, stream(size))
        assert asking.reads(size) == stream(size)


def feed(started, data):
    threading.Thread(target=started.writes, args=(data,), daemon=True).start()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


DIALECTS = [("traditional", "nc.traditional"), ("busybox", "busybox nc")]


@pytest.mark.parametrize(("ours", "theirs"), DIALECTS)
@pytest.mark.parametrize("turned", [False, True])
def test_dialects(ours, theirs, turned):
    """Each dialect of ours with its model, as listener and as client, and with the program of -e."""
    server, client = (theirs, ours) if turned else (ours, theirs)
    port = free_port()
    with Started(server, "-l", "-p", port, stderr=subprocess.DEVNULL) as started:
        await_listener(port)
        quits = ["-q", "1"] if client.endswith("traditional") else []
        done = run(client, *quits, "127.0.0.1", port, input=b"hello")
        assert done.returncode == 0
        assert started.rest() == b"hello"
    port = free_port()
    with Started(server, "-l", "-p", port, "-e", "/bin/cat", stderr=subprocess.DEVNULL):
        await_listener(port)
        with Started(client, "127.0.0.1", port) as asking:
            asking.writes(b"hello")
            assert asking.reads(5) == b"hello"


DIALECT_WORDS = [
    ("traditional", "nc.traditional", "127.0.0.1"),
    ("traditional", "nc.traditional", "-nv 127.0.0.1 1"),
    ("traditional", "nc.traditional", "-v 127.0.0.1 1"),
    ("traditional", "nc.traditional", "-nvz 127.0.0.1 1-3"),
    ("traditional", "nc.traditional", "no-such-host.invalid 1"),
    ("traditional", "nc.traditional", "-n localhost 1"),
    ("traditional", "nc.traditional", "127.0.0.1 foo"),
    ("traditional", "nc.traditional", "-w 0 127.0.0.1 1"),
    ("traditional", "nc.traditional", "-lnv -p 0"),
    ("traditional", "nc.traditional", "-lnvp 45601 -s 192.0.2.7"),
    ("traditional", "nc.traditional", "-z"),
    ("traditional", "nc.traditional", ""),
    ("traditional", "nc.traditional", "-i 0 127.0.0.1 1"),
    ("traditional", "nc.traditional", "-w x 127.0.0.1 1"),
    ("traditional", "nc.traditional", "-p x 127.0.0.1 1"),
    ("busybox", "busybox nc", "-w x 127.0.0.1 1"),
    ("busybox", "busybox nc", "-w 0 127.0.0.1 1"),
    ("busybox", "busybox nc", "-i x 127.0.0.1 1"),
    ("busybox", "busybox nc", "-i 0 127.0.0.1 1"),
    ("busybox", "busybox nc", "-l -p x"),
    ("busybox", "busybox nc", "-l -p 99999"),
    ("busybox", "busybox nc", "127.0.0.1 1"),
    ("busybox", "busybox nc", "no-such-host.invalid 1"),
    ("busybox", "busybox nc", "127.0.0.1 foo"),
]


@pytest.mark.parametrize(("ours", "theirs", "words"), DIALECT_WORDS)
def test_words_of_the_dialects(ours, theirs, words):
    done = run(theirs, *words.split())
    assert here("nc", "--as", ours, *words.split()) == (done.returncode, done.stdout, done.stderr)


def test_a_port_beyond_the_last_is_refused():
    """The model listens at what is left of it in 16 bits."""
    code, _, said = here("nc", "--as", "traditional", "-l", "-p", "99999")
    assert (code, said) == (1, b"invalid local port 99999\n")


REFUSALS = {"4": b"\0[" + bytes(6), "5": b"\5\5\0\1", "connect": b"HTTP/1.0 403 No\r\n\r\n"}


@pytest.mark.parametrize("proxy", REFUSALS)
def test_proxies(proxy):
    """Ours and theirs send the same bytes to a proxy, and say the same when it refuses."""
    said = []
    for name in ("nc", "nc.openbsd"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            words = ["-X", proxy, "-x", f"127.0.0.1:{server.getsockname()[1]}", "127.0.0.1", "80"]
            with Started(name, *words) as asking:
                peer, _ = server.accept()
                with peer:
                    peer.settimeout(8)
                    heard = peer.recv(100)
                    if proxy == "5":
                        peer.sendall(b"\5\0")
                        heard += peer.recv(100)
                    while proxy == "connect" and not heard.endswith(b"\r\n\r\n"):
                        heard += peer.recv(100)
                    peer.sendall(REFUSALS[proxy])
                    assert asking.ends() == 1
                said.append((heard, asking.process.stderr.read().partition(b": ")[2]))
    assert said[0] == said[1]


@pytest.mark.parametrize("client", ["nc", "nc.openbsd"])
@pytest.mark.parametrize("server", ["nc", "nc.openbsd"])
@pytest.mark.parametrize("kind", ["-u", "-U", "-uU"])
def test_datagrams_and_unix_sockets(server, client, kind, tmp_path):
    """Each of ours with theirs: what was asked arrives, and so does the answer."""
    if "U" in kind:
        place, words = tmp_path / "s", ["-lv", kind, tmp_path / "s"]
    else:
        place, words = None, ["-lv", "-u", "127.0.0.1", "0"]
    with Started(server, *words) as started:
        started.says(rb"Bound on" if "u" in kind else rb"Listening on")
        where = ["127.0.0.1", started.port()] if place is None else [place]
        with Started(client, kind, *where) as asking:
            asking.writes(b"question")
            assert started.reads(8) == b"question"
            started.writes(b"answer")
            assert asking.reads(6) == b"answer"


@pytest.mark.parametrize("name", ["nc", "nc.openbsd"])
def test_a_reset_ends_a_client_in_order(name):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Started(name, "127.0.0.1", server.getsockname()[1]) as asking,
    ):
        peer, _ = server.accept()
        peer.sendall(b"x")
        assert asking.reads(1) == b"x"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        assert asking.ends() == 0
        assert asking.process.stderr.read() == b""
