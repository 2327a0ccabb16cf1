"""The small servers against clients of others: nc, ncat, socat, plain sockets; inside a namespace of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time

import pytest
from tests.netcats import await_listener
from tests.support import require

from portside.errors import PortsideError
from portside.use.small.client import EchoClient
from portside.use.small.server import Server, parse_wanted

ALL = ["echo:0", "discard:0", "chargen:0", "qotd:0", "users:0", "daytime:0", "time:0"]


@pytest.fixture
def serving():
    """Starts servers in this process; gives the port of each service."""
    with contextlib.ExitStack() as stack:

        def start(*texts, **options):
            events = []
            server = Server(map(parse_wanted, texts), on_event=events.append, **options)
            stack.enter_context(server)
            ports = {name: int(address.rpartition(":")[2]) for name, _, address in server.addresses}
            return ports, events

        yield start


def ask(port, data=b"", host="127.0.0.1"):
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client):
    found = bytearray()
    while chunk := client.recv(1 << 16):
        found += chunk
    return bytes(found)


def datagram(port, data=b"", host="127.0.0.1", timeout=5.0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        client.connect((host, port))
        client.send(data)
        return client.recv(65535)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_service_over_tcp_and_udp(serving, host):
    ports, _ = serving(*ALL)
    assert ask(ports["echo"], b"hello", host) == datagram(ports["echo"], b"hello", host) == b"hello"
    assert ask(ports["discard"], bytes(1 << 20), host) == b""
    for reply in (ask(ports["time"], host=host), datagram(ports["time"], host=host)):
        assert abs(struct.unpack("!I", reply)[0] - 2_208_988_800 - time.time()) < 5
    for name in ("daytime", "qotd"):
        assert ask(ports[name], host=host).endswith(b"\r\n")
        assert datagram(ports[name], host=host).endswith(b"\r\n")
    assert len(datagram(ports["chargen"], host=host)) == 74
    with socket.create_connection((host, ports["chargen"]), timeout=10) as client:
        lines = client.makefile("rb")
        assert [lines.readline()[:3] for _ in range(3)] == [b' !"', b'!"#', b'"#$']


PEERS = {
    "nc.openbsd": ["nc.openbsd", "-N", "127.0.0.1"],
    "ncat": ["ncat", "127.0.0.1"],
    "socat": ["socat", "-t5", "-"],
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_echo_to_the_netcats(serving, peer, size):
    require(shutil.which(peer), f"{peer} is not installed")
    ports, _ = serving("echo:0")
    place = f"TCP:127.0.0.1:{ports['echo']}" if peer == "socat" else str(ports["echo"])
    data = os.urandom(size)
    done = subprocess.run([*PEERS[peer], place], input=data, capture_output=True, timeout=30)
    assert done.stdout == data, done.stderr


def test_what_is_told(serving):
    ports, events = serving("echo:0/tcp", bind=("127.0.0.1",))
    with EchoClient("127.0.0.1", ports["echo"]) as client:
        assert client.ask(b"Hello, world").data == b"Hello, world"
    wait_for(lambda: len(events) == 3)
    assert [event.kind for event in events] == ["listening", "connected", "closed"]
    assert (events[2].received, events[2].sent, events[2].reason) == (12, 12, "ended")
    assert events[1].address == events[2].address


def wait_for(fact, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_two_services_do_not_keep_each_other_busy(serving):
    """A datagram that pretends to come from our own chargen to our echo is not answered."""
    ports, events = serving("echo:0/udp", "chargen:0/udp", bind=("127.0.0.1",))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forged:
        forged.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            header = struct.pack("!HHHH", ports["chargen"], ports["echo"], 8 + 2, 0)
            raw.sendto(header + b"go", ("127.0.0.1", 0))
    wait_for(lambda: any(event.kind == "refused" for event in events))
    assert not any(event.kind == "datagrams" for event in events)


def test_a_busy_port_is_an_error_that_says_whose(serving):
    ports, _ = serving("echo:0/tcp", bind=("127.0.0.1",))
    with pytest.raises(PortsideError, match=f"portside who {ports['echo']}"):
        Server([parse_wanted(f"echo:{ports['echo']}/tcp")], bind=("127.0.0.1",)).run()


def test_a_bad_client_does_not_stop_the_others(serving):
    """One that never reads, one that resets, one that says nothing; and more than may be open at once."""
    ports, events = serving("echo:0/tcp", bind=("127.0.0.1",), most=4)
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.create_connection(("127.0.0.1", ports["echo"])))
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.send(bytes(1 << 16))
        stack.enter_context(socket.create_connection(("127.0.0.1", ports["echo"])))
        rude = socket.create_connection(("127.0.0.1", ports["echo"]))
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        rude.sendall(b"x")
        rude.close()
        assert ask(ports["echo"], b"hello") == b"hello"
        wait_for(lambda: sum(event.kind == "closed" for event in events) == 2)
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", ports["echo"])))
        wait_for(lambda: any(event.kind == "refused" for event in events))


def test_silence_ends(serving):
    ports, events = serving("echo:0/tcp", bind=("127.0.0.1",), idle=0.1)
    with socket.create_connection(("127.0.0.1", ports["echo"]), timeout=10) as client:
        assert client.recv(1) == b""
    wait_for(lambda: events[-1].kind == "closed")
    assert events[-1].reason == "idle"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_descriptors_run_out_and_come_back(serving):
    """The server waits, does not spin, and goes on once there are descriptors again."""
    ports, _ = serving("echo:0/tcp", bind=("127.0.0.1",))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    client = socket.socket()
    client.settimeout(10)
    client.connect(("127.0.0.1", ports["echo"]))
    client.sendall(b"before")
    assert client.recv(10) == b"before"
    waiting = socket.socket()
    waiting.settimeout(10)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    try:
        waiting.connect(("127.0.0.1", ports["echo"]))
        waiting.sendall(b"later")
        spent = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - spent < 0.2
        client.sendall(b"still")
        assert client.recv(10) == b"still"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert waiting.recv(10) == b"later"
    waiting.close()
    client.close()


def test_in_an_asyncio_loop():
    async def talk():
        async with Server([parse_wanted("echo:0")], bind=("127.0.0.1",)) as server:
            port = int(server.addresses[0][2].rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            answer = await reader.readexactly(5)
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(talk()) == b"hello"


def test_awaited_until_stopped():
    async def talk():
        server = Server([parse_wanted("echo:0")], bind=("127.0.0.1",))
        asyncio.get_running_loop().call_later(0.05, server.stop)
        await asyncio.wait_for(server, 10)
        assert server.addresses == []

    asyncio.run(talk())


def test_answers_come_from_where_was_asked(space):
    """Bound to every address: the answer's source is the address that the question went to; groups get none."""

    def talk():
        events = []
        with Server([parse_wanted("echo:7777/udp")], bind=("any",), on_event=events.append):
            for host in ("127.0.0.1", "127.0.0.9", "192.0.2.1", "2001:db8::1", "::1"):
                assert datagram(7777, b"hello", host) == b"hello"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as shouting:
                shouting.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                shouting.settimeout(0.3)
                shouting.sendto(b"all", ("192.0.2.255", 7777))
                with pytest.raises(TimeoutError):
                    shouting.recv(100)
            return [event.reason for event in events if event.kind == "refused"]

    space.add_link("left", peer="right", addresses=["192.0.2.1/24", "2001:db8::1/64"])
    assert space.call(talk) == ["sent to a group"]


