"""Forwarding against real programs and plain sockets: places, half-close, access, caps, PROXY, health, faults."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import resource
import shutil
import socket
import subprocess
import threading
import time

import pytest
from tests.live.forwarding import (
    Target,
    abort,
    connect,
    count_then_answer,
    echo,
    forwarder,
    name,
    port_of,
    read_all,
    wait_for,
)
from tests.support import require

from portside.errors import BadRequest, PortsideError
from portside.use.forward.rules import Configuration, checked
from portside.use.forward.toml_file import rules_of
from portside.wire.proxy_protocol import Origin, encode_v1, encode_v2, parse


@pytest.fixture
def keep():
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


def ask(port, data=b"", host="127.0.0.1"):
    with connect(port, host) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def test_half_close_both_ways(keep):
    """The answer after the question's end; and what a client says after the server's end."""
    heard = []

    def greet(connection):
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    one, other = keep(Target(count_then_answer)), keep(Target(greet))
    events = []
    forward = keep(forwarder(("0", f"127.0.0.1:{one.port}"), on_event=events.append))
    assert ask(port_of(forward.addresses[0]), bytes(100_000)) == b"got 100000"
    wait_for(lambda: events[-1].kind == "over")
    assert (events[-1].received, events[-1].sent, events[-1].reason) == (100_000, 10, "ended")
    second = keep(forwarder(("0", f"127.0.0.1:{other.port}")))
    with connect(port_of(second.addresses[0])) as client:
        assert read_all(client) == b"hello"
        client.sendall(b"goodbye")
    wait_for(lambda: heard)
    assert heard == [b"goodbye"]


CLIENTS = {
    "nc.openbsd": ["nc.openbsd", "-N", "{host}", "{port}"],
    "ncat": ["ncat", "{host}", "{port}"],
    "busybox": ["busybox", "nc", "{host}", "{port}"],
    "socat": ["socat", "-t5", "-", "TCP:{bracketed}:{port}"],
}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("peer", CLIENTS)
@pytest.mark.parametrize("size", [0, 1, 5_000_001])
def test_clients_of_others(keep, peer, host, size):
    """Each listens on IPv4 and IPv6, the target on IPv4: the families need not be the same."""
    require(shutil.which(peer), f"{peer} is not installed")
    forward = keep(forwarder(("0", f"127.0.0.1:{keep(Target(echo)).port}")))
    words = {
        "host": host,
        "port": port_of(forward.addresses[0]),
        "bracketed": f"[{host}]" if ":" in host else host,
    }
    data = random.Random(size).randbytes(size)
    command = [word.format(**words) for word in CLIENTS[peer]]
    done = subprocess.run(command, input=data, capture_output=True, timeout=40)
    assert done.stdout == data, done.stderr


SERVERS = {
    "nc.openbsd": ["nc.openbsd", "-lN", "127.0.0.1", "7001"],
    "ncat": ["ncat", "-l", "127.0.0.1", "7001"],
    "socat": ["socat", "-t5", "-", "TCP-LISTEN:7001,bind=127.0.0.1"],
}


def listens(number, table="tcp"):
    """Whether somebody listens on a port (four hexadecimal digits) of this namespace."""
    with open(f"/proc/self/net/{table}") as file:
        return any(f":{number} 00000000:0000 0{'A' if table == 'tcp' else '7'}" in line for line in file)


@pytest.mark.parametrize("peer", SERVERS)
def test_servers_of_others(space, peer):
    require(shutil.which(peer), f"{peer} is not installed")
    answer = random.Random(1).randbytes(1_000_003)
    question = random.Random(2).randbytes(700_001)

    def talk():
        server = subprocess.Popen(SERVERS[peer], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        got = []
        reader = threading.Thread(target=lambda: got.append(server.communicate(answer, timeout=30)[0]))
        reader.start()
        wait_for(lambda: listens("1B59"))
        with forwarder(("7000", "127.0.0.1:7001")), connect(7000) as client:
            client.sendall(question)
            back = read_all(client)
        reader.join(30)
        return hashlib.sha256(back).digest(), hashlib.sha256(got[0]).digest()

    assert space.call(talk) == (hashlib.sha256(answer).digest(), hashlib.sha256(question).digest())


def test_unix_sockets_on_both_sides(keep, tmp_path):
    behind, front = str(tmp_path / "behind"), str(tmp_path / "front")
    keep(Target(count_then_answer, socket.AF_UNIX, behind))
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(front)
    stale.close()
    forward = forwarder((front, behind), ("0", behind), (f"@portside-test-{os.getpid()}", behind))
    with forward:
        for place in (front, f"\0portside-test-{os.getpid()}"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(place)
                client.sendall(b"abc")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"got 3"
        assert ask(port_of(forward.addresses[1]), b"abcd") == b"got 4"
    assert not os.path.exists(front)


def test_a_unix_path_in_use_is_left_alone(keep, tmp_path):
    path = str(tmp_path / "x")
    keep(Target(echo, socket.AF_UNIX, path))
    with pytest.raises(PortsideError, match="in use"):
        forwarder((path, "127.0.0.1:9")).open()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PortsideError, match="in use"):
        forwarder((str(tmp_path / "file"), "127.0.0.1:9")).open()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_reset_stays_a_reset(keep):
    """Who reads a stream that broke off must not take it for whole: in both directions."""
    seen = []

    def read(connection):
        try:
            seen.append(read_all(connection))
        except ConnectionResetError:
            seen.append("reset")

    def send_and_break(connection):
        connection.sendall(b"half of it")
        connection.recv(1)
        abort(connection)

    events = []
    reading = keep(forwarder(("0", f"127.0.0.1:{keep(Target(read)).port}"), on_event=events.append))
    client = connect(port_of(reading.addresses[0]))
    client.sendall(b"x")
    wait_for(lambda: reading.statistics()[0].open)
    time.sleep(0.05)
    abort(client)
    wait_for(lambda: seen)
    assert seen == ["reset"]
    wait_for(lambda: events[-1].kind == "over")
    assert events[-1].reason == "connection reset by peer"
    breaking = keep(forwarder(("0", f"127.0.0.1:{keep(Target(send_and_break)).port}")))
    with connect(port_of(breaking.addresses[0])) as client:
        assert client.recv(100) == b"half of it"
        client.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_a_slow_reader_costs_no_memory(keep):
    """What is on its way is bounded, and others are served meanwhile."""
    forward = keep(forwarder(("0", f"127.0.0.1:{keep(Target(echo)).port}")))
    port = port_of(forward.addresses[0])
    with connect(port) as slow:
        slow.setblocking(False)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent, quiet = 0, time.monotonic()
        while time.monotonic() - quiet < 0.3:
            with contextlib.suppress(BlockingIOError):
                sent += slow.send(bytes(1 << 16))
                quiet = time.monotonic()
        assert sent < 200 << 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
        assert ask(port, b"hello") == b"hello"


def test_targets_by_turns_and_past_a_dead_one(keep):
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = free.getsockname()[1]
    one, two = keep(Target(name("one"))), keep(Target(name("two")))
    places = ",".join(f"127.0.0.1:{port}" for port in (one.port, dead, two.port))
    forward = keep(forwarder(("0", places), balance="round"))
    answers = [ask(port_of(forward.addresses[0])) for _ in range(9)]
    assert set(answers) == {b"one", b"two"}
    assert answers.count(b"one") >= 3
    first = keep(forwarder(("0", f"127.0.0.1:{dead},127.0.0.1:{two.port}"), balance="first"))
    assert {ask(port_of(first.addresses[0])) for _ in range(3)} == {b"two"}


def test_health_checks_find_a_target_dead_and_alive_again(keep):
    events = []
    spare = keep(Target(name("spare")))
    with Target(name("main")) as main:
        port = main.port
        places = f"127.0.0.1:{port},127.0.0.1:{spare.port}"
        forward = keep(forwarder(("0", places), balance="first", health=0.05, on_event=events.append))
        assert ask(port_of(forward.addresses[0])) == b"main"
    wait_for(lambda: any(event.kind == "target down" for event in events))
    assert ask(port_of(forward.addresses[0])) == b"spare"
    with Target(name("main"), place=("127.0.0.1", port)):
        wait_for(lambda: any(event.kind == "target up" for event in events))
        assert ask(port_of(forward.addresses[0])) == b"main"


def test_no_target_left(keep):
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = free.getsockname()[1]
    events = []
    forward = keep(forwarder(("0", f"127.0.0.1:{dead}"), on_event=events.append))
    with contextlib.suppress(ConnectionResetError), connect(port_of(forward.addresses[0])) as client:
        assert read_or_reset(client) == b""  # the reset may come while we connect
    wait_for(lambda: events and events[-1].kind == "failed")
    assert events[-1].reason == "connection refused"
    wait_for(lambda: not forward.statistics()[0].open)
    assert forward.statistics()[0].failed == 1


def test_who_may_connect(keep):
    target = keep(Target(name("in")))
    events = []
    forward = keep(
        forwarder(("127.0.0.1:0", f"127.0.0.1:{target.port}"), allow=["127.0.0.0/24"], deny=["127.0.0.9"],
                  on_event=events.append)
    )  # fmt: skip
    for source, answer in (("127.0.0.1", b"in"), ("127.0.0.9", b""), ("127.1.0.1", b"")):
        with socket.create_connection(
            forward_place(forward), timeout=10, source_address=(source, 0)
        ) as client:
            assert read_or_reset(client) == answer
    wait_for(lambda: forward.statistics()[0].refused == 2)
    wait_for(lambda: len([event for event in events if event.kind == "refused"]) == 2)
    assert {event.reason for event in events if event.kind == "refused"} == {"not allowed"}


def forward_place(forward, number=0):
    return "127.0.0.1", port_of(forward.addresses[number])


def read_or_reset(client):
    try:
        return read_all(client)
    except ConnectionResetError:
        return b""


def test_caps(keep):
    target = keep(Target(echo))
    forward = keep(forwarder(("127.0.0.1:0", f"127.0.0.1:{target.port}"), per_source=2, most=3))

    def opened(source):
        client = keep(
            socket.create_connection(forward_place(forward), timeout=10, source_address=(source, 0))
        )
        client.sendall(b"x")
        try:
            return client if client.recv(1) else None
        except ConnectionResetError:
            return None

    first = opened("127.0.0.1")
    assert first is not None
    assert opened("127.0.0.1") is not None
    assert opened("127.0.0.1") is None
    assert opened("127.0.0.2") is not None
    assert opened("127.0.0.3") is None
    first.close()
    wait_for(lambda: forward.statistics()[0].open == 2)
    assert opened("127.0.0.1") is not None


def test_silence_ends(keep):
    target = keep(Target(echo))
    events = []
    forward = keep(forwarder(("0", f"127.0.0.1:{target.port}"), idle=0.1, on_event=events.append))
    with connect(port_of(forward.addresses[0])) as client:
        client.sendall(b"x")
        assert read_all(client) == b"x"
    wait_for(lambda: events[-1].kind == "over")
    assert events[-1].reason == "idle"


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_proxy_header_to_the_target(keep, version, host):
    def tell(connection):
        data = connection.recv(4096)
        origin = parse(data).origin
        connection.sendall(repr((origin.source, origin.source_port, origin.destination_port)).encode())

    forward = keep(forwarder(("0", f"127.0.0.1:{keep(Target(tell)).port}"), send_proxy=version))
    port = port_of(forward.addresses[0])
    with connect(port, host) as client:
        assert read_all(client) == repr((host, client.getsockname()[1], port)).encode()


@pytest.mark.parametrize("encode", [encode_v1, encode_v2])
def test_proxy_header_from_a_proxy(keep, encode):
    """The client's address is the header's: for access, for the log, for the next header; the rest is passed on."""
    events = []
    forward = keep(
        forwarder(("127.0.0.1:0", f"127.0.0.1:{keep(Target(echo)).port}"), accept_proxy=["127.0.0.1"],
                  deny=["192.0.2.66"], on_event=events.append)
    )  # fmt: skip
    header = encode(Origin("192.0.2.7", 1234, "192.0.2.1", 80))
    with connect(port_of(forward.addresses[0])) as client:
        for byte in header[:-1]:
            client.sendall(bytes([byte]))
        client.sendall(header[-1:] + b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"hello"
    wait_for(lambda: events[-1].kind == "over")
    assert (events[-1].client, events[-1].received) == ("192.0.2.7:1234", 5)
    for bad in (encode(Origin("192.0.2.66", 1234, "192.0.2.1", 80)), b"GET / HTTP/1.0\r\n\r\n", header[:8]):
        with connect(port_of(forward.addresses[0])) as client, contextlib.suppress(OSError):
            client.sendall(bad)
            client.shutdown(socket.SHUT_WR)
            assert read_or_reset(client) == b""
    wait_for(lambda: len([event for event in events if event.kind == "refused"]) == 3)
    with socket.create_connection(
        forward_place(forward), timeout=10, source_address=("127.0.0.2", 0)
    ) as client:
        assert read_or_reset(client) == b""


def test_haproxy_understands_our_header_and_we_its(keep, space, tmp_path):
    """client > ours (sends v2) > haproxy (accepts, sends v1) > ours (accepts) > target."""
    require(shutil.which("haproxy"), "haproxy is not installed")
    (tmp_path / "haproxy.cfg").write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
        "listen relay\n bind 127.0.0.1:7100 accept-proxy\n server next 127.0.0.1:7200 send-proxy\n"
    )

    def talk():
        events = []
        proxy = subprocess.Popen(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")])
        try:
            wait_for(lambda: listens("1BBC"))
            with (
                Target(echo, place=("127.0.0.1", 7300)),
                forwarder(("7000", "127.0.0.1:7100"), send_proxy="v2"),
                forwarder(("7200", "127.0.0.1:7300"), accept_proxy=["127.0.0.1"], on_event=events.append),
                connect(7000) as client,
            ):
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                answer = read_all(client)
                wait_for(lambda: events[-1].kind == "over")
                return answer, events[-1].client == f"127.0.0.1:{client.getsockname()[1]}"
        finally:
            proxy.kill()
            proxy.wait()

    assert space.call(talk) == (b"hello", True)


def test_datagrams(keep):
    """Each peer has a flow of its own, and answers find their way back; silent ones end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(10)
        events = []
        forward = keep(
            forwarder(("0/udp", f"127.0.0.1:{target.getsockname()[1]}"), idle=0.2, on_event=events.append)
        )
        port = port_of(forward.addresses[0])
        clients = []
        for host in ("127.0.0.1", "127.0.0.1", "::1"):
            client = keep(
                socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            )
            client.settimeout(10)
            client.connect((host, port))
            clients.append(client)
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        heard = dict(target.recvfrom(100) for _ in clients)
        assert len(set(heard.values())) == 3
        for data, peer in heard.items():
            target.sendto(b"re:" + data, peer)
            target.sendto(bytes(60_000), peer)
        for number, client in enumerate(clients):
            assert client.recv(100) == b"re:%d" % number
            assert len(client.recv(65_535)) == 60_000
        wait_for(lambda: sum(event.kind == "over" for event in events) == 3)
        assert {(event.received, event.sent, event.reason) for event in events if event.kind == "over"} == {
            (1, 60_004, "idle")
        }


