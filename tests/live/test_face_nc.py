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
