"""why: each cause is made for real in a namespace, the step of its name fails, and the command it tells mends it."""

from __future__ import annotations

import contextlib
import encodings.ascii
import encodings.idna  # noqa: F401 (another user may not be able to read it)
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.live.conftest import NOBODY
from tests.live.test_cli_live import run as run_inside
from tests.support import require

from portside.see import why
from portside.testing import Namespace

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATES = ROOT / "tests" / "data" / "tls"
PORT = 8080
REMOTE = "192.0.2.9"

HEAD = """
import os, signal, socket, ssl, struct, sys, time
def listener(port=8080, host="127.0.0.1", backlog=8):
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen(backlog)
    return made
def ready(*words):
    print("ready", *words, flush=True)
"""
WAIT = "sys.stdin.read()"


class Stage:
    """A namespace, programs in it, and `portside` as a shell there finds it."""

    def __init__(self, space, directory, stack):
        self.space = space
        self.stack = stack
        program = directory / "portside"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m portside "$@"\n')
        program.chmod(0o755)
        path = f"{directory}:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment = [f"PATH={path}", f"PYTHONPATH={ROOT / 'src'}"]

    def start(self, script, uid=None, space=None):
        """Start a program that says `ready` when it stands; it ends with the test."""
        step_down = (
            f"os.setgroups([])\nos.setresgid(*[{uid}] * 3)\nos.setresuid(*[{uid}] * 3)\n" if uid else ""
        )
        program = subprocess.Popen(
            [sys.executable, "-c", HEAD + step_down + textwrap.dedent(script)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=(space or self.space).enter,
        )  # fmt: skip
        self.stack.callback(end, program)
        assert program.stdout.readline().split()[:1] == ["ready"]
        return program

    def shell(self, command):
        """Run a command as somebody would who was told it: in a shell, as root."""
        words = ["env", *self.environment, "sh", "-c", command.removeprefix("sudo ")]
        return self.space.run(words, timeout=60)

    def why(self, *words, uid=None):
        """Return step -> the item of it that failed, else the last; the code must fit."""
        code, out, err = run_inside(self.space, "why", *words, "--json", uid=uid)
        assert code in (0, 1), err
        items = json.loads(out)["items"]
        assert json.loads(out)["kind"] == "why"
        assert code == int(any(item["outcome"] == "failed" for item in items))
        found = {}
        for item in items:
            if found.get(item["step"], {}).get("outcome") != "failed":
                found[item["step"]] = item
        return found

    def mended(self, step, *words, uid=None, then=None):
        """Check that a step fails, run the command it tells, and check that it passes (or is asked no more)."""
        before = self.why(*words, uid=uid)[step]
        assert before["outcome"] == "failed", before
        assert before["mend"], before
        done = self.shell(before["mend"])
        assert done.returncode == 0, (before["mend"], done.stdout, done.stderr)
        after = self.why(*(then or words), uid=uid).get(step)
        assert after is None or after["outcome"] == "passed", (before, after)
        return before


def end(program):
    program.kill()
    program.wait(10)
    program.stdin.close()
    program.stdout.close()


@pytest.fixture
def stage(space, tmp_path):
    require(not os.geteuid(), "needs root, for addresses, sysctls and other users")
    with contextlib.ExitStack() as stack:
        tmp_path.chmod(0o755)
        yield Stage(space, tmp_path, stack)


def set_sysctl(space, name, value):
    done = space.run(["sh", "-c", f"echo '{value}' > /proc/sys/{name.replace('.', '/')}"])
    assert done.returncode == 0, done.stderr


# a local port


def test_nothing_is_bound(stage):
    told = stage.why("8080", "--to", "connect")
    assert told["bound"]["outcome"] == "failed"
    assert stage.why("8080", "--to", "bind")["bind tcp"]["outcome"] == "passed"


def test_nothing_fails_where_all_is_well(stage):
    stage.start(f"made = listener(); ready(); {WAIT}")
    told = stage.why("8080", "--to", "connect")
    assert {item["outcome"] for item in told.values()} == {"passed"}
    assert [*told] == ["bound", "listening", "owner", "backlog", "overflow"]
    assert "127.0.0.1 (loopback)" in told["bound"]["evidence"]


def test_bound_and_not_listening(stage):
    stage.start(f"made = socket.socket(); made.bind(('127.0.0.1', 8080)); ready(); {WAIT}")
    told = stage.why("8080")
    assert told["bind tcp"]["outcome"] == "failed"
    assert "does not listen" in told["bind tcp"]["evidence"]
    stage.mended("listening", "8080")
    assert stage.why("8080", "--to", "bind")["bind tcp"]["outcome"] == "passed"


ACCEPTING = """
made = listener(backlog=1)
ready()
while True:
    made.accept()
"""


def test_the_owner_is_stopped(stage):
    program = stage.start(ACCEPTING)
    program.send_signal(19)
    os.waitid(os.P_PID, program.pid, os.WSTOPPED)
    told = stage.mended("owner", "8080", "--to", "connect")
    assert told["mend"] == f"kill -CONT {program.pid}"
    assert told["facts"] == {"stopped": [program.pid]}


KNOCKING = """
clients = []
for _ in range(6):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", 8080))
    clients.append(one)
time.sleep(0.1)
ready()
while True:
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", 8080))
    time.sleep(0.02)
    one.close()
"""


def test_the_backlog_is_full_behind_a_stopped_owner(stage):
    program = stage.start(ACCEPTING)
    program.send_signal(19)
    os.waitid(os.P_PID, program.pid, os.WSTOPPED)
    knocking = stage.start(KNOCKING)
    told = stage.why("8080", "--to", "connect")
    assert {name for name, item in told.items() if item["outcome"] == "failed"} == {
        "owner",
        "backlog",
        "overflow",
    }
    assert re.search(r"2 of 1 waiting", told["backlog"]["evidence"])
    assert told["overflow"]["facts"]["dropped"] > 0
    assert told["overflow"]["facts"]["ListenOverflows"] > 0
    assert told["backlog"]["mend"] == told["overflow"]["mend"] == f"kill -CONT {program.pid}"
    stage.mended("backlog", "8080", "--to", "connect")
    knocking.kill()
    knocking.wait(10)
    assert stage.why("8080", "--to", "connect")["overflow"]["outcome"] == "passed"


def test_the_backlog_is_full_because_nobody_accepts(stage):
    stage.start(f"made = listener(backlog=1); ready(); {WAIT}")
    stage.start(KNOCKING)
    assert stage.why("8080", "--to", "connect")["overflow"]["outcome"] == "failed"
    told = stage.mended("backlog", "8080", "--to", "connect")
    assert "does not accept" in told["evidence"]
    assert stage.why("8080/tcp", "--to", "bind")["bind tcp"]["outcome"] in ("passed", "failed")


def test_another_network_namespace_has_it(stage):
    with Namespace() as other:
        stage.start(f"made = listener(); ready(); {WAIT}", space=other)
        told = stage.why("8080", "--to", "connect")
        assert told["bound"]["outcome"] == "failed"
        assert told["namespace"]["outcome"] == "failed"
        assert str(other.inode) in told["namespace"]["evidence"]
        done = stage.shell(told["namespace"]["mend"])
        assert done.returncode == 0
        assert "passed  listening" in done.stdout


# binding it


def test_a_listener_has_it(stage):
    stage.start(f"made = listener(); ready(); {WAIT}", uid=NOBODY)
    told = stage.mended("bind tcp", "8080", "--to", "bind")
    assert re.search(r"EADDRINUSE.*python\S* \d+ of user nobody.* listens on 127\.0\.0\.1", told["evidence"])
    assert told["facts"] == {"error": "EADDRINUSE", "error_with_reuseaddr": "EADDRINUSE"}


def test_another_users_listener_has_it(stage):
    stage.start(f"made = listener(); ready(); {WAIT}")
    told = stage.mended("bind tcp", "8080", "--to", "bind", uid=NOBODY)
    assert "made by user root" in told["evidence"]
    assert told["mend"].startswith("sudo portside free 8080/tcp")
    assert stage.why("8080", "--to", "connect", uid=NOBODY)["bound"]["outcome"] == "failed"


def test_udp_and_ipv6_have_answers_of_their_own(stage):
    stage.start(
        "made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        "made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n"
        f"made.bind(('::', 8080)); ready(); {WAIT}"
    )
    done = stage.shell("portside why 8080 --to bind --json")
    told = {(item["step"], item["target"]): item["outcome"] for item in json.loads(done.stdout)["items"]}
    assert told["bind udp", "::"] == "failed"
    assert told["bind udp", "0.0.0.0"] == told["bind tcp", "::"] == told["bind tcp", "0.0.0.0"] == "passed"
    stage.mended("bind udp", "8080", "--to", "bind")


def test_a_listener_of_both_families_has_ipv4_too(stage):
    stage.start(
        "made = socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True)\n"
        f"ready(); {WAIT}"
    )
    done = stage.shell("portside why 8080/tcp --to bind --json")
    told = {item["target"]: item for item in json.loads(done.stdout)["items"] if item["step"] == "bind tcp"}
    assert {item["outcome"] for item in told.values()} == {"failed"}
    assert all("listens on ::" in item["evidence"] for item in told.values())


TIME_WAITING = """
server = listener()
client = socket.create_connection(("127.0.0.1", 8080))
accepted, _ = server.accept()
accepted.close()
client.close()
server.close()
ready()
"""


def test_time_wait_has_it(stage):
    stage.start(TIME_WAITING)
    told = stage.mended("bind tcp", "8080/tcp", "--to", "bind")
    assert "TIME_WAIT" in told["evidence"]
    assert told["facts"] == {"error": "EADDRINUSE", "error_with_reuseaddr": None}


def test_an_outgoing_connection_has_it(stage):
    require(shutil.which("ss"), "ss of iproute2 is not installed")
    set_sysctl(stage.space, "net.ipv4.ip_local_port_range", "8080 8081")
    set_sysctl(stage.space, "net.ipv4.ip_local_reserved_ports", "8081")
    stage.start(
        f"made = listener(9000); one = socket.create_connection(('127.0.0.1', 9000)); ready(); {WAIT}"
    )
    told = stage.mended("bind tcp", "8080", "--to", "bind")
    assert "a connection to 127.0.0.1 port 9000 (established)" in told["evidence"]


def test_the_ephemeral_range_has_it(stage):
    set_sysctl(stage.space, "net.ipv4.ip_local_reserved_ports", "8082,9000-9001")
    set_sysctl(stage.space, "net.ipv4.ip_local_port_range", "8080 8089")
    told = stage.mended("range", "8080", "--to", "bind")
    assert told["mend"].endswith("ip_local_reserved_ports=8080,8082,9000-9001")
    assert "reserved" in stage.why("8080", "--to", "bind")["range"]["evidence"]


def test_it_is_below_the_unprivileged_start(stage):
    set_sysctl(stage.space, "net.ipv4.ip_unprivileged_port_start", "1024")
    assert stage.why("80", "--to", "bind")["privilege"]["outcome"] == "passed"
    told = stage.why("80", "--to", "bind", uid=NOBODY)
    assert told["bind tcp"]["facts"]["error"] == "EACCES"
    assert told["bind tcp"]["mend"] == told["privilege"]["mend"]
    stage.mended("privilege", "80", "--to", "bind", uid=NOBODY)
    assert stage.why("80", "--to", "bind", uid=NOBODY)["bind tcp"]["outcome"] == "passed"


@pytest.mark.parametrize("address", ["192.0.2.77", "[2001:db8::77]"])
def test_the_address_is_nobodys(stage, address):
    told = stage.mended("bind tcp", f"{address}:8080", "--to", "bind")
    assert told["facts"]["error"] == "EADDRNOTAVAIL"


def test_ipv6_is_switched_off(stage):
    set_sysctl(stage.space, "net.ipv6.conf.all.disable_ipv6", "1")
    told = stage.mended("bind tcp", "[::1]:8080", "--to", "bind")
    assert "IPv6 is switched off" in told["evidence"]


def test_the_address_is_still_being_checked(stage):
    stage.space.add_link("left", peer="right")
    set_sysctl(stage.space, "net.ipv6.conf.left.dad_transmits", "30")
    stage.space.ip("address add 2001:db8::5/64 dev left")
    told = stage.mended("bind tcp", "[2001:db8::5]:8080", "--to", "bind")
    assert "left has it, and it is still being checked" in told["evidence"]


# a host and a port


def linked(space):
    space.add_link("left", peer="right", addresses=["192.0.2.1/24", "2001:db8::1/64"])


def test_a_name_without_an_address(stage):
    told = stage.why("nosuch.invalid:80")
    assert [*told] == ["name"]
    assert told["name"]["outcome"] == "failed"


def test_a_name_with_several_addresses(stage):
    """Each has its steps; that one fails makes the answer 1."""
    stage.start(f"made = listener(host='127.0.0.1'); ready(); {WAIT}")
    done = stage.shell("portside why localhost:8080 --json")
    items = json.loads(done.stdout)["items"]
    addresses = next(item for item in items if item["step"] == "name")["facts"]["addresses"]
    assert [item["target"] for item in items if item["step"] == "connect"] == addresses


@pytest.mark.parametrize("kind", ["unreachable", "prohibit", "blackhole"])
def test_a_route_refuses(stage, kind):
    linked(stage.space)
    stage.space.ip(f"route add {kind} 192.0.2.8/29", "neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 dev left")
    told = stage.mended("route", f"{REMOTE}:80", "--timeout", "0.2")
    assert f"{kind} 192.0.2.8/29" in told["evidence"]
    assert told["mend"] == f"ip route del {kind} 192.0.2.8/29"


def test_an_ipv6_route_refuses(stage):
    linked(stage.space)
    stage.space.ip("route add unreachable 2001:db8::8/125")
    told = stage.mended("route", "[2001:db8::9]:80", "--timeout", "0.2")
    assert told["mend"] == "ip -6 route del unreachable 2001:db8::8/125"


def test_no_route(stage):
    linked(stage.space)
    told = stage.mended("route", "198.51.100.1:80", "--timeout", "0.2")
    assert "ENETUNREACH" in told["evidence"]


def test_the_link_is_down(stage):
    linked(stage.space)
    stage.space.ip("link set left down")
    assert stage.mended("route", f"{REMOTE}:80", "--timeout", "0.2")["mend"] == "ip link set left up"


def test_the_other_end_of_the_link_is_down(stage):
    linked(stage.space)
    stage.space.ip("link set right down")
    assert "no carrier" in stage.mended("route", f"{REMOTE}:80", "--timeout", "0.2")["evidence"]


def test_own_ports_are_used_up(stage):
    stage.start(f"made = listener(); ready(); {WAIT}")
    set_sysctl(stage.space, "net.ipv4.ip_local_port_range", "40000 40003")
    stage.start(f"kept = [socket.create_connection(('127.0.0.1', 8080)) for _ in range(4)]; ready(); {WAIT}")
    told = stage.why("127.0.0.1:8080")
    assert told["connect"]["facts"]["error"] == "EADDRNOTAVAIL"
    assert told["own ports"]["facts"] == {"used": 4, "usable": 4}
    stage.mended("own ports", "127.0.0.1:8080")
    assert stage.why("127.0.0.1:8080")["connect"]["outcome"] == "passed"


def used_up():
    """Return the steps as a process without a descriptor left sees them."""
    why.why_host("127.0.0.1", PORT)  # everything is imported
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, 4096))
    report = why.why_host("127.0.0.1", PORT)
    return {step.name: (step.outcome, step.mend, step.evidence) for step in report.steps}


