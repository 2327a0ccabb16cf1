"""The two protocols between a service manager and its program, with this process as the program."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from portside.errors import BadReply, NotSupported, TimedOut
from portside.use import activation
from portside.use.activation import Passed, listen_fds, notify


@pytest.fixture
def passed(monkeypatch):
    """Two listeners where a manager would have put them: from a number that is free here."""
    first = 200
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    for place, one in enumerate(listeners):
        os.dup2(one.fileno(), first + place)
    monkeypatch.setattr(activation, "FIRST", first)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_FDNAMES", "web:admin")
    yield [one.getsockname() for one in listeners]
    for place, one in enumerate(listeners):
        one.close()
        try:
            os.close(first + place)
        except OSError:  # the test has closed it
            pass


def test_sockets_come_with_their_names_and_once(passed):
    found = listen_fds()
    assert found == [Passed(200, "web"), Passed(201, "admin")]
    made = [one.socket() for one in found]
    assert [one.getsockname() for one in made] == passed
    assert not any(one.get_inheritable() for one in made)
    for one in made:
        one.close()
    assert listen_fds() == []
    assert not [name for name in os.environ if name.startswith("LISTEN_")]


def test_names_may_be_missing(passed, monkeypatch):
    monkeypatch.delenv("LISTEN_FDNAMES")
    assert [one.name for one in listen_fds()] == ["", ""]


@pytest.mark.parametrize(
    ("name", "value"), [("LISTEN_PID", "1"), ("LISTEN_PID", ""), ("LISTEN_PIDFDID", "1")]
)
def test_another_process_s_sockets_are_not_ours(passed, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert listen_fds() == []
    assert "LISTEN_FDS" not in os.environ


def test_the_process_s_own_pidfd_number(passed, monkeypatch):
    descriptor = os.pidfd_open(os.getpid())
    monkeypatch.setenv("LISTEN_PIDFDID", str(os.fstat(descriptor).st_ino))
    os.close(descriptor)
    assert len(listen_fds()) == 2


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("LISTEN_FDS", "two", "'two' is no number of descriptors"),
        ("LISTEN_FDS", "-1", "'-1' is no number"),
        ("LISTEN_FDNAMES", "web", "1 names for 2 descriptors"),
        ("LISTEN_FDS", "9999", "names for 9999 descriptors"),
    ],
)
def test_variables_that_are_not_of_their_form(passed, monkeypatch, name, value, text):
    monkeypatch.setenv(name, value)
    with pytest.raises(BadReply, match=text):
        listen_fds()


def test_a_descriptor_that_is_not_there_or_no_socket(passed, monkeypatch):
    monkeypatch.delenv("LISTEN_FDNAMES")
    os.close(201)
    with pytest.raises(BadReply, match="descriptor 201: bad file descriptor"):
        listen_fds()
    reader, writer = os.pipe()
    with pytest.raises(NotSupported, match=r"use descriptor .*: socket operation on non-socket"):
        Passed(reader).socket()
    os.close(reader)
    os.close(writer)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A manager's socket: what it is told is read from it."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = f"{tmp_path}/notify"
    link.bind(name if request.param == "path" else f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", name if request.param == "path" else f"@{name}")
    link.settimeout(5)
    yield link
    link.close()


def test_states_are_told(manager):
    assert notify()
    assert manager.recv(4096) == b"READY=1"
    assert notify("STATUS=serving\nWATCHDOG=1")
    assert manager.recv(4096) == b"STATUS=serving\nWATCHDOG=1"


def test_a_reload_is_told_with_its_time(manager):
    notify("RELOADING=1")
    first, second = manager.recv(4096).decode().split("\n")
    name, _, number = second.partition("=")
    assert (first, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert int(number) > 0


def test_without_a_manager_nothing_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify() is False


@pytest.mark.parametrize(
    ("place", "text"),
    [("vsock:2:1", "not a Unix socket"), ("/nowhere/notify", "no such file"), ("@nobody-is-here", "refused")],
)
def test_a_manager_that_cannot_be_told(monkeypatch, place, text):
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    with pytest.raises(NotSupported, match=text):
        notify()


def test_a_barrier_waits_until_it_was_read(manager):
    def read():
        received.append(manager.recv(4096))
        message, descriptors, _, _ = socket.recv_fds(manager, 4096, 4)
        received.append(message)
        for one in descriptors:
            os.close(one)

    received = []
    reading = threading.Thread(target=read)
    reading.start()
    assert notify("STOPPING=1", barrier=5)
    reading.join()
    assert received == [b"STOPPING=1", b"BARRIER=1"]


def test_a_barrier_that_nobody_reads(manager):
    with pytest.raises(TimedOut, match=r"has not read it in 0\.05 s"):
        notify(barrier=0.05)
    assert manager.recv(4096) == b"READY=1"
    _, descriptors, _, _ = socket.recv_fds(manager, 4096, 4)
    for one in descriptors:
        os.close(one)
