"""Who reaches a listener: verdicts, pieces, words; the rule shapes of well-known tools; what the audit says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.guard_host import address, host, saved, way

from portside.guard import audit, plain, rules, verify
from portside.guard.bdd import ALL, EMPTY, Manager
from portside.guard.listeners import Answer, Source, narrowed, reach, source
from portside.guard.model import Ruleset, Unknown
from portside.guard.packet import Packet, number
from portside.guard.reach import Bound, Judge, Listener
from portside.guard.words import from_where, networks, sources

DATA = Path(__file__).parents[1] / "data" / "guard"
UFW = saved((DATA / "ufw.v4").read_text(), (DATA / "ufw.v6").read_text())


def chain(*lines, policy="DROP", table="filter", more=""):
    """A ruleset of one input chain, and what `more` says in front of COMMIT."""
    text = "\n".join([f"*{table}", f":INPUT {policy} [0:0]", *lines, more, "COMMIT\n"])
    return saved(text)


IPV4_ONLY = (Bound("ip"),)


def verdict(ruleset, port, protocol="tcp", bounds=IPV4_ONLY):
    return Judge(ruleset, host()).reach(Listener(protocol, port, bounds))


# Sets


def test_sets_of_packets_are_sets():
    """Every operation against Python's own sets, over one field of eight bits."""
    choose = random.Random(5)
    manager = Manager()
    field = range(8)

    def draw():
        spans = [tuple(sorted(choose.sample(range(256), 2))) for _ in range(choose.randrange(4))]
        return manager.spans(field, spans), {n for low, high in spans for n in range(low, high + 1)}

    def members(node):
        return {n for low, high in manager.intervals(node, 0, 8) for n in range(low, high + 1)}

    for _ in range(200):
        (one, mine), (other, theirs) = draw(), draw()
        assert members(one) == mine
        assert members(manager.both(one, other)) == mine & theirs
        assert members(manager.either(one, other)) == mine | theirs
        assert members(manager.less(one, other)) == mine - theirs
        assert (one == other) == (mine == theirs)
        assert members(manager.exists(one, 4)) == {
            n for n in range(256) if {n & 0xF0 | low for low in range(16)} & mine
        }
        assert members(manager.forall(one, 4)) == {
            n for n in range(256) if {n & 0xF0 | low for low in range(16)} <= mine
        }
        masked = manager.spans(field, [(0, 40)], 0xA5)
        assert members(masked) == {n for n in range(256) if n & 0xA5 <= 40}
    assert manager.less(ALL, ALL) == EMPTY


# Verdicts


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["-A INPUT -p tcp --dport 22 -j ACCEPT"], "anyone"),
        (["-A INPUT -s 203.0.113.0/24 -p tcp --dport 22 -j ACCEPT"], "some"),
        (["-A INPUT -i eth1 -j ACCEPT"], "some"),
        (["-A INPUT -p udp --dport 22 -j ACCEPT"], "nobody"),
        (["-A INPUT -p tcp --dport 22 -m limit --limit 3/min -j ACCEPT"], "depends"),
        (["-A INPUT -p tcp --dport 22 -m future --word x -j ACCEPT"], "depends"),
        (["-A INPUT -p tcp --dport 22 -m limit --limit 3/min -j LOG", "-A INPUT -j ACCEPT"], "anyone"),
        (["-A INPUT -s 203.0.113.7 -j DROP", "-A INPUT -j ACCEPT"], "some"),
    ],
)
def test_verdicts(lines, said):
    established = "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"
    assert verdict(chain(established, *lines), 22).verdict == said


def test_an_answer_that_is_dropped_is_no_way_in():
    ruleset = chain(":OUTPUT DROP [0:0]", policy="ACCEPT")
    found = verdict(ruleset, 22)
    assert found.verdict == "nobody"
    assert str(found.because) == "ip filter OUTPUT: policy drop"
    assert verdict(ruleset, 22, "udp").verdict == "anyone"