def test_datagrams_of_others(space):
    """socat's UDP echo behind us, its client before us."""
    require(shutil.which("socat"), "socat is not installed")

    def talk():
        server = subprocess.Popen(["socat", "UDP4-LISTEN:7001,bind=127.0.0.1,fork", "PIPE"])
        try:
            wait_for(lambda: listens("1B59", "udp"))
            with forwarder(("7000/udp", "127.0.0.1:7001")):
                command = ["socat", "-t1", "-", "UDP4:127.0.0.1:7000"]
                return subprocess.run(command, input=b"hello", capture_output=True, timeout=20).stdout
        finally:
            server.kill()
            server.wait()

    assert space.call(talk) == b"hello"


def test_reload_keeps_connections(keep):
    one, two = keep(Target(echo)), keep(Target(name("two")))
    events = []
    forward = keep(forwarder(("0", f"127.0.0.1:{one.port}"), on_event=events.append))
    old = port_of(forward.addresses[0])
    client = keep(connect(old))
    client.sendall(b"before")
    assert client.recv(10) == b"before"

    def reload(*pairs):
        told = len([event for event in events if event.kind == "reloaded"])
        rules = [rule for listen, target in pairs for rule in rules_of(listen, target)]
        forward.reload(Configuration(checked(rules)))
        wait_for(lambda: len([event for event in events if event.kind == "reloaded"]) > told)

    reload(("0", f"127.0.0.1:{two.port}"))
    assert ask(old) == b"two"
    client.sendall(b"after")
    assert client.recv(10) == b"after"
    reload(("127.0.0.1:0", f"127.0.0.1:{two.port}"))
    with pytest.raises(ConnectionRefusedError):
        connect(old)
    assert ask(port_of(forward.addresses[0])) == b"two"
    client.sendall(b"still")
    assert client.recv(10) == b"still"


