"""`portside open` and its kin on hosts that ufw, firewalld, iptables, nftables or nobody keeps: judged by packets."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import time

import pytest
from tests.live.firewalled import CLIENT, CLIENT6, HOST, OTHER, Firewalled

SSH = {"SSH_CONNECTION": f"{CLIENT} 50000 {HOST} 22"}
STRICT = """\
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif "lo" accept
		meta l4proto ipv6-icmp accept
		tcp dport 22 accept
	}
}
"""


@pytest.fixture
def nftables():
    with Firewalled("nftables") as host:
        host.must("nft", "-f", "-", input=STRICT)
        yield host


@pytest.fixture
def plain():
    with Firewalled() as host:
        yield host


def opened_and_undone(host, *words, manager, closed="silence", state=Firewalled.rules):
    """Open 7080 through that manager, look, undo, look; return the rules in between."""
    before = state(host)
    assert host.reach() == closed
    assert host.reach(source=CLIENT6) != "open"
    done = host.portside("open", "7080", *words)
    assert done.returncode == 0, done.stderr
    assert f"through {manager}\n" in done.stdout
    assert "no -> yes" in done.stdout
    assert host.reach() == host.reach(source=CLIENT6) == "open"
    assert host.reach(7081) == closed
    between = host.rules()
    again = host.portside("open", "7080")
    assert (again.returncode, "open already" in again.stderr) == (1, True)
    assert host.portside("undo").returncode == 0
    assert host.reach() == closed
    assert host.reach(source=CLIENT6) != "open"
    assert state(host) == before
    return between


def user_rules(host):
    """What the user has told ufw: it writes the rest of its chains anew as it likes."""
    return host.must("ufw", "show", "added")


def test_ufw():
    with Firewalled("ufw") as host:
        host.start_ufw()
        opened_and_undone(host, "--comment", "web", manager="ufw", state=user_rules)
        assert "7080" not in host.must("ufw", "status")
        # a rule of the user's denies: ours goes in front of it
        host.must("ufw", "deny", "7080/tcp")
        assert host.portside("open", "7080", "--from", CLIENT).returncode == 0
        assert host.reach() == "open"
        assert host.reach(source=OTHER) == "silence"
        assert f"7080/tcp                   ALLOW       {CLIENT}" in host.must("ufw", "status")
        host.must("ufw", "reload")
        assert host.reach() == "open"


def test_ufw_for_a_time():
    with Firewalled("ufw") as host:
        host.start_ufw()
        assert host.portside("open", "7080", "--for", "4").returncode == 0
        assert host.reach() == host.reach(source=CLIENT6) == "open"
        assert "7080" not in host.must("ufw", "status")
        awaited(host, "silence")


def awaited(host, wanted, limit=8.0):
    deadline = time.monotonic() + limit
    while host.reach() != wanted:
        assert time.monotonic() < deadline, f"never {wanted}"


def test_firewalld():
    with Firewalled("firewalld") as host:
        host.start_firewalld()
        opened_and_undone(host, manager="firewalld", closed="refused")
        assert host.portside("open", "7080", "--from", CLIENT, "--for", "3").returncode == 0
        assert host.reach() == "open"
        assert host.reach(source=OTHER) == "refused"
        awaited(host, "refused")


IPTABLES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -s 192.0.2.3/32 -p tcp -m tcp --dport 7080 -j DROP
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT
COMMIT
"""
SIXTH = "\n".join(line for line in IPTABLES.splitlines() if "192.0.2.3" not in line) + "\n"


@pytest.fixture
def iptables():
    with Firewalled("iptables") as host:
        host.must("iptables-restore", input=IPTABLES)
        host.must("ip6tables-restore", input=SIXTH)
        yield host


def test_iptables(iptables):
    between = opened_and_undone(iptables, manager="iptables", closed="refused")
    assert '--comment "portside:1" -j ACCEPT\n-A INPUT -j REJECT' in between


