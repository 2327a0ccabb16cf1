"""The port rules in force, from every owner, as rows: what `portside rules` lists.

A rule is listed where it speaks of ports and does something.  Its owner is told from the names that tools give their
tables and chains; a name of nobody's is the table's own.  Counters are those of the rule, where it has one.
"""

from __future__ import annotations

from portside.guard.environment import IPV4
from portside.guard.fields import FIELDS, PROTOCOLS
from portside.guard.model import Match, Nat, Unknown, Verdict, VerdictMap
from portside.guard.words import networks
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.model import Chain, Rule, Ruleset, Span, Table

# (start of a chain's name, start of a table's name, whose)
_OWNERS = (
    ("ufw", "", "ufw"), ("DOCKER", "", "docker"), ("", "docker-", "docker"), ("KUBE-", "", "kube-proxy"),
    ("", "kube-proxy", "kube-proxy"), ("LIBVIRT_", "", "libvirt"), ("", "libvirt_network", "libvirt"),
    ("", "firewalld", "firewalld"), ("f2b-", "", "fail2ban"), ("", "f2b-", "fail2ban"), ("", "portside", "portside"),
    ("NETAVARK", "", "podman"), ("", "netavark", "podman"), ("CNI-", "", "cni"), ("cali-", "", "calico"),
    ("ts-", "", "tailscale"), ("", "crowdsec", "crowdsec"), ("", "fw4", "openwrt"), ("miniupnpd", "", "miniupnpd"),
    ("MINIUPNPD", "", "miniupnpd"), ("", "lxc", "lxc"), ("", "incus", "incus"), ("", "nixos-fw", "nixos"),
)  # fmt: skip
_WIDE = 65535


class PortRule(Record):
    """One rule that speaks of ports, in words; `packets` and `bytes` are `None` where it does not count.

    `hooks` are those from which its chain is come to.  `place` counts rules within the chain from 1.
    """

    owner: str
    family: str
    hooks: tuple[str, ...]
    protocol: str
    ports: str
    sources: str
    interface: str
    action: str
    packets: int | None
    bytes: int | None
    table: str
    chain: str
    handle: int
    place: int
    rule: str
    comment: str


def port_rules(ruleset: Ruleset) -> Iterator[PortRule]:
    """Yield the port rules of every table."""
    for table in ruleset.tables:
        hooks = _hooks(table)
        for chain in table.chains:
            for place, rule in enumerate(chain.rules, 1):
                ports = _values(rule, "dport")
                action = _action(rule)
                if ports and action:
                    yield _row(table, chain, rule, place, hooks.get(chain.name, ()), ports, action)


def _row(
    table: Table, chain: Chain, rule: Rule, place: int, hooks: tuple[str, ...], ports: str, action: str
) -> PortRule:
    limits = [one.what for one in rule.statements if isinstance(one, Unknown) and not one.effect]
    return PortRule(
        owner(table, chain), table.family, hooks, _protocol(rule), ports, _values(rule, "saddr"),
        _values(rule, "iifname"), action + (f" if {', '.join(limits)}" if limits else ""), rule.packets, rule.bytes,
        str(table), chain.name, rule.handle, place, rule.text, rule.comment,
    )  # fmt: skip


def owner(table: Table, chain: Chain) -> str:
    """Return whose a chain is: a tool's name, else iptables, iptables-legacy, or the name of nft's table."""
    for of_chain, of_table, name in _OWNERS:
        if (of_chain and chain.name.startswith(of_chain)) or (of_table and table.name.startswith(of_table)):
            return name
    return table.origin if table.origin != "nft" else f"nft {table.name}"


def _hooks(table: Table) -> dict[str, tuple[str, ...]]:
    """Return chain -> the hooks it is come to from, by jumps."""
    found: dict[str, set[str]] = {}
    for base in table.chains:
        todo = [base.name] if base.hook else []
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            found.setdefault(name, set()).add(base.hook)
            chain = table.chain(name)
            todo += _jumps(chain) if chain is not None else []
    return {name: tuple(sorted(hooks)) for name, hooks in found.items()}


def _jumps(chain: Chain) -> list[str]:
    verdicts = [
        verdict
        for rule in chain.rules
        for one in rule.statements
        for verdict in (
            [one]
            if isinstance(one, Verdict)
            else [verdict for _, verdict in one.entries]
            if isinstance(one, VerdictMap)
            else []
        )
    ]
    return [verdict.target for verdict in verdicts if verdict.target]


def _protocol(rule: Rule) -> str:
    found: list[str] = []
    for one in rule.statements:
        for key in one.keys if isinstance(one, Match | VerdictMap | Nat) else ():
            field = FIELDS[key.field]
            if field.protocols and field.base == "dport":
                found.append(key.field.split()[0])
        if (
            isinstance(one, Match)
            and [FIELDS[key.field].base for key in one.keys] == ["l4proto"]
            and not one.negated
        ):
            numbers = {number: word for word, number in PROTOCOLS.items() if word in ("tcp", "udp", "sctp")}
            found += [
                numbers[span[0]] for (span,) in one.boxes if not isinstance(span, str) and span[0] in numbers
            ]
    return ",".join(dict.fromkeys(found)) or "any"


def _values(rule: Rule, base: str) -> str:
    """Return what a rule asks of a field, in words; empty where it asks nothing."""
    parts = []
    for one in rule.statements:
        if not isinstance(one, Match | VerdictMap | Nat):
            continue
        bases = [FIELDS[key.field].base for key in one.keys]
        if base not in bases:
            continue
        at = bases.index(base)
        if isinstance(one, Match):
            boxes = [*one.boxes, *one.timed]
        else:
            boxes = [entry[0] for entry in (one.entries if isinstance(one, VerdictMap) else one.choices)]
        if isinstance(one, Match) and one.name and len(boxes) > 3:
            parts.append(f"{'!' if one.negated else ''}{one.name} ({len(boxes):,})")
            continue
        family = FIELDS[one.keys[at].field].family or IPV4
        words = ",".join(dict.fromkeys(_word(box[at], base, family) for box in boxes))
        parts.append(("!" if isinstance(one, Match) and one.negated else "") + words)
    return " ".join(parts)


def _word(span: Span, base: str, family: str) -> str:
    if isinstance(span, str):
        return span
    low, high = span
    if base == "saddr":
        found = list(networks(family, ((low, high),)))
        return found[0] if len(found) == 1 else f"{found[0]}..."
    if low == 0 and high == _WIDE:
        return "any"
    return str(low) if low == high else f"{low}-{high}"


def _action(rule: Rule) -> str:
    """Return what a rule does, empty where it only counts or logs."""
    for one in rule.statements:
        if isinstance(one, Verdict):
            return f"{one.kind} {one.target}".rstrip()
        if isinstance(one, VerdictMap):
            return "by map: " + ", ".join(
                dict.fromkeys(f"{v.kind} {v.target}".rstrip() for _, v in one.entries)
            )
        if isinstance(one, Nat):
            return _target(one)
        if isinstance(one, Unknown) and one.effect:
            return one.what
    return ""


def _target(nat: Nat) -> str:
    if nat.choices:
        return f"{nat.kind} by map"
    family = "ip6" if nat.family == "ip6" or (nat.address and nat.address[0] >> 32) else "ip"
    where = next(networks(family, (nat.address,))) if nat.address else ""
    port = f":{_word(nat.port, 'dport', family)}" if nat.port else ""
    return f"{nat.kind} to {where}{port}" if where or port else nat.kind
