"""The relay on real descriptors: every kind of end, half-close, back pressure, and nothing lost on the way."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import socket
import struct
import threading

import pytest

from portside.use.relay.copying import Copy, Read
from portside.use.relay.driver import Driver
from portside.use.relay.ends import End, SocketEnd
from portside.use.relay.flows import choose
from portside.use.relay.relay import Relay
from portside.use.relay.rules import BROKEN, ENDED, FORWARD, IDLE, LINGERED, SECOND, AtEof, Rules
from portside.use.relay.splicing import Sendfile

ONE_WAY = Rules(carries=(True, False))
SIZES = (0, 1, 4096, 65_537, 3_000_001)


def stream(size):
    return random.Random(size).randbytes(size)


@pytest.fixture
def driver():
    with Driver() as made:
        yield made


@pytest.fixture
def keep():
    """Closes at the end of the test what it was given."""
    with contextlib.ExitStack() as stack:
        yield lambda thing: stack.enter_context(contextlib.closing(thing))


def tcp_pair(keep):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.settimeout(20)
    return keep(client), server


def writer(kind, data, tmp_path):
    """Return a descriptor from which `data` can be read, and a thread that provides it."""
    if kind == "file":
        path = tmp_path / "in"
        path.write_bytes(data)
        return os.open(path, os.O_RDONLY)
    read, write = os.pipe() if kind == "pipe" else os.openpty()[::-1]
    threading.Thread(target=feed, args=(write, data), daemon=True).start()
    return read


def feed(descriptor, data):
    with os.fdopen(descriptor, "wb") as file, contextlib.suppress(BrokenPipeError):
        file.write(data)


def drain(descriptor):
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def read_all(connection):
    found = bytearray()
    while chunk := connection.recv(1 << 16):
        found += chunk
    return bytes(found)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_descriptor_to_socket(driver, keep, tmp_path, kind, size):
    client, server = tcp_pair(keep)
    relay = Relay(driver, End(writer(kind, stream(size), tmp_path), -1), SocketEnd(server), ONE_WAY)
    got = []
    reader = threading.Thread(target=lambda: got.append(read_all(client)))
    reader.start()
    relay.start()
    driver.run()
    reader.join(20)
    assert got == [stream(size)]
    assert (relay.session.over, relay.totals) == (ENDED, (size, 0))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["file", "append", "pipe"])
def test_socket_to_descriptor(driver, keep, tmp_path, kind, size):
    client, server = tcp_pair(keep)
    path = tmp_path / "out"
    digest = []
    if kind == "pipe":
        read, sink = os.pipe()
        reader = threading.Thread(target=lambda: digest.append(drain(read)))
        reader.start()
    else:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if kind == "append" else 0)
        sink = os.open(path, flags)
    sender = threading.Thread(target=lambda: (client.sendall(stream(size)), client.shutdown(socket.SHUT_WR)))
    sender.start()
    Relay(driver, End(-1, sink), SocketEnd(server), Rules(carries=(False, True))).start()
    driver.run()
    sender.join(20)
    if kind == "pipe":
        reader.join(20)
        found = digest[0]
    else:
        found = path.read_bytes()
    assert found == stream(size)


def forwarded(driver, keep, rules=FORWARD):
    """Two clients with a relay between them; the relay, and the two far ends."""
    left, first = tcp_pair(keep)
    right, second = tcp_pair(keep)
    relay = Relay(driver, SocketEnd(first), SocketEnd(second), rules)
    relay.start()
    return relay, left, right


@contextlib.contextmanager
def running(driver):
    thread = threading.Thread(target=driver.run)
    thread.start()
    try:
        yield
    finally:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("size", SIZES)
def test_socket_to_socket_both_ways_at_once(driver, keep, size):
    relay, left, right = forwarded(driver, keep)
    got = {}

    def talk(name, peer, data):
        sender = threading.Thread(target=lambda: (peer.sendall(data), peer.shutdown(socket.SHUT_WR)))
        sender.start()
        got[name] = hashlib.sha256(read_all(peer)).digest()
        sender.join(20)

    threads = [
        threading.Thread(target=talk, args=("left", left, stream(size))),
        threading.Thread(target=talk, args=("right", right, stream(size + 1))),
    ]
    for thread in threads:
        thread.start()
    with running(driver):
        for thread in threads:
            thread.join(20)
    assert got == {
        "left": hashlib.sha256(stream(size + 1)).digest(),
        "right": hashlib.sha256(stream(size)).digest(),
    }
    assert relay.totals == (size, size + 1)


def test_an_answer_after_the_question_has_ended(driver, keep):
    """Half-close: the server sees the end of the question before it answers."""
    relay, left, right = forwarded(driver, keep)
    with running(driver):
        left.sendall(b"question")
        left.shutdown(socket.SHUT_WR)
        assert read_all(right) == b"question"
        right.sendall(b"answer")
        right.shutdown(socket.SHUT_WR)
        assert read_all(left) == b"answer"
    assert relay.session.over == ENDED


def test_a_slow_reader_holds_the_writer_back(driver, keep):
    """What is on its way is bounded: by the sockets' buffers and one pipe, not by what is sent."""
    relay, left, right = forwarded(driver, keep)
    left.setblocking(False)
    sent = 0
    chunk = bytes(1 << 16)
    with running(driver):
        for _ in range(2000):  # far more than fits
            try:
                sent += left.send(chunk)
            except BlockingIOError:
                if relay.driver.now() and not wait_writable(left, 0.3):
                    break
        assert sent < 100 << 20
        left.shutdown(socket.SHUT_WR)
        assert len(read_all(right)) == sent
        right.close()


