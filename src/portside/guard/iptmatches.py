"""The matches of iptables rules as tests (iptables-extensions(8), MATCH EXTENSIONS).

One function for each module turns its options into tests; what a module asks that no packet tells, and any module or
option not known here, is an open question.
"""

from __future__ import annotations

import time

from portside.guard.fields import (
    ADDRESS_TYPES,
    CT_STATES,
    CT_STATUS,
    FIELDS,
    ICMP_TYPES,
    ICMPV6_TYPES,
    PACKET_TYPES,
    PROTOCOLS,
    TCP_FLAGS,
)
from portside.guard.model import Key, Match, Note, Unknown
from portside.guard.nftvalues import Unreadable, address
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portside.guard.ipset import IpSet

    Made = Match | Unknown | Note
    Maker = Callable[["Option", str], Made]


class Option(Record):
    """One option of a rule: its module (empty: iptables' own, `-j`: the target's), name, negation, values."""

    module: str
    name: str
    negated: bool
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """The option as it was written."""
        return " ".join(filter(None, ("!" if self.negated else "", self.name, *self.values)))


ANY_PORT = (0, 65535)
# module -> the kind of open question it is, whatever its options
_OPEN = {
    "limit": "limit", "hashlimit": "limit", "connlimit": "limit", "connbytes": "limit", "quota": "limit",
    "rateest": "limit", "recent": "limit", "statistic": "random", "time": "time", "string": "content",
    "u32": "content", "bpf": "content", "length": "content", "tos": "content", "ecn": "content", "osf": "content",
    "tcpmss": "content", "ipv6header": "content", "ah": "content", "esp": "content", "mac": "link",
    "physdev": "link", "owner": "program", "socket": "program", "cgroup": "program", "helper": "state",
    "policy": "state", "realm": "state", "cluster": "random", "cpu": "random", "ipvs": "state",
    "nfacct": "", "comment": "", "eui64": "content", "connlabel": "state", "condition": "state", "geoip": "content",
}  # fmt: skip
_ABSENT = {
    "rt",
    "frag",
    "hbh",
    "dst",
    "mh",
    "srh",
}  # extension headers: no packet of a plain connection has one
_PORTED = {"tcp", "udp", "sctp", "dccp", "udplite"}


def matches(options: list[Option], family: str, sets: Mapping[str, IpSet]) -> list[Made]:
    """Return the tests of a rule's options, in order."""
    made: list[Made] = []
    asked: dict[str, list[Option]] = {}  # open modules: one question for all of a module's options
    notes = any(one.module == "recent" and one.name == "--set" for one in options)
    for option in options:
        module = option.module
        if module == "-j" or option.name in ("-j", "-g"):
            continue
        if option.name == "-m":
            made += _module(module, alone=all(one.module != module or one is option for one in options))
            continue
        if module == "recent" and option.name == "--set":
            made.append(Match((), ((),), option.negated))  # it puts the source into the list, and passes
        elif notes and module == "recent":
            continue
        elif _OPEN.get(module):
            asked.setdefault(module, []).append(option)
        elif module == "set":
            made += _sets(option, family, sets)
        elif module not in _ABSENT and _OPEN.get(module) != "":
            made += _one(option, family)
    for module, several in asked.items():
        if several:
            words = " ".join(option.text for option in several)
            kind = _OPEN[module]
            if module == "time" and _is_over(several):
                made.append(Match((Key("nfproto"),), ()))
                continue
            made.append(Unknown(f"{module} {words}", kind, kind == "time"))
    return made


def _is_over(options: list[Option]) -> bool:
    """Whether the last day of a time is past; iptables-save tells it whole and in UTC."""
    ends = [one.values[0] for one in options if one.name == "--datestop" and not one.negated and one.values]
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    return any(len(end) == len(now) and end < now for end in ends) and not any(
        one.name == "--kerneltz" for one in options
    )


def _module(module: str, *, alone: bool) -> list[Made]:
    """Return what a module asks by its name; `alone`: none of its options are given."""
    if module in _ABSENT:
        return [Match((Key("nfproto"),), ())]
    if not alone or module in _SILENT or _OPEN.get(module) == "":
        return []
    if module == "rpfilter":
        return [fits("reverse path", (1, 1))]
    return [Unknown(module, _OPEN.get(module, "unreadable"))]


def _one(option: Option, family: str) -> list[Made]:
    maker = _MAKERS.get((option.module, option.name)) or _MAKERS.get(("", option.name))
    if option.module in _PORTED and option.name in _PORT_OPTIONS:
        maker = _ports
    if option.module == "conntrack":
        maker = _CONNTRACK.get(option.name)
    if option.name in _QUIET:
        return []
    try:
        if maker is not None:
            return [maker(option, family)]
    except (ValueError, IndexError, KeyError, Unreadable):
        pass
    return [Unknown(f"{option.module} {option.text}".strip(), "unreadable")]