def test_a_ban_in_front_stays_a_ban(iptables):
    """The opening stands before the rule that denies everybody, behind the one that denies somebody on purpose."""
    assert iptables.portside("open", "7080").returncode == 0
    assert iptables.reach(source=OTHER) == "silence"


def test_what_is_blocked_stays_blocked_and_keeps_no_port_closed(nftables):
    """Documentation networks stand in lists of addresses that nobody has (bogons)."""
    blocked = ("198.51.100.0/24", "2001:db8:ffff::/48", OTHER)
    assert nftables.portside("block", *blocked).returncode == 0
    done = nftables.portside("open", "7080")
    assert done.returncode == 0, done.stderr
    assert f"it stays closed to {OTHER}: inet portside block" in done.stderr
    assert (nftables.reach(), nftables.reach(source=OTHER)) == ("open", "silence")
    again = nftables.portside("open", "7080")
    assert (again.returncode, "open already, but not to" in again.stderr) == (1, True)
    one = nftables.portside("open", "7080", "--from", OTHER)
    assert one.returncode == 2
    assert "portside unblock" in one.stderr


def test_what_is_closed_already_is_not_closed_again(plain):
    assert plain.portside("close", "7080", "--comment", "a reason").returncode == 0
    again = plain.portside("close", "7080")
    assert (again.returncode, "closed already, by change 1" in again.stderr) == (1, True)
    assert plain.portside("close", "7080", "--from", CLIENT).returncode == 0


def test_of_a_closed_port_the_rule_is_told_that_closes_it_for_most(plain):
    assert plain.portside("block", OTHER).returncode == 0
    assert plain.portside("close", "7080").returncode == 0
    told = plain.portside("reach").stdout.partition("7080/tcp")[2].partition("/tcp")[0]
    assert "nobody" in told
    assert "inet portside gate" in told
    assert "@hosts4" not in told
    assert "@hosts4" in plain.portside("reach", "7080").stdout


def test_iptables_kept_over_a_reboot(iptables):
    saved = f"{iptables._directory}/copy0"
    for name, text in (("rules.v4", IPTABLES), ("rules.v6", SIXTH)):
        iptables.must("sh", "-c", "cat >/etc/iptables/$0", name, input=text)
    done = iptables.portside("open", "7080", "--persist")
    assert done.returncode == 0, done.stderr
    with open(f"{saved}/rules.v4") as file:
        assert "--dport 7080 -m comment --comment portside:1 -j ACCEPT\n" in file.read()
    iptables.must(
        "sh", "-c", "iptables-restore </etc/iptables/rules.v4; ip6tables-restore </etc/iptables/rules.v6"
    )
    assert iptables.reach() == iptables.reach(source=CLIENT6) == "open"
    assert iptables.portside("undo").returncode == 0
    with open(f"{saved}/rules.v4") as file:
        assert file.read() == IPTABLES
    assert iptables.reach() == "refused"


def test_nftables(nftables):
    between = opened_and_undone(nftables, manager="nftables")
    assert 'tcp dport 7080 counter accept comment "portside:1"' in between


def test_nftables_kept_over_a_reboot(nftables):
    nftables.must("sh", "-c", "cat >/etc/nftables.conf", input="flush ruleset\n" + STRICT)
    done = nftables.portside("open", "7080", "--persist")
    assert done.returncode == 0, done.stderr
    nftables.must("nft", "-f", "/etc/nftables.conf")
    assert nftables.reach() == "open"
    assert nftables.portside("undo").returncode == 0
    assert nftables.reach() == "silence"
    assert nftables.must("cat", "/etc/nftables.conf") == "flush ruleset\n" + STRICT


def test_two_rules_that_deny_are_both_opened(nftables):
    second = STRICT.replace("inet filter", "inet second").replace("priority filter", "priority 10")
    nftables.must("nft", "-f", "-", input=second)
    opened_and_undone(nftables, manager="nftables")