def wait_writable(connection, seconds):
    import select

    return bool(select.select([], [connection], [], seconds)[1])


def test_a_reset_ends_both_ways(driver, keep):
    relay, left, right = forwarded(driver, keep)
    with running(driver):
        left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        left.close()
        assert read_all(right) == b""
    assert relay.session.over == BROKEN
    assert isinstance(relay.session.failures[0], ConnectionResetError)


def test_idle(driver, keep):
    relay, left, _ = forwarded(driver, keep, Rules(idle=0.1))
    with running(driver):
        assert read_all(left) == b""
    assert relay.session.over == IDLE


def test_the_end_of_one_side_may_end_all(driver, keep):
    rules = Rules(at_eof=(AtEof(), AtEof(then=0.0)))
    relay, left, right = forwarded(driver, keep, rules)
    with running(driver):
        right.shutdown(socket.SHUT_WR)
        assert read_all(left) == b""
    assert relay.session.over == LINGERED
    assert not relay.session.runs(SECOND)


def test_what_is_changed_on_the_way_is_copied(driver, keep, tmp_path):
    client, server = tcp_pair(keep)
    source, sink = End(writer("file", b"a\nb\n", tmp_path), -1), SocketEnd(server)
    flow = choose(source, sink, lambda data: data.replace(b"\n", b"\r\n"))
    assert isinstance(flow, Copy)
    Relay(driver, source, sink, ONE_WAY, flows=(flow, choose(sink, source))).start()
    driver.run()
    assert read_all(client) == b"a\r\nb\r\n"


def test_nothing_stays_open(keep):
    before = sorted(os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as stack, Driver() as driver:
        _, left, right = forwarded(driver, lambda thing: stack.enter_context(contextlib.closing(thing)))
        with running(driver):
            left.sendall(stream(1 << 20))
            left.close()
            assert len(read_all(right)) == 1 << 20
            right.close()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_loops_in_several_threads_mix_nothing_up(keep):
    size, letters = 4_000_000, b"abcd"
    mixed = []

    def relayed(letter):
        (writes, first), (reads, second) = tcp_pair(keep), tcp_pair(keep)
        fed = threading.Thread(target=lambda: (writes.sendall(letter * size), writes.close()), daemon=True)
        with Driver() as driver:
            ends = SocketEnd(first), SocketEnd(second)
            # 1,000 bytes at once keep this to copying, and make many moves
            flows = tuple(Copy(*pair, chunk=1000, reads=0, change=bytes) for pair in (ends, ends[::-1]))
            Relay(driver, *ends, ONE_WAY, flows=flows).start()
            loop = threading.Thread(target=driver.run, daemon=True)
            for each in (fed, loop):
                each.start()
            found = read_all(reads)
            for each in (fed, loop):
                each.join(60)
        mixed.append(found != letter * size)

    threads = [threading.Thread(target=relayed, args=(bytes([letter]),), daemon=True) for letter in letters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert mixed == [False] * len(letters)


def test_a_reset_behind_much_data_loses_none_of_it_and_is_told(driver, keep, tmp_path):
    client, ours = tcp_pair(keep)
    data = stream(40_000)
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    client.sendall(data[:1000])
    relay = Relay(driver, SocketEnd(ours), End(-1, descriptor), ONE_WAY)
    relay.start()
    while relay.totals[0] < 1000:  # from here on reads are gathered
        driver.turn()
    client.sendall(data[1000:])
    waiting = 0
    while waiting < len(data) - 1000:
        with contextlib.suppress(BlockingIOError):
            waiting = len(ours.recv(len(data), socket.MSG_PEEK))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    driver.run()
    assert relay.session.over == BROKEN
    assert [error.errno for error in relay.session.failures] == [errno.ECONNRESET]
    assert path.read_bytes() == data


def test_a_file_is_read_for_a_slow_reader_on_this_host(driver, keep, tmp_path):
    path, block = tmp_path / "in", stream(1 << 20)
    with path.open("wb") as file:
        for number in range(100):
            file.write(block[number:] + block[:number])
    client, ours = tcp_pair(keep)
    relay = Relay(driver, End(os.open(path, os.O_RDONLY), -1), SocketEnd(ours), ONE_WAY)
    assert isinstance(relay.flows[0], Sendfile)
    relay.start()
    loop = threading.Thread(target=driver.run, daemon=True)
    loop.start()
    threading.Event().wait(1.0)  # more than the loop has to do: that is what slow means
    client.settimeout(60)
    assert hashlib.sha256(read_all(client)).digest() == hashlib.sha256(path.read_bytes()).digest()
    loop.join(60)
    assert isinstance(relay.flows[0], Read)
    assert relay.totals == (path.stat().st_size, 0)
