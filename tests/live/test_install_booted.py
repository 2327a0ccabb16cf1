"""install under a systemd that runs: on a throw-away machine (tests/booted.py), over a reboot, to the last file.

What systemd does with the units is told by itself, and by connecting.
"""

from __future__ import annotations

import json
import socket
import time

import pytest
from tests.booted import PATIENCE, Booted, missing
from tests.support import require

SHOUT = """#!/usr/bin/python3
import sys
sys.path.insert(0, "/opt/portside")
import portside
[one] = portside.listen_fds()
with one.socket() as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data.upper())
"""
# answers once the other side has ended its direction: what a proxy without half-close would lose
COUNT = """
import socket
with socket.create_server(("127.0.0.1", 9000)) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            size = 0
            while data := connection.recv(1000):
                size += len(data)
            connection.sendall(b"%d bytes" % size)
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    lacking = missing()
    require(not lacking, f"booting a systemd needs {lacking}")
    with Booted(tmp_path_factory.mktemp("booted")) as booted:
        booted.write("/opt/shout", SHOUT)
        booted.write("/opt/count.py", COUNT)
        yield booted


def portside(machine, *words, code=0):
    done = machine.run(["portside", *words])
    assert done.returncode == code, done.stdout + done.stderr
    return done


def told(machine, unit, *names):
    """What systemd says of a unit."""
    lines = machine.run(["systemctl", "show", f"--property={','.join(names)}", unit]).stdout.splitlines()
    said = dict(line.split("=", 1) for line in lines)
    return [said[name] for name in names]


def until(machine, unit, name, value):
    deadline = time.monotonic() + PATIENCE
    while (now := told(machine, unit, name)) != [value]:
        assert time.monotonic() < deadline, f"{unit}: {name} is {now}, not {value}"
        time.sleep(0.05)


def ask(text, port, address="127.0.0.1"):
    """Send a text, end our direction, and return all that comes back."""
    return ask_openly(text, port, address, end=True)


def ask_openly(text, port, address="127.0.0.1", *, end=False):
    with socket.create_connection((address, port), timeout=PATIENCE) as client:
        client.sendall(text)
        if end:
            client.shutdown(socket.SHUT_WR)
        got = b""
        while more := client.recv(1000):
            got += more
        return got


def everything_answers(machine):
    space = machine.space
    assert space.call(ask, b"hello", 80, timeout=PATIENCE) == b"HELLO"
    assert space.call(ask, b"hello", 80, "::1", timeout=PATIENCE) == b"HELLO"
    assert space.call(ask, b"hello", 7777, timeout=PATIENCE) == b"hello"
    assert space.call(ask, b"hello", 443, timeout=PATIENCE) == b"5 bytes"
    assert space.call(ask, b"GET / HTTP/1.0\r\n\r\n", 81, timeout=PATIENCE).startswith(b"HTTP/1.0 200 OK")
    assert space.call(ask, b"hello", 40001, timeout=PATIENCE) == b"HELLO"


def files_of(machine):
    """Every file of systemd's and of ours, but for the empty ones by which the journals are locked."""
    places = ("/etc/systemd", "/etc/sysctl.d", "/var/lib/portside")
    listed = machine.run(["find", *places, "-type", "l", "-o", "-type", "f", "!", "-name", "lock"])
    return set(listed.stdout.splitlines())


