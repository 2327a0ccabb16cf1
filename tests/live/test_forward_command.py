"""`portside forward` as a program: signals, files of both kinds, inherited sockets, what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from tests.live.forwarding import Target, connect, count_then_answer, echo, name, read_all, wait_for
from tests.support import require

PORTSIDE = [sys.executable, "-m", "portside"]


@pytest.fixture
def command():
    """Starts the command; it is ended with the test."""
    started = []

    def start(*words, prefix=(), own_output=subprocess.PIPE, **options):
        argv = [*prefix, *PORTSIDE, "forward", *words]
        pipes = {"stdout": own_output, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(argv, **pipes, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def listening(process, number=1):
    """The ports it says it listens on, once it has said so."""
    lines = [process.stdout.readline() for _ in range(number)]
    return [int(re.search(r":(\d+) \(", line)[1]) for line in lines]


def ask(port, data=b""):
    with connect(port) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def test_a_line_for_each_connection_counters_and_an_orderly_end(command):
    with Target(count_then_answer) as target:
        process = command("127.0.0.1:0", f"127.0.0.1:{target.port}", "--stats", "100")
        (port,) = listening(process)
        assert ask(port, b"hello") == b"got 5"
        line = process.stdout.readline()
        assert re.fullmatch(
            rf"[\d:T-]+ 127\.0\.0\.1:\d+ > 127\.0\.0\.1:{port} > 127\.0\.0\.1:{target.port} tcp "
            r"5 in 5 out \d+\.\d+ s ended\n", line,
        )  # fmt: skip
        counters = f"127.0.0.1:{port}: 0 open, 1 taken, 0 refused, 0 failed, 5 bytes in, 5 out\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == counters
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout.read() == counters


def test_json_lines(command):
    with Target(echo) as target:
        process = command("127.0.0.1:0", f"127.0.0.1:{target.port}", "--json")
        listens = json.loads(process.stdout.readline())
        assert listens["kind"] == "listening"
        assert ask(int(listens["listen"].rpartition(":")[2]), b"hello") == b"hello"
        over = json.loads(process.stdout.readline())
        assert (over["portside"], over["kind"], over["received"], over["sent"]) == (1, "over", 5, 5)


def test_term_waits_for_connections_twice_does_not(command):
    with Target(echo) as target:
        process = command("127.0.0.1:0", f"127.0.0.1:{target.port}")
        (port,) = listening(process)
        with connect(port) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            process.terminate()
            assert "1 connections are open" in process.stderr.readline()
            client.sendall(b"y")
            assert client.recv(1) == b"y"
            process.terminate()
            assert process.wait(10) == 0


def test_hup_reads_the_file_again_and_a_bad_one_changes_nothing(command, tmp_path):
    with Target(name("one")) as one, Target(name("two")) as two:
        file = tmp_path / "forward.toml"
        text = '[[forward]]\nlisten = "127.0.0.1:0"\ntarget = "127.0.0.1:%d"\n'
        file.write_text(text % one.port)
        process = command("--config", str(file))
        (port,) = listening(process)
        assert ask(port) == b"one"
        file.write_text(text % two.port)
        process.send_signal(signal.SIGHUP)
        assert "reloaded" in process.stderr.readline()
        assert ask(port) == b"two"
        file.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        assert "going on as before" in process.stderr.readline()
        assert ask(port) == b"two"


def test_rinetd_file_with_its_log(command, tmp_path):
    with Target(count_then_answer) as target, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        (tmp_path / "rinetd.conf").write_text(
            f"allow 127.0.*\n127.0.0.1 {port} 127.0.0.1 {target.port}\ndeny 127.0.0.9\n"
            f"logfile {tmp_path}/log\npidlogfile {tmp_path}/pid\n"
        )
        process = command("--config", str(tmp_path / "rinetd.conf"))
        assert listening(process) == [port]
        assert ask(port, b"hello") == b"got 5"
        with (
            contextlib.suppress(ConnectionResetError),
            socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0)) as denied,
        ):
            assert denied.recv(1) == b""
        wait_for(lambda: len((tmp_path / "log").read_text().splitlines()) == 2)
        first, second = (line.split("\t") for line in (tmp_path / "log").read_text().splitlines())
        assert first[1:] == [
            "127.0.0.1", "127.0.0.1", str(port), "127.0.0.1", str(target.port), "5", "5", "done-local-closed",
        ]  # fmt: skip
        assert (second[1], second[-1]) == ("127.0.0.9", "not-allowed")
        assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
        process.terminate()
        assert process.wait(10) == 0
        assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("log", ["a file", "standard output"])
def test_a_full_disk_under_the_log_stops_no_connection(command, tmp_path, log):
    """It is told once."""
    with Target(count_then_answer) as target, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        (tmp_path / "rinetd.conf").write_text(
            ("logfile /dev/full\n" if log == "a file" else "") + f"127.0.0.1 {port} 127.0.0.1 {target.port}\n"
        )
        words = ["--config", str(tmp_path / "rinetd.conf")]
        with open("/dev/full", "w") as full:
            process = command(*words, own_output=subprocess.DEVNULL if log == "a file" else full)
            wait_for(lambda: answered(port))
            assert [ask(port, b"hello") for _ in range(3)] == [b"got 5"] * 3
            process.terminate()
            assert process.wait(60) == 0
        said = process.stderr.read()
    assert said.count("no space left on device; connections go on without") == 1


def test_inherited_sockets(command):
    """From systemd's own tool, which passes a listening socket as descriptor 3."""
    activate = shutil.which("systemd-socket-activate")
    require(activate, "systemd-socket-activate is not installed")
    with Target(count_then_answer) as target, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        process = command(
            "fd:3", f"127.0.0.1:{target.port}",
            prefix=(activate, "-l", f"127.0.0.1:{port}", "-E", "PYTHONPATH"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        wait_for(lambda: answered(port))
        assert ask(port, b"hello") == b"got 5"
        assert process.stdout.readline() == f"Listening on 127.0.0.1:{port} (tcp)\n"


def test_inherited_sockets_by_name_and_what_the_manager_is_told(command, tmp_path):
    """Two of one name, as a socket unit with two ListenStream= lines passes them."""
    activate = shutil.which("systemd-socket-activate")
    require(activate, "systemd-socket-activate is not installed")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(60)
    with told, Target(count_then_answer) as target, contextlib.ExitStack() as held:
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [each.getsockname()[1] for each in free]
        held.close()
        (tmp_path / "rules.toml").write_text(
            f"[[forward]]\nlisten = 'fd:web'\ntarget = '127.0.0.1:{target.port}'\n"
        )
        listens = [word for port in ports for word in ("-l", f"127.0.0.1:{port}")]
        process = command(
            "--config", str(tmp_path / "rules.toml"),
            prefix=(activate, *listens, "--fdname=web:web", "-E", "PYTHONPATH", "-E", "NOTIFY_SOCKET"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )  # fmt: skip
        wait_for(lambda: answered(ports[0]))
        ready = f"READY=1\nSTATUS=listening on 127.0.0.1:{ports[0]}"  # the first of each rule
        assert told.recv(1000).decode() == ready
        assert ask(ports[1], b"hello") == b"got 5"
        process.send_signal(signal.SIGHUP)
        assert told.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert told.recv(1000).decode() == ready
        process.terminate()
        assert told.recv(1000) == b"STOPPING=1"
        assert process.wait(60) == 0


def answered(port):
    try:
        return ask(port) == b"got 0"
    except ConnectionError:
        time.sleep(0.05)
        return False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dry-run", "8080", "80,81/udp"], "datagram"),
        ([], "there is nothing to forward"),
        (["8080"], "it has no target"),
        (["8080", "::1:80"], "needs brackets"),
        (["fd:3", "80"], "no such socket was passed"),
        (["8080", "80", "--allow", "10.0.0"], "10.0.0"),
        (["8080", "80", "--idle", "0"], "not a number of seconds"),
        (["--config", "/nonexistent"], "no such file"),
        (["192.0.2.1:0", "80"], "cannot assign"),
        (["no-such-service", "80"], "there is no such service"),
    ],
)
def test_what_is_wrong(command, words, said):
    process = command(*words)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1