def test_descriptors_are_used_up(stage):
    told = stage.space.call(used_up)
    assert told["files"][0] == "failed"
    assert told["connect"][0] == "failed"
    assert "too many open files" in told["connect"][2]
    stage.start(f"made = listener(); ready(); {WAIT}")
    done = stage.shell(f"ulimit -Sn 4; {told['files'][1]} && portside why 127.0.0.1:8080 --json")
    assert '"outcome": "failed"' not in done.stdout
    assert done.returncode == 0


def test_refused_and_rejected_are_told_apart(stage):
    require(shutil.which("nft"), "nft of nftables is not installed")
    linked(stage.space)
    rules = (
        "add table inet t; add chain inet t i { type filter hook input priority 0; };"
        "add rule inet t i tcp dport 81 reject; add rule inet t i tcp dport 82 drop;"
        "add rule inet t i tcp dport 84 reject with icmpx admin-prohibited;"
        "add rule inet t i tcp dport 85 reject with tcp reset"
    )
    assert stage.space.run(["nft", rules]).returncode == 0
    told = {
        port: stage.why(f"{host}:{port}", "--timeout", "0.3")["connect"]
        for host, ports in (("192.0.2.1", (80, 81, 82, 84, 85)), ("[2001:db8::1]", (181,)))
        for port in ports
    }
    assert {item["outcome"] for item in told.values()} == {"failed"}
    assert told[80]["facts"]["icmp"] is None
    assert "nothing listens there" in told[80]["evidence"]
    assert told[81]["facts"]["icmp"] == {"family": "icmp", "type": 3, "code": 3, "sender": "192.0.2.1"}
    assert told[81]["facts"]["error"] == told[80]["facts"]["error"] == "ECONNREFUSED"
    assert "no answer" in told[82]["evidence"]
    assert told[84]["facts"]["icmp"]["code"] == 13
    assert "administratively prohibited" in told[84]["evidence"]
    assert told[85]["facts"]["icmp"] is None


