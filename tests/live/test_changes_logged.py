"""What --log logs, as the counters of the rules tell it: how many lines the kernel was given, of how many packets.

The lines themselves are told in the first network namespace alone (net.netfilter.nf_log_all_netns).
"""

from __future__ import annotations

import json
import socket

import pytest
from tests.live.firewalled import CLIENT, HOST, OTHER, Firewalled

SENT = 60


@pytest.fixture
def host():
    with Firewalled() as made:
        yield made


def counted(host, chain, table="inet portside"):
    """The rules of a chain: (verdict or `log PREFIX`, packets), those that no packet met left out."""
    listed = json.loads(host.must("nft", "-j", "list", "chain", *table.split(), chain))
    found = []
    for rule in (item["rule"] for item in listed["nftables"] if "rule" in item):
        told = {name: value for statement in rule["expr"] for name, value in statement.items()}
        packets = told.get("counter", {}).get("packets", 0)
        last = f"log {told['log']['prefix']}" if "log" in told else next(reversed(told))
        if packets:
            found.append((last, packets))
    return found


def send(host, source=CLIENT, port=7080, count=SENT):
    """Datagrams that nobody answers."""

    def sending():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.bind((source, 0))
            for _ in range(count):
                link.sendto(b"x", (HOST, port))

    host.client.call(sending)


def few(packets):
    """So many that the log is not flooded: ten at once, then one a second."""
    return 10 <= packets < SENT


def make(host, *words):
    done = host.portside(*words)
    assert done.returncode == 0, done.stderr


def test_a_block_logs_what_it_drops_and_only_that(host):
    before = host.rules()
    make(host, "block", OTHER)
    make(host, "block", CLIENT, "198.51.100.0/24", "--log")
    send(host, OTHER)
    assert counted(host, "block") == [("drop", SENT)]
    send(host, CLIENT)
    (line, logged), dropped = counted(host, "block")
    assert line == "log portside:2 "
    assert few(logged)
    assert dropped == ("drop", 2 * SENT)
    assert "already" in host.portside("block", CLIENT, "--log").stderr
    make(host, "block", OTHER, "--log")  # blocked already, and from now on logged
    send(host, OTHER)
    assert [line for line, _ in counted(host, "block")] == ["log portside:3 ", "drop"]
    for number in "321":
        make(host, "undo", number)
    assert host.rules() == before


def test_of_a_long_list_what_is_unblocked_is_not_logged(host, tmp_path):
    listed = tmp_path / "list"
    listed.write_text("".join(f"10.0.{at >> 8}.{at & 255}\n" for at in range(2000)) + f"{CLIENT}\n{OTHER}\n")
    make(host, "block", "--file", str(listed), "--log", "--for", "1h")
    make(host, "unblock", OTHER)
    send(host, OTHER)
    assert counted(host, "block") == []
    send(host, CLIENT)
    assert [line for line, _ in counted(host, "block")] == ["log portside:1 ", "drop"]


def test_what_is_closed_and_what_is_spared_is_logged(host):
    make(host, "open", "7080/udp", "--from", OTHER, "--rate", "20/minute", "--log")
    make(host, "close", "7080/udp", "--log")
    send(host, CLIENT)
    (line, logged), dropped = counted(host, "gate")
    assert (line, few(logged), dropped) == ("log portside:2 ", True, ("drop", SENT))


def test_what_comes_over_a_rate_is_logged(host):
    before = host.rules()
    make(host, "open", "7080", "--rate", "5/minute", "--log")
    for _ in range(12):
        host.reach(timeout=0.1)
    verdicts = dict(counted(host, "gate"))
    assert verdicts["goto"] >= 1
    assert verdicts["log portside:1 "] >= 1
    ((line, logged),) = counted(host, "over")
    assert (line, logged >= 1) == ("log portside:1 ", True)
    make(host, "undo")
    assert host.rules() == before


def test_a_redirection_is_logged(host):
    make(host, "redirect", "80", "7080", "--log")
    assert host.reach(80) == "open"
    assert [line for line, _ in counted(host, "turn")] == ["log portside:1 ", "redirect"]


def test_an_opening_among_rules_of_iptables_is_logged(host):
    host.must("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "7080", "-j", "DROP")
    make(host, "open", "7080", "--log")
    assert host.reach() == "open"
    rules = host.must("iptables", "-L", "INPUT", "-n", "-v", "-x").splitlines()[2:]
    logged, accepted, dropped = [(line.split()[2], int(line.split()[0])) for line in rules]
    assert (logged[0], accepted[0], dropped) == ("LOG", "ACCEPT", ("DROP", 0))
    assert accepted[1] >= logged[1] >= 1


def test_an_opening_in_a_chain_of_nftables_is_logged(host):
    chain = "chain input { type filter hook input priority 0; tcp dport 7080 counter drop; }"
    host.must("nft", "-f", "-", input=f"table inet filter {{\n{chain}\n}}\n")
    before = host.rules()
    make(host, "open", "7080", "--log")
    assert host.reach() == "open"
    assert [line for line, _ in counted(host, "input", "inet filter")] == ["log portside:1 ", "accept"]
    make(host, "undo")
    assert host.rules() == before
