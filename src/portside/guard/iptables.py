"""Tables from the text of iptables-save and ip6tables-save (either back end), and their rules by place.

A line is `[packets:bytes] -A CHAIN matches -j TARGET options`; each match's options follow its `-m`.  What is not
known here becomes an open question in its place.  Reference: iptables-save(8), iptables-extensions(8).
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.guard.iptmatches import Option, matches
from portside.guard.ipttargets import target
from portside.guard.model import Chain, Rule, Table
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portside.guard.ipset import IpSet

# table -> (chain type, built-in chain -> (hook, priority)); include/uapi/linux/netfilter_ipv4.h
_HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output"}
_HOOKS |= {"POSTROUTING": "postrouting"}
_PRIORITY = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT_PRIORITY = {"PREROUTING": -100, "OUTPUT": -100, "INPUT": 100, "POSTROUTING": 100}


# -p brings a match of its own, which a save names and a person may leave out
_IMPLIED = {"ipv6-icmp": "icmp6", "icmpv6": "icmp6"}


class Word(Record):
    """One word of a rule; a quoted one is never an option."""

    text: str
    quoted: bool = False

    @property
    def option(self) -> bool:
        """Whether the word starts an option."""
        return not self.quoted and self.text.startswith("-") and len(self.text) > 1


def from_save(
    text: str, family: str, sets: Mapping[str, IpSet] | None = None, origin: str = "iptables"
) -> tuple[Table, ...]:
    """Return the tables of a save text; raises BadReply where it is none.  `sets` are the ipsets by name."""
    tables: list[Table] = []
    rules: dict[str, list[Rule]] = {}
    chains: dict[str, str] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("*"):
            name, chains, rules = line[1:], {}, {}
        elif line.startswith(":"):
            chain, policy = [*line[1:].split(), "-"][:2]
            chains[chain] = policy
        elif line == "COMMIT":
            tables.append(Table(family, name, tuple(_chains(name, chains, rules)), origin))
        elif name:
            try:
                chain, rule = _rule(line, family, sets or {})
            except (ValueError, IndexError) as error:
                raise BadReply("read", f"iptables-save line {number}", f"{error or 'it is cut'}") from error
            mine = rules.setdefault(chain, [])
            mine.append(rule.replace(place=len(mine) + 1))
        else:
            raise BadReply("read", f"iptables-save line {number}", "a rule before any table")
    return tuple(tables)


def _chains(table: str, chains: dict[str, str], rules: dict[str, list[Rule]]) -> Iterator[Chain]:
    for name, policy in chains.items():
        made = tuple(rules.get(name, ()))
        if name not in _HOOKS or policy == "-":
            yield Chain(name, made)
            continue
        priority = _NAT_PRIORITY[name] if table == "nat" else _PRIORITY.get(table, 0)
        kind = "nat" if table == "nat" else "filter"
        yield Chain(name, made, _HOOKS[name], priority, kind, policy.lower())


def _rule(line: str, family: str, sets: Mapping[str, IpSet]) -> tuple[str, Rule]:
    """Return (chain, rule) of one line."""
    packets, octets = None, None
    if line.startswith("["):
        counts, _, line = line[1:].partition("] ")
        packets, octets = map(int, counts.split(":"))
    words = _words(line)
    if words[0].text != "-A":
        raise ValueError(f"'{words[0].text}' is not an added rule")
    options = list(_options(words[2:]))
    statements = matches(options, family, sets) + target(options, family)
    comment = next((one.values[0] for one in options if one.name == "--comment" and one.values), "")
    return words[1].text, Rule(
        tuple(statements),
        line.split(None, 2)[2] if len(words) > 2 else "",
        comment=comment,
        packets=packets,
        bytes=octets,
    )


def _words(line: str) -> list[Word]:
    """Split a line as iptables-restore does: blanks, double quotes, backslashes within them."""
    words: list[Word] = []
    at, end = 0, len(line)
    if '"' not in line:
        return [Word(text) for text in line.split()]
    while at < end:
        if line[at].isspace():
            at += 1
            continue
        quoted = line[at] == '"'
        text = ""
        at += quoted
        while at < end and (line[at] != '"' if quoted else not line[at].isspace()):
            if quoted and line[at] == "\\" and at + 1 < end:
                at += 1
            text += line[at]
            at += 1
        at += 1
        words.append(Word(text, quoted))
    return words


def _options(words: list[Word]) -> Iterator[Option]:
    """Yield each option with the module it belongs to, whether it is negated, and its values."""
    module, at, target_name, implied = "", 0, "", ""
    while at < len(words):
        negated = words[at].text == "!" and not words[at].quoted
        at += negated
        name = words[at].text
        at += 1
        values = []
        while at < len(words) and not words[at].option and (words[at].text != "!" or words[at].quoted):
            values.append(words[at].text)
            at += 1
        if name == "-m":
            module = values[0]
            yield Option(module, "-m", negated, ())
        elif name in ("-j", "-g"):
            target_name = values[0]
            yield Option("", name, negated, tuple(values))
        else:
            if name == "-p":
                implied = _IMPLIED.get(values[0], values[0])
            owner = implied if implied and name in _OF_PROTOCOLS else module or implied
            where = "-j" if target_name else "" if len(name) == 2 else owner
            yield Option(where, name, negated, tuple(values))


# options that belong to the protocol, whatever module was named last
_OF_PROTOCOLS = frozenset((
    "--sport", "--dport", "--source-port", "--destination-port", "--tcp-flags", "--syn", "--tcp-option",
    "--icmp-type", "--icmpv6-type",
))  # fmt: skip


class SavedRules:
    """The rules of one chain of a save, each parsed when it is asked for: few of a long chain are."""

    def __init__(self, family: str, sets: Mapping[str, IpSet]) -> None:
        self.lines: list[str] = []
        self._family, self._sets = family, sets

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, place: int) -> Rule:
        try:
            return _rule(self.lines[place], self._family, self._sets)[1].replace(place=place + 1)
        except (ValueError, IndexError) as error:
            raise BadReply("read", "iptables-save", f"{error or 'a rule is cut'}") from error


def saved_rules(
    text: str, family: str, sets: Mapping[str, IpSet] | None = None
) -> dict[tuple[str, str, str], SavedRules]:
    """Return (family, table, chain) -> its rules of a save text, not parsed yet."""
    found: dict[tuple[str, str, str], SavedRules] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
            continue
        chain = line.partition("-A ")[2].partition(" ")[0] if line[:1] in "[-" else ""
        if chain:
            rules = found.setdefault((family, table, chain), SavedRules(family, sets or {}))
            rules.lines.append(line.strip())
    return found
