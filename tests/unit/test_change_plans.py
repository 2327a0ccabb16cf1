"""The same wish in the words of whoever keeps the rules, and our own table as a function of the changes in force."""

from __future__ import annotations

import ipaddress
import random

import pytest

from portside.errors import BadRequest, NotSupported
from portside.guard.changes import blocked_sets, own_table, persist, transition
from portside.guard.changes.managers import Denial, firewalld, iptables, manager_of, nft_chain, opening, ufw
from portside.guard.changes.plan import Drop, Pull, Run, Write, without_lines
from portside.guard.changes.wish import Rate, Target, Wish, parse_network
from portside.ports.number import Range

HTTP = Wish("open", ports=(("tcp", Range(80, 80)),))
APP = Wish(
    "open",
    ports=(("tcp", Range(8000, 8100)), ("udp", Range(53, 53))),
    sources=(parse_network("10.0.0.0/8"), parse_network("2001:db8::/32")),
    interface="eth0",
    note="app servers",
)


def argvs(steps):
    return [" ".join(step.argv) for step in steps]


def test_ufw():
    made = ufw.opening(HTTP, 7, front=False)
    assert argvs(made.steps) == ["ufw allow proto tcp from any to any port 80 comment portside:7"]
    assert argvs(made.back) == ["ufw delete allow proto tcp from any to any port 80"]
    made = ufw.opening(APP, 7, front=True)
    assert argvs(made.steps)[0] == (
        "ufw prepend allow in on eth0 proto tcp from 10.0.0.0/8 to any port 8000:8100 comment portside:7 app servers"
    )
    assert len(made.steps) == len(made.back) == 4


def test_ufw_leaves_the_end_to_the_kernel():
    made = ufw.opening(HTTP.replace(until=1795630000), 7, front=False)
    assert argvs(made.steps) == [
        "iptables -w 5 -I ufw-user-input 1 -p tcp -m tcp --dport 80 -m time --datestop 2026-11-25T18:06:40"
        " -m comment --comment portside:7 -j ACCEPT",
        "ip6tables -w 5 -I ufw6-user-input 1 -p tcp -m tcp --dport 80 -m time --datestop 2026-11-25T18:06:40"
        " -m comment --comment portside:7 -j ACCEPT",
    ]
    assert argvs(made.back)[0].startswith("ip6tables -w 5 -D ufw6-user-input -p tcp")


def test_firewalld():
    made = firewalld.opening(HTTP, seconds=3600)
    assert argvs(made.steps) == ["firewall-cmd --add-port=80/tcp --timeout=3600"]
    made = firewalld.opening(APP, zone="public", permanent=True)
    assert argvs(made.steps)[:2] == [
        "firewall-cmd --zone=public --add-rich-rule="
        'rule family="ipv4" source address="10.0.0.0/8" port port="8000-8100" protocol="tcp" accept',
        "firewall-cmd --permanent --zone=public --add-rich-rule="
        'rule family="ipv4" source address="10.0.0.0/8" port port="8000-8100" protocol="tcp" accept',
    ]
    assert argvs(made.back)[-1].startswith("firewall-cmd --zone=public --remove-rich-rule=rule family=")


def test_iptables_goes_before_the_rule_that_denies():
    made = iptables.opening(HTTP, 7, "INPUT", 4)
    assert argvs(made.steps) == [
        "iptables -w 5 -I INPUT 4 -p tcp -m tcp --dport 80 -m comment --comment portside:7 -j ACCEPT",
        "ip6tables -w 5 -I INPUT 4 -p tcp -m tcp --dport 80 -m comment --comment portside:7 -j ACCEPT",
    ]
    assert argvs(iptables.opening(HTTP, 7, "INPUT", 0).steps)[0].startswith("iptables -w 5 -A INPUT -p tcp")
    logging, accepting, *_ = argvs(iptables.opening(HTTP.replace(log=True), 7, "INPUT", 4).steps)
    assert logging.startswith("iptables -w 5 -I INPUT 4 ")
    assert logging.endswith("-m limit --limit 1/second --limit-burst 10 -j LOG --log-prefix portside:7 ")
    assert accepting.startswith("iptables -w 5 -I INPUT 5 ")
    assert accepting.endswith("-j ACCEPT")


SAVED = """\
# kept
*nat
-A INPUT -j X
COMMIT
*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -j DROP
COMMIT
"""


