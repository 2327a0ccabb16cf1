"""`portside who` over a made-up machine: the tree, what it says of backlog, peers and nothing, narrow terminals."""

from __future__ import annotations

import io
import sys

import pytest
from tests import fakemachine
from tests.fakemachine import SOCKETS, Run

from portside.cli.output import display_width
from portside.testing import FakeKernel, FakeSocket


@pytest.fixture
def host(tmp_path):
    return fakemachine.make(tmp_path)


@pytest.fixture
def portside(host, monkeypatch, capsys):
    """Run the command line on the made-up machine."""
    fakemachine.install(monkeypatch, host)
    return lambda *words: Run(capsys, *words)


def test_tree_of_a_port_with_two_holders(portside):
    run = portside("who", "80")
    assert (run.code, run.err) == (0, "")
    assert run.lines[:4] == [
        "80/tcp  http?  listening on 0.0.0.0,[::]",
        "├─ reach    anyone: bound to every address or a public one; firewall not consulted",
        "├─ backlog  2 of 128 waiting to be accepted",
        "├─ held by  web 90  fd 3,4",
    ]
    assert '│  command   /usr/bin/web --name a,b say "hi" two\\nlines' in run.lines
    assert "│  exe       /usr/bin/web" in run.lines
    assert "│  started by init 1" in run.lines
    assert run.lines[-5:] == [
        "└─ held by  web 91  fd 3,4",
        *("   " + line[3:] for line in run.lines[4:7]),
        "   started by web 90 ← init 1",
    ]
    assert "user      www-data, since 20" in run.lines[4]


def test_unit_hostile_name_and_full_backlog(portside):
    run = portside("who", "8080")
    assert "├─ unit     app.service" in run.lines
    assert "├─ backlog  5 of 5 waiting to be accepted" in run.lines
    assert "└─ held by  a) b\\x1b[31m 100  fd 5" in run.lines
    assert "\x1b" not in run.out


def test_bound_without_listening(portside):
    run = portside("who", "10000")
    assert run.code == 0
    assert run.lines[0] == "10000/tcp  ndmp?  bound, not listening, on 127.0.0.1"
    assert run.lines[1] == "├─ reach    not listening: bound, but it does not listen"
    assert not any("backlog" in line for line in run.lines)


def test_udp(portside):
    run = portside("who", "53")
    assert run.lines[0] == "53/udp  domain?  open on *"
    assert run.lines[2] == "└─ held by  resolver 13  fd 3"


def test_connections_by_peer(portside):
    run = portside("who", "9000")
    at = run.lines.index("4 connections on local port 9000, by peer:")
    assert run.lines[at + 1 :] == [
        "  198.51.100.7  2 established, 1 time-wait  held by api 1200",
        "  198.51.100.8  1 established",
    ]
    assert portside("who", "9000", "--peers", "1").lines[-1] == "  … and 1 from 1 more peers (--peers 2)"
    assert portside("who", "9000", "--peers", "0").lines[-1] == "  … and 4 from 2 more peers (--peers 2)"


def test_a_client_s_own_port(portside):
    run = portside("who", "40000")
    assert (run.code, run.lines) == (
        0, ["1 connection on local port 40000, by peer:", "  127.0.0.1  1 established  held by client 200"],
    )  # fmt: skip


def test_nothing(portside):
    for word, said in (("7", "7"), ("80/udp", "80/udp"), ("53/tcp", "53/tcp"), ("80/sctp", "80/sctp")):
        run = portside("who", word)
        text = f"{said}: nothing has this port: no listener, no bound socket, no connection\n"
        assert (run.code, run.out, run.err) == (1, text, "")


@pytest.mark.parametrize(
    ("word", "first"), [("http", "80/tcp"), ("80/tcp", "80/tcp"), ("53/udp", "53/udp"), ("00080", "80/tcp")]
)
def test_ways_to_name_a_port(portside, word, first):
    run = portside("who", word)
    assert run.code == 0
    assert run.lines[0].split()[0] == first


def test_numeric_names_no_service(portside):
    assert portside("who", "-n", "80").lines[0] == "80/tcp  listening on 0.0.0.0,[::]"


@pytest.mark.parametrize(
    "word",
    [
        "0",
        "65536",
        "99999",
        "123456789",
        "80/",
        "80/dccp",
        "no-such-service",
        "",
        " ",
        "1-2",
        "22,80",
        "\x1b[31m",
    ],
)
def test_what_is_no_port(portside, word):
    run = portside("who", "--", word)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("portside: ")
    assert run.err.count("\n") == 1
    assert "\x1b" not in run.err


def test_strict_when_owners_are_missing(host, portside, monkeypatch):
    from portside.see.records import Gap
    from portside.see.snapshot import Snapshot

    monkeypatch.setattr(
        Snapshot, "count_gaps", lambda self, counts: [Gap("owners", "permission", 1, "run it with sudo")]
    )
    run = portside("who", "80", "--strict")
    assert (run.code, run.err) == (3, "portside: not seen: owners: permission; run it with sudo\n")
    assert portside("who", "80", "-q").err == ""
    assert portside("who", "7", "--strict").code == 3


def test_holder_unknown(tmp_path, monkeypatch, capsys):
    """A socket that no process holds: the creator and the reason stand in."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("www-data:x:33:33::/:/bin/sh\n")
    sockets = [FakeSocket("tcp", "listen", ("0.0.0.0", 80), inode=1, uid=33)]
    (tmp_path / "proc").mkdir()
    host = fakemachine.Host(
        root=str(tmp_path), netlink=FakeKernel(sockets, protocols=fakemachine.PROTOCOLS).open, bpf=False
    )
    fakemachine.install(monkeypatch, host)
    run = Run(capsys, "who", "80")
    assert run.lines[-1].startswith("└─ held by  (")
    assert run.lines[-1].endswith(") user www-data")


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("port", [80, 8080, 9000, 10000])
def test_narrow_terminals_fold_and_lose_no_address(host, monkeypatch, columns, port):
    monkeypatch.setenv("COLUMNS", str(columns))
    fakemachine.install(monkeypatch, host)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    assert fakemachine.main(["who", str(port)]) == 0
    lines = stream.getvalue().splitlines()
    for line in lines:
        assert display_width(line) <= columns, line
    addresses = {s.local[0] for s in SOCKETS if s.local[1] == port} | {
        s.remote[0] for s in SOCKETS if s.local[1] == port
    }
    assert all(any(address in line for line in lines) for address in addresses)
    assert lines[0].startswith(f"{port}/tcp")
