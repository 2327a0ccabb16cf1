"""The fields that rules test, by nft's names: how wide, of which family and protocol, how values are written.

A field is found in a packet of the right family and protocol alone: in any other the test fails, even a negated one
(nft breaks the rule).  `base` is the packet's own name for it, the same for IPv4 and IPv6.
Reference: nft(8), payload and meta expressions; src/datatype.c, src/proto.c for the symbols.
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.model import Span

PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "udp": 17, "ipv6": 41, "dccp": 33, "gre": 47, "esp": 50, "ah": 51,
    "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ospf": 89, "vrrp": 112, "comp": 108, "ipcomp": 108,
    "sctp": 132, "mh": 135, "udplite": 136, "hopopt": 0, "ip": 0, "pim": 103, "l2tp": 115, "ipv6-route": 43,
    "ipv6-frag": 44, "ipv6-opts": 60, "mobility-header": 135, "routing": 43,
}  # fmt: skip
PORTED = ("tcp", "udp", "sctp", "dccp", "udplite")
CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
CT_STATUS = {
    "expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512,
}  # fmt: skip
TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
PACKET_TYPES = {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}
ADDRESS_TYPES = {
    "unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
    "unreachable": 7, "prohibit": 8, "throw": 9, "nat": 10, "xresolve": 11,
}  # fmt: skip
DSCP = {f"cs{n}": n * 8 for n in range(8)} | {
    f"af{c}{d}": c * 8 + d * 2 for c in range(1, 5) for d in range(1, 4)
}
DSCP |= {"ef": 46, "be": 0, "df": 0, "va": 44, "lephb": 1, "le": 1}
ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
}  # fmt: skip
ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
    "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
    "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
    "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
}  # fmt: skip


class Field(Record):
    """`base` names the value in a packet; `family` (ip, ip6) and `protocols` say in which packets it is found.

    `symbols` are the words nft prints for values.
    """

    base: str
    width: int
    family: str = ""
    protocols: tuple[int, ...] = ()
    symbols: dict[str, int] | None = None


def _ports(name: str) -> dict[str, Field]:
    protocols = (PROTOCOLS[name],) if name != "th" else ()
    return {
        f"{name} sport": Field("sport", 16, "", protocols),
        f"{name} dport": Field("dport", 16, "", protocols),
    }


FIELDS: dict[str, Field] = {
    "ip saddr": Field("saddr", 32, "ip"),
    "ip daddr": Field("daddr", 32, "ip"),
    "ip6 saddr": Field("saddr", 128, "ip6"),
    "ip6 daddr": Field("daddr", 128, "ip6"),
    "ip protocol": Field("l4proto", 8, "ip", (), PROTOCOLS),
    "ip6 nexthdr": Field("l4proto", 8, "ip6", (), PROTOCOLS),
    "l4proto": Field("l4proto", 8, "", (), PROTOCOLS),
    "nfproto": Field("nfproto", 8, "", (), {"ipv4": 2, "ipv6": 10}),
    "protocol": Field("ethertype", 16, "", (), {"ip": 0x800, "ip6": 0x86DD, "arp": 0x806, "vlan": 0x8100}),
    "ip ttl": Field("ttl", 8, "ip"),
    "ip6 hoplimit": Field("ttl", 8, "ip6"),
    "ip dscp": Field("dscp", 6, "ip", (), DSCP),
    "ip6 dscp": Field("dscp", 6, "ip6", (), DSCP),
    "ip ecn": Field("ecn", 2, "ip", (), {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}),
    "ip6 ecn": Field("ecn", 2, "ip6", (), {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}),
    "ip version": Field("version", 4, "ip"),
    "ip6 version": Field("version", 4, "ip6"),
    "ip hdrlength": Field("hdrlength", 4, "ip"),
    "ip frag-off": Field("frag-off", 16, "ip"),
    "tcp flags": Field("tcp flags", 8, "", (6,), TCP_FLAGS),
    "icmp type": Field("icmp type", 8, "", (1,), ICMP_TYPES),
    "icmp code": Field("icmp code", 8, "", (1,)),
    "icmpv6 type": Field("icmp type", 8, "", (58,), ICMPV6_TYPES),
    "icmpv6 code": Field("icmp code", 8, "", (58,)),
    "iifname": Field("iifname", 0),
    "oifname": Field("oifname", 0),
    "iifgroup": Field("iifgroup", 32, "", (), {"default": 0}),
    "oifgroup": Field("oifgroup", 32, "", (), {"default": 0}),
    "iifkind": Field("iifkind", 0),
    "oifkind": Field("oifkind", 0),
    "mark": Field("mark", 32),
    "pkttype": Field("pkttype", 8, "", (), PACKET_TYPES),
    "ct state": Field("ct state", 32, "", (), CT_STATES),
    "ct status": Field("ct status", 32, "", (), CT_STATUS),
    "ct direction": Field("ct direction", 8, "", (), {"original": 0, "reply": 1}),
    "ct mark": Field("ct mark", 32),
    "ct zone": Field("ct zone", 16),
    "ct l3proto": Field("nfproto", 8, "", (), {"ipv4": 2, "ipv6": 10}),
    "ct protocol": Field("l4proto", 8, "", (), PROTOCOLS),
    "ct original ip saddr": Field("ct saddr", 32, "ip"),
    "ct original ip daddr": Field("ct daddr", 32, "ip"),
    "ct original ip6 saddr": Field("ct saddr", 128, "ip6"),
    "ct original ip6 daddr": Field("ct daddr", 128, "ip6"),
    "ct original proto-src": Field("ct sport", 16),
    "ct original proto-dst": Field("ct dport", 16),
    # the type of an address as the routes see it: any device's, or of one device alone
    "fib daddr type": Field("fib daddr", 8, "", (), ADDRESS_TYPES),
    "fib saddr type": Field("fib saddr", 8, "", (), ADDRESS_TYPES),
    "fib daddr iif type": Field("fib daddr iif", 8, "", (), ADDRESS_TYPES),
    "fib saddr iif type": Field("fib saddr iif", 8, "", (), ADDRESS_TYPES),
    # 1 where the route back to the source leaves by the interface the packet came in by, else 0
    "reverse path": Field("reverse path", 1, "", (), {"missing": 0, "exists": 1}),
    **{name: field for one in (*PORTED, "th") for name, field in _ports(one).items()},
}


def symbol(field: Field, word: str) -> int | None:
    """Return the number behind a word that nft prints for a value of this field."""
    if field.symbols is not None and word in field.symbols:
        return field.symbols[word]
    return None


def whole(field: Field) -> Span:
    """Return the span that every value of a field falls into."""
    return "*" if field.width == 0 else (0, (1 << field.width) - 1)