_SILENT = {*_PORTED, "icmp", "icmp6"}  # they ask nothing without an option
_QUIET = {"--syn-option", "--return-nomatch"}
_PORT_OPTIONS = {
    "--sport": "sport",
    "--dport": "dport",
    "--source-port": "sport",
    "--destination-port": "dport",
}


def fits(field: str, *spans: tuple[int, int] | str, negated: bool = False, mask: int = 0) -> Match:
    """Return the test of one field against spans."""
    return Match((Key(field, mask),), tuple((one,) for one in spans), negated)


def _ports(option: Option, family: str) -> Match:
    field = f"{option.module} {_PORT_OPTIONS[option.name]}"
    return fits(field, ports(option.values[0]), negated=option.negated)


def ports(text: str) -> tuple[int, int]:
    """Return the span of `22` or `1000:2000`, either end of which may be left out."""
    low, colon, high = text.partition(":")
    first = int(low or 0)
    return first, int(high or 65535) if colon else first


def network(text: str, width: int) -> tuple[tuple[int, int], int]:
    """Return (span, mask) of an address with a mask of either form; mask 0 where the span says it all."""
    where, _, length = text.partition("/")
    value = address(where)
    if not length:
        return (value, value), 0
    if length.isdecimal():
        rest = (1 << width - int(length)) - 1
        return (value & ~rest, value | rest), 0
    mask = address(length)
    return (value & mask, value & mask), mask


def _address(side: str) -> Maker:
    def make(option: Option, family: str) -> Match:
        field = f"{family} {side}"
        span, mask = network(option.values[0], FIELDS[field].width)
        return fits(field, span, negated=option.negated, mask=mask)

    return make


def _interface(field: str) -> Maker:
    def make(option: Option, family: str) -> Match:
        name = option.values[0]
        return fits(field, name[:-1] + "*" if name.endswith("+") else name, negated=option.negated)

    return make


def protocol_number(text: str) -> int:
    """Return the number of a protocol's name."""
    return int(text) if text.isdecimal() else PROTOCOLS[text.lower()]


def _protocol(option: Option, family: str) -> Match:
    if option.values[0] == "all":
        return Match((), ((),))
    number = protocol_number(option.values[0])
    return fits("l4proto", (number, number), negated=option.negated)


def _fragment(option: Option, family: str) -> Match:
    return Match((), ((),) if option.negated else ())  # a new connection starts with no fragment


def _tcp_flags(option: Option, family: str) -> Match:
    mask, wanted = (_flags(text) for text in option.values)
    return fits("tcp flags", (wanted, wanted), negated=option.negated, mask=mask)


def _flags(text: str) -> int:
    if text == "NONE":
        return 0
    return 0x3F if text == "ALL" else sum(TCP_FLAGS[flag.lower()] for flag in text.split(","))


def _syn(option: Option, family: str) -> Match:
    return fits("tcp flags", (2, 2), negated=option.negated, mask=0x17)


def _multiport(option: Option, family: str) -> Match:
    spans = [ports(part) for part in option.values[0].split(",")]
    if option.name == "--ports":
        boxes = tuple(box for one in spans for box in ((one, ANY_PORT), (ANY_PORT, one)))
        return Match((Key("th sport"), Key("th dport")), boxes, option.negated)
    side = "sport" if option.name in ("--sports", "--source-ports") else "dport"
    return fits(f"th {side}", *spans, negated=option.negated)


def _state(option: Option, family: str) -> Match:
    """SNAT and DNAT are asked for among the states, and are states of the translation (xt_conntrack.c)."""
    words = option.values[0].split(",")
    states = sum(CT_STATES[word.lower()] for word in words if word not in ("SNAT", "DNAT"))
    status = sum(CT_STATUS[word.lower()] for word in words if word in ("SNAT", "DNAT"))
    some, any_ = (1, 0xFFFFFFFF), (0, 0xFFFFFFFF)
    if not status:
        return fits("ct state", some, negated=option.negated, mask=states)
    boxes = ((some, any_), (any_, some)) if states else ((any_, some),)
    return Match((Key("ct state", states or 1), Key("ct status", status)), boxes, option.negated)


def _ct_status(option: Option, family: str) -> Match:
    if option.values[0] == "NONE":
        raise ValueError
    bits = sum(CT_STATUS[word.lower().replace("_", "-")] for word in option.values[0].split(","))
    return fits("ct status", (1, 0xFFFFFFFF), negated=option.negated, mask=bits)


def _ct_direction(option: Option, family: str) -> Match:
    number = ("ORIGINAL", "REPLY").index(option.values[0])
    return fits("ct direction", (number, number), negated=option.negated)


def _ct_address(side: str) -> Maker:
    def make(option: Option, family: str) -> Match:
        field = f"ct original {family} {side}"
        span, mask = network(option.values[0], FIELDS[field].width)
        return fits(field, span, negated=option.negated, mask=mask)

    return make


def _ct_port(field: str) -> Maker:
    return lambda option, family: fits(field, ports(option.values[0]), negated=option.negated)


