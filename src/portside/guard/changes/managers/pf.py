"""The same wishes as pf rules, for one anchor of ours (FreeBSD, OpenBSD, macOS); read back, and judged as pf would.

    anchor "portside"      must stand in /etc/pf.conf once; `pfctl -a portside -f -` then replaces our rules at once

pf asks the last rule that matches, unless one says `quick`: the opposite of nftables.  Every rule of ours is quick,
and stands in the order in which it shall count: exceptions, then what is closed.  Blocked addresses are a table.
Rendering, reading back and judging are pure and tested; none of it was run on a BSD here.
Reference: pf.conf(5), pfctl(8) of FreeBSD 14 and OpenBSD 7.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.guard.changes.wish import BLOCK, CLOSE, OPEN, REDIRECT, Network, Wish, parse_network
from portside.ports.number import Range
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ANCHOR = "portside"
LOAD = ("pfctl", "-q", "-a", ANCHOR, "-f", "-")


class PfRule(Record):
    """One filter rule: pass or block; empty and None stand for everything."""

    action: str
    quick: bool = False
    interface: str = ""
    family: str = ""
    protocol: str = ""
    source: Network | None = None
    table: str = ""
    ports: Range | None = None
    direction: str = "in"
    log: bool = False
    label: str = ""

    def matches(self, packet: Packet, tables: dict[str, tuple[Network, ...]]) -> bool:
        """Whether the rule is for a packet."""
        wanted = "inet6" if packet.source.version == 6 else "inet"
        sources = tables.get(self.table, ()) if self.table else (self.source,) if self.source else None
        return (
            self.direction in ("", "in")
            and self.interface in ("", packet.interface)
            and self.family in ("", wanted)
            and self.protocol in ("", packet.protocol)
            and (self.ports is None or packet.port in self.ports)
            and (sources is None or any(source.overlaps(packet.source) for source in sources))
        )


class Packet(Record):
    """A new connection that comes in: from one address, by an interface, to a port."""

    source: Network
    protocol: str
    port: int
    interface: str = "em0"


def anchor(changes: Sequence[tuple[int, Wish]]) -> str:
    """Return the anchor's rules: translations first, as pf.conf(5) orders them, then filters."""
    lines = []
    blocked = [address for _, wish in changes if wish.verb == BLOCK for address in wish.addresses]
    if blocked:
        lines.append(f"table <portside_blocked> {{ {', '.join(blocked)} }}\n")
    lines += [line for number, wish in changes if wish.verb == REDIRECT for line in _redirects(number, wish)]
    if blocked:
        lines.append("block drop in quick from <portside_blocked> to any\n")
    for verb, action in ((OPEN, "pass"), (CLOSE, "block drop")):
        for number, wish in changes:
            if wish.verb == verb:
                lines += _filters(number, wish, action)
    return "".join(lines)


def _filters(number: int, wish: Wish, action: str) -> Iterator[str]:
    log = " log" if wish.log else ""
    on = f" on {wish.interface}" if wish.interface else ""
    keep = ""
    if wish.rate is not None:
        seconds = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[wish.rate.per]
        keep = f" keep state (max-src-conn-rate {wish.rate.count}/{seconds})"
    for protocol, ports, source in _each(wish):
        where = f"proto {protocol} from {source} to any port {ports}"
        yield f'{action} in{log} quick{on} {where}{keep} label "portside:{number}"\n'


def _redirects(number: int, wish: Wish) -> Iterator[str]:
    assert wish.target is not None
    del number  # pf labels filter rules alone
    on = f" on {wish.interface}" if wish.interface else ""
    to = f"{wish.target.address or '127.0.0.1'} port {wish.target.port}"
    for protocol, ports, source in _each(wish):
        yield f"rdr pass{on} proto {protocol} from {source} to any port {ports} -> {to}\n"


def _each(wish: Wish) -> Iterator[tuple[str, str, str]]:
    for protocol, ranges in wish.by_protocol().items():
        for ports in ranges:
            for source in [str(one) for one in wish.sources] or ["any"]:
                yield protocol, str(ports).replace("-", ":"), source


def parse(text: str) -> tuple[list[PfRule], dict[str, tuple[Network, ...]]]:
    """Return the filter rules and tables of an anchor, as written by `anchor` or shown by `pfctl -a portside -sr`.

    Raises BadReply for what is not understood: a guess at a filter rule would be a wrong verdict.
    """
    rules, tables = [], {}
    for line in text.splitlines():
        words = line.replace("{", " ").replace("}", " ").replace(",", " ").split()
        if not words or words[0].startswith("#") or words[0] in ("rdr", "nat", "no"):
            continue
        if words[0] == "table":
            tables[words[1].strip("<>")] = tuple(
                parse_network(word) for word in words[2:] if word != "persist"
            )
        else:
            rules.append(_rule(words, line))
    return rules, tables


def _rule(words: list[str], line: str) -> PfRule:
    rule = PfRule(words[0], direction="")
    rest = iter(words[1:])
    for word in rest:
        if word in ("in", "out"):
            rule = rule.replace(direction=word)
        elif word in ("quick", "log"):
            rule = rule.replace(**{word: True})
        elif word in ("inet", "inet6"):
            rule = rule.replace(family=word)
        elif word == "on":
            rule = rule.replace(interface=next(rest))
        elif word == "proto":
            rule = rule.replace(protocol=next(rest))
        elif word == "from":
            rule = _from(rule, next(rest))
        elif word == "port":
            rule = rule.replace(ports=_ports(next(rest), rest))
        elif word == "label":
            rule = rule.replace(label=next(rest).strip('"'))
        elif _says_nothing(word):
            continue
        else:
            raise BadReply("read pf rule", f"'{line.strip()[:120]}'", f"'{word}' is not understood")
    if rule.action not in ("pass", "block"):
        raise BadReply("read pf rule", f"'{line.strip()[:120]}'", f"no action is called '{rule.action}'")
    return rule


def _says_nothing(word: str) -> bool:
    """Whether a word leaves open who is meant: anybody, or how state is kept."""
    known = word in ("all", "drop", "to", "any", "keep", "state", "flags", "S/SA")
    return known or word.startswith(("(", "max-")) or word.rstrip(")").replace("/", "").isdigit()


def _from(rule: PfRule, word: str) -> PfRule:
    if word == "any":
        return rule
    return (
        rule.replace(table=word.strip("<>"))
        if word.startswith("<")
        else rule.replace(source=parse_network(word))
    )


def _ports(word: str, rest: Iterator[str]) -> Range:
    if word == "=":  # as pfctl shows a single one
        word = next(rest)
    first, _, last = word.partition(":")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise BadReply("read pf rule", f"'port {word}'", "no number or range of ports")
    return Range(int(first), int(last or first))


def verdict(packet: Packet, rules: Iterable[PfRule], tables: dict[str, tuple[Network, ...]]) -> str:
    """Return what pf does with a packet: the last rule that matches decides, or the first quick one; else pass."""
    decided = "pass"
    for rule in rules:
        if rule.matches(packet, tables):
            decided = rule.action
            if rule.quick:
                break
    return decided
