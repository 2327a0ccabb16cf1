"""What both evaluators of rules have to answer: (name, ruleset, packet, verdict), in nft's language and as saved.

The host is `tests.guard_host.host`.  `TESTS` are single tests in front of `accept`, in a chain that drops the rest;
`WHOLE` are rulesets of their own.  A packet is written as what it differs in from a SYN from 203.0.113.7 to port 22.
"""

from __future__ import annotations

YES, NO, DEPENDS = "yes", "no", "depends"
UDP = {"protocol": "udp"}
SIX = {"source": "2001:db8:9::5", "destination": "2001:db8:1::10"}
NEAR = {"source": "192.0.2.7"}
INSIDE = {"interface": "eth1", "source": "10.0.0.7", "destination": "10.0.0.1"}


def port(number: int, **more):
    return {"port": number} | more


# a test of nft -> packets that pass it, packets that do not
TESTS = {
    "ip saddr 203.0.113.7": ([{}], [NEAR, SIX]),
    "ip saddr != 203.0.113.7": ([NEAR], [{}, SIX]),
    "ip saddr 203.0.113.0/24": ([{}], [NEAR]),
    "ip saddr 203.0.113.5-203.0.113.9": ([{}], [NEAR]),
    "ip saddr { 203.0.113.7, 198.51.100.0/24 }": ([{}, {"source": "198.51.100.9"}], [NEAR]),
    "ip saddr != { 203.0.113.7, 198.51.100.0/24 }": ([NEAR], [{}, {"source": "198.51.100.9"}, SIX]),
    "ip saddr & 0.0.0.7 == 7": ([{}, NEAR], [{"source": "203.0.113.8"}]),
    "ip daddr 192.0.2.10": ([{}], [{"destination": "10.0.0.1"}]),
    "ip6 saddr 2001:db8:9::/48": ([SIX], [{}, SIX | {"source": "2001:db8:8::1"}]),
    "ip6 saddr != 2001:db8:9::/48": ([SIX | {"source": "2001:db8:8::1"}], [SIX, {}]),
    "ip6 daddr 2001:db8:1::10": ([SIX], [{}]),
    "ip6 hoplimit 64": ([SIX], [SIX | {"ttl": 63}]),
    "ip6 nexthdr tcp": ([SIX], [SIX | UDP, {}]),
    "ip protocol tcp": ([{}], [UDP, SIX]),
    "ip protocol { tcp, udp }": ([{}, UDP], [SIX]),
    "ip ttl 64": ([{}], [{"ttl": 63}]),
    "ip ttl < 65": ([{}], [{"ttl": 65}]),
    "ip ttl >= 64": ([{}], [{"ttl": 63}]),
    "ip dscp cs1": ([{"dscp": 8}], [{}]),
    "ip version 4": ([{}], [SIX]),
    "ip frag-off & 0x1fff == 0": ([{}], [SIX]),
    "tcp dport 22": ([{}, SIX], [port(23), UDP]),
    "tcp dport != 22": ([port(23)], [{}, UDP, port(23) | UDP]),
    "tcp dport { 22, 80-90 }": ([{}, port(85)], [port(91)]),
    "tcp dport > 21": ([{}], [port(21)]),
    "tcp dport <= 22": ([{}, port(1)], [port(23)]),
    "tcp dport & 1 == 0": ([{}], [port(23)]),
    "tcp sport 40000": ([{}], [{"source_port": 40001}]),
    "tcp sport 1024-65535": ([{}], [{"source_port": 1023}]),
    "udp dport 53": ([port(53) | UDP], [port(53), UDP]),
    "udp dport != 53": ([UDP], [{}, port(53) | UDP]),
    "th dport 22": ([{}, UDP], [port(23)]),
    "sctp dport 22": ([{"protocol": "sctp"}], [{}]),
    "tcp flags syn": ([{}], []),
    "tcp flags & (syn | ack) == syn": ([{}], [UDP]),
    "tcp flags & (fin | ack) != 0": ([], [{}]),
    "meta l4proto tcp": ([{}], [UDP]),
    "meta l4proto != tcp": ([UDP], [{}]),
    "meta l4proto { udp, sctp }": ([UDP], [{}]),
    "meta nfproto ipv4": ([{}], [SIX]),
    "meta nfproto ipv6": ([SIX], [{}]),
    "meta protocol ip6": ([SIX], [{}]),
    'iifname "eth0"': ([{}], [INSIDE]),
    'iifname != "eth0"': ([INSIDE], [{}]),
    'iifname "eth*"': ([{}, INSIDE], []),
    'iifname { "eth1", "wlan0" }': ([INSIDE], [{}]),
    'oifname "eth0"': ([], [{}]),
    "iifgroup 0": ([{}], []),
    "meta pkttype host": ([{}], []),
    "meta mark 0": ([{}], []),
    "meta mark 1": ([], [{}]),
    "meta mark & 1 == 0": ([{}], []),
    "ct state new": ([{}, UDP], []),
    "ct state { new, untracked }": ([{}], []),
    "ct state != { established, related }": ([{}], []),
    "ct state established": ([], [{}]),
    "ct state invalid": ([], [{}]),
    "ct direction original": ([{}], []),
    "ct direction reply": ([], [{}]),
    "ct status dnat": ([], [{}]),
    "ct mark 0": ([{}], []),
    "ct original ip saddr 203.0.113.7": ([{}], [NEAR]),
    "meta l4proto tcp ct original proto-dst 22": ([{}], [port(23)]),
    "fib daddr type local": ([{}], []),
    "fib daddr type != local": ([], [{}]),
    "fib saddr type local": ([], [{}]),
    "fib saddr . iif oif exists": ([{}, INSIDE], []),
    "fib saddr . iif oif missing": ([], [{}]),
    "fib saddr . mark . iif oif exists": ([{}, INSIDE], []),
    "ip saddr . tcp dport { 203.0.113.7 . 22, 192.0.2.0/24 . 80-90 }": ([{}, NEAR | port(85)], [port(80), NEAR]),
    "ip saddr . tcp dport != { 203.0.113.7 . 22 }": ([port(23), NEAR], [{}]),
    'iifname . tcp dport { "eth0" . 22, "eth1" . 80 }': ([{}, INSIDE | port(80)], [INSIDE, port(80)]),
    "icmp type echo-request": ([], [{}]),
    "icmpv6 type nd-neighbor-solicit": ([], [SIX]),
    "@th,16,16 22": ([{}, UDP], [port(23)]),
}  # fmt: skip
# a test whose answer nobody can tell, alone or with others: packets that depend, packets that do not get in
OPEN_TESTS = {
    "limit rate 3/minute": ([{}], []),
    "tcp dport 22 limit rate over 3/minute": ([{}], [port(23)]),
    "quota 10 mbytes": ([{}], []),
    "ct count 5": ([{}], []),
    "numgen random mod 2 0": ([{}], []),
    'meta hour "08:00"-"12:00"': ([{}], []),
    "meta skuid 0": ([{}], []),
    "socket transparent 1": ([{}], []),
    "ether saddr 02:00:00:00:00:01": ([{}], []),
    "meta length 60-1000": ([{}], []),
    "tcp option maxseg size 1460": ([{}], []),
    "ip saddr 203.0.113.0/24 limit rate 1/second": ([{}], [NEAR]),
}