def test_pieces_have_the_rule_the_sources_and_a_packet_of_theirs():
    ruleset = chain("-A INPUT -m state --state ESTABLISHED -j ACCEPT", "-A INPUT -s 10.0.0.0/24 -j ACCEPT")
    found = verdict(ruleset, 22)
    (inside,) = [piece for piece in found.pieces if piece.verdict == "yes"]
    assert (inside.interface, sources(inside)) == (
        "eth1",
        "10.0.0.0/24",
    )  # own address and broadcast left whole
    assert inside.because.rule == "-s 10.0.0.0/24 -j ACCEPT (rule 2)"
    assert plain.judge_packet(ruleset, host(), inside.sample).verdict == "yes"
    assert from_where(found) == "10.0.0.0/24 on eth1"
    outside = next(piece for piece in found.pieces if piece.interface == "eth0")
    assert (outside.verdict, outside.client, outside.whole) == ("no", "silence", True)


def test_what_a_refused_client_sees():
    for how, seen in (("tcp-reset", "reset"), ("icmp-admin-prohibited", "unreachable")):
        found = verdict(chain(f"-A INPUT -p tcp -j REJECT --reject-with {how}"), 22)
        assert found.pieces[0].client == seen


def test_a_listener_is_reached_at_the_port_of_a_redirect():
    nat = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 8000 -j REDIRECT --to-ports 80\nCOMMIT\n"
    found = verdict(saved(nat), 80)
    assert {piece.port for piece in found.pieces if piece.verdict == "yes"} == {0, 8000}


def test_a_published_port_is_judged_where_it_is_forwarded():
    nat = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n"
        "-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n"
        "*filter\n:INPUT DROP [0:0]\n:FORWARD {} [0:0]\nCOMMIT\n"
    )
    found = verdict(saved(nat.format("ACCEPT")), 8080)
    assert found.verdict == "anyone"
    assert {piece.goes_to for piece in found.pieces if piece.verdict == "yes"} == {
        "172.17.0.2:80 by 'docker0'"
    }
    assert verdict(saved(nat.format("DROP")), 8080).verdict == "nobody"


def test_what_is_bound_to_loopback_or_to_one_device():
    ruleset = chain(policy="ACCEPT")
    assert verdict(ruleset, 22, bounds=(Bound("ip", number("127.0.0.1")),)).verdict == "nobody"
    found = verdict(ruleset, 22, bounds=(Bound("ip", None, "eth1"),))
    assert {piece.interface for piece in found.pieces if piece.verdict == "yes"} == {"eth1"}


def test_a_source_port_that_has_to_be_chosen_is_told():
    found = verdict(chain("-A INPUT -p tcp --sport 53 -j ACCEPT"), 22)
    (piece, *_) = [piece for piece in found.pieces if piece.verdict == "yes"]
    assert piece.condition == "the sender has to choose its source port"
    assert piece.sample.source_port == 53


def test_rules_that_could_not_be_read_are_unknown_never_none():
    found = Judge(Ruleset(unread=("no right",)), host()).reach(Listener("tcp", 22))
    assert (found.verdict, found.because.rule) == ("unknown", "no right")
    packet = Packet("eth0", "tcp", "203.0.113.7", "192.0.2.10", 22)
    assert plain.judge_packet(Ruleset(unread=("no right",)), host(), packet).verdict == "unknown"


def test_asked_for_one_source():
    judge = Judge(chain("-A INPUT -s 203.0.113.0/24 -j ACCEPT"), host())
    found = judge.reach(Listener("udp", 53, (Bound("ip"),)))
    for text, said in (("203.0.113.9", "anyone"), ("203.0.0.0/16", "some"), ("198.51.100.1", "nobody")):
        assert narrowed(found, source(judge, text)).verdict == said
    assert source(judge, "eth1") == Source(interface="eth1")