def _mark(field: str) -> Maker:
    def make(option: Option, family: str) -> Match:
        value, slash, mask = option.values[0].partition("/")
        number = int(value, 0)
        return fits(field, (number, number), negated=option.negated, mask=int(mask, 0) if slash else 0)

    return make


def _range(side: str) -> Maker:
    def make(option: Option, family: str) -> Match:
        low, _, high = option.values[0].partition("-")
        span = (address(low), address(high or low))
        return fits(f"{family} {side}", span, negated=option.negated)

    return make


def _address_type(side: str) -> Maker:
    def make(option: Option, family: str) -> Match:
        numbers = [ADDRESS_TYPES[word.lower()] for word in option.values[0].split(",")]
        return fits(f"fib {side} type", *((n, n) for n in numbers), negated=option.negated)

    return make


def _packet_type(option: Option, family: str) -> Match:
    number = PACKET_TYPES[option.values[0].lower()]
    return fits("pkttype", (number, number), negated=option.negated)


def _icmp(option: Option, family: str) -> Match:
    text, _, code = option.values[0].partition("/")
    names = ICMP_TYPES if option.module == "icmp" else ICMPV6_TYPES
    field = "icmp type" if option.module == "icmp" else "icmpv6 type"
    if text in ("any", "255"):
        return fits(field, (0, 255))
    number = int(text) if text.isdecimal() else names[text]
    keys = [Key(field)]
    box = [(number, number)]
    if code:
        keys.append(Key(field.replace("type", "code")))
        box.append((int(code), int(code)))
    return Match(tuple(keys), (tuple(box),), option.negated)


def _ttl(option: Option, family: str) -> Match:
    number = int(option.values[0])
    span = {"eq": (number, number), "lt": (0, number - 1), "gt": (number + 1, 255)}[option.name[-2:]]
    return fits("ip ttl" if family == "ip" else "ip6 hoplimit", span, negated=option.negated)


def _dscp(option: Option, family: str) -> Match:
    number = int(option.values[0], 0)
    return fits(f"{family} dscp", (number, number), negated=option.negated)


def _reverse_path(option: Option, family: str) -> Match:
    if option.name != "--invert":
        raise ValueError  # --loose and its kin: another question than the one we answer
    return fits("reverse path", (0, 0))


def _group(field: str) -> Maker:
    def made(option: Option, family: str) -> Made:
        number = 0 if option.values[0] == "default" else int(option.values[0], 0)  # /etc/iproute2/group
        return fits(field, (number, number), negated=option.negated)

    return made


def _sets(option: Option, family: str, sets: Mapping[str, IpSet]) -> list[Made]:
    if option.name in ("--return-nomatch",):
        return []
    if option.name != "--match-set" or option.values[0] not in sets:
        return [Unknown(f"set {option.text}", "unreadable")]
    return [sets[option.values[0]].test(option.values[1].split(","), family, option.negated)]


_MAKERS: dict[tuple[str, str], Maker] = {
    ("", "-s"): _address("saddr"),
    ("", "-d"): _address("daddr"),
    ("", "-i"): _interface("iifname"),
    ("", "-o"): _interface("oifname"),
    ("", "-p"): _protocol,
    ("", "-f"): _fragment,
    ("tcp", "--tcp-flags"): _tcp_flags,
    ("tcp", "--syn"): _syn,
    ("multiport", "--ports"): _multiport,
    ("multiport", "--sports"): _multiport,
    ("multiport", "--dports"): _multiport,
    ("state", "--state"): _state,
    ("mark", "--mark"): _mark("mark"),
    ("connmark", "--mark"): _mark("ct mark"),
    ("iprange", "--src-range"): _range("saddr"),
    ("iprange", "--dst-range"): _range("daddr"),
    ("addrtype", "--src-type"): _address_type("saddr"),
    ("addrtype", "--dst-type"): _address_type("daddr"),
    ("pkttype", "--pkt-type"): _packet_type,
    ("icmp", "--icmp-type"): _icmp,
    ("icmp6", "--icmpv6-type"): _icmp,
    ("dscp", "--dscp"): _dscp,
    ("rpfilter", "--invert"): _reverse_path,
    ("devgroup", "--src-group"): _group("iifgroup"),
    ("devgroup", "--dst-group"): _group("oifgroup"),
    **{("ttl", f"--ttl-{op}"): _ttl for op in ("eq", "lt", "gt")},
    **{("hl", f"--hl-{op}"): _ttl for op in ("eq", "lt", "gt")},
}
_CONNTRACK: dict[str, Maker] = {
    "--ctstate": _state,
    "--ctstatus": _ct_status,
    "--ctdir": _ct_direction,
    "--ctproto": _protocol,
    "--ctorigsrc": _ct_address("saddr"),
    "--ctorigdst": _ct_address("daddr"),
    "--ctorigsrcport": _ct_port("ct original proto-src"),
    "--ctorigdstport": _ct_port("ct original proto-dst"),
}