def rights(machine, unit):
    """The capabilities of a unit's program: every set, as one set of numbers."""
    [pid] = told(machine, unit, "MainPID")
    lines = machine.run(["cat", f"/proc/{pid}/status"]).stdout.splitlines()
    return {int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def test_from_installing_over_a_reboot_to_uninstalling(machine):
    before = files_of(machine)
    done = portside(machine, "install", "80", "--", "/opt/shout")
    assert done.stdout.splitlines() == [
        "wrote /etc/systemd/system/portside-80.socket", "wrote /etc/systemd/system/portside-80.service",
        "portside-80.socket is enabled, and port 80/tcp answers",
    ]  # fmt: skip
    assert done.stderr == ""
    assert rights(machine, "portside-80.service") == {0}  # the manager bound the port
    assert told(machine, "portside-80.service", "ActiveState", "User", "DynamicUser") == [
        "active",
        "portside-80",
        "yes",
    ]
    portside(machine, "install", "7777", "--inetd", "--", "/bin/cat")
    done = portside(machine, "install", "443", "--to", "9000", "--", "python3", "/opt/count.py")
    assert done.stderr == ""  # half-close is kept: nothing to warn of
    portside(machine, "install", "81", "--own", "--", "python3", "-m", "http.server", "81")
    assert rights(machine, "portside-81.service") == {1 << 10}  # CAP_NET_BIND_SERVICE
    done = portside(machine, "install", "40001", "--", "/opt/shout")
    assert "port 40001 lies in the ephemeral range: it is reserved now" in done.stderr
    everything_answers(machine)

    machine.reboot()
    assert told(machine, "portside-80.service", "ActiveState") == ["inactive"]  # until somebody connects
    reserved = machine.run(["cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"])
    assert reserved.stdout == "40001\n"
    everything_answers(machine)
    assert machine.run(["systemctl", "--failed", "--no-legend", "portside*"]).stdout == ""

    items = json.loads(portside(machine, "install", "--json").stdout)["items"]
    assert [item["port"] for item in items] == [80, 7777, 443, 81, 40001]
    for item in items:
        done = portside(machine, "uninstall", str(item["port"]))
        assert done.stderr in ("", "portside: port 40001 is not reserved any more\n")
    assert files_of(machine) == before
    assert machine.run(["systemctl", "list-units", "--all", "--no-legend", "portside*"]).stdout == ""
    assert machine.run(["ss", "-Hltn"]).stdout == ""
    assert machine.run(["cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"]).stdout == "\n"
    portside(machine, "uninstall", "80", code=1)


def test_a_program_that_does_not_take_its_socket_is_told_with_its_last_words(machine):
    """The manager's socket answers all the same, and Restart= hides the failure."""
    done = portside(machine, "install", "84", "--", "python3", "-m", "http.server", "84", code=1)
    assert "portside-84.service has failed" in done.stderr
    assert (
        "'PermissionError: [Errno 13] Permission denied'; see 'journalctl -u portside-84.service'"
        in done.stderr
    )
    assert "the program must take its socket from the manager (LISTEN_FDS)" in done.stderr
    portside(machine, "uninstall", "84")
    assert machine.run(["systemctl", "--failed", "--no-legend", "portside*"]).stdout == ""


SHOUT_DATAGRAMS = """#!/usr/bin/python3
import sys
sys.path.insert(0, "/opt/portside")
import portside
[one] = portside.listen_fds()
with one.socket() as listener:
    while True:
        data, peer = listener.recvfrom(1000)
        listener.sendto(data.upper(), peer)
"""
WHISPER_DATAGRAMS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
    listener.bind(("127.0.0.1", 9053))
    while True:
        data, peer = listener.recvfrom(1000)
        listener.sendto(data.lower(), peer)
"""


def ask_by_datagram(text, port):
    """Send a datagram until one comes back: behind a proxy the program may not have come up yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(1)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                client.send(text)
                return client.recv(1000)
            except OSError:  # in time, or refused
                assert time.monotonic() < deadline


def test_datagrams(machine):
    machine.write("/opt/shout-datagrams", SHOUT_DATAGRAMS)
    machine.write("/opt/whisper.py", WHISPER_DATAGRAMS)
    portside(machine, "install", "54/udp", "--", "/opt/shout-datagrams")
    portside(machine, "install", "53/udp", "--to", "9053", "--", "python3", "/opt/whisper.py")
    assert machine.space.call(ask_by_datagram, b"Hello", 54, timeout=PATIENCE) == b"HELLO"
    assert machine.space.call(ask_by_datagram, b"Hello", 53, timeout=PATIENCE) == b"hello"
    portside(machine, "uninstall", "54")
    portside(machine, "uninstall", "53")


def test_the_proxy_where_services_cannot_run_portside(machine):
    """systemd's own, which never says that it is ready."""
    assert machine.run(["chmod", "700", "/usr/local/bin/portside"]).returncode == 0
    done = portside(machine, "install", "445", "--to", "9001", "--", "python3", "-m", "http.server", "9001")
    assert "no user but root can run portside here, so systemd-socket-proxyd forwards" in done.stderr
    assert told(machine, "portside-445.service", "ActiveState") == ["active"]
    asked = b"GET / HTTP/1.0\r\n\r\n"
    assert machine.space.call(ask_openly, asked, 445, timeout=PATIENCE).startswith(b"HTTP/1.0 200 OK")
    portside(machine, "uninstall", "445")
    assert machine.run(["chmod", "755", "/usr/local/bin/portside"]).returncode == 0


def test_a_unit_that_is_there(machine):
    require(
        machine.run(["test", "-e", "/lib/systemd/system/redis-server.service"]).returncode == 0, "needs redis"
    )
    done = portside(machine, "install", "--unit", "redis-server")
    assert done.stdout == "redis-server.service is enabled and started: 6379/tcp\n"
    assert told(machine, "redis-server.service", "ActiveState", "UnitFileState") == ["active", "enabled"]
    assert machine.space.call(ask, b"PING\r\n", 6379, timeout=PATIENCE) == b"+PONG\r\n"
    portside(machine, "uninstall", "--unit", "redis-server")
    assert told(machine, "redis-server.service", "ActiveState", "UnitFileState") == ["inactive", "disabled"]


NOTIFYING = """
import signal, sys, time
sys.path.insert(0, "/opt/portside")
import portside
signal.signal(signal.SIGTERM, lambda *_: (portside.notify("STOPPING=1"), sys.exit()))
signal.signal(signal.SIGHUP, lambda *_: portside.notify("RELOADING=1"))
signal.signal(signal.SIGUSR1, lambda *_: portside.notify("READY=1"))
portside.notify("READY=1\\nSTATUS=serving in 100 %", barrier=60)
while True:
    time.sleep(0.5)
    portside.notify("WATCHDOG=1")
"""
NOTIFYING_UNIT = """
[Service]
ExecStart=/usr/bin/python3 /opt/notifying.py
Type=notify
WatchdogSec=60
DynamicUser=yes
"""


def test_what_a_program_tells_is_what_systemd_shows(machine):
    machine.write("/opt/notifying.py", NOTIFYING)
    machine.write("/run/systemd/system/notifying.service", NOTIFYING_UNIT, 0o644)
    assert machine.run(["systemctl", "daemon-reload"]).returncode == 0
    assert machine.run(["systemctl", "start", "notifying"]).returncode == 0  # once READY=1 has come
    assert told(machine, "notifying", "ActiveState", "StatusText") == ["active", "serving in 100 %"]
    [before] = told(machine, "notifying", "WatchdogTimestampMonotonic")
    machine.run(["systemctl", "kill", "--signal=HUP", "notifying"])
    until(machine, "notifying", "ActiveState", "reloading")
    machine.run(["systemctl", "kill", "--signal=USR1", "notifying"])
    until(machine, "notifying", "ActiveState", "active")
    deadline = time.monotonic() + PATIENCE
    while told(machine, "notifying", "WatchdogTimestampMonotonic") == [before]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert machine.run(["systemctl", "stop", "notifying"]).returncode == 0
    assert told(machine, "notifying", "Result", "ActiveState") == ["success", "inactive"]
