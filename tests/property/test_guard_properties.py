"""Any text into the readers of rules: a ruleset, or our error."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.errors import PortsideError
from portside.guard import ipset, iptables, nft
from portside.guard.nfttext import rule_text
from portside.wire.nft_text import name_anonymous_chains

WORDS = st.sampled_from(
    [
        "-A",
        "-p",
        "tcp",
        "-m",
        "multiport",
        "--dports",
        "22,80",
        "!",
        "-s",
        "10.0.0.0/8",
        "-j",
        "ACCEPT",
        "DROP",
        "-i",
        "eth+",
        "conntrack",
        "--ctstate",
        "NEW",
        "--sport",
        "1:",
        "-g",
        "CT",
        "--notrack",
        "DNAT",
        "--to-destination",
        "[fe80::1]:80",
        "MARK",
        "--set-xmark",
        "0x1/0x3",
        "-f",
        "set",
        "--match-set",
        "x",
        "src,dst",
        '"a',
        'b"',
        "--icmp-type",
        "8/0",
        "icmp",
        "addrtype",
        "--dst-type",
        "LOCAL",
        "999",
        "-",
    ]
)
MANY = settings(max_examples=100, deadline=None)
RULES = st.lists(WORDS, max_size=12).map(" ".join)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 1 << 40)
    | st.sampled_from(("tcp", "@s", "*", "10.0.0.1", "::1", "new")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "match",
                    "op",
                    "left",
                    "right",
                    "payload",
                    "protocol",
                    "field",
                    "meta",
                    "key",
                    "ct",
                    "dir",
                    "set",
                    "elem",
                    "val",
                    "vmap",
                    "data",
                    "prefix",
                    "addr",
                    "len",
                    "range",
                    "concat",
                    "accept",
                    "drop",
                    "jump",
                    "target",
                    "&",
                    "|",
                    "dnat",
                    "port",
                    "family",
                    "map",
                    "limit",
                    "rate",
                    "counter",
                    "fib",
                    "flags",
                    "result",
                    "xt",
                    "queue",
                    "reject",
                    "type",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@MANY
@given(RULES, st.sampled_from(("ip", "ip6")))
def test_any_rule_of_iptables(rule, family):
    text = f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n"
    try:
        (table,) = iptables.from_save(text, family)
    except PortsideError:
        return
    assert len(table.chains[0].rules) == 1


@MANY
@given(
    st.text()
    | st.lists(
        st.sampled_from(["create", "add", "x", "hash:ip", "timeout", "0", "1.2.3.4", "nomatch", "\n"])
    ).map(" ".join)
)
def test_any_text_as_a_save(text):
    for reader in (
        lambda: iptables.from_save(text, "ip"),
        lambda: nft.from_json(text),
        lambda: ipset.from_save(text),
    ):
        try:
            reader()
        except PortsideError:
            pass
    assert isinstance(name_anonymous_chains(text), str)


@MANY
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(("match", "vmap", "dnat", "set", "reject", "queue", "mangle")),
            VALUES,
            min_size=1,
            max_size=1,
        ),
        max_size=3,
    )
)
def test_any_expression_of_nft(exprs):
    objects = [
        {"table": {"family": "inet", "name": "t"}},
        {"chain": {"family": "inet", "table": "t", "name": "c"}},
        {"rule": {"family": "inet", "table": "t", "chain": "c", "expr": exprs}},
    ]
    try:
        ruleset = nft.from_json(json.dumps({"nftables": objects}))
    except PortsideError:
        return
    assert len(ruleset.tables[0].chains[0].rules) == 1
    assert isinstance(rule_text(exprs), str)