def test_asked_for_a_network_in_which_this_host_is():
    """Everybody in it is meant, not this host alone; its own address by itself comes by loopback."""
    judge = Judge(chain("-A INPUT -i lo -j ACCEPT"), host())
    wanted = Listener("udp", 53, (Bound("ip"),))
    assert reach(judge, wanted, source(judge, "192.0.2.0/24")).verdict == "nobody"
    assert reach(judge, wanted, source(judge, "192.0.2.10")).verdict == "anyone"


def test_what_is_sent_to_verify_comes_from_no_link_local_address():
    """A peer has none; a piece that holds some beside others is tried with the others."""
    known = host()
    devices = [
        device.replace(addresses=(*device.addresses, address("fe80::1", 64)))
        if device.name == "eth0"
        else device
        for device in known.devices
    ]
    ways = (*known.ways, way("fe80::", 64, "eth0"))
    judge = Judge(chain(policy="ACCEPT"), known.replace(devices=tuple(devices), ways=ways))
    asked = Listener("tcp", 22, (Bound("ip6"),))
    packets = list(verify._packets(judge, Answer(asked, judge.reach(asked))))
    assert packets
    assert not [packet for packet in packets if packet.source.startswith("fe80")]


def test_an_own_address_of_ipv6_is_no_source_from_outside():
    """Answers to it never leave, so no connection comes of it; IPv4's are refused as martians."""
    judge = Judge(chain(policy="ACCEPT"), host())
    for source_ in ("2001:db8:1::10", "192.0.2.10"):
        device = judge.environment.device("eth0")
        family = "ip6" if ":" in source_ else "ip"
        own = judge.engine(family).space.within("saddr", [(number(source_), number(source_))])
        assert judge.engine(family).manager.both(judge.domain(device, family), own) == EMPTY
    first = judge.reach(Listener("tcp", 22, (Bound("ip6"),))).pieces[0]
    assert first.sample.source != first.sample.destination


def test_a_time_that_is_over_lets_nobody_in():
    rule = "-A INPUT -p tcp --dport 22 -m time --datestop {} -j ACCEPT"
    assert verdict(chain(rule.format("2026-01-01T00:00:00")), 22).verdict == "nobody"
    assert verdict(chain(rule.format("2126-01-01T00:00:00")), 22).verdict == "depends"


def test_long_lists_of_sources_are_one_set():
    """A block list, with the same verdicts as rule by rule."""
    blocked = [f"203.0.{n // 200}.{n % 200}" for n in range(0, 900, 3)]
    lines = [f"-A INPUT -s {one}/32 -j DROP" for one in blocked]
    lines.insert(150, "-A INPUT -s 203.0.0.0/16 -p tcp --dport 22 -j ACCEPT")
    judge = Judge(chain(*lines, "-A INPUT -p tcp -j ACCEPT"), host())
    for number_ in range(0, 900, 7):
        packet = Packet(
            "eth0", "tcp", f"203.0.{number_ // 200}.{number_ % 200}", "192.0.2.10", 22 + number_ % 2
        )
        assert (
            judge.judge_packet(packet) == plain.judge_packet(judge.ruleset, judge.environment, packet).verdict
        )


# Tools' own rules


@pytest.mark.parametrize(
    ("port", "protocol", "said"),
    [
        (22, "tcp", "anyone"),
        (80, "tcp", "some"),
        (2222, "tcp", "depends"),
        (53, "udp", "nobody"),
        (25, "tcp", "nobody"),
    ],
)
def test_ufw_s_rules_give_what_its_words_promise(port, protocol, said):
    """allow 22/tcp; allow from 192.0.2.0/24 to any port 80; limit 2222/tcp; deny 53; default deny."""
    found = verdict(UFW, port, protocol, (Bound("ip"), Bound("ip6")))
    assert found.verdict == said
    if port == 80:
        assert from_where(found) == "192.0.2.0/24 on eth0"


