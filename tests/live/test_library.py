"""The library as a program uses it: what it returns, what it refuses, its records, its names."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import require

import portside
from portside import BadRequest, OpenPort, Report, Snapshot, Socket

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def port_of(listener):
    return listener.getsockname()[1]


# what it returns


def test_list_ports(listener):
    rows = portside.list_ports(f"port = {port_of(listener)}")
    (row,) = rows
    assert isinstance(row, OpenPort)
    assert (row.port, row.protocol, row.state, row.reach.verdict) == (
        port_of(listener),
        "tcp",
        "listen",
        "nobody",
    )
    (holder,) = row.holders
    assert (holder.process.pid, holder.fds) == (os.getpid(), (listener.fileno(),))
    assert row.started == holder.process.started
    assert row in portside.list_ports()


def test_list_ports_never_lists_connections(listener):
    with socket.create_connection(listener.getsockname()) as client:
        client_port = client.getsockname()[1]
        assert portside.list_ports(f"sport = {client_port}") == []
        (row,) = portside.list_ports(f"sport = {port_of(listener)} and (state listen or state established)")
        assert row.state == "listen"
        assert portside.list_ports("state established") == []


def test_sockets_is_a_snapshot(listener):
    with socket.create_connection(listener.getsockname()) as client:
        found = portside.sockets(f"port = {port_of(listener)}")
        assert isinstance(found, Snapshot)
        assert len(found) == len(found.sockets) == 3
        assert {one.state for one in found} == {"listen", "established"}
        (held,) = [one for one in found if one.local.port == client.getsockname()[1]]
        assert found[0] == found.sockets[0]
        assert found[-1] == found.sockets[-1]
        assert [owner.fd for owner in held.owners] == [client.fileno()]
        assert list(found) == list(found)
        assert 0 <= time.time() - found.at < 60
        assert isinstance(found.complete, bool)
        assert found.roads["tcp"] == "sock_diag"
        with pytest.raises(IndexError):
            found[3]


def test_who(listener):
    with socket.create_connection(listener.getsockname()):
        report = portside.who(port_of(listener))
        assert isinstance(report, Report)
        assert (report.found, report.port, report.connections) == (True, port_of(listener), 1)
        assert [row.port for row in report.ports] == [port_of(listener)]
        assert dict(report.ancestry)[os.getpid()][0].pid == os.getppid()
        (peer,) = report.peers
        assert (peer.address, peer.count) == ("127.0.0.1", 1)
    assert portside.who(port_of(listener), "udp").found is False
    assert portside.who(port_of(listener), "tcp").found is True


def test_a_filter_selects_what_filtering_does(listener):
    with socket.create_connection(listener.getsockname()):
        for text, test in (
            ("state established", lambda one: one.state == "established"),
            ("state listen", lambda one: one.state == "listen"),
            (f"sport = {port_of(listener)}", lambda one: one.local.port == port_of(listener)),
            (f"pid = {os.getpid()}", lambda one: os.getpid() in {owner.pid for owner in one.owners}),
        ):
            everything = {identity(one) for one in portside.sockets() if settled(one) and test(one)}
            filtered = {identity(one) for one in portside.sockets(text) if settled(one)}
            assert filtered == everything != set(), text


def identity(one: Socket) -> tuple[object, ...]:
    return one.family, one.protocol, one.inode, one.cookie, one.local, one.remote, one.state, one.owners


def settled(one: Socket) -> bool:
    """Whether a socket is there for the whole test: ours, but for the one the question is asked through."""
    return one.family in ("inet", "inet6") and os.getpid() in {owner.pid for owner in one.owners}


# what is asked wrongly


@pytest.mark.parametrize(
    "text", ["port =", "port = 70000", "(", "nonsense", "state odd", "user =", "port = 22 extra", "\0"]
)
def test_bad_filters(text):
    for call in (portside.list_ports, portside.sockets):
        with pytest.raises(BadRequest, match="parse filter"):
            call(text)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**20])
def test_bad_ports(port):
    with pytest.raises(BadRequest, match=r"a port is a number from 1 to 65535"):
        portside.who(port)


def test_bad_protocol():
    with pytest.raises(BadRequest, match="the protocol is not one with ports"):
        portside.who(22, "icmp")


# records


def test_records_pickle_and_compare(listener):
    with socket.create_connection(listener.getsockname()):
        for value in (
            portside.list_ports(f"port = {port_of(listener)}"),
            portside.sockets().sockets,
            portside.who(port_of(listener)),
            portside.sockets().gaps,
        ):
            copy = pickle.loads(pickle.dumps(value))
            assert copy == value
            assert copy is not value
            assert repr(copy) == repr(value)
    (row,) = portside.list_ports(f"port = {port_of(listener)}")
    assert len({row, pickle.loads(pickle.dumps(row))}) == 1
    with pytest.raises(AttributeError, match="frozen"):
        row.port = 1


# the names


def test_every_public_name_is_there_and_documented():
    for name in portside.__all__:
        value = getattr(portside, name)
        assert value.__doc__, f"portside.{name} has no docstring"
        assert name in dir(portside)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = portside.nonsense


@pytest.mark.slow
def test_mypy_sees_every_public_name(tmp_path):
    mypy = Path(sys.executable).with_name("mypy")
    require(mypy.exists(), "mypy is not installed")
    names = "".join(f"reveal_type(portside.{name})\n" for name in portside.__all__)
    program = tmp_path / "program.py"
    program.write_text(f"import portside\nrow: portside.OpenPort = portside.list_ports()[0]\n{names}")
    command = [mypy, "--strict", "--no-error-summary", f"--cache-dir={tmp_path / 'cache'}", program]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=110,
        env=os.environ | {"MYPYPATH": str(SOURCE)},
        cwd=tmp_path,
    )
    assert ": error:" not in done.stdout
    assert done.stdout.count("Revealed type") == len(portside.__all__)
    assert '"Any"' not in done.stdout


def test_import_is_cheap():
    script = (
        "import sys; before = set(sys.modules); import portside; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert done.stdout.split() == ["__future__", "portside"]
