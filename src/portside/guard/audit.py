"""What deserves attention on a host, from its listeners and its rules: `portside reach --audit`.

Each remark names the fact and why it matters; nothing is said of what is as it should be.  The items are those that
incidents are made of (services bound wide open, IPv6 forgotten, published containers past the host's firewall) and
the listener items of the CIS benchmarks.
"""

from __future__ import annotations

from portside.guard import path
from portside.guard.model import Verdict
from portside.guard.rules import owner, port_rules
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.listeners import Answer
    from portside.guard.model import Chain
    from portside.guard.reach import Judge, Reachability

# services that are for their own host or network, by port
_INNER = {
    3306: "MySQL", 5432: "PostgreSQL", 6379: "Redis", 27017: "MongoDB", 9200: "Elasticsearch", 11211: "memcached",
    2375: "the Docker API", 2379: "etcd", 5984: "CouchDB", 8086: "InfluxDB", 9000: "a debugger or PHP-FPM",
    111: "the port mapper", 2049: "NFS", 139: "SMB", 445: "SMB", 5900: "VNC", 631: "CUPS", 10250: "the kubelet",
    1433: "SQL Server", 1521: "Oracle", 5672: "RabbitMQ", 15672: "RabbitMQ", 9092: "Kafka", 25: "SMTP", 23: "telnet",
}  # fmt: skip


class Remark(Record):
    """One thing that deserves attention: its kind, what it is, and why."""

    kind: str
    what: str
    why: str


def audit(judge: Judge, answers: list[Answer]) -> Iterator[Remark]:
    """Yield the remarks on a host; `answers` are those of its open ports."""
    if judge.ruleset.unread:
        return
    yield from _wide(answers)
    yield from _families(answers)
    yield from _published(answers)
    yield from _without_rule(judge, answers)
    yield from _unused(judge, answers)
    yield from _back_ends(judge)
    yield from _overruled(judge)


def _name(one: Answer) -> str:
    holder = one.row.holders[0].process.name if one.row and one.row.holders else "?"
    return f"{one.listener.port}/{one.listener.protocol} ({holder})"


def _wide(answers: list[Answer]) -> Iterator[Remark]:
    for one in answers:
        inner = _INNER.get(one.listener.port)
        if one.reachability.verdict == "anyone" and inner:
            yield Remark(
                "reachable from everywhere", f"{_name(one)} is {inner}, by {one.reachability.because}",
                "bind it to 127.0.0.1 or the inner network, or let only those who need it through",
            )  # fmt: skip


def _yes(found: Reachability, family: str) -> int:
    return sum(
        high - low + 1
        for piece in found.pieces
        if piece.verdict == "yes" and piece.family == family
        for low, high in piece.sources
    )


def _families(answers: list[Answer]) -> Iterator[Remark]:
    for one in answers:
        families = {bound.family for bound in one.listener.bounds}
        if families == {"ip", "ip6"} and _yes(one.reachability, "ip6") and not _yes(one.reachability, "ip"):
            yield Remark(
                "open on IPv6, closed on IPv4",
                _name(one),
                "the rules of one family were forgotten: say it in both",
            )


def _published(answers: list[Answer]) -> Iterator[Remark]:
    for one in answers:
        for piece in one.reachability.pieces:
            if piece.verdict == "yes" and " by '" in piece.goes_to:
                yield Remark(
                    "published past the input chain", f"{_name(one)} goes to {piece.goes_to}",
                    "rules for input do not see it: it is judged in forward (for Docker: the chain DOCKER-USER)",
                )  # fmt: skip
                break


def _without_rule(judge: Judge, answers: list[Answer]) -> Iterator[Remark]:
    """CIS: every open port has a rule of its own, and the default is to deny."""
    for one in answers:
        because = one.reachability.because
        decided_by_default = because.rule in ("policy accept", "no rule stops it")
        if one.reachability.verdict == "anyone" and decided_by_default and not judge.ruleset.empty:
            yield Remark("listener without a rule", f"{_name(one)}: {because}", "the default lets it through")


def _unused(judge: Judge, answers: list[Answer]) -> Iterator[Remark]:
    listening = {(one.listener.protocol, one.listener.port) for one in answers}
    told = set()
    for rule in port_rules(judge.ruleset):
        if "input" not in rule.hooks or rule.action != "accept" or rule.interface == "lo":
            continue
        for word in rule.ports.split(","):
            if not word.isdecimal():
                continue
            protocols = rule.protocol.split(",") if rule.protocol != "any" else ["tcp", "udp"]
            if not any((protocol, int(word)) in listening for protocol in protocols) and word not in told:
                told.add(word)
                yield Remark(
                    "opened, and nothing listens", f"{word}/{rule.protocol}: {rule.table} {rule.chain}: {rule.rule}",
                    "whatever binds it next is open to the same sources",
                )  # fmt: skip


def _back_ends(judge: Judge) -> Iterator[Remark]:
    origins = {
        table.origin
        for table, chain in judge.ruleset.chains()
        if chain.hook and (chain.rules or chain.policy == "drop")
    }
    if "iptables-legacy" in origins and len(origins) > 1:
        yield Remark(
            "rules in two back ends", "iptables-legacy and nftables both have rules",
            "each tool shows its own alone, and a packet has to pass both",
        )  # fmt: skip


def _overruled(judge: Judge) -> Iterator[Remark]:
    """An accept ends its base chain alone: a later base chain that drops undoes it."""
    for family in ("ip", "ip6"):
        for hook in ("input", "forward"):
            chains = path.base_chains(judge.ruleset, family, hook)
            for at, (table, chain) in enumerate(chains):
                later = [one for one in chains[at + 1 :] if _may_drop(one[1])]
                if later and _accepts(chain):
                    other = later[0]
                    yield Remark(
                        "accept that may be overruled",
                        f"{family} {hook}: {table} {chain.name} ({owner(table, chain)}) runs before {other[0]} "
                        f"{other[1].name} ({owner(*other)}), which drops",
                        "what the first accepts the second may still drop",
                    )
                    break


def _accepts(chain: Chain) -> bool:
    return any(
        isinstance(one, Verdict) and one.kind in ("accept", "jump")
        for rule in chain.rules
        for one in rule.statements
    )


def _may_drop(chain: Chain) -> bool:
    return chain.policy == "drop" or any(
        isinstance(one, Verdict) and one.kind in ("drop", "reject")
        for rule in chain.rules
        for one in rule.statements
    )
