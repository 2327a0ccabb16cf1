"""why PORT: each cause is made for real in a namespace, the step of its name fails, and what it tells mends it."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest
from tests.live.conftest import NOBODY
from tests.live.why_stage import WAIT, set_sysctl, staged
from tests.support import require

from portside.testing import Namespace


@pytest.fixture
def stage(space, tmp_path):
    with staged(space, tmp_path) as made:
        yield made


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


@pytest.mark.alone
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