def test_both_evaluators_agree_on_ufw_s_rules():
    judge = Judge(UFW, host())
    for origin, target in (
        ("192.0.2.7", "192.0.2.10"),
        ("203.0.113.7", "192.0.2.10"),
        ("2001:db8:9::1", "2001:db8:1::10"),
    ):
        for port in (22, 25, 53, 80, 137, 443, 2222, 5353):
            for protocol in ("tcp", "udp"):
                packet = Packet("eth0", protocol, origin, target, port)
                said = plain.judge_packet(UFW, judge.environment, packet)
                assert judge.judge_packet(packet) == said.verdict, packet


DOCKER = """*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""
KUBE = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web" -m tcp --dport 30080 -j KUBE-SVC-A
-A KUBE-SEP-A -s 172.17.0.2/32 -m comment --comment "default/web" -j KUBE-MARK-MASQ
-A KUBE-SEP-A -p tcp -m comment --comment "default/web" -m tcp -j DNAT --to-destination 172.17.0.2:8080
-A KUBE-SERVICES -m comment --comment "nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-A -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A
-A KUBE-SVC-A -m comment --comment "default/web" -j KUBE-SEP-A
COMMIT
"""
LIBVIRT = """*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:LIBVIRT_INP - [0:0]
:LIBVIRT_FWI - [0:0]
-A INPUT -j LIBVIRT_INP
-A FORWARD -j LIBVIRT_FWI
-A LIBVIRT_INP -i docker0 -p udp -m udp --dport 53 -j ACCEPT
-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""


@pytest.mark.parametrize(
    ("text", "port", "protocol", "said"),
    [(DOCKER, 8080, "tcp", "anyone"), (KUBE, 30080, "tcp", "anyone"), (LIBVIRT, 53, "udp", "some")],
    ids=["docker", "kube-proxy", "libvirt"],
)
def test_the_rules_of_well_known_tools_are_read_whole(text, port, protocol, said):
    ruleset = saved(text)
    questions = [
        one
        for _, chain in ruleset.chains()
        for rule in chain.rules
        for one in rule.statements
        if isinstance(one, Unknown)
    ]
    assert not [one for one in questions if one.kind == "unreadable"]
    assert verdict(ruleset, port, protocol).verdict == said


# Words, rows, remarks


def test_networks_of_spans():
    assert list(networks("ip", ((number("10.0.0.0"), number("10.0.1.255")),))) == ["10.0.0.0/23"]
    assert list(networks("ip", ((number("10.0.0.1"), number("10.0.0.2")),))) == ["10.0.0.1", "10.0.0.2"]
    assert list(networks("ip6", ((0, (1 << 128) - 1),))) == ["::/0"]


def test_rules_as_rows():
    rows = {row.ports: row for row in rules.port_rules(UFW) if row.family == "ip" and row.owner == "ufw"}
    assert (rows["80"].sources, rows["80"].action, rows["80"].hooks) == ("192.0.2.0/24", "accept", ("input",))
    assert rows["80"].packets == 0
    (docker,) = [row for row in rules.port_rules(saved(DOCKER)) if row.ports == "8080"]
    assert (docker.owner, docker.action, docker.interface) == ("docker", "dnat to 172.17.0.2:80", "!docker0")


def test_audit():
    judge = Judge(
        saved(DOCKER.replace(":INPUT ACCEPT", ":INPUT DROP").replace("COMMIT", "COMMIT", 1)), host()
    )
    listeners = [Listener("tcp", 8080), Listener("tcp", 5432)]
    found = {
        remark.kind for remark in audit.audit(judge, [Answer(one, judge.reach(one)) for one in listeners])
    }
    assert {
        "published past the input chain",
        "open on IPv6, closed on IPv4",
        "reachable from everywhere",
    } <= found
    quiet = Judge(Ruleset(unread=("no right",)), host())
    assert not list(audit.audit(quiet, []))
