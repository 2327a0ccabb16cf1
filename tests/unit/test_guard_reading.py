"""Rules from nft's JSON and from iptables-save: what each says, in the model's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portside.errors import BadReply, BadRequest
from portside.guard import ipset, iptables, nft, reading
from portside.guard.model import Assign, Key, Match, Nat, Notrack, Unknown, Verdict, VerdictMap, difference
from portside.wire.interfaces import InterfaceAddress


def listing(*exprs, sets=()):
    """A listing of one input chain with these rules (each a list of expressions)."""
    objects = [
        {"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "inet", "name": "t", "handle": 1}},
        *({kind: {"family": "inet", "table": "t", **body}} for kind, body in sets),
        {"chain": {"family": "inet", "table": "t", "name": "i", "type": "filter", "hook": "input"}},
        *(
            {"rule": {"family": "inet", "table": "t", "chain": "i", "handle": n, "expr": expr}}
            for n, expr in enumerate(exprs, 5)
        ),
    ]
    return json.dumps({"nftables": objects})


def statements(*exprs, sets=()):
    return nft.from_json(listing(list(exprs), sets=sets)).tables[0].chains[0].rules[0].statements


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


def payload(text):
    protocol, field = text.split()
    return {"payload": {"protocol": protocol, "field": field}}


DPORT = (Key("tcp dport"),)


@pytest.mark.parametrize(
    ("right", "op", "boxes", "negated"),
    [
        (22, "==", (((22, 22),),), False),
        (22, "!=", (((22, 22),),), True),
        ({"range": [5, 9]}, "==", (((5, 9),),), False),
        ({"set": [22, {"range": [80, 90]}]}, "!=", (((22, 22),), ((80, 90),)), True),
        (1024, ">=", (((1024, 65535),),), False),
        (0, "<", (), False),
    ],
)
def test_ports(right, op, boxes, negated):
    assert statements(match(payload("tcp dport"), right, op)) == (Match(DPORT, boxes, negated),)


def test_flags_are_bits_alone_and_values_in_braces():
    bits = statements(match({"ct": {"key": "state"}}, ["new", "untracked"], "in"))
    assert bits == (Match((Key("ct state", 72),), (((1, 0xFFFFFFFF),),)),)
    braces = statements(match(payload("tcp flags"), {"set": [{"|": ["syn", "ack"]}, "syn"]}))
    assert braces == (Match((Key("tcp flags"),), (((18, 18),), ((2, 2),))),)


def test_drift_of_the_json():
    """A single flag as text (1.1.4), a type as text (before 1.1.0), several operands in one (1.1.0), no policy."""
    fib = {"fib": {"result": "type", "flags": "daddr"}}
    assert statements(match(fib, "local")) == (Match((Key("fib daddr type"),), (((2, 2),),)),)
    mark = {"meta": {"key": "mark"}}
    value = {"|": [{"&": [mark, 0xFF]}, 1, 2]}
    assert statements({"mangle": {"key": mark, "value": value}}) == (Assign("mark", 3, 0xFC, "mark"),)
    sets = [("set", {"name": "s", "type": "ipv4_addr", "flags": "interval", "elem": ["192.0.2.1"]})]
    (found,) = statements(match(payload("ip saddr"), "@s"), sets=sets)
    assert found.name == "@s"
    assert found.boxes == (((0xC0000201, 0xC0000201),),)
    assert nft.from_json(listing([])).tables[0].chains[0].policy == "accept"


def test_elements_that_leave_and_sets_that_packets_fill_are_told():
    timed = {"elem": {"val": "192.0.2.9", "timeout": 60, "expires": 3}}
    sets = [("set", {"name": "s", "type": "ipv4_addr", "elem": ["192.0.2.1", timed]})]
    (found,) = statements(match(payload("ip saddr"), "@s"), sets=sets)
    assert (len(found.boxes), len(found.timed), found.open) == (1, 1, "")
    add = {"set": {"op": "add", "elem": payload("ip saddr"), "set": "@s"}}
    found = statements(match(payload("ip saddr"), "@s"), add, sets=sets)[0]
    assert found.open == "@s is filled by packets"


def test_verdict_map_with_a_default():
    pairs = [["192.0.2.1", {"drop": None}], ["*", {"jump": {"target": "web"}}]]
    (found,) = statements({"vmap": {"key": payload("ip saddr"), "data": {"set": pairs}}})
    entry = (((0xC0000201, 0xC0000201),), Verdict("drop"))
    assert found == VerdictMap((Key("ip saddr"),), (entry,), Verdict("jump", "web"))


def test_translations():
    assert statements({"redirect": {"port": 8081}}) == (Nat("redirect", port=(8081, 8081)),)
    to = {"map": {"key": payload("tcp dport"), "data": {"set": [[82, {"concat": ["192.0.2.1", 83]}]]}}}
    (found,) = statements({"dnat": {"family": "ip", "addr": to}})
    assert found.choices == ((((82, 82),), (0xC0000201, 0xC0000201), (83, 83)),)
    by_chance = {"map": {"key": {"numgen": {"mode": "inc", "mod": 2}}, "data": {"set": [[0, "192.0.2.1"]]}}}
    assert statements({"dnat": {"family": "ip", "addr": by_chance}})[0].random == "numgen"


@pytest.mark.parametrize(
    ("expr", "kind", "effect"),
    [
        ({"limit": {"rate": 5, "per": "second"}}, "limit", False),
        (match({"meta": {"key": "hour"}}, "10:00"), "time", False),
        (match({"ether of the future": {}}, 1), "unreadable", False),
        ({"teleport": None}, "unreadable", True),
        ({"xt": {"type": "target", "name": "NEW"}}, "unreadable", True),
    ],
)
def test_what_is_not_known_is_a_question_in_its_place(expr, kind, effect):
    (found, verdict) = statements(expr, {"accept": None})
    assert (found.kind, found.effect) == (kind, effect)
    assert verdict == Verdict("accept")


def test_extension_headers_are_not_there():
    gone = match({"exthdr": {"name": "rt"}}, True)
    assert statements(gone)[0].boxes == ()


def by_place(tables):
    """Return (family, table, chain) -> its rules: what stands in for the opaque ones of an nft listing."""
    return {(table.family, table.name, chain.name): chain.rules for table in tables for chain in table.chains}


def test_opaque_rules_come_from_the_same_place_of_iptables_save():
    tables = iptables.from_save("*t\n:i ACCEPT [0:0]\n-A i -p tcp -m recent --set -j DROP\nCOMMIT\n", "inet")
    opaque = [{"xt": {"type": "match", "name": "recent"}}]
    whole = nft.from_json(listing(opaque), by_place(tables)).tables[0].chains[0].rules[0]
    assert (whole.handle, whole.text) == (5, "-p tcp -m recent --set -j DROP")
    uneven = nft.from_json(listing(opaque, opaque), by_place(tables))
    assert all(isinstance(rule.statements[0], Unknown) for rule in uneven.tables[0].chains[0].rules)


@pytest.mark.parametrize("text", ["{", "[]", '{"nftables": [{"rule": {}}]}', '{"nftables": [{"chain": 5}]}'])
def test_what_is_no_listing(text):
    with pytest.raises(BadReply):
        nft.from_json(text)


def ipt(rule, family="ip", sets=None):
    """The statements of one iptables rule."""
    text = f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n"
    return iptables.from_save(text, family, sets)[0].chains[0].rules[0].statements


TCP = Match((Key("l4proto"),), (((6, 6),),))


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("-p tcp -m tcp --dport 22 -j ACCEPT", (TCP, Match(DPORT, (((22, 22),),)), Verdict("accept"))),
        (
            "-p tcp -m tcp ! --dport 1024: -j DROP",
            (TCP, Match(DPORT, (((1024, 65535),),), True), Verdict("drop")),
        ),
        ("! -i eth+", (Match((Key("iifname"),), (("eth*",),), True),)),
        ("-s 10.0.0.0/255.0.0.255", (Match((Key("ip saddr", 0xFF0000FF),), (((10 << 24, 10 << 24),),)),)),
        ("-m mark ! --mark 0x1/0xff", (Match((Key("mark", 255),), (((1, 1),),), True),)),
        ("-j MARK --set-xmark 0x4000/0x4000", (Assign("mark", 0x4000, 0xFFFFBFFF, "mark"),)),
        ("-j DNAT --to-destination 10.0.0.1:80-90", (Nat("dnat", "ip", (10 << 24 | 1,) * 2, (80, 90)),)),
        ("-j CT --notrack", (Notrack(),)),
        ("-j REJECT --reject-with tcp-reset", (Verdict("reject", detail="tcp reset"),)),
        ("-g OTHER", (Verdict("goto", "OTHER"),)),
        ('-m comment --comment "a -j DROP" -j RETURN', (Verdict("return"),)),
    ],
)
def test_iptables_rules(rule, found):
    assert ipt(rule) == found


def test_iptables_states_of_translation_are_no_states_of_the_connection():
    (found,) = ipt("-m conntrack --ctstate NEW,DNAT")
    assert found.keys == (Key("ct state", 8), Key("ct status", 32))
    assert len(found.boxes) == 2


def test_iptables_questions():
    assert ipt("-m limit --limit 3/min -j LOG")[0].kind == "limit"
    assert ipt("-m future --thing 5 -j DROP") == (Unknown("future --thing 5", "unreadable"), Verdict("drop"))
    assert ipt("-m set --match-set gone src")[0].kind == "unreadable"


def test_ipset():
    text = "create s hash:net,port family inet\nadd s 10.0.0.0/8,tcp:80\nadd s 10.1.0.0/16,udp:53 timeout 9\n"
    (found,) = ipt("-m set --match-set s src,dst", sets=ipset.from_save(text))
    assert found.keys == (Key("ip saddr"), Key("l4proto"), Key("th dport"))
    assert found.boxes == (((10 << 24, (11 << 24) - 1), (6, 6), (80, 80)),)
    assert len(found.timed) == 1


@pytest.mark.parametrize("text", ["-A INPUT -j DROP", "*filter\n-A\n", "*filter\n:I\n-A I -p\nCOMMIT"])
def test_what_is_no_save(text):
    try:
        tables = iptables.from_save(text, "ip")
    except BadReply:
        return
    assert any(isinstance(one, Unknown) for one in tables[0].chains[0].rules[0].statements)


def test_files_tell_what_they_are():
    assert reading.rules_from_text(listing([])).tables[0].name == "t"
    save = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    assert reading.rules_from_text(save).tables[0].family == "ip"
    assert reading.rules_from_text(save, "rules.v6").tables[0].family == "ip6"
    with pytest.raises(BadRequest):
        reading.rules_from_text("hello", "x")


def test_rulesets_print_and_tell_their_difference():
    before = nft.from_json(listing([match(payload("tcp dport"), 22), {"accept": None}]))
    after = nft.from_json(listing([match(payload("tcp dport"), 23), {"accept": None}]))
    assert "    5: tcp dport 22 accept\n" in str(before)
    assert list(difference(before, after)) == [
        ("-", "inet t i: tcp dport 22 accept"), ("+", "inet t i: tcp dport 23 accept"),
    ]  # fmt: skip
    assert list(difference(before, before)) == []


def test_saved_rules_are_the_same_parsed_one_by_one():
    text = (Path(__file__).parents[1] / "data" / "guard" / "ufw.v4").read_text()
    lazy = iptables.saved_rules(text, "ip")
    for place, rules in by_place(iptables.from_save(text, "ip")).items():
        found = lazy.get(place, ())
        assert tuple(found[number] for number in range(len(found))) == rules


@pytest.mark.parametrize(
    ("flags", "taken"), [(0x80, True), (0xC0, False), (0xC4, True), (0xC8, False), (0x01, True)]
)
def test_an_address_that_may_be_another_s_is_not_ours_yet(flags, taken):
    """IFA_F_PERMANENT alone; tentative; optimistic; found to be another's; a secondary one of IPv4."""
    assert InterfaceAddress(1, 10, bytes(16), 64, flags=flags).taken is taken