def test_what_is_nobodys_to_open_is_told(nftables):
    ban = "add chain inet filter f2b-web; insert rule inet filter input tcp dport 7080 jump f2b-web; "
    nftables.must("nft", ban + "add rule inet filter f2b-web reject")
    done = nftables.portside("open", "7080")
    assert done.returncode == 2
    assert "fail2ban keeps it closed by inet filter f2b-web" in done.stderr
    assert nftables.reach() == "refused"


def test_our_own_table_where_nobody_keeps_rules(plain):
    assert plain.portside("close", "7080").returncode == 0
    assert plain.reach() == "silence"
    done = plain.portside("open", "7080", "--from", CLIENT)
    assert (done.returncode, "through portside\n" in done.stdout) == (0, True)
    assert plain.reach() == "open"
    assert plain.reach(source=OTHER) == "silence"
    assert plain.portside("block", CLIENT).returncode == 0
    assert plain.reach() == "silence"
    assert plain.portside("unblock", CLIENT).returncode == 0
    assert plain.reach() == "open"
    listed = json.loads(plain.portside("changes", "--json").stdout)
    assert [item["change"] for item in listed["items"]] == [
        "close 7080/tcp", f"open 7080/tcp from {CLIENT}", f"block {CLIENT}", f"unblock {CLIENT}",
    ]  # fmt: skip


def test_a_redirection(plain):
    assert plain.reach(8080) == "refused"
    assert plain.portside("redirect", "8080", "7080").returncode == 0
    assert plain.reach(8080) == plain.reach(8080, source=CLIENT6) == "open"
    second = plain.portside("redirect", "8080", "22")
    assert (second.returncode, "change 1 redirects it already" in second.stderr) == (2, True)
    done = plain.portside("redirect", "8081", "127.0.0.1:7080")
    assert (done.returncode, "portside forward 8081 127.0.0.1:7080" in done.stderr) == (2, True)


def test_the_way_we_came_by_stays_open(plain):
    before = plain.rules()
    came = f"the connection you came by ({CLIENT} to {HOST} port 22)"
    for words, fate in (
        (("close", "22"), "would be cut off"),
        (("close", "1-1024"), "would be cut off"),
        (("block", CLIENT), "would be cut off"),
        (("block", "192.0.2.0/24"), "would be cut off"),
        (("redirect", "22", "7999"), f"would be led to {HOST}:7999"),
        (("open", "22", "--rate", "5/minute"), "could not be told to stay reachable (depends)"),
    ):
        done = plain.portside(*words, env=SSH)
        assert done.returncode == 2, words
        assert f"{came} {fate}" in done.stderr
    assert plain.rules() == before
    assert plain.portside("close", "7080", env=SSH).returncode == 0
    assert plain.portside("close", "22", "--force", env=SSH).returncode == 0
    assert plain.reach(22) == "silence"


def test_a_dry_run_changes_nothing_and_says_who_gains(nftables):
    before = nftables.rules()
    done = nftables.portside("open", "7080", "--dry-run")
    assert done.returncode == 0
    assert "nft -f - <<'END'" in done.stdout
    assert "gains  7080/tcp  192.0.2.0/24 on eth0 " in done.stdout
    assert nftables.rules() == before
    plan = json.loads(nftables.portside("open", "7080", "--dry-run", "--json").stdout)["items"][0]
    assert plan["manager"] == "nftables"
    assert {item["after"] for item in plan["difference"]} == {"yes"}
    done = nftables.portside("changes")
    assert (done.returncode, done.stdout, "no change of ours" in done.stderr) == (1, "", True)
    done = nftables.portside("redirect", "8080", "7080", "--dry-run")
    assert "it stays closed: inet filter input: policy drop; open it: portside open 7080" in done.stderr


SEEN = [(port, source) for port in (7080, 7081, 22) for source in (CLIENT, OTHER, CLIENT6)]
OPEN = {"": SEEN, "nftables": [one for one in SEEN if one[0] == 22], "ufw": []}
CHANGES = [
    ("ufw", ("open", "7080", "--from", CLIENT)),
    ("nftables", ("open", "7000-7080", "--on", "eth0")),
    ("nftables", ("open", "7081", "--from", f"{OTHER},2001:db8::/64")),
    ("", ("close", "7080", "--from", "192.0.2.2/31")),
    ("", ("close", "1-7080", "--from", f"{OTHER},2001:db8::2")),
    ("", ("block", OTHER)),
    ("", ("redirect", "7081", "9")),
]


