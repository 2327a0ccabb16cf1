"""The sockstat face on the running kernel: in a namespace it tells the same sockets and holders as ss does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

from tests.live import peers
from tests.live.beside import rows_of, run_face
from tests.live.conftest import NOBODY
from tests.live.test_cli_live import run
from tests.support import require

from portside.faces.sockstat import main
from portside.testing import Namespace

ANY = {"0.0.0.0": "*", "::": "*"}
SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def sockstat(*words):
    """Run the face in this process; return its lines split at blanks."""
    return rows_of(main, words)


def stage(stack: contextlib.ExitStack):
    """Open one socket of every kind that both tools tell."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    stack.enter_context(listener.accept()[0])
    dual = stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    mapped = stack.enter_context(socket.create_connection(("127.0.0.1", dual.getsockname()[1])))
    stack.enter_context(dual.accept()[0])
    stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6))
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("", 0))
    connected = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    connected.connect(("::1", 9))
    return client, mapped


def compare():
    """Return what sockstat and what ss tell of the staged sockets: (proto, local, foreign, pid, fd)."""
    with contextlib.ExitStack() as stack:
        stage(stack)
        told = sockstat("-46nwq", "-P", "tcp,udp")
        ours = {(row[4], row[5], row[6], row[2], row[3]) for row in told}
        assert len(ours) == len(told)
        done = subprocess.run(["ss", "-HOtuanp"], capture_output=True, text=True, timeout=30, check=True)
        theirs = {one for line in done.stdout.splitlines() for one in as_sockstat(line)}
    return ours, theirs


def as_sockstat(line):
    """Yield what sockstat would tell of a line of ss, once for each holder."""
    netid, _, _, _, rest = line.split(maxsplit=4)
    local, remote, *more = rest.split(maxsplit=2)
    ends = [peers._ss_endpoint(end) for end in (local, remote)]
    (address, _, _), v4 = ends[0], ":" not in ends[0][0] or "::ffff:" in ends[0][0]
    versions = "46" if address == "*" else "4" if v4 else "6"
    shown = [f"{ANY.get(host, host).removeprefix('::ffff:')}:{port or '*'}" for host, _, port in ends]
    for _, pid, fd in peers._SS_OWNER.findall(more[0] if more else "") or [("", "??", "??")]:
        yield netid + versions, *shown, pid, fd


def test_tells_the_sockets_and_holders_that_ss_tells():
    require(shutil.which("ss"), "ss of iproute2 is not installed")
    with Namespace() as scratch:
        ours, theirs = scratch.call(compare)
    assert ours == theirs
    assert {row[0] for row in ours} == {"tcp4", "tcp46", "tcp6", "udp4", "udp6"}


def staged_unix(directory):
    """Return name -> line (from PROTO on) of Unix sockets that this process holds."""
    path = os.path.join(directory, "s")
    with contextlib.ExitStack() as stack:

        def opened(one):
            return stack.enter_context(one)

        listener = opened(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()
        client = opened(socket.socket(socket.AF_UNIX))
        client.connect(path)
        server = opened(listener.accept()[0])
        left, right = map(opened, socket.socketpair(type=socket.SOCK_SEQPACKET))
        log = opened(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        log.bind("\0log")
        writer = opened(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        writer.connect("\0log")
        named = {
            name: str(one.fileno())
            for name, one in {
                "listener": listener, "client": client, "server": server, "left": left, "right": right,
                "log": log, "writer": writer,
            }.items()
        }  # fmt: skip
        rows = {row[3]: " ".join(row[4:]) for row in sockstat("-uwnq") if row[2] == str(os.getpid())}
    return os.getpid(), named, {name: rows[fd] for name, fd in named.items()}


def test_unix_sockets_and_their_peers(tmp_path):
    with Namespace() as scratch:
        pid, fds, told = scratch.call(staged_unix, str(tmp_path))
    path = tmp_path / "s"
    assert told == {
        "listener": f"stream {path} ??",
        "client": f"stream ?? -> {path}",
        "server": f"stream {path} -> [{pid} {fds['client']}]",
        "left": f"seqpack ?? -> [{pid} {fds['right']}]",
        "right": f"seqpack ?? -> [{pid} {fds['left']}]",
        "log": f"dgram @log <- [{pid} {fds['writer']}]",
        "writer": "dgram ?? -> @log",
    }


def details():
    """Return the JSON rows of a listener and its client, and the congestion control they were given."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        out, _, _ = run_face(main, ["--libxo", "json", "-4sCSiUn", "-p", str(port)])
        rows = json.loads(out)["sockstat"]["socket"]
        ours = [row for row in rows if row.get("pid") == os.getpid()]
        by_fd = {row["fd"]: row for row in ours}
        return by_fd[listener.fileno()], by_fd[client.fileno()], len(rows)


def test_details_are_the_kernels_own():
    with Namespace() as scratch:
        listener, client, rows = scratch.call(details)
    assert rows == 3  # the accept queue's socket has no holder yet
    assert listener["conn-state"] == "LISTEN"
    assert "encaps" not in listener
    assert (client["conn-state"], client["cc"], client["stack"], client["encaps"]) == (
        "ESTABLISHED", "reno", "linux", 0,
    )  # fmt: skip
    assert client["id"].isdigit()
    assert client["id"] != listener["id"]


def test_a_network_namespace_is_a_jail():
    require(os.geteuid() == 0, "needs root, to enter another network namespace")
    name = f"portside-jail-{os.getpid()}"
    with Namespace(name) as scratch:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=scratch.enter,
        )
        try:
            port = server.stdout.readline().strip()
            told = sockstat("-j", name, "-q4n")
        finally:
            server.kill()
            server.communicate()
    assert [(row[2], row[5]) for row in told] == [(str(server.pid), f"127.0.0.1:{port}")]


def test_without_rights_the_rows_are_there_and_the_holder_is_not(world):
    require(os.geteuid() == 0, "needs root, to be another user")
    told = run(world.space, "sockstat", "-4lq", uid=NOBODY)
    assert told.code == 0
    rows = [line.split() for line in told.out.splitlines()]
    assert any(row[:4] == ["??"] * 4 for row in rows)
    everything = run(world.space, "sockstat", "-4lq")
    assert {row[-2] for row in rows} == {line.split()[-2] for line in everything.out.splitlines()}


def test_hostile_names_reach_no_terminal(world):
    told = run(world.space, "sockstat", "-w").out
    assert "\x1b" not in told
    assert all(char.isprintable() or char == "\n" for char in told)
    assert len({len(line) for line in told.splitlines() if line.isascii()}) == 1
