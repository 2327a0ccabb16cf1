"""The nc face's options at work, each held against nc.openbsd: the same arrives at the other end of the socket."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import time

import pytest
from tests.netcats import Started, command, environment, run
from tests.support import require

NCS = ["nc", "nc.openbsd"]
DEADLINE = 20.0
IP_RECVTTL, IP_RECVTOS = 12, 13


def said_by_nc(done):
    """Return exit code and standard error, under the name of nc."""
    return done.returncode, re.sub(rb"(?m)^\S*nc\.openbsd: ", b"nc: ", done.stderr)


TOS = ["af11", "af43", "cs6", "critical", "ef", "lowdelay", "throughput", "0x28", "020", "12"]


@pytest.mark.parametrize("word", TOS)
def test_type_of_service(word):
    assert datagram_of("nc", "-T", word) == datagram_of("nc.openbsd", "-T", word)


@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("words", ["", "-M 7", "-T ef -M 255"])
def test_time_to_live(family, words):
    found = [datagram_of(name, *words.split(), to=family) for name in NCS]
    assert found[0] == found[1]
    if words == "-M 7":
        assert found[0][1] == 7


def datagram_of(name, *words, to="127.0.0.1"):
    """Return the type of service and the time to live of a datagram that is sent."""
    v6 = ":" in to
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(DEADLINE)
        server.bind((to, 0))
        if v6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            server.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
            server.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        with Started(name, "-u", *words, to, server.getsockname()[1]) as asking:
            asking.writes(b"x")
            data, control, *_ = server.recvmsg(10, 200)
    assert data == b"x"
    values = {kind: int.from_bytes(value, "little") for _, kind, value in control}
    return (values[67], values[52]) if v6 else (values[1], values[2])


@pytest.mark.parametrize("least", [64, 65])
def test_packets_below_the_least_ttl_are_dropped(least):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [said_by_nc(run(name, "-v", "-w", 2, "-m", least, "127.0.0.1", port)) for name in NCS]
    assert found[0] == found[1]
    assert (found[0][0] == 0) == (least == 64)


def test_buffers():
    require(shutil.which("ss"), "ss is not installed")
    found = []
    for name in NCS:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with Started(name, "-I", 8192, "-O", 16384, "127.0.0.1", port):
                peer, (_, theirs) = server.accept()
                words = ["ss", "-Htmn", f"sport = :{theirs} and dport = :{port}"]
                shown = subprocess.run(words, capture_output=True, check=True, timeout=DEADLINE).stdout
                found.append(re.findall(rb"(?:rb|tb)\d+", shown))
                peer.close()
    assert found[0] == found[1] == [b"rb16384", b"tb32768"]


def test_broadcast():
    found = []
    for name in NCS:
        with socket.socket(type=socket.SOCK_DGRAM) as server:
            server.bind(("", 0))
            server.settimeout(DEADLINE)
            port = server.getsockname()[1]
            found.append(said_by_nc(run(name, "-uv", "127.255.255.255", port, input=b"x")))
            with Started(name, "-ub", "127.255.255.255", port) as asking:
                asking.writes(b"to all")
                assert server.recv(100) == b"to all"
    port = rb"port \d+"
    assert re.sub(port, b"", found[0][1]) == re.sub(port, b"", found[1][1])
    assert found[0][0] == found[1][0] == 1


@pytest.mark.parametrize("words", ["", "-C", "-C -i 1"])
def test_line_ends(words):
    text = b"one\ntwo\r\nthree\r\n\nfour"
    found = [line_ends(name, words, text) for name in NCS]
    assert found[0] == found[1]
    assert (b"one\r\ntwo" in found[0]) == bool(words)


def line_ends(name, words, text):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with Started(name, "-N", *words.split(), "127.0.0.1", server.getsockname()[1]) as asking:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(DEADLINE)
                asking.writes(text)
                asking.ends_input()
                return b"".join(iter(lambda: peer.recv(65536), b""))


IAC = bytes([255])
NEGOTIATION = [
    IAC + bytes([253, 1]) + IAC + bytes([251, 3]) + b"text",  # DO, WILL
    IAC + bytes([254, 1, 255, 252, 3]),  # DON'T, WON'T
    b"a" + IAC + bytes([250, 24, 1, 255, 240]) + b"b",  # a subnegotiation
    IAC + IAC + b"x" + IAC + bytes([241]),  # a byte 255, NOP
]


@pytest.mark.parametrize("said", NEGOTIATION)
def test_telnet(said):
    found = [answers_to(name, said) for name in NCS]
    assert found[0] == found[1]


def answers_to(name, said):
    """Return what is answered to a piece of a telnet session, and what of it is shown."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with Started(name, "-t", "127.0.0.1", server.getsockname()[1]) as asking:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(DEADLINE)
                peer.sendall(said)
                shown = asking.reads(len(said), DEADLINE)  # it has answered by then
                asking.writes(b"end")
                heard = b""
                while not heard.endswith(b"end"):
                    heard += peer.recv(100)
                return heard, shown


