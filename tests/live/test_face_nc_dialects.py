"""What the dialects of nc and Ncat have of their own, each held against its model: dumps, marks, routes, devices."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import socket
import threading
import tty

import pytest
from tests.netcats import Started, await_listener, here, run
from tests.support import require

from portside.system.libc import CLONE_NEWNET
from portside.testing.namespaces import Namespace, setns

DEADLINE = 40.0
IP_RECVOPTS, IP_RECVTOS = 6, 13
NOP = b"\1"
TRADITIONAL = ["traditional", "nc.traditional"]

WORDS = [
    ("traditional", "-G 3 127.0.0.1 1"),
    ("traditional", "-G 0 127.0.0.1 1"),
    ("traditional", "-G 4 -nvz 127.0.0.1 1"),
    ("traditional", "-n -g nonsense 127.0.0.1 1"),
    ("traditional", "-g no-such-host.invalid 127.0.0.1 1"),
    ("traditional", "-o /nonexistent/dump 127.0.0.1 1"),
    ("traditional", "-T Minimize-Delay -nvz 127.0.0.1 1"),
    ("traditional", "-nvv 127.0.0.1 1"),
    ("traditional", "-nvvz 127.0.0.1 1-3"),
    ("traditional", "-vv no-such-host.invalid 1"),
    ("busybox", "-f /nonexistent"),
]
MODELS = {"traditional": "nc.traditional", "busybox": "busybox nc"}


@pytest.mark.parametrize(("ours", "words"), WORDS)
def test_words(ours, words):
    done = run(MODELS[ours], *words.split())
    assert here("nc", "--as", ours, *words.split()) == (done.returncode, done.stdout, done.stderr)


NCAT_WORDS = [
    "-G 3 127.0.0.1 1",
    "-G 40 127.0.0.1 1",
    "-g 127.0.0.2 127.0.0.1 1",
    "-4 -g no-such-host.invalid 127.0.0.1 1",
    f"-4 -g {','.join(['127.0.0.1'] * 9)} 127.0.0.1 1",
]


@pytest.mark.parametrize("words", NCAT_WORDS)
def test_words_of_ncat(words):
    done = run("ncat.real", *words.split())
    assert here("ncat", *words.split()) == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--as traditional -T 300 127.0.0.1 1", b"invalid type of service 300\n"),
        ("--as traditional -n" + " -g 127.0.0.1" * 9 + " 127.0.0.1 1", b"too many -g hops\n"),
        ("--as traditional -n -g 127.0.0.2 -G 8 127.0.0.1 1", b"set source route: invalid argument\n"),
    ],
)
def test_what_cannot_be(words, said):
    assert here("nc", *words.split()) == (1, b"", said)


@pytest.mark.parametrize(("name", "said"), [("traditional", b"no connection"), ("busybox", b"nc: timed out")])
def test_a_listener_that_nobody_comes_to(name, said):
    """-w: it ends, and says why, as its model."""
    for each in (name, MODELS[name]):
        done = run(each, "-l", "-p", free_port(), "-w", 1, timeout=DEADLINE)
        assert done.returncode == 1
        assert done.stderr.startswith(said)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_dump_that_says_which_way():
    """-o: the same file, byte for byte, of a client whose pieces arrive one by one."""
    found = [dumped(name) for name in TRADITIONAL]
    assert found[0] == found[1]
    assert found[0].splitlines()[0].startswith(b"> 00000000 71 75 ")


def dumped(name):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        place = f"/proc/self/fd/{stack.enter_context(open_memory())}"
        words = ["-n", "-o", place, "127.0.0.1", server.getsockname()[1]]
        asking = stack.enter_context(Started(name, *words, pass_fds=[int(place.rpartition("/")[2])]))
        peer = stack.enter_context(server.accept()[0])
        peer.settimeout(DEADLINE)
        pieces = [b"question \0\xff" + bytes(range(30, 64)) + b"\x7f\x80", b"16 bytes exactly", b"z"]
        for number, piece in enumerate(pieces):
            asking.writes(piece)
            heard = b""
            while len(heard) < len(piece):
                heard += peer.recv(len(piece))
            answer = b"answer %d\r\n" % number * 3
            peer.sendall(answer)
            assert asking.reads(len(answer), DEADLINE) == answer
        peer.close()
        asking.ends(DEADLINE)
        with open(place, "rb") as file:
            return file.read()


@contextlib.contextmanager
def open_memory():
    descriptor = os.memfd_create("dump", 0)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", [*TRADITIONAL, "ncat", "ncat.real"])
def test_a_dump_that_has_no_room(name):
    """Told in a line, with the model's exit code."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = ["-n", "-o", "/dev/full", "127.0.0.1", server.getsockname()[1]]
        with Started(name, *words) as asking:
            peer, _ = server.accept()
            with peer:
                asking.writes(b"x")
                assert asking.ends(DEADLINE) == (2 if name.startswith("ncat") else 1)
                said = asking.process.stderr.read()
    assert said.endswith(b"No space left on device\n")
    assert said.count(b"\n") == 1


MARKS = ["Minimize-Delay", "Maximize-Throughput", "Maximize-Reliability", "Minimize-Cost", "184"]


@pytest.mark.parametrize("word", MARKS)
def test_type_of_service(word):
    found = [marked(name, word) for name in TRADITIONAL]
    assert found[0] == found[1]
    assert found[0] > 0