_INPUT = "type filter hook input priority 0; policy {};"
_ANSWERED = "ct state established,related accept"


def table(*lines: str, policy: str = "drop", family: str = "inet", more: str = "", name: str = "t") -> str:
    """A table with an input chain of some rules, and what `more` says beside it."""
    rules = "\n".join(lines)
    chain = f"chain i {{\n{_INPUT.format(policy)}\n{_ANSWERED}\n{rules}\n}}"
    return f"table {family} {name} {{\n{more}\n{chain}\n}}\n"


def chain(
    hook: str, *lines: str, kind: str = "filter", priority: int = 0, policy: str = "accept", name: str = "c"
):
    rules = "\n".join(lines)
    return f"chain {name} {{\ntype {kind} hook {hook} priority {priority}; policy {policy};\n{rules}\n}}\n"


def tables(*chains: str, family: str = "inet") -> str:
    return f"table {family} t {{\n{''.join(chains)}\n}}\n"


_SETS = """
set ports { type inet_service; flags interval; elements = { 22, 80-90 }
}
set hosts { type ipv4_addr; elements = { 203.0.113.7 }
}
set pairs { type ipv4_addr . inet_service; flags interval; elements = { 203.0.113.0/24 . 22 }
}
set timed { type ipv4_addr; flags timeout; elements = { 203.0.113.7 timeout 1h, 192.0.2.7 }
}
set filled { type ipv4_addr; flags dynamic,timeout; timeout 1h
}
map verdicts { type inet_service : verdict; elements = { 22 : accept, 23 : drop, 24 : jump side }
}
map marks { type inet_service : mark; elements = { 22 : 7, 23 : 8 }
}
map boxes { type inet_service : ipv4_addr . inet_service; elements = { 8080 : 172.17.0.2 . 80 }
}
chain side { ip saddr 203.0.113.7 accept
}
"""
WHOLE = [
    ("a set", table("tcp dport @ports accept", more=_SETS), {22: YES, 85: YES, 91: NO}),
    ("outside a set", table("tcp dport != @ports accept", more=_SETS), {22: NO, 91: YES}),
    ("a set of addresses", table("ip saddr @hosts accept", more=_SETS), [({}, YES), (NEAR, NO)]),
    ("a set of pairs", table("ip saddr . tcp dport @pairs accept", more=_SETS), {22: YES, 23: NO}),
    ("an element that leaves", table("ip saddr @timed accept", more=_SETS),
     [({}, DEPENDS), (NEAR, YES), ({"source": "192.0.2.8"}, NO)]),
    ("outside of one that leaves", table("ip saddr @timed drop", policy="accept", more=_SETS),
     [({}, DEPENDS), (NEAR, NO), ({"source": "192.0.2.8"}, YES)]),
    ("a set that packets fill", table("tcp dport 9 add @filled { ip saddr }", "ip saddr @filled accept", more=_SETS),
     {22: DEPENDS}),
    ("a set that this rule fills", table("add @filled { ip saddr } accept", more=_SETS), {22: YES}),
    ("a set that it fills by a limit",
     table("update @filled { ip saddr limit rate 3/minute } accept", more=_SETS), {22: DEPENDS}),
    ("a map of verdicts", table("tcp dport vmap @verdicts", more=_SETS), {22: YES, 23: NO, 24: YES, 25: NO}),
    ("a map of verdicts that leads to a chain", table("tcp dport vmap @verdicts", more=_SETS),
     [(NEAR | port(24), NO)]),
    ("a map of its own braces", table("tcp dport vmap { 20-30 : accept }"),
     {25: YES, 31: NO}),
    ("a mark by a map", table("meta mark set tcp dport map @marks", "meta mark 7 accept", more=_SETS),
     {22: YES, 23: NO, 24: NO}),
    ("accept", table("accept"), {22: YES}),
    ("drop", table("drop", policy="accept"), {22: NO}),
    ("a policy", table(policy="accept"), {22: YES}),
    ("a policy that drops", table(), {22: NO}),
    ("reject", table("reject", policy="accept"), {22: NO}),
    ("a reset is for TCP alone", table("reject with tcp reset", policy="accept"),
     [({}, NO), (port(53) | UDP, YES)]),
    ("an ICMP error is for its family alone", table("reject with icmp admin-prohibited", policy="accept"),
     [({}, NO), (SIX, YES)]),
    ("a jump that comes back", table("jump side", "tcp dport 23 accept",
     more="chain side { ip saddr 192.0.2.7 accept\nreturn\ntcp dport 22 accept\n}"),
     [({}, NO), (NEAR, YES), (port(23), YES)]),
    ("a goto that does not", table("goto side", "accept", more="chain side { tcp dport 22 accept\n}"),
     {22: YES, 23: NO}),
    ("a return from a base chain", table("tcp dport 22 return", "drop", policy="accept"), {22: YES, 23: NO}),
    ("continue", table("tcp dport 22 continue", "tcp dport 22 accept"), {22: YES}),
    ("a field by its place", table("@nh,96,32 0xcb007107 accept", family="ip"), [({}, YES), (NEAR, NO)]),
    ("an unknown test before accept, and accept behind it", table("limit rate 1/second accept", "accept"), {22: YES}),
    ("two limits", table("limit rate 1/second accept", "tcp dport 22 limit rate 1/day drop", "accept"),
     {22: DEPENDS, 23: YES}),
    ("a verdict by chance, each of them good", table("numgen random mod 2 vmap { 0 : accept, 1 : jump side }",
     "drop", more="chain side { accept\n}"), {22: YES}),
    ("a verdict by chance", table("numgen random mod 2 vmap { 0 : accept, 1 : drop }"), {22: DEPENDS}),
    ("a verdict for some of the numbers", table("tcp dport 22 numgen random mod 3 vmap { 0 : drop, 1 : drop }",
     policy="accept"), {22: DEPENDS, 23: YES}),
    ("a limit for each source of the other family",
     table("tcp dport 22 meter m { ip6 saddr limit rate over 1/minute } drop", policy="accept"),
     [({}, YES), (SIX, DEPENDS)]),
    ("an anonymous chain", table("tcp dport 22 jump {\nip saddr 203.0.113.7 accept\n}"), [({}, YES), (NEAR, NO)]),
    # hooks and priorities
    ("accept ends its own chain alone", table("accept", policy="accept") + table("tcp dport 22 drop", name="u"),
     {22: NO, 23: NO}),
    ("dropped before input", tables(chain("prerouting", "tcp dport 22 drop", priority=-300)), {22: NO, 23: YES}),
    ("no state before -200", tables(chain("prerouting", "ct state new drop", priority=-300)), {22: YES}),
    ("a state behind -200", tables(chain("prerouting", "ct state new drop", priority=-150)), {22: NO}),
    ("the lower priority first", tables(
        chain("input", "meta mark set 1", priority=-5, name="a"), chain("input", "meta mark 1 drop", name="b")),
     {22: NO}),
    ("the higher priority later", tables(
        chain("input", "meta mark 1 drop", priority=-5, name="a"), chain("input", "meta mark set 1", name="b")),
     {22: YES}),
    ("two of one priority, one of which writes what the other reads",
     "table ip a {\n" + chain("input", "meta mark set 1") + "}\ntable ip b {\n"
     + chain("input", "meta mark 1 drop") + "}\n", {22: DEPENDS}),
    ("two of one priority that do not meet",
     "table ip a {\n" + chain("input", "tcp dport 22 drop") + "}\ntable ip b {\n"
     + chain("input", "tcp dport 23 drop") + "}\n", {22: NO, 23: NO, 24: YES}),
    ("the answer is dropped", tables(chain("output", "tcp sport 22 drop")),
     [({}, NO), (port(22) | UDP, YES), (port(23), YES)]),
    ("the answer of UDP is dropped", tables(chain("output", "udp sport 53 drop")), [(port(53) | UDP, YES)]),
    ("the next packet is dropped", tables(chain("input", "ct state established drop")), [({}, NO), (UDP, YES)]),
    ("forward is not on the way", tables(chain("forward", policy="drop")), {22: YES}),
    ("a family that is not the packet's", tables(chain("input", policy="drop"), family="ip6"),
     [({}, YES), (SIX, NO)]),
    # translations
    ("a redirect, and a rule for the new port", tables(
        chain("prerouting", "tcp dport 8000 redirect to :80", kind="nat", priority=-100, name="n"),
        chain("input", _ANSWERED, "tcp dport 80 accept", policy="drop")), {8000: YES, 80: YES, 22: NO}),
    ("a redirect, and a rule for the old port", tables(
        chain("prerouting", "tcp dport 8000 redirect to :80", kind="nat", priority=-100, name="n"),
        chain("input", _ANSWERED, "tcp dport 8000 accept", policy="drop")), {8000: NO}),
    ("the port that was asked for", tables(
        chain("prerouting", "tcp dport 8000 redirect to :80", kind="nat", priority=-100, name="n"),
        chain("input", _ANSWERED, "meta l4proto tcp ct original proto-dst 8000 accept", policy="drop")),
     {8000: YES, 80: NO}),
    ("what was translated", tables(
        chain("prerouting", "tcp dport 8000 redirect to :80", kind="nat", priority=-100, name="n"),
        chain("input", _ANSWERED, "ct status dnat accept", policy="drop")), {8000: YES, 80: NO}),
    ("to a container, judged where it is forwarded", tables(
        chain("prerouting", "tcp dport 8080 dnat ip to 172.17.0.2:80", kind="nat", priority=-100, name="n"),
        chain("input", policy="drop", name="i"),
        chain("forward", _ANSWERED, 'oifname "docker0" tcp dport 80 accept', policy="drop")), {8080: YES, 22: NO}),
    ("to a container, refused there", tables(
        chain("prerouting", "tcp dport 8080 dnat ip to 172.17.0.2:80", kind="nat", priority=-100, name="n"),
        chain("forward", policy="drop")), {8080: NO, 22: YES}),
    ("to a container whose answers are refused", tables(
        chain("prerouting", "tcp dport 8080 dnat ip to 172.17.0.2:80", kind="nat", priority=-100, name="n"),
        chain("forward", 'iifname "docker0" drop')), {8080: NO}),
    ("to a container by a map", table("accept", more=_SETS + chain(
        "prerouting", "dnat ip to tcp dport map @boxes", kind="nat", priority=-100)), {8080: YES, 22: YES}),
    ("to one of two containers, both let in", tables(
        chain("prerouting", "tcp dport 8080 dnat ip to numgen random mod 2 map { 0 : 172.17.0.2, 1 : 172.17.0.3 }",
              kind="nat", priority=-100, name="n")), {8080: YES}),
    ("to one of two containers, one let in", tables(
        chain("prerouting", "tcp dport 8080 dnat ip to numgen random mod 2 map { 0 : 172.17.0.2, 1 : 172.17.0.3 }",
              kind="nat", priority=-100, name="n"),
        chain("forward", "ip daddr 172.17.0.3 drop")), {8080: DEPENDS}),
    ("to where no route leads", tables(
        chain("prerouting", "tcp dport 8080 dnat ip to 127.0.0.1:80", kind="nat", priority=-100, name="n")),
     {8080: NO}),
    ("the first translation wins", tables(
        chain("prerouting", "tcp dport 8000 redirect to :80", "tcp dport 8000 redirect to :81", kind="nat",
              priority=-100, name="n"), chain("input", "tcp dport 81 drop")), {8000: YES, 81: NO}),
    ("a port in the range is kept", tables(
        chain("prerouting", "tcp dport 8000-8010 redirect to :8005-8006", kind="nat", priority=-100, name="n"),
        chain("input", "tcp dport 8005 accept", "tcp dport 8006 drop")), {8005: YES, 8006: NO}),
    ("a source that is translated comes back", tables(
        chain("postrouting", 'oifname "docker0" masquerade', kind="nat", priority=100, name="s"),
        chain("prerouting", "tcp dport 8080 dnat ip to 172.17.0.2:80", kind="nat", priority=-100, name="n")),
     {8080: YES, 22: YES}),
    ("left out of connection tracking", tables(
        chain("prerouting", "tcp dport 22 notrack", priority=-300, name="r"),
        chain("input", "ct state untracked accept", _ANSWERED, "ct state new accept", policy="drop")),
     {22: YES, 23: YES}),
    ("left out, and answers asked for by state", tables(
        chain("prerouting", "tcp dport 22 notrack", priority=-300, name="r"),
        chain("input", _ANSWERED, "ct state new accept", policy="drop")), {22: NO, 23: YES}),
    ("left out of translations", tables(
        chain("prerouting", "tcp dport 8000 notrack", priority=-300, name="r"),
        chain("prerouting", "tcp dport 8000 redirect to :80", kind="nat", priority=-100, name="n"),
        chain("input", "tcp dport 80 accept", "drop")), {8000: NO, 80: YES}),
    # marks
    ("a mark by bits", tables(
        chain("prerouting", "meta mark set meta mark | 6", priority=-150, name="p"),
        chain("input", "meta mark & 4 == 4 drop")), {22: NO}),
    ("a mark kept with the connection", tables(
        chain("prerouting", "tcp dport 22 meta mark set 5 ct mark set meta mark", priority=-150, name="p"),
        chain("input", "ct mark 5 drop")), {22: NO, 23: YES}),
]  # fmt: skip