def test_an_icmpv6_error_is_known_by_its_code(stage):
    require(shutil.which("nft"), "nft of nftables is not installed")
    rules = (
        "add table inet t; add chain inet t i { type filter hook input priority 0; };"
        "add rule inet t i tcp dport 81 reject with icmpx admin-prohibited"
    )
    assert stage.space.run(["nft", rules]).returncode == 0
    told = stage.why("[::1]:81", "--timeout", "0.3")["connect"]
    assert told["facts"]["icmp"] == {"family": "icmp6", "type": 1, "code": 1, "sender": "::1"}


def test_nobody_answers_for_the_address(stage):
    linked(stage.space)
    set_sysctl(stage.space, "net.ipv4.neigh.left.mcast_solicit", "1")
    set_sysctl(stage.space, "net.ipv4.neigh.left.retrans_time_ms", "100")
    told = stage.why(f"{REMOTE}:80", "--timeout", "4")["connect"]
    assert told["facts"]["error"] == "EHOSTUNREACH"
    assert told["facts"]["icmp"] == {"family": "icmp", "type": 3, "code": 1, "sender": "192.0.2.1"}
    assert "this host itself" in told["evidence"]


def test_a_connection_that_is_reset_at_once(stage):
    stage.start(
        """
        made = listener()
        ready()
        while True:
            one, _ = made.accept()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        """
    )
    told = stage.why("127.0.0.1:8080")["connect"]
    assert told["outcome"] == "failed"
    assert re.search("reset (it at once|the connection)", told["evidence"])