def test_drain_lets_connections_end(keep):
    target = keep(Target(echo))
    forward = forwarder(("0", f"127.0.0.1:{target.port}"), grace=10.0)
    forward.open()
    port = port_of(forward.addresses[0])
    running = threading.Thread(target=lambda: (forward.work(), forward.close()))
    running.start()
    client = connect(port)
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    forward.drain()
    wait_for(lambda: refused(port))
    client.sendall(b"y")
    assert client.recv(1) == b"y"
    client.close()
    running.join(10)
    assert not running.is_alive()


def refused(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_names_are_looked_up_again(keep, monkeypatch):
    """A target's name that leads elsewhere later is followed; one that leads nowhere keeps its address."""
    from portside.use.forward import forwarder as module

    one, two = keep(Target(name("one"))), keep(Target(name("two")))
    real = module.addresses_of
    place = {"port": one.port}

    def addresses_of(asked):
        if place["port"] is None:
            raise BadRequest("resolve", asked.host, "gone")
        return real(asked.replace(host="127.0.0.1", port=place["port"]))

    monkeypatch.setattr(module, "addresses_of", addresses_of)
    forward = keep(forwarder(("0", "moving.invalid:80"), resolve=0.05))
    assert ask(port_of(forward.addresses[0])) == b"one"
    place["port"] = two.port
    wait_for(lambda: ask(port_of(forward.addresses[0])) == b"two")
    place["port"] = None
    time.sleep(0.15)
    assert ask(port_of(forward.addresses[0])) == b"two"


def test_a_slow_resolver_holds_nobody_up_on_reload(keep, monkeypatch):
    from portside.use.forward import forwarder as module

    one, two = keep(Target(echo)), keep(Target(name("two")))
    real, answer = module.addresses_of, threading.Event()

    def addresses_of(asked):
        if asked.host == "slow.invalid":
            answer.wait(20)
        return real(asked.replace(host="127.0.0.1"))

    monkeypatch.setattr(module, "addresses_of", addresses_of)
    forward = keep(forwarder(("127.0.0.1:0", f"127.0.0.1:{one.port}")))
    client = keep(connect(port_of(forward.addresses[0])))
    rules = rules_of("127.0.0.1:0", f"slow.invalid:{two.port}")
    forward.reload(Configuration(checked(rules)))
    client.sendall(b"still")
    assert client.recv(10) == b"still"
    answer.set()
    wait_for(lambda: ask_or_nothing(port_of(forward.addresses[0])) == b"two")


def ask_or_nothing(port):
    try:
        return ask(port)
    except ConnectionError:
        return b""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_descriptors_run_out_and_come_back(keep):
    """What is relayed goes on, what cannot be connected on is let go, and later ones are served again."""
    target = keep(Target(echo))
    forward = keep(forwarder(("0", f"127.0.0.1:{target.port}")))
    port = port_of(forward.addresses[0])
    good = keep(connect(port))
    good.sendall(b"before")
    assert good.recv(10) == b"before"
    waiting = [socket.socket() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        for client in waiting:
            keep(client).settimeout(10)
            with contextlib.suppress(ConnectionResetError):  # let go at once
                client.connect(("127.0.0.1", port))
        good.sendall(b"still")
        assert good.recv(10) == b"still"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ask(port, b"later") == b"later"


def test_in_an_asyncio_loop(keep):
    target = keep(Target(count_then_answer))

    async def talk():
        async with forwarder(("0", f"127.0.0.1:{target.port}")) as forward:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(forward.addresses[0]))
            writer.write(b"hello")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(talk()) == b"got 5"


def test_nothing_stays_open(keep):
    target = keep(Target(echo))
    before = len(os.listdir("/proc/self/fd"))
    with forwarder(("0", f"127.0.0.1:{target.port}"), ("0/udp", "127.0.0.1:9")) as forward:
        assert len(ask(port_of(forward.addresses[0]), bytes(3_000_000))) == 3_000_000
        with connect(port_of(forward.addresses[0])) as client:
            client.sendall(b"x")
            client.recv(1)
            forward.stop()
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)