@pytest.mark.parametrize(("manager", "words"), CHANGES, ids=[" ".join(words) for _, words in CHANGES])
def test_who_gains_and_loses_is_who_the_kernel_says(manager, words):
    """The difference that is told before the change, and packets before and after it."""
    with Firewalled(manager) as host:
        if manager == "ufw":
            host.start_ufw()
        elif manager:
            host.must("nft", "-f", "-", input=STRICT)
        told = json.loads(host.portside(*words, "--dry-run", "--json").stdout)["items"][0]["difference"]
        before = set(OPEN[manager])
        gained = {one for one in SEEN if _told(told, {"gains"}, *one)}
        lost = {one for one in SEEN if _told(told, {"loses", "moves"}, *one)}
        assert gained | lost
        assert not gained & before
        assert lost <= before
        assert _came_through(host, before) == before
        assert host.portside(*words).returncode == 0
        after = (before | gained) - lost
        assert _came_through(host, after) == after


def _told(told, words, port, source):
    """Whether a packet from a source to a port is in one of the differences of these words."""
    for item in told:
        spans = [[int(end) for end in span.split("-")] for span in item["ports"]]
        named = item["change"] in words and any(span[0] <= port <= span[-1] for span in spans)
        if named and any(
            ipaddress.ip_address(source) in ipaddress.ip_network(one) for one in item["sources"]
        ):
            return True
    return False


def _came_through(host, wanted):
    """Which connections are open: looked at until it is as wanted, for 20 seconds at the most."""
    deadline = time.monotonic() + 20
    while True:
        found = {one for one in SEEN if host.reach(*one) == "open"}
        if found == wanted or time.monotonic() > deadline:
            return found


