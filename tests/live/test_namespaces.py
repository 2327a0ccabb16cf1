"""Throw-away namespaces: inside is inside, errors come back, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import require

from portside.errors import NotPermitted, NotSupported, TimedOut, Vanished
from portside.testing.namespaces import NAMED, Namespace


def inode() -> int:
    return os.stat("/proc/self/ns/net").st_ino


def test_functions_and_programs_run_inside(space):
    assert space.call(inode) == space.inode != inode()
    assert space.run(["readlink", "/proc/self/ns/net"]).stdout.strip() == f"net:[{space.inode}]"


def test_loopback_is_up_and_links_are_made(space):
    space.add_link("left", peer="right", addresses=["192.0.2.1/24", "fe80::1/64"])
    shown = space.run(["ip", "-br", "address"]).stdout
    assert "127.0.0.1/8" in shown
    assert "192.0.2.1/24" in shown
    assert "fe80::1/64" in shown


def test_what_a_function_raises_is_raised_here(space):
    with pytest.raises(FileNotFoundError):
        space.call(os.stat, "/no/such/file")


def test_a_function_that_takes_too_long_is_ended(space):
    with pytest.raises(TimedOut):
        space.call(time.sleep, 60, timeout=0.1)


def test_a_child_that_dies_is_said_to_have_vanished(space):
    with pytest.raises(Vanished):
        space.call(os._exit, 3)


def test_errors_of_ip_and_missing_programs(space):
    with pytest.raises(NotSupported, match="set up links: "):
        space.ip("link add x type no-such-type")
    with pytest.raises(NotSupported, match="no such program"):
        space.run(["no-such-program"])
    with pytest.raises(TimedOut):
        space.run(["sleep", "60"], timeout=0.1)


def test_another_user_runs_inside_too(space):
    require(os.geteuid() == 0, "needs root, to be another user")
    assert space.call(os.getresuid, uid=65534) == (65534, 65534, 65534)
    assert space.run(["id", "-u"], uid=65534).stdout.strip() == "65534"


def test_a_name_is_there_for_the_block_alone():
    require(os.geteuid() == 0, "needs root, to bind a name")
    name = f"portside-{os.getpid()}"
    with pytest.raises(ZeroDivisionError):
        fail_inside(name)
    assert not Path(NAMED, name).exists()
    with Namespace(name), pytest.raises(NotPermitted, match="File exists"):
        Namespace(name).__enter__()


def fail_inside(name: str) -> None:
    with Namespace(name) as named:
        assert os.stat(os.path.join(NAMED, name)).st_ino == named.inode
        raise ZeroDivisionError


def test_the_namespace_ends_with_its_maker():
    """The maker is killed outright: the holder still takes the name away and ends."""
    require(os.geteuid() == 0, "needs root, to bind a name")
    name = f"portside-killed-{os.getpid()}"
    code = (
        "import sys, time; sys.path[:0] = sys.argv[2].split(':')\n"
        "from portside.testing.namespaces import Namespace\n"
        "made = Namespace(sys.argv[1]).__enter__()\n"
        "print(made.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, name, ":".join(sys.path)], stdout=subprocess.PIPE, text=True
    ) as maker:
        holder = int(maker.stdout.readline())
        assert Path(NAMED, name).exists()
        maker.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while Path(NAMED, name).exists() or Path(f"/proc/{holder}/ns/net").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