def test_a_saved_file_gets_one_line_more():
    front = iptables.with_lines(SAVED, "INPUT", ["-A INPUT new"], at_end=False)
    assert front == SAVED.replace("-A INPUT -i lo", "-A INPUT new\n-A INPUT -i lo")
    end = iptables.with_lines(SAVED, "INPUT", ["-A INPUT new"], at_end=True)
    assert end == SAVED.replace("-j DROP\n", "-j DROP\n-A INPUT new\n")
    assert iptables.with_lines("*nat\nCOMMIT\n", "INPUT", ["-A INPUT new"], at_end=True).endswith(
        "*filter\n-A INPUT new\nCOMMIT\n"
    )


def test_what_is_loaded_at_boot_is_found():
    files = {"/etc/sysconfig/iptables": SAVED, "/etc/sysconfig/ip6tables": SAVED}
    made = iptables.lasting(HTTP.replace(note="why not"), 7, "INPUT", 2, files.get)
    assert [step.path for step in made.steps] == list(files)
    line = '-A INPUT -p tcp -m tcp --dport 80 -m comment --comment "portside:7 why not" -j ACCEPT'
    assert line in made.steps[0].content
    assert made.back[0] == Drop("/etc/sysconfig/iptables", (line,))
    assert without_lines(made.steps[0].content, made.back[0].lines) == SAVED
    with pytest.raises(NotSupported, match="install iptables-persistent"):
        iptables.lasting(HTTP, 7, "INPUT", 2, {}.get)


def test_an_nftables_chain_gets_a_rule_of_ours():
    made = nft_chain.opening(APP, 7, "inet", "filter", "input", 12)
    assert made.steps[0].input.splitlines()[0] == (
        'insert rule inet filter input handle 12 iifname "eth0" ip saddr { 10.0.0.0/8 } tcp dport { 8000-8100 } '
        'counter accept comment "portside:7 app servers"'
    )
    assert len(made.steps[0].input.splitlines()) == 4
    assert made.back == (Pull("inet", "filter", "input", "portside:7 app servers"),)
    of_ip = nft_chain.opening(APP, 7, "ip", "filter", "input", 0).steps[0].input
    assert len(of_ip.splitlines()) == 2
    assert of_ip.startswith("add rule ip filter input iifname")


def test_an_nftables_rule_lasts_behind_the_hosts_own_file():
    conf = "flush ruleset\ntable inet filter { chain input { } }\n"
    made = nft_chain.lasting(HTTP, 7, "inet", "filter", "input", 3, {"/etc/nftables.conf": conf}.get)
    write, include = made.steps
    assert write.content.startswith("insert rule inet filter input tcp dport { 80 }")
    assert include == Write(
        "/etc/nftables.conf", conf + 'include "/etc/portside/opening-7.nft"  # portside\n'
    )
    assert without_lines(include.content, made.back[0].lines) == conf
    with pytest.raises(NotSupported, match="no file that makes the table 'filter'"):
        nft_chain.lasting(HTTP, 7, "inet", "filter", "input", 3, {}.get)


@pytest.mark.parametrize(
    ("denial", "manager"),
    [
        (Denial("inet", "portside", "gate", 3), "portside"),
        (Denial("ip", "filter", "ufw-user-input", 3, "iptables", 2), "ufw"),
        (Denial("ip", "filter", "INPUT", 0, "iptables", 0, base="ufw-before-input"), "ufw"),
        (Denial("inet", "firewalld", "filter_IN_public", 9), "firewalld"),
        (Denial("ip", "filter", "DOCKER-USER", 3, "iptables", 1), "docker"),
        (Denial("ip", "filter", "f2b-sshd", 3, "iptables", 1), "fail2ban"),
        (Denial("ip", "filter", "INPUT", 3, "iptables", 1), "iptables"),
        (Denial("inet", "filter", "input", 3), "nftables"),
    ],
)
def test_chains_carry_their_makers_name(denial, manager):
    assert manager_of(denial) == manager
    if manager in ("docker", "fail2ban"):
        with pytest.raises(NotSupported, match=f"{manager} keeps it closed"):
            opening(HTTP, 1, denial, manager)
    elif manager != "portside":
        assert isinstance(opening(HTTP, 1, denial, manager).steps[0], Run)


def rules(*changes):
    return [
        line.partition(" gate ")[2]
        for line in own_table.rules_script(changes).splitlines()
        if " rule inet portside gate" in line
    ]


