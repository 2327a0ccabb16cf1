"""why HOST:PORT: each cause is made for real in a namespace, the step of its name fails, and tells what mends it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import ssl

import pytest
from tests.live.conftest import NOBODY
from tests.live.why_stage import ROOT, WAIT, linked, set_sysctl, staged
from tests.support import require

from portside.see import why
from portside.system import attempt
from portside.system.attempt import Target
from portside.wire.pins import pin_of

PORT = 8080
REMOTE = "192.0.2.9"
CERTIFICATES = ROOT / "tests" / "data" / "tls"


@pytest.fixture
def stage(space, tmp_path):
    with staged(space, tmp_path) as made:
        yield made


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


def test_every_address_is_tried(stage):
    """Each has its own answer, whichever comes first."""
    linked(stage.space)
    for number in range(10, 14):
        stage.space.ip(f"neigh add 192.0.2.{number} lladdr 02:00:00:00:00:99 dev left nud permanent")
    targets = [Target(f"192.0.2.{number}", 80) for number in range(10, 14)]
    made = stage.space.call(attempt.connect_all, targets, 0.4)
    assert [one.outcome for one in made] == [attempt.TIMED_OUT] * 4
    assert all(one.seconds > 0.3 for one in made)
    assert len({one.source for one in made}) == 4


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


def test_a_link_local_address_without_its_interface(stage):
    stage.space.add_link("left", peer="right", addresses=["fe80::1/64"])
    set_sysctl(stage.space, "net.ipv6.conf.right.addr_gen_mode", "1")
    stage.space.ip("address flush dev right")
    stage.start(f"made = listener(host='::'); ready(); {WAIT}")
    told = stage.why("[fe80::1]:8080")
    assert told["route"]["outcome"] == told["connect"]["outcome"] == "failed"
    assert told["route"]["mend"] == "portside why '[fe80::1%left]:8080'"
    assert stage.shell(told["route"]["mend"]).returncode == 0


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


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("add rule inet t i tcp dport 8080 reject", "tcp dport 8080 reject"),
        ("add rule inet t i iifname lo tcp dport 8000-9000 drop", "silence"),
        ("add chain inet t i { policy drop; }", "policy drop"),
    ],
)
def test_the_firewall_refuses_and_its_rule_is_taken_away(stage, rule, words):
    require(shutil.which("nft"), "nft of nftables is not installed")
    stage.start(f"made = listener(); ready(); {WAIT}")
    rules = "add table inet t; add chain inet t i { type filter hook input priority 0; };"
    if "policy" in rule:  # what comes back to the client must get through
        rules += "add rule inet t i ct state established accept;"
    assert stage.space.run(["nft", rules + rule]).returncode == 0
    told = stage.mended("firewall", "127.0.0.1:8080", "--timeout", "0.3")
    assert words in told["evidence"]
    assert told["facts"]["rule"] in told["evidence"]
    after = stage.why("127.0.0.1:8080", "--timeout", "0.3")
    assert after["connect"]["outcome"] == "passed"
    assert "firewall" not in after


def test_the_firewall_is_not_blamed_for_a_port_without_a_listener(stage):
    told = stage.why("127.0.0.1:8080")
    assert (told["connect"]["outcome"], told["firewall"]["outcome"]) == ("failed", "passed")
    assert stage.why("127.0.0.1:8080", uid=NOBODY)["firewall"]["outcome"] == "could not tell"


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
    with stage.running(told["bound"]["mend"]):
        assert stage.why("192.0.2.1:8080")["connect"]["outcome"] == "passed"


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
    pin = pin_of(ssl.PEM_cert_to_DER_cert((CERTIFICATES / "localhost.crt").read_text()))
    assert f"the certificate is not good: self-signed certificate; its key is {pin}" in told["evidence"]
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "localhost.crt"))
    told = stage.why("localhost:8080", "--tls")["tls"]
    assert told["outcome"] == "passed"
    assert told["facts"]["version"].startswith("TLSv1.")
    assert "localhost" in told["facts"]["subject"]
    assert told["facts"]["pin"] == pin


def test_no_tls_there(stage):
    stage.start("made = listener(); ready()\nwhile True:\n    made.accept()[0].sendall(b'SSH-2.0-x\\r\\n')")
    told = stage.why("127.0.0.1:8080", "--tls")
    assert told["tls"]["outcome"] == "failed"
    assert "it says 'SSH-2.0-x'" in told["connect"]["evidence"]
