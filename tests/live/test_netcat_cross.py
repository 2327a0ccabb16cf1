"""Each of our netcats with each of theirs, over each kind of place: an echo, so both ways and half-close at once.

A listener runs /bin/cat on the connection.  A client sends, ends its input, and must get all of it back before it
ends by itself: that needs the end of one direction passed on and the other one kept.  (Ncat 7.93 is no such listener:
its --exec loses what the program has not read when the client has ended.)  Datagrams have no end: a
question and an answer.  And much, one way: the source is a file of nothing, what is kept of it a count.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from tests.netcats import OURS, Started, await_listener, run, stream

DEADLINE = 60.0
SIZE = 200_003  # nc.traditional writes without reading meanwhile: what is on its way must fit into the kernel

# listeners with a program, by place; clients that tell the other side of their end
LISTENERS = {
    "tcp": {
        "traditional": "-l -p {port} -e /bin/cat",
        "nc.traditional": "-l -p {port} -e /bin/cat",
        "busybox": "-l -p {port} -e /bin/cat",
        "busybox nc": "-l -p {port} -e /bin/cat",
        "ncat": "-l -e /bin/cat 127.0.0.1 {port}",
        "socat": "-t 20 TCP-LISTEN:{port},bind=127.0.0.1 EXEC:/bin/cat",
    },
    "tcp6": {
        "busybox": "-l -p {port} -e /bin/cat",
        "busybox nc": "-l -p {port} -e /bin/cat",
        "ncat": "-l -e /bin/cat ::1 {port}",
        "socat": "-t 20 TCP6-LISTEN:{port},bind=[::1] EXEC:/bin/cat",
    },
    "unix": {
        "ncat": "-l -U -e /bin/cat {path}",
        "socat": "-t 20 UNIX-LISTEN:{path} EXEC:/bin/cat",
    },
}
CLIENTS = {
    "tcp": {
        "nc": "-N 127.0.0.1 {port}",
        "nc.openbsd": "-N 127.0.0.1 {port}",
        "traditional": "-q 20 127.0.0.1 {port}",
        "nc.traditional": "-q 20 127.0.0.1 {port}",
        "busybox": "127.0.0.1 {port}",
        "busybox nc": "127.0.0.1 {port}",
        "ncat": "127.0.0.1 {port}",
        "ncat.real": "127.0.0.1 {port}",
        "socat": "-t 20 STDIO TCP:127.0.0.1:{port}",
    },
    "tcp6": {
        "nc": "-N ::1 {port}",
        "nc.openbsd": "-N ::1 {port}",
        "busybox": "::1 {port}",
        "busybox nc": "::1 {port}",
        "ncat": "::1 {port}",
        "ncat.real": "::1 {port}",
        "socat": "-t 20 STDIO TCP6:[::1]:{port}",
    },
    "unix": {
        "nc": "-N -U {path}",
        "nc.openbsd": "-N -U {path}",
        "ncat": "-U {path}",
        "ncat.real": "-U {path}",
        "socat": "-t 20 STDIO UNIX-CONNECT:{path}",
    },
}
# with its standard streams at the other end
BOUND = {
    "udp": {
        "nc": "-u -l 127.0.0.1 {port}",
        "nc.openbsd": "-u -l 127.0.0.1 {port}",
        "traditional": "-u -l -p {port}",
        "nc.traditional": "-u -l -p {port}",
        "ncat": "-u -l 127.0.0.1 {port}",
        "ncat.real": "-u -l 127.0.0.1 {port}",
        "socat": "UDP-LISTEN:{port},bind=127.0.0.1 STDIO",
    },
    "udp6": {
        "nc": "-6 -u -l ::1 {port}",
        "nc.openbsd": "-6 -u -l ::1 {port}",
        "ncat": "-u -l ::1 {port}",
        "ncat.real": "-u -l ::1 {port}",
        "socat": "UDP6-LISTEN:{port},bind=[::1] STDIO",
    },
    "unixgram": {
        "nc": "-l -u -U {path}",
        "nc.openbsd": "-l -u -U {path}",
        "ncat": "-l -u -U {path}",
        "ncat.real": "-l -u -U {path}",
    },
}
ASKING = {
    "udp": {
        "nc": "-u 127.0.0.1 {port}",
        "nc.openbsd": "-u 127.0.0.1 {port}",
        "traditional": "-u 127.0.0.1 {port}",
        "nc.traditional": "-u 127.0.0.1 {port}",
        "ncat": "-u 127.0.0.1 {port}",
        "ncat.real": "-u 127.0.0.1 {port}",
        "socat": "STDIO UDP:127.0.0.1:{port}",
    },
    "udp6": {
        "nc": "-u ::1 {port}",
        "nc.openbsd": "-u ::1 {port}",
        "ncat": "-u ::1 {port}",
        "ncat.real": "-u ::1 {port}",
        "socat": "STDIO UDP6:[::1]:{port}",
    },
    "unixgram": {
        "nc": "-u -U -s {own} {path}",
        "nc.openbsd": "-u -U -s {own} {path}",
        "ncat": "-u -U -s {own} {path}",
        "ncat.real": "-u -U -s {own} {path}",
    },
}


def cells(listening, asking):
    """Return [place, server, client]: one of them ours and the other theirs, or both the same one of ours."""
    return [
        (place, server, client)
        for place, servers in listening.items()
        for server in servers
        for client in asking[place]
        if (server in OURS) != (client in OURS) or (server == client and server in OURS)
    ]


def where(place, tmp_path):
    """Return what the words of a place need."""
    kind = socket.SOCK_DGRAM if place.startswith("udp") else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET6, kind) as probe:
        probe.bind(("::", 0))
        return {"port": probe.getsockname()[1], "path": tmp_path / "s", "own": tmp_path / "own"}


def await_bound(place, there):
    if place == "unix":
        listens = re.compile(rf" 00010000 .* {re.escape(str(there['path']))}\n")  # __SO_ACCEPTCON
        wait_for(lambda: listens.search(Path("/proc/net/unix").read_text(errors="replace")))
    elif place == "unixgram":
        wait_for(there["path"].exists)
    elif place.startswith("tcp"):
        await_listener(there["port"])
    else:
        wanted = f":{there['port']:04X}"
        wait_for(lambda: any(wanted in Path(f"/proc/net/{name}").read_text() for name in ("udp", "udp6")))


def wait_for(fact):
    deadline = time.monotonic() + DEADLINE
    while not fact():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize(("place", "server", "client"), cells(LISTENERS, CLIENTS))
def test_an_echo(place, server, client, tmp_path):
    there, data = where(place, tmp_path), stream(SIZE)
    words = LISTENERS[place][server].format(**there).split()
    with Started(server, *words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        await_bound(place, there)
        done = run(client, *CLIENTS[place][client].format(**there).split(), input=data, timeout=DEADLINE)
        assert done.stdout == data, done.stderr


@pytest.mark.parametrize(("place", "server", "client"), cells(BOUND, ASKING))
def test_a_question_and_an_answer(place, server, client, tmp_path):
    """Each piece arrives at its other end, and so does what is said to it."""
    there = where(place, tmp_path)
    words = [name.format(**there).split() for name in (BOUND[place][server], ASKING[place][client])]
    with Started(server, *words[0], stderr=subprocess.DEVNULL) as answering:
        await_bound(place, there)
        with Started(client, *words[1], stderr=subprocess.DEVNULL) as asking:
            for size in (1, 1400):
                asking.writes(stream(size))
                assert answering.reads(size, DEADLINE) == stream(size)
                answering.writes(stream(size + 1))
                assert asking.reads(size + 1, DEADLINE) == stream(size + 1)


LARGE = (1 << 30) if os.environ.get("PORTSIDE_LONG", "") not in ("", "0") else 64 << 20
PLENTY = {
    "nc": ("-l -N 127.0.0.1 {port}", "-N 127.0.0.1 {port}"),
    "nc.openbsd": ("-l -N 127.0.0.1 {port}", "-N 127.0.0.1 {port}"),
    "ncat": ("-l 127.0.0.1 {port}", "127.0.0.1 {port}"),
    "ncat.real": ("-l 127.0.0.1 {port}", "127.0.0.1 {port}"),
    "traditional": ("-l -q 20 -p {port}", "-q 20 127.0.0.1 {port}"),
    "nc.traditional": ("-l -q 20 -p {port}", "-q 20 127.0.0.1 {port}"),
    "busybox": ("-l -p {port}", "127.0.0.1 {port}"),
    "busybox nc": ("-l -p {port}", "127.0.0.1 {port}"),
    "socat": ("-t 20 TCP-LISTEN:{port},bind=127.0.0.1 STDIO", "-t 20 STDIO TCP:127.0.0.1:{port}"),
}
MUCH = [
    ("nc", "nc.openbsd"),
    ("nc.openbsd", "nc"),
    ("ncat", "ncat.real"),
    ("ncat.real", "ncat"),
    ("nc", "socat"),
    ("traditional", "nc.traditional"),
    ("busybox nc", "busybox"),
]


@pytest.mark.parametrize("sends", ["listener", "client"])
@pytest.mark.parametrize(("server", "client"), MUCH)
def test_much(server, client, sends, tmp_path):
    """64 MiB, 1 GiB in the long form: all of it, its ends as they were, ours no larger for it."""
    there = where("tcp", tmp_path)
    with (tmp_path / "in").open("wb") as file:
        file.write(b"first")
        file.seek(LARGE - 4)
        file.write(b"last")
    with (tmp_path / "in").open("rb") as file, contextlib.ExitStack() as stack:
        given = {
            True: {"stdin": file, "stdout": subprocess.DEVNULL},
            False: {},
        }  # else its end would end some
        words = PLENTY[server][0].format(**there).split()
        started = stack.enter_context(Started(server, *words, **given[sends == "listener"]))
        await_listener(there["port"])
        words = PLENTY[client][1].format(**there).split()
        asking = stack.enter_context(Started(client, *words, **given[sends == "client"]))
        taking = asking if sends == "listener" else started
        ours = [each for each, name in ((started, server), (asking, client)) if name in OURS]
        assert taken(taking, ours) == (LARGE, b"first", b"last")


def taken(taking, ours):
    """Return how much comes out of one, its first and last bytes; at the half, ours must be small."""
    count, first, last, looked = 0, b"", b"", False
    while count < LARGE and (chunk := os.read(taking.process.stdout.fileno(), 1 << 20)):
        first = first or chunk[:5]
        last = (last + chunk[-4:])[-4:]
        count += len(chunk)
        if count > LARGE // 2 and not looked:
            looked = True
            for each in ours:
                status = Path(f"/proc/{each.process.pid}/status").read_text()
                assert int(status.partition("VmHWM:")[2].split()[0]) < 60_000
    return count, first, last