def test_exceptions_come_before_what_is_closed():
    close = Wish("close", ports=(("tcp", Range(80, 80)),))
    spare = HTTP.replace(sources=(parse_network("10.0.0.0/8"),))
    limited = HTTP.replace(rate=Rate(10, "minute"))
    found = rules((1, close), (2, limited), (3, spare))
    assert [line.rpartition('"portside:')[2][:1] for line in found[1:]] == ["3", "2", "2", "2", "1"]
    assert "limit rate over 10/minute" in found[2]
    assert found[4].startswith("tcp dport { 80 } fib daddr type local ct state new counter accept")


def test_a_redirection_to_another_host_answers_through_us():
    text = own_table.rules_script([(1, Wish("redirect", HTTP.ports, target=Target(8080, "10.0.0.5")))])
    assert (
        "turn meta nfproto ipv4 tcp dport { 80 } fib daddr type local counter dnat ip to 10.0.0.5:8080"
        in text
    )
    assert "turn_back ct status dnat ip daddr 10.0.0.5 tcp dport 8080 counter masquerade" in text
    assert "redirect to :8080" in own_table.rules_script(
        [(1, Wish("redirect", HTTP.ports, target=Target(8080)))]
    )


def blocks(*lists, until=0):
    return [
        (number, Wish("block", addresses=tuple(texts.split()), until=until))
        for number, texts in enumerate(lists)
    ]


CLOSED = Wish("close", HTTP.ports)


def script(before, after, **more):
    return transition.between(before, after, **more).script


def test_only_the_addresses_that_differ_are_touched():
    text = script(blocks("192.0.2.1"), blocks("192.0.2.1", "192.0.2.2 2001:db8::1"), now=0, exists=True)
    touched = {line for line in text.splitlines() if "element" in line}
    assert touched == {
        "add element inet portside hosts4 { 192.0.2.2 }", "add element inet portside hosts6 { 2001:db8::1 }",
    }  # fmt: skip
    text = script(blocks("192.0.2.1", "192.0.2.1 192.0.2.2"), blocks("192.0.2.1"), now=0, exists=True)
    assert "delete element inet portside hosts4 { 192.0.2.2 }" in text
    assert "192.0.2.1" not in text
    assert script(blocks("192.0.2.1"), [], now=0, exists=True) == "delete table inet portside\n"
    assert script(blocks("192.0.2.1"), [], now=0, exists=False) == ""
    again = script([], blocks("192.0.2.1", until=60), now=20, exists=False)
    assert "add element inet portside hosts4 { 192.0.2.1 timeout 40s }" in again


def test_an_address_that_gets_another_end_is_put_in_anew():
    text = script(blocks("192.0.2.1", until=60), blocks("192.0.2.1"), now=0, exists=True)
    wanted = (
        "delete element inet portside hosts4 { 192.0.2.1 }\nadd element inet portside hosts4 { 192.0.2.1 }\n"
    )
    assert text.endswith(wanted)


def test_many_that_are_new_go_beside_the_script_and_those_that_change_never_do():
    many = " ".join(f"10.0.{number >> 8}.{number & 255}" for number in range(2000))
    fresh = transition.between([], blocks(many, "192.0.2.0/24"), now=0, exists=True)
    assert fresh.many
    assert "10.0.0" not in fresh.rest
    assert "nets4 { 192.0.2.0/24 }" in fresh.rest
    assert [(one.name, len(one.addresses), one.seconds) for one in fresh.added] == [("hosts4", 2000, 0)]
    assert fresh.script.endswith(fresh.added[0].script)
    others = many.replace("10.0", "10.1") + " 192.0.2.1"
    for before in (
        blocks(many, until=60),
        blocks(many, others),
    ):  # another end; fewer, so that all are put in anew
        found = transition.between(before, blocks(many), now=0, exists=True)
        assert not found.many
        assert "10.0.7.207" in found.rest


def test_what_is_logged_stands_in_sets_of_its_own_that_go_with_the_change():
    loud = Wish("block", addresses=("192.0.2.1", "10.0.0.0/8", "10.1.0.0/16"), log=True)
    text = script([], [(7, loud)], now=0, exists=True)
    logs, drops = text.index('log prefix "portside:7 "'), text.index("saddr @hosts4 counter drop")
    assert logs < drops
    assert "add element inet portside log7_hosts4 { 192.0.2.1 }" in text
    assert "add element inet portside log7_nets4 { 10.0.0.0/8 }" in text
    fewer = loud.replace(addresses=("10.0.0.0/8",))
    text = script([(7, loud)], [(7, fewer)], now=0, exists=True)
    assert "delete set inet portside log7_hosts4" in text
    assert "log7_nets4 {" in text
    assert "flush set inet portside log7" not in text
    text = script([(7, loud), (8, CLOSED)], [(8, CLOSED)], now=0, exists=True)
    assert "delete set inet portside log7_nets4" in text