def test_confirmation_from_another_process(nftables):
    done = nftables.portside("open", "7080", "--confirm", "1")
    assert "portside confirm" in done.stderr
    assert nftables.portside("confirm").stdout == "change 1 is kept: open 7080/tcp\n"
    time.sleep(1.5)
    assert nftables.reach() == "open"
    nftables.portside("undo")
    assert nftables.portside("open", "7080", "--confirm", "1").returncode == 0
    awaited(nftables, "silence")
    assert nftables.portside("confirm").returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("open", "7080", "--on", "eth9"), "find interface 'eth9': there is none of that name"),
        (("open", "nosuch"), "nosuch"),
        (("open", "7080", "--from", "localhost"), "read address 'localhost'"),
        (("open", "7080", "--for", "soon"), "not a time up to a year"),
        (("open", "7080", "--rate", "many"), "not so many in a time"),
        (("open", "7080", "--for", "1h", "--persist"), "what ends by itself is not kept over a reboot"),
        (("block",), "there are none"),
        (("block", "0.0.0.0/0"), "that is every address"),
        (("redirect", "80", "there"), "a target is PORT or ADDRESS:PORT"),
        (("undo", "77"), "there is no such change"),
    ],
)
def test_what_cannot_be_meant(nftables, words, said):
    done = nftables.portside(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_root(nftables):
    for words in (("close", "7080"), ("changes",), ("undo",), ("confirm",)):
        inside = nftables.space.run(
            ["env", "PYTHONPATH=" + __file__.partition("/tests/")[0] + "/src",
             f"PORTSIDE_STATE={nftables._directory}/portside", "python3", "-m", "portside", *words],
            uid=65534,
        )  # fmt: skip
        assert inside.returncode in (1, 2)
        assert "Traceback" not in inside.stderr
        assert "sudo" in inside.stderr or words == ("changes",), inside.stderr


def test_another_tool_reloads_meanwhile(nftables):
    """Whatever the order, the rules end as the other tool made them, and nothing of ours is lost track of."""
    reload = "table inet filter\ndelete table inet filter\n" + STRICT
    nftables.must("sh", "-c", "cat >/run/reload.nft", input=reload)
    loop = nftables._child(
        ["nsenter", "--mount", "--pid", "--target", str(nftables.keeper), "sh", "-c",
         "echo up; for n in $(seq 60); do nft -f /run/reload.nft; done"]
    )  # fmt: skip
    codes = {nftables.portside("open", "7080").returncode for _ in range(4)}
    loop.wait(60)
    nftables.must("nft", "-f", "/run/reload.nft")
    assert codes <= {0, 1, 2}
    listed = nftables.portside("changes", "--all", "--json").stdout
    states = [item["state"] for item in json.loads(listed)["items"]]
    assert set(states) <= {"kept", "undone", "failed"}
    for _ in range(states.count("kept")):
        assert nftables.portside("undo").returncode == 0
    assert nftables.rules().strip() == STRICT.strip()


# Decides, says so, waits for a line, makes the change, and tells its number (0: there was nothing left to do).
PLANNED_FIRST = """
import sys
from portside.guard.changes import decide, making
from portside.guard.changes.wish import Wish
from portside.ports.number import Range

first, last = int(sys.argv[1]), int(sys.argv[2])
decision = decide.decide(Wish("open", (("tcp", Range(first, last)),)))
print(decision.scene.number, flush=True)
sys.stdin.readline()
_, change = making.make(decision)
print(change.number if change else 0, flush=True)
"""


def make_at_once(host, *ranges):
    """Plan openings of these ports in the same moment, then make all of them; return (planned, made) of each."""
    makers = [
        host.start(sys.executable, "-c", PLANNED_FIRST, str(first), str(last)) for first, last in ranges
    ]
    planned = [int(maker.stdout.readline()) for maker in makers]
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    made = [int(maker.stdout.readline()) for maker in makers]
    assert [maker.wait(60) for maker in makers] == [0] * len(makers)
    return planned, made


@pytest.mark.parametrize("manager", ["iptables", "nftables"])
def test_two_planned_at_once_are_undone_one_by_one(manager, request):
    """Each carries a number of its own in its rules, though both were planned with the same."""
    host = request.getfixturevalue(manager)
    closed = host.reach()
    for _ in range(20 if os.environ.get("PORTSIDE_LONG") else 1):
        before = host.rules()
        planned, made = make_at_once(host, (7080, 7080), (7081, 7081))
        assert planned[0] == planned[1] == min(made)
        assert made[0] != made[1]
        assert host.reach() == host.reach(7081) == "open"
        for number in made:
            assert f"portside:{number}" in host.rules()
        assert host.portside("undo", str(made[0])).returncode == 0
        assert (host.reach(), host.reach(7081)) == (closed, "open")
        assert host.portside("undo", str(made[1])).returncode == 0
        assert host.reach(7081) == closed
        assert host.rules() == before


def test_what_another_opened_meanwhile_is_not_opened_again(nftables):
    before = nftables.rules()
    planned, made = make_at_once(nftables, (7080, 7080), (7080, 7080), (7080, 7080))
    assert (planned, sorted(made)) == ([1, 1, 1], [0, 0, 1])
    assert nftables.portside("undo").returncode == 0
    assert nftables.rules() == before


def test_a_plan_is_made_anew_after_an_undo(nftables):
    """The opening was planned beside a closing of ours, which is gone when it is made: nothing stays of our table."""
    before = nftables.rules()
    assert nftables.portside("close", "7080").returncode == 0
    opener = nftables.start(sys.executable, "-c", PLANNED_FIRST, "7080", "7080")
    assert opener.stdout.readline() == "2\n"
    assert nftables.portside("undo").returncode == 0
    opener.stdin.write("go\n")
    opener.stdin.flush()
    assert opener.stdout.readline() == "2\n"
    assert nftables.reach() == "open"
    assert "inet portside" not in nftables.rules()
    assert nftables.portside("undo").returncode == 0
    assert nftables.rules() == before
