"""Firewall changes on the kernel: what they do to packets, and that no death of any process leaves half of one.

Everything happens in throw-away network namespaces, with a journal of the test's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import require

from portside.errors import BadRequest, PortsideError, TimedOut
from portside.guard.changes import apply, plan
from portside.guard.changes.wish import Rate, Target, Wish
from portside.ports.number import Range
from portside.testing.namespaces import Namespace

SOURCE = Path(__file__).resolve().parents[2] / "src"
NOTHING = plan.Plan("portside", (), ())
CLOSE = Wish("close", ports=(("tcp", Range(7080, 7080)),))
OTHER = """\
table inet other {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
"""
HERE = "from tests.live.test_changes_live import *\n"
LISTENER = """
import socket, sys
held = [socket.create_server(("::", int(port)), family=10, dualstack_ipv6=True) for port in sys.argv[1:]]
print("up", flush=True)
while True:
    held[0].accept()[0].close()
"""


def child(space, script, *words):
    """A Python program inside, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, preexec_fn=space.enter,
        start_new_session=True, env=os.environ | {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"},
    )  # fmt: skip


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A journal of the test's own."""
    require(os.geteuid() == 0, "needs root, to change a firewall")
    require(shutil.which("nft"), "nft(8) of nftables is not installed")
    monkeypatch.setenv("PORTSIDE_STATE", str(tmp_path))
    return tmp_path / "changes"


@pytest.fixture
def pair(space, book):
    """A host and a client behind a veth, both of the test's own; the host listens on 7080."""
    with Namespace() as client, contextlib.ExitStack() as stack:
        space.ip(
            f"link add host type veth peer name client netns {client.pid}", "link set host up",
            "address add 192.0.2.1/24 dev host", "address add 2001:db8::1/64 dev host nodad",
        )  # fmt: skip
        client.ip(
            "link set client up", "address add 192.0.2.2/24 dev client", "address add 192.0.2.3/24 dev client",
            "address add 2001:db8::2/64 dev client nodad",
        )  # fmt: skip
        listener = stack.enter_context(child(space, LISTENER, "7080", "7081"))
        stack.callback(listener.kill)
        assert listener.stdout.readline() == b"up\n"
        yield space, client


def reach(client, port=7080, address="192.0.2.1", source=None, timeout=0.4):
    """What a connection from the client meets: open, refused, or silence."""

    def attempt():
        try:
            with socket.create_connection((address, port), timeout, source_address=source and (source, 0)):
                return "open"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "silence"

    return client.call(attempt)


def make_here(wish, how=NOTHING, **more):
    with apply.open_journal() as opened:
        apply.recover(opened)
        return apply.make(opened, wish, how, own=True, **more)


def make(space, wish, how=NOTHING, **more):
    return space.call(lambda: make_here(wish, how, **more))


def ruleset(space):
    return space.run(["nft", "-s", "list", "ruleset"]).stdout


def states(space):
    return [(change.number, change.state) for change in space.call(apply.in_force)]


def test_a_closed_port_is_closed_and_opens_again(pair):
    host, client = pair
    assert reach(client) == "open"
    made = make(host, CLOSE)
    assert (made.number, made.state) == (1, "kept")
    assert reach(client) == reach(client, address="2001:db8::1") == "silence"
    assert reach(client, 7081) == "open"
    assert host.call(lambda: socket.create_connection(("192.0.2.1", 7080), 1).close()) is None
    host.call(apply.undo)
    assert reach(client) == reach(client, address="2001:db8::1") == "open"
    assert ruleset(host) == ""
    assert states(host) == [(1, "undone")]


def test_an_exception_spares_its_sources_alone(pair):
    host, client = pair
    spared = Wish("open", CLOSE.ports, sources=(apply_network("192.0.2.3"),))
    make(host, CLOSE)
    make(host, spared)
    assert reach(client, source="192.0.2.2") == "silence"
    assert reach(client, source="192.0.2.3") == "open"


def apply_network(text):
    from portside.guard.changes.wish import parse_network

    return parse_network(text)


def test_a_block_cuts_what_is_established(pair):
    host, client = pair

    def talk():
        with socket.create_connection(("192.0.2.1", 7081), 2, source_address=("192.0.2.3", 0)) as connected:
            connected.sendall(b"x")
            host_change = make(host, Wish("block", addresses=("192.0.2.3",)))
            connected.sendall(b"y")
            time.sleep(0.3)
            unacked = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[24:28]
            return host_change.state, int.from_bytes(unacked, sys.byteorder)

    assert client.call(talk) == ("kept", 1)
    assert reach(client, source="192.0.2.3") == "silence"
    assert reach(client, source="192.0.2.2") == "open"
    make(host, Wish("unblock", addresses=("192.0.2.3",)))
    assert reach(client, source="192.0.2.3") == "open"
    host.call(apply.undo)
    assert reach(client, source="192.0.2.3") == "silence"


def test_the_kernel_ends_what_is_for_a_time(pair):
    host, client = pair
    until = int(time.time()) + 2
    make(host, CLOSE.replace(until=until))
    make(host, Wish("block", addresses=("192.0.2.3",), until=until))
    assert reach(client) == reach(client, 7081, source="192.0.2.3") == "silence"
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline and {reach(client), reach(client, 7081, source="192.0.2.3")} != {
        "open"
    }:
        pass
    assert reach(client) == reach(client, 7081, source="192.0.2.3") == "open"
    assert [host.call(lambda: [apply.standing(one) for one in apply.in_force()])] == [["expired", "expired"]]


def test_a_rate_is_one_address_own(pair):
    host, client = pair
    make(host, Wish("open", CLOSE.ports, rate=Rate(3, "hour")))
    met = [reach(client, source="192.0.2.2", timeout=0.2) for _ in range(8)]
    assert met[0] == "open"
    assert met[-1] == "silence"
    assert reach(client, source="192.0.2.3") == "open"


def test_redirections(pair):
    host, client = pair
    make(host, Wish("redirect", (("tcp", Range(8080, 8080)),), target=Target(7080)))
    assert reach(client, 8080) == reach(client, 8080, address="2001:db8::1") == "open"
    assert host.call(lambda: socket.create_connection(("192.0.2.1", 8080), 1).close()) is None
    host.call(apply.undo)
    assert reach(client, 8080) == "refused"


def test_a_hundred_thousand_addresses(pair):
    host, client = pair
    many = tuple(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(100_000))
    make(host, Wish("block", addresses=(*many, "192.0.2.3", "198.51.100.0/24")))
    assert reach(client, source="192.0.2.3") == "silence"
    assert reach(client, source="192.0.2.2") == "open"
    shown = host.run(["nft", "get", "element", "inet", "portside", "hosts4", "{ 10.1.0.1 }"])
    assert shown.returncode == 0
    host.call(lambda: apply.undo(1))
    assert ruleset(host) == ""


def test_nothing_of_others_is_touched(pair):
    host, _ = pair
    host.run(["nft", "-f", "-"], input=OTHER)
    before = ruleset(host)
    make(host, CLOSE)
    make(host, Wish("block", addresses=("192.0.2.3",)))
    assert before in ruleset(host)
    host.call(lambda: apply.undo(1))
    host.call(lambda: apply.undo(2))
    assert ruleset(host) == before


def test_a_flush_by_another_tool_is_mended_by_the_next_change(pair):
    host, client = pair
    make(host, Wish("block", addresses=("192.0.2.3",)))
    host.run(["nft", "flush", "ruleset"])
    assert reach(client, source="192.0.2.3") == "open"
    make(host, CLOSE)
    assert reach(client, source="192.0.2.3") == reach(client) == "silence"


# --- confirmation -----------------------------------------------------------------------------------------------


def await_state(space, number, wanted, limit=15.0):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if (number, wanted) in states(space):
            return True
        time.sleep(0.05)
    return False


def test_what_nobody_confirms_is_taken_back(pair):
    host, client = pair
    assert make(host, CLOSE, confirm=1.0).state == "waiting"
    assert reach(client, timeout=0.2) == "silence"
    assert await_state(host, 1, "undone")
    assert reach(client) == "open"
    assert host.call(apply.confirm) == []


def test_what_somebody_confirms_stays(pair):
    host, client = pair
    make(host, CLOSE, confirm=1.5)
    assert [change.number for change in host.call(apply.confirm)] == [1]
    time.sleep(2.0)
    assert states(host) == [(1, "kept")]
    assert reach(client) == "silence"


def test_the_holder_outlives_the_session(pair):
    """The maker and everything of its session is killed; the way back is taken all the same."""
    host, client = pair
    maker = "make_here(CLOSE, confirm=2.0); print('made', flush=True); time.sleep(60)"
    started = child(host, HERE + maker)
    assert started.stdout.readline() == b"made\n"
    os.killpg(started.pid, signal.SIGHUP)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    started.stdout.close()
    assert await_state(host, 1, "undone")
    assert reach(client) == "open"


def test_with_the_holder_dead_too_the_next_one_takes_it_back(pair):
    host, client = pair
    holders = []

    def made():
        kept = apply.Holder

        def watched(number):
            holder = kept(number)
            holders.append(holder.pid)
            return holder

        apply.Holder = watched
        try:
            make_here(CLOSE, confirm=0.5)
        finally:
            apply.Holder = kept
        os.kill(holders[0], signal.SIGKILL)
        time.sleep(0.6)
        with apply.open_journal() as opened:
            return [change.number for change in apply.recover(opened)]

    assert host.call(made) == [1]
    assert reach(client) == "open"


# --- faults -----------------------------------------------------------------------------------------------------

# Kills itself at the Nth thing it does to the machine (before or after it), in a plan of several steps.
KILLED = """
import os, signal, sys
from portside.guard.changes import plan
from portside.system import commands, files
from tests.live.test_changes_live import CLOSE, make_here

at, after, root = int(sys.argv[1]), sys.argv[2] == "after", sys.argv[3]
done = 0

def deadly(action):
    def wrapped(*arguments, **named):
        global done
        done += 1
        if done == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        value = action(*arguments, **named)
        if done == at and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return value
    return wrapped

commands.run, files.replace = deadly(commands.run), deadly(files.replace)
steps = (
    plan.Run(("nft", "-f", "-"), 'add rule inet other input tcp dport 7081 drop comment "portside:1"\\n'),
    plan.Write(root + "/file", "new\\n"),
    plan.Run(("nft", "-f", "-"), 'add rule inet other input tcp dport 7082 drop comment "portside:1"\\n'),
)
back = (plan.Write(root + "/file", None), plan.Pull("inet", "other", "input", "portside:1"))
make_here(CLOSE, plan.Plan("nftables", steps, back))
print(done)
"""


def run_killed(space, at, when, root):
    return space.run(
        [
            "env",
            f"PYTHONPATH={SOURCE}:{SOURCE.parent}",
            sys.executable,
            "-c",
            KILLED,
            str(at),
            when,
            str(root),
        ]
    )


def test_killed_at_every_step_the_host_is_in_the_old_state(space, book, tmp_path):
    space.run(["nft", "-f", "-"], input=OTHER)
    before = ruleset(space)
    whole = run_killed(space, 0, "before", tmp_path)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    assert steps >= 6
    space.call(apply.undo)
    assert ruleset(space) == before
    for at in range(1, steps + 1):
        for when in ("before", "after"):
            killed = run_killed(space, at, when, tmp_path)
            assert killed.returncode == -signal.SIGKILL
            settle(space)
            number, state = states(space)[-1]
            if state == "kept":  # died after the change was written down as made
                assert (at, when) == (steps, "after")
                space.call(apply.undo)
            else:
                assert state == "undone", (at, when, number)
            assert ruleset(space) == before, (at, when)
            assert not (tmp_path / "file").exists()


def settle(space, limit=20.0):
    """Wait until no change is being made or taken back."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and any(state == "applying" for _, state in states(space)):
        time.sleep(0.02)


def test_a_step_that_fails_takes_the_others_back(pair, tmp_path):
    host, client = pair
    steps = (plan.Write(str(tmp_path / "file"), "new\n"), plan.Run(("nft", "-f", "-"), "add nonsense\n"))
    how = plan.Plan("nftables", steps, (plan.Write(str(tmp_path / "file"), None),))
    with pytest.raises(PortsideError, match="nonsense"):
        make(host, CLOSE, how)
    assert ruleset(host) == ""
    assert not (tmp_path / "file").exists()
    assert states(host) == [(1, "failed")]
    assert reach(client) == "open"


def test_a_full_disk_changes_nothing(pair, tmp_path):
    """The journal lies on a file system of one page; the change is written down first, so it is not made."""
    host, _ = pair

    def on_a_full_disk():
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(tmp_path)], check=True)
        (tmp_path / "filler").write_bytes(b"x" * 4096)
        os.environ["PORTSIDE_STATE"] = str(tmp_path)
        try:
            make_here(CLOSE)
        except PortsideError as error:
            return str(error)

    def alone():
        import ctypes

        assert ctypes.CDLL(None).unshare(0x00020000) == 0  # CLONE_NEWNS
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        return on_a_full_disk()

    assert "no space left on device" in host.call(alone)
    assert ruleset(host) == ""


def test_two_changes_at_once_are_made_one_after_the_other(pair):
    host, _ = pair
    script = "n = int(sys.argv[1]); make_here(Wish('close', (('tcp', Range(n, n)),)))"
    started = [child(host, HERE + script, str(9000 + n)) for n in range(6)]
    assert [one.wait(60) for one in started] == [0] * 6
    for one in started:
        one.stdout.close()
    assert states(host) == [(number, "kept") for number in range(1, 7)]
    for port in range(9000, 9006):
        assert f"tcp dport {port} " in ruleset(host)


def test_a_change_that_goes_on_is_waited_for_so_long(book, space):
    with apply.open_journal(), pytest.raises(TimedOut, match="another change is being made"):
        apply.open_journal(0.2).lock()


def test_another_network_namespace_is_another_host(pair, book):
    host, client = pair
    make(host, CLOSE)
    with pytest.raises(BadRequest, match="no change of ours is in force"):
        client.call(apply.undo)
    with pytest.raises(BadRequest, match="another network namespace; run it there"):
        client.call(lambda: apply.undo(1))
    assert client.call(lambda: [apply.standing(one) for one in apply.in_force()]) == ["elsewhere"]


def test_a_journal_that_others_could_write_is_not_believed(pair, book):
    host, _ = pair
    make(host, CLOSE)
    (book / "1.json").chmod(0o666)
    with pytest.raises(PortsideError, match="others than root could have written it"):
        host.call(apply.in_force)
    (book / "1.json").chmod(0o600)
    (book / "1.json").write_text("{")
    with pytest.raises(PortsideError, match="it is damaged"):
        host.call(apply.in_force)
    (book / "1.json").write_text(json.dumps({"version": 1, "record": {"number": 1}}))
    with pytest.raises(PortsideError, match="it is not one of ours"):
        host.call(apply.in_force)