def test_what_comes_over_a_rate_is_logged_behind_the_meter():
    loud = HTTP.replace(rate=Rate(10, "minute"), log=True)
    text = own_table.rules_script([(1, loud)])
    assert text.count("counter goto over") == 2
    assert (
        "inet portside over tcp dport { 80 } limit rate 1/second burst 10 packets counter log prefix" in text
    )
    assert "add rule inet portside over drop" in text
    gone = script([(1, loud), (8, CLOSED)], [(8, CLOSED)], now=0, exists=True)
    assert "delete chain inet portside over" in gone


def test_networks_never_overlap_in_their_set():
    text = script([], blocks("10.0.0.0/8 10.1.0.0/16", "10.2.0.0/16"), now=0, exists=True)
    assert text.count("add element inet portside nets4") == 1
    timed = [*blocks("10.0.0.0/8", until=60), (9, Wish("block", addresses=("10.1.0.0/16",)))]
    with pytest.raises(BadRequest, match=r"10\.0\.0\.0/8: it overlaps 10\.1\.0\.0/16"):
        script([], timed, now=0, exists=True)


@pytest.mark.parametrize("seed", range(20))
def test_of_networks_in_others_the_widest_are_left(seed):
    chance = random.Random(seed)
    nets = [
        ipaddress.ip_network((chance.getrandbits(6) << 26, chance.randint(1, 6)), strict=False)
        for _ in range(9)
    ]
    nets += [
        ipaddress.ip_network((chance.getrandbits(5) << 123, chance.randint(1, 5)), strict=False)
        for _ in range(9)
    ]
    wish = Wish("block", addresses=tuple(dict.fromkeys(map(str, nets))), until=60)
    merged = [str(network) for network, until in blocked_sets.merged_networks([wish]) if until == 60]
    wanted = [one for one in set(nets) if not any(one != other and one.version == other.version and
                                                  one.subnet_of(other) for other in nets)]  # fmt: skip
    assert sorted(merged) == sorted(map(str, wanted))


def test_a_network_in_one_that_ends_at_another_time_is_refused():
    for one, other in ((0, 60), (60, 0), (60, 90)):
        wishes = [Wish("block", addresses=("10.0.0.0/8",), until=one),
                  Wish("block", addresses=("10.1.0.0/16",), until=other)]  # fmt: skip
        if one:
            with pytest.raises(BadRequest, match="is blocked for another time"):
                blocked_sets.merged_networks(wishes)
        else:
            assert [str(network) for network, _ in blocked_sets.merged_networks(wishes)] == ["10.0.0.0/8"]


def test_networks_of_one_end_go_in_together():
    timed = Wish("block", addresses=("172.16.0.0/12",), until=60)
    wishes = [*blocks("10.0.0.0/8 192.0.2.0/24 2001:db8::/32"), (9, timed)]
    lines = [
        line for line in script([], wishes, now=0, exists=True).splitlines() if line.startswith("add element")
    ]
    assert lines == [
        "add element inet portside nets4 { 10.0.0.0/8,192.0.2.0/24 }",
        "add element inet portside nets4 { 172.16.0.0/12 timeout 60s }",
        "add element inet portside nets6 { 2001:db8::/32 }",
    ]


def test_files_that_load_our_table_come_and_go(tmp_path):
    conf = tmp_path / "etc" / "nftables.conf"
    conf.parent.mkdir()
    conf.write_text("flush ruleset\n")
    persist.write([(1, Wish("close", HTTP.ports))], str(tmp_path))
    assert conf.read_text() == 'flush ruleset\ninclude "/etc/portside/firewall.nft"  # portside\n'
    assert 'comment "portside:1"' in (tmp_path / "etc/portside/firewall.nft").read_text()
    persist.write([], str(tmp_path))
    assert conf.read_text() == "flush ruleset\n"
    assert not (tmp_path / "etc/portside/firewall.nft").exists()


def test_where_nothing_loads_rules_at_boot_it_says_so(tmp_path):
    with pytest.raises(NotSupported, match=r"have it run: nft -f /etc/portside/firewall\.nft"):
        persist.write([(1, Wish("close", HTTP.ports))], str(tmp_path))