def test_the_listener_is_on_another_address(stage):
    linked(stage.space)
    stage.start(f"made = listener(); ready(); {WAIT}")
    told = stage.why("192.0.2.1:8080")
    assert told["connect"]["outcome"] == "failed"
    assert told["bound"]["outcome"] == "failed"
    assert "bound on 127.0.0.1 (loopback), and not on 192.0.2.1" in told["bound"]["evidence"]


def test_a_udp_port_answers_refuses_or_is_silent(stage):
    stage.start(
        "made = socket.socket(type=socket.SOCK_DGRAM); made.bind(('127.0.0.1', 8080)); ready()\n"
        "while True:\n    _, place = made.recvfrom(99); made.sendto(b'hello', place)"
    )
    stage.start(
        f"made = socket.socket(type=socket.SOCK_DGRAM); made.bind(('127.0.0.1', 8081)); ready(); {WAIT}"
    )
    told = [stage.why(f"127.0.0.1:{port}/udp", "--timeout", "0.3")["connect"] for port in (8080, 8081, 8082)]
    assert [item["outcome"] for item in told] == ["passed", "could not tell", "failed"]
    assert "hello" in told[0]["evidence"]
    assert told[2]["facts"]["icmp"]["code"] == 3


TLS = f"""
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({str(CERTIFICATES / "localhost.crt")!r}, {str(CERTIFICATES / "localhost.key")!r})
made = listener()
ready()
while True:
    one, _ = made.accept()
    try:
        context.wrap_socket(one, server_side=True).close()
    except OSError:
        pass
"""