MUCH = bytes(range(256)) * 1024


@pytest.mark.parametrize(
    ("first", "urgent", "then", "heard"),
    [
        (b"an end with it", b"", b"", b"an end with it"),
        (b"before", b"!", b"and after", b"beforeand after"),
        (b"", b"", MUCH, MUCH),
        (b"little", b"", MUCH, b"little" + MUCH),
    ],
    ids=["end", "urgent", "much", "little and much"],
)
def test_echo_reads_all_that_came_before_it_looked(first, urgent, then, heard):
    """Everything has come before the server's next turn: one event tells of it, and there is no other."""
    with contextlib.ExitStack() as stack:
        server = Server([parse_wanted("echo:0/tcp")], bind=("127.0.0.1",))
        server.open()
        stack.callback(server.close)
        port = int(server.addresses[0][2].rpartition(":")[2])
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(MUCH))
        server.driver.turn()
        client.sendall(first)
        client.send(urgent, socket.MSG_OOB)
        client.sendall(then)
        client.shutdown(socket.SHUT_WR)
        client.setblocking(False)
        echoed = bytearray()
        for _ in range(10_000):
            server.driver.turn(wait=False)
            try:
                piece = client.recv(1 << 16)
            except BlockingIOError:
                continue
            if not piece:
                break
            echoed += piece
        else:
            pytest.fail("the end did not come back")
    assert echoed == heard


def test_a_full_disk_under_the_lines_stops_no_server():
    """It is told once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "portside", "serve", f"echo:{port}/tcp"]
    with (
        open("/dev/full", "w") as full,
        subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True) as server,
    ):
        try:
            await_listener(port)
            for _ in range(3):
                with EchoClient("127.0.0.1", port) as client:
                    assert client.ask(b"hello").data == b"hello"
        finally:
            server.kill()
        said = server.stderr.read()
    assert said == "portside: write to standard output: no space left on device; connections go on without\n"


def test_command_says_what_a_newcomer_needs():
    command = [sys.executable, "-m", "portside"]
    with subprocess.Popen(
        [*command, "serve", "echo:0/tcp", "--bind", "127.0.0.1"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            first = server.stdout.readline()
            port = first.split()[2].rpartition(":")[2]
            assert first == f"Listening on 127.0.0.1:{port} (echo/tcp)\n"
            client = subprocess.run(
                [*command, "echo", "127.0.0.1", port, "Hello, world"],
                capture_output=True,
                text=True,
                timeout=30,
            )
            assert client.returncode == 0
            lines = client.stdout.splitlines()
            assert lines[0] == f"Connected to 127.0.0.1:{port}"
            assert lines[1].startswith("Received 'Hello, world' in ")
            assert server.stdout.readline().startswith("Connected by 127.0.0.1:")
        finally:
            server.terminate()