@pytest.mark.parametrize(
    ("name", "option", "pieces"),
    [
        ("nc.openbsd", "-i", [b"one\n", b"uno\n"]),
        ("nc", "-i", [b"one\n", b"uno\n"]),
        ("nc.traditional", "-i", [b"one\n", b"uno\n"]),
        ("traditional", "-i", [b"one\n", b"uno\n"]),
        ("busybox nc", "-i", [b"one\nuno\n", b"more"]),
        ("busybox", "-i", [b"one\nuno\n", b"more"]),
        ("ncat.real", "-d", [b"one\nuno\n", b"more"]),
        ("ncat", "-d", [b"one\nuno\n", b"more"]),
    ],
)
def test_pauses(name, option, pieces):
    """Line by line, or piece by piece; never two within the time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with Started(name, option, 1, "127.0.0.1", server.getsockname()[1]) as asking:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(DEADLINE)
                asking.writes(b"one\nuno\n")
                heard = [peer.recv(100)]
                began = time.monotonic()
                asking.writes(b"more")
                heard.append(peer.recv(100))
                assert heard == pieces
                assert time.monotonic() - began > 0.8


@pytest.mark.parametrize("limit", [1, 2])
def test_an_end_after_so_many_packets(limit):
    found = []
    for name in NCS:
        with socket.socket(type=socket.SOCK_DGRAM) as server:
            server.settimeout(DEADLINE)
            server.bind(("127.0.0.1", 0))
            with Started(name, "-u", "-W", limit, "127.0.0.1", server.getsockname()[1]) as asking:
                asking.writes(b"q")
                _, peer = server.recvfrom(10)
                for number in range(limit):
                    server.sendto(b"answer %d\n" % number, peer)
                found.append((asking.ends(DEADLINE), asking.process.stdout.read()))
    assert found[0] == found[1]
    assert found[0][1].count(b"answer") == limit


def test_the_connection_is_passed_on():
    """-F: who reads standard output gets the socket itself, and nc is gone."""
    for name in NCS:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, socket.create_server(("127.0.0.1", 0)) as server:
            ours.settimeout(DEADLINE)
            with Started(name, "-F", "127.0.0.1", server.getsockname()[1], stdout=theirs.fileno()) as asking:
                theirs.close()
                peer, _ = server.accept()
                _, descriptors, *_ = socket.recv_fds(ours, 10, 4)
                assert asking.ends(DEADLINE) == 0, name
            with peer, socket.socket(fileno=descriptors[0]) as passed:
                passed.sendall(b"from the one who asked")
                peer.settimeout(DEADLINE)
                assert peer.recv(100) == b"from the one who asked"


def test_a_connection_is_passed_to_sockets_alone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [said_by_nc(run(name, "-F", "127.0.0.1", port)) for name in NCS]
        assert found[0] == found[1]
        assert found[0][0] == 1
        found = [at_terminal(name, "-F", "127.0.0.1", port) for name in NCS]
    assert found[0] == found[1]


def at_terminal(name, *words, answers=(), meanwhile=lambda: None):
    """Run with a terminal of its own; type each answer after its prompt.  Returns if it ended, and what it showed."""
    pid, master = pty.fork()
    if pid == 0:
        argv = [*command(name), *map(str, words)]
        os.execvpe(argv[0], argv, environment())
    shown, waiting = b"", list(answers)
    end = time.monotonic() + DEADLINE
    try:
        while time.monotonic() < end:
            if waiting and re.search(waiting[0][0], shown):
                time.sleep(0.2)  # the model throws away what is typed early
                os.write(master, waiting.pop(0)[1] + b"\n")
            if select.select([master], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    shown += os.read(master, 4096)
            meanwhile()
            if os.waitpid(pid, os.WNOHANG)[0]:
                pid = 0
                break
    finally:
        if pid:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(master)
    return pid == 0, shown.replace(b"nc.openbsd: ", b"nc: ")


def tcp_md5(peer, key):
    """struct tcp_md5sig for an IPv4 peer (linux/tcp.h)."""
    place = struct.pack("=H2s4s120s", socket.AF_INET, b"", socket.inet_aton(peer), b"")
    return place + struct.pack("=BBHI80s", 0, 0, len(key), 0, key)


def test_signatures():
    """-S: the password is asked for on the terminal; a server with the same key is reached."""
    found = []
    for name in NCS:
        for typed in (b"secret", b"other"):
            with socket.create_server(("127.0.0.1", 0)) as server:
                server.setsockopt(socket.IPPROTO_TCP, 14, tcp_md5("127.0.0.1", b"secret"))  # TCP_MD5SIG
                words = ["-S", "-z", "-v", "-w", "2", "127.0.0.1", server.getsockname()[1]]
                _, shown = at_terminal(name, *words, answers=[(rb"password: ", typed)])
                found.append(re.sub(rb"\d{4,}|\s+", b" ", shown))
    assert found[:2] == found[2:]
    assert b"succeeded" in found[0]
    assert b"succeeded" not in found[1]


def test_a_password_for_a_proxy():
    """-P: asked for on the terminal when the proxy wants one, and sent as Basic (RFC 7617)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        heard, said = [], [b"HTTP/1.0 407 Who\r\n\r\n", b"HTTP/1.0 200 Ok\r\n\r\n"]

        def serve():
            with contextlib.suppress(TimeoutError), server.accept()[0] as peer:
                peer.settimeout(DEADLINE)
                text = b""
                while not text.endswith(b"\r\n\r\n"):
                    text += peer.recv(1000)
                heard.append(text)
                peer.sendall(said.pop(0))

        proxy = f"127.0.0.1:{server.getsockname()[1]}"
        words = ["-X", "connect", "-P", "me", "-x", proxy, "-z", "192.0.2.1", "80"]
        over, shown = at_terminal("nc", *words, answers=[(rb"127.0.0.1: ", b"it")], meanwhile=serve)
    assert over
    assert shown == b"Proxy password for me@127.0.0.1: \r\n"  # and not what was typed
    request = b"CONNECT 192.0.2.1:80 HTTP/1.0\r\n"
    assert heard == [request + b"\r\n", request + b"Proxy-Authorization: Basic bWU6aXQ=\r\n\r\n"]