def saved(*lines: str, policy: str = "DROP", table: str = "filter", chains: str = "") -> str:
    """What iptables-save says of one table with rules of its INPUT chain (or others that `lines` name)."""
    answered = "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n" if table == "filter" else ""
    base = ":INPUT {} [0:0]" if table == "filter" else ":PREROUTING {} [0:0]"
    rules = "".join(f"{line}\n" for line in lines)
    return f"*{table}\n{base.format(policy)}\n{chains}{answered}{rules}COMMIT\n"


# a test of iptables in front of -j ACCEPT -> packets that pass, packets that do not
MATCHES = {
    "-p tcp --dport 22": ([{}], [port(23), UDP]),
    "-p tcp ! --dport 22": ([port(23)], [{}, UDP]),
    "-p tcp -m multiport --dports 22,80:90": ([{}, port(85)], [port(91)]),
    "-p tcp -m multiport ! --dports 22,80": ([port(23)], [{}]),
    "-p tcp -m multiport --ports 22": ([{}, port(9) | {"source_port": 22}], [port(23)]),
    "-m iprange --src-range 203.0.113.5-203.0.113.9": ([{}], [NEAR]),
    "-m iprange ! --src-range 203.0.113.5-203.0.113.9": ([NEAR], [{}]),
    "-m addrtype --dst-type LOCAL": ([{}], []),
    "-m addrtype --src-type LOCAL": ([], [{}]),
    "-m mark --mark 0/1": ([{}], []),
    "-m mark --mark 1/1": ([], [{}]),
    "-m conntrack --ctstate NEW": ([{}], []),
    "-m conntrack ! --ctstate NEW,RELATED": ([], [{}]),
    "-m conntrack --ctstate DNAT": ([], [{}]),
    "-m conntrack --ctorigdstport 22": ([{}], [port(23)]),
    "-m conntrack --ctdir ORIGINAL": ([{}], []),
    "-m state --state NEW": ([{}], []),
    "-p tcp --syn": ([{}], []),
    "-p tcp ! --syn": ([], [{}]),
    "-m ttl --ttl-lt 65": ([{}], [{"ttl": 65}]),
    "-m ttl --ttl-eq 64": ([{}], [{"ttl": 63}]),
    "-m pkttype --pkt-type unicast": ([{}], []),
    "-m rpfilter": ([{}], []),
    "-m rpfilter --invert": ([], [{}]),
    "-s 192.0.2.7 -m rpfilter": ([NEAR], [{}]),
    "-m tcp -p tcp": ([{}], [UDP]),
    "-m conntrack --ctstate NEW -p tcp --dport 22": ([{}], [port(23), UDP]),
    "-s 203.0.113.0/24 -i eth0": ([{}], [NEAR]),
    "-i eth+": ([{}, INSIDE], []),
    "! -i eth0": ([INSIDE], [{}]),
    "-d 192.0.2.10/32": ([{}], [{"destination": "10.0.0.1"}]),
    "-p icmp --icmp-type 8": ([], [{}]),
    "-f": ([], [{}]),
    "-m dscp --dscp 8": ([{"dscp": 8}], [{}]),
}
OPEN_MATCHES = [
    "-m limit --limit 3/min", "-m hashlimit --hashlimit-upto 3/min --hashlimit-name x",
    "-m connlimit --connlimit-upto 5", "-m recent --update --seconds 60 --name x",
    "-m statistic --mode random --probability 0.5", "-m time --timestart 08:00 --timestop 12:00",
    "-m string --string x --algo bm", "-m owner --uid-owner 0", "-m mac --mac-source 02:00:00:00:00:01",
    "-m u32 --u32 0x0=0x1", "-m length --length 60", "-m future --some thing", "-m set --match-set nosuch src",
    "-m socket", "-m future",
]  # fmt: skip
SAVED = [
    ("a chain of its own", saved("-A INPUT -j side", "-A side -s 203.0.113.7 -j ACCEPT", chains=":side - [0:0]\n"),
     [({}, YES), (NEAR, NO)]),
    ("-g", saved("-A INPUT -g side", "-A INPUT -j ACCEPT", "-A side -s 192.0.2.7 -j ACCEPT",
                 chains=":side - [0:0]\n"),
     [({}, NO), (NEAR, YES)]),
    ("RETURN", saved("-A INPUT -s 192.0.2.7 -j RETURN", "-A INPUT -j ACCEPT"), [({}, YES), (NEAR, NO)]),
    ("REJECT", saved("-A INPUT -p tcp -j REJECT --reject-with tcp-reset", policy="ACCEPT"), [({}, NO), (UDP, YES)]),
    ("LOG goes on", saved("-A INPUT -j LOG", "-A INPUT -j ACCEPT"), [({}, YES)]),
    ("MARK", saved("-A INPUT -p tcp --dport 22 -j MARK --set-xmark 0x1/0x3",
                   "-A INPUT -m mark --mark 0x1/0x3 -j ACCEPT"),
     [({}, YES), (port(23), NO)]),
    ("NFQUEUE", saved("-A INPUT -j NFQUEUE --queue-num 1"), [({}, DEPENDS)]),
    ("NFQUEUE of some", saved("-A INPUT -p tcp --dport 22 -j NFQUEUE --queue-num 1 --queue-bypass", policy="ACCEPT"),
     [({}, DEPENDS), (port(23), YES)]),
    ("an unknown target", saved("-A INPUT -j FUTURE --with this", policy="ACCEPT"), [({}, DEPENDS)]),
    ("REDIRECT", saved("-A PREROUTING -p tcp --dport 8000 -j REDIRECT --to-ports 80", table="nat", policy="ACCEPT")
     + saved("-A INPUT -p tcp --dport 80 -j ACCEPT"), [(port(8000), YES), (port(22), NO)]),
    ("DNAT", saved("-A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", table="nat",
                   policy="ACCEPT") + saved(), [(port(8080), YES), (port(22), NO)]),
    ("CT --notrack", saved("-A PREROUTING -p tcp --dport 22 -j CT --notrack", table="raw", policy="ACCEPT")
     + saved("-A INPUT -m conntrack --ctstate NEW -j ACCEPT"), [({}, NO), (port(23), YES)]),
    ("CONNMARK", saved("-A PREROUTING -p tcp --dport 22 -j CONNMARK --set-xmark 0x5/0xffffffff", table="mangle",
                       policy="ACCEPT") + saved("-A INPUT -m connmark --mark 0x5 -j ACCEPT"),
     [({}, YES), (port(23), NO)]),
]  # fmt: skip