def marked(name, word):
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.settimeout(DEADLINE)
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        with Started(name, "-nu", "-T", word, "127.0.0.1", server.getsockname()[1]) as asking:
            asking.writes(b"x")
            _, control, *_ = server.recvmsg(10, 200)
    return control[0][2][0]


@pytest.fixture(scope="module")
def hosts():
    """Two hosts whose kernels take packets with a route of the sender's choice, as hosts once did."""
    require(os.geteuid() == 0, "needs root: sysctls of a namespace")
    require(shutil.which("sysctl"), "sysctl is not installed")
    with Namespace() as near, Namespace() as far:
        near.ip(
            f"link add va type veth peer name vb netns {far.pid}",
            "link set va up",
            "address add 192.0.2.1/24 dev va",
        )
        far.ip("link set vb up", "address add 192.0.2.2/24 dev vb", "address add 198.51.100.1/32 dev lo")
        near.ip("route add 198.51.100.0/24 via 192.0.2.2")
        for space in (near, far):
            done = space.run(["sysctl", "-qw", "net.ipv4.conf.all.accept_source_route=1"])
            assert done.returncode == 0, done.stderr
        yield near, far


def made_in(space, make):
    """Return a socket that a thread made inside a namespace: it stays there."""
    found = []

    def inside():
        setns(f"/proc/{space.pid}/ns/net", CLONE_NEWNET)
        found.append(make())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join(DEADLINE)
    return found[0]


def options_taker():
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IP, IP_RECVOPTS, 1)
    server.bind(("198.51.100.1", 0))
    server.settimeout(DEADLINE)
    return server


@pytest.mark.parametrize("hops", [["192.0.2.2"], ["192.0.2.2", "198.51.100.1"]])
@pytest.mark.parametrize(
    ("ours", "theirs", "before"), [("traditional", "nc.traditional", "-nu"), ("ncat", "ncat.real", "-n4u")]
)
def test_a_route_of_ones_own_choice(hosts, ours, theirs, before, hops):
    """-g: what arrives tells of every hop, as what the model sends."""
    near, far = hosts
    found = []
    for name in (ours, theirs):
        with made_in(far, options_taker) as server:
            given = [word for hop in hops for word in ("-g", hop)]
            words = [before, *given, "198.51.100.1", server.getsockname()[1]]
            with Started(name, *words, preexec_fn=near.enter) as asking:
                asking.writes(b"x")
                data, control, *_ = server.recvmsg(10, 200)
        assert data == b"x"
        found.append(control[0][2].strip(NOP))  # before the route or behind it
    assert found[0] == found[1]
    assert len(found[0]) > 3 + 4 * len(hops)


def test_a_stream_by_a_route_of_ones_own_choice(hosts):
    near, far = hosts
    with made_in(far, lambda: socket.create_server(("198.51.100.1", 0))) as server:
        server.settimeout(DEADLINE)
        words = ["-n", "-g", "192.0.2.2", "198.51.100.1", server.getsockname()[1]]
        with Started("traditional", *words, preexec_fn=near.enter) as asking, server.accept()[0] as peer:
            asking.writes(b"question")
            peer.settimeout(DEADLINE)
            assert peer.recv(8) == b"question"
            peer.sendall(b"answer")
            assert asking.reads(6, DEADLINE) == b"answer"


def test_where_such_packets_are_dropped_nobody_answers():
    """The kernel's default is to drop them."""
    with Namespace() as space:
        code, said = space.call(unanswered, timeout=DEADLINE)
    assert code == 1
    assert said.endswith(b"timed out\n")


def unanswered():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run("traditional", "-nv", "-w", 1, "-g", "127.0.0.2", "127.0.0.1", port, timeout=DEADLINE)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["busybox", "busybox nc"])
def test_a_device_in_place_of_a_network(name):
    """-f on a terminal's line: both ways; the end of standard input is not the end, that of the device is."""
    master, line = pty.openpty()
    try:
        tty.setraw(line)
        with Started(name, "-f", os.ttyname(line)) as asking:
            asking.writes(b"to the line\n")
            assert os.read(master, 100) == b"to the line\n"
            os.write(master, b"an answer\n")
            assert asking.reads(10, DEADLINE) == b"an answer\n"
            asking.ends_input()
            os.write(master, b"late\n")
            assert asking.reads(5, DEADLINE) == b"late\n"
            assert asking.process.poll() is None
            os.close(master)
            master = -1
            assert asking.ends(DEADLINE) == 0
    finally:
        os.close(line)
        if master >= 0:
            os.close(master)


@pytest.mark.parametrize("name", ["busybox", "busybox nc"])
def test_a_program_on_a_device(name):
    master, line = pty.openpty()
    try:
        tty.setraw(line)
        with Started(name, "-f", os.ttyname(line), "-e", "/bin/cat"):
            os.write(master, b"echo")
            assert os.read(master, 100) == b"echo"
    finally:
        os.close(line)
        os.close(master)


@pytest.mark.parametrize("name", TRADITIONAL)
def test_how_much_went_each_way(name):
    port = free_port()
    with Started(name, "-nvvl", "-p", port) as started:
        await_listener(port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"four")
            assert started.reads(4, DEADLINE) == b"four"
            started.writes(b"seven..")
            assert client.recv(7) == b"seven.."
        started.says(rb"\n sent 7, rcvd 4\n$", DEADLINE)
        assert started.ends(DEADLINE) == 0