def test_tls(stage, monkeypatch):
    stage.start(TLS)
    told = stage.why("localhost:8080", "--tls")["tls"]
    assert told["outcome"] == "failed"
    assert "certificate" in told["evidence"]
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "localhost.crt"))
    told = stage.why("localhost:8080", "--tls")["tls"]
    assert told["outcome"] == "passed"
    assert told["facts"]["version"].startswith("TLSv1.")
    assert "localhost" in told["facts"]["subject"]


def test_no_tls_there(stage):
    stage.start("made = listener(); ready()\nwhile True:\n    made.accept()[0].sendall(b'SSH-2.0-x\\r\\n')")
    told = stage.why("127.0.0.1:8080", "--tls")
    assert told["tls"]["outcome"] == "failed"
    assert "it says 'SSH-2.0-x'" in told["connect"]["evidence"]


def test_text_for_a_person(stage):
    """The verdict, a line for each step, and the command below the one that failed."""
    program = stage.start(ACCEPTING)
    program.send_signal(19)
    os.waitid(os.P_PID, program.pid, os.WSTOPPED)
    done = stage.shell("portside why 8080 --to connect")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "8080: 1 of 5 steps failed"
    assert lines[3].startswith("FAILED  owner")
    assert lines[4].split() == ["mend", "it", "kill", "-CONT", str(program.pid)]


def test_hostile_words_reach_no_terminal(stage):
    name = "prctl(15, '\\x1b[31mred')"
    stage.start(
        f"import ctypes; ctypes.CDLL(None).{name.replace('prctl(15, ', 'prctl(15, b')}\n"
        f"made = listener(); ready(); {WAIT}"
    )
    stage.start("ready(); sys.stdin.read()")
    done = stage.shell("portside why 8080; printf 'x' ; portside why \"$(printf 'a\\033[31mb'):80\"")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[31mred" in done.stdout
