"""A ruleset as a value: frozen records that print, compare and diff, whoever wrote the rules and in which language.

`Ruleset` -> `Table` -> `Chain` -> `Rule` -> statements, in the order in which the kernel runs them.  What a rule
tests is a `Match`: fields of the packet, and the boxes they must fall into.  A box is one span for each field; a span
is (lowest, highest), or for names of interfaces a text that may end in `*`.  Sets and maps are resolved into the
tests that use them, so that a ruleset needs nothing beside itself.

What cannot be decided from a packet is an `Unknown` (a rate, a time of day, a program's answer): the evaluators carry
it as an open question.  What a reader did not understand is one too, with `effect` where it is an action.
Reference: nft(8), statements and expressions; iptables-extensions(8).
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Span = tuple[int, int] | str
    Box = tuple[Span, ...]


class Key(Record):
    """A field of the packet (`fields.FIELDS`), masked, then shifted right where that is asked for (mask 0: whole)."""

    field: str
    mask: int = 0
    shift: int = 0


class Match(Record):
    """True where the fields fall into one of the boxes (`negated`: into none); a field that is not there fails both.

    `timed` are the boxes that leave the set by themselves, `open` says why any other value may be in it, too.
    `name` is the set's, where there is one.
    """

    keys: tuple[Key, ...]
    boxes: tuple[Box, ...]
    negated: bool = False
    name: str = ""
    timed: tuple[Box, ...] = ()
    open: str = ""


class Unknown(Record):
    """What no packet tells: `what` in words, `kind` (limit, time, content, random, program, link, state, unreadable).

    `shared`: the same question wherever it is asked with the same words (a time of day), else one for each rule.
    `effect`: not a test but an action that may end the packet's way.
    """

    what: str
    kind: str
    shared: bool = False
    effect: bool = False


class Verdict(Record):
    """What ends a rule: accept, drop, return, continue, jump, goto (`target`), reject (`detail`: how), queue, steal.

    `detail` of queue is `bypass` where a packet goes on when no program listens; `steal` takes the packet away
    (synproxy, tproxy to a program).
    """

    kind: str
    target: str = ""
    detail: str = ""


class VerdictMap(Record):
    """A verdict looked up by fields; `default` where nothing matches (`None`: the rule goes on).

    `random`: which of the entries nobody can tell, each is possible, and no other.
    """

    keys: tuple[Key, ...]
    entries: tuple[tuple[Box, Verdict], ...]
    default: Verdict | None = None
    name: str = ""
    open: str = ""
    random: str = ""


class Nat(Record):
    """An address translation: kind dnat, redirect, snat, masquerade; spans of addresses and ports (`None`: kept).

    `choices` gives (box, addresses, ports) looked up by `keys` instead; `random`: which of several nobody can tell.
    `family` is ip, ip6, or empty for both.
    """

    kind: str
    family: str = ""
    address: tuple[int, int] | None = None
    port: tuple[int, int] | None = None
    keys: tuple[Key, ...] = ()
    choices: tuple[tuple[Box, tuple[int, int] | None, tuple[int, int] | None], ...] = ()
    random: str = ""


class Assign(Record):
    """A mark (`field`: mark, ct mark) set to (source & mask) ^ flip; without `source` to the value of `flip` alone.

    `choices` looks the value up by `keys`; `unknown` says why it cannot be told.
    """

    field: str
    flip: int = 0
    mask: int = 0
    source: str = ""
    keys: tuple[Key, ...] = ()
    choices: tuple[tuple[Box, int], ...] = ()
    unknown: str = ""


class Notrack(Record):
    """Leaves the packet out of connection tracking."""


class Update(Record):
    """An element put into a set by the packet itself: nothing for this packet, open questions for the set."""

    set: str


class Note(Record):
    """What does nothing to the packet's way: counters, logs."""

    text: str


class Rule(Record):
    """One rule: its statements, its text in its own language, and how often it was met (`None`: no counter).

    `handle` is nft's; 0 where the rule came from a file or the legacy back end, which number rules by their `place`,
    from 1.
    """

    statements: tuple[Match | Unknown | Verdict | VerdictMap | Nat | Assign | Notrack | Update | Note, ...]
    text: str
    handle: int = 0
    comment: str = ""
    packets: int | None = None
    bytes: int | None = None
    place: int = 0


class Chain(Record):
    """One chain; base chains have a hook, a priority (lower first), a type and a policy, ingress ones devices."""

    name: str
    rules: tuple[Rule, ...] = ()
    hook: str = ""
    priority: int = 0
    type: str = ""
    policy: str = "accept"
    devices: tuple[str, ...] = ()
    handle: int = 0


class Table(Record):
    """One table: family ip, ip6, inet, netdev, bridge or arp; `origin` nft, iptables or iptables-legacy."""

    family: str
    name: str
    chains: tuple[Chain, ...] = ()
    origin: str = "nft"
    handle: int = 0
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.family} {self.name}"

    def chain(self, name: str) -> Chain | None:
        """Return the chain of that name."""
        return next((chain for chain in self.chains if chain.name == name), None)


class Ruleset(Record):
    """Every table in force; `unread` says what could not be read (then a verdict is unknown, never a guess)."""

    tables: tuple[Table, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is no base chain: nothing that a packet meets."""
        return not any(chain.hook for _, chain in self.chains())

    def chains(self) -> Iterator[tuple[Table, Chain]]:
        """Yield every chain with its table."""
        for table in self.tables:
            for chain in table.chains:
                yield table, chain

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines())

    def lines(self) -> Iterator[str]:
        """Yield the ruleset as text, a line for each rule."""
        for table in self.tables:
            yield f"table {table} ({table.origin})" if table.origin != "nft" else f"table {table}"
            for chain in table.chains:
                base = (
                    f"  type {chain.type} hook {chain.hook} priority {chain.priority} policy {chain.policy}"
                )
                yield f"  chain {chain.name}{base if chain.hook else ''}"
                for place, rule in enumerate(chain.rules, 1):
                    yield f"    {rule.handle or place}: {rule.text}"


def difference(before: Ruleset, after: Ruleset) -> Iterator[tuple[str, str]]:
    """Yield ("-" or "+", "table chain: rule") for what one ruleset has and the other has not, counters left aside."""
    old, new = _counted(before), _counted(after)
    for sign, mine, others in (("-", old, new), ("+", new, old)):
        for line, times in mine.items():
            for _ in range(times - others.get(line, 0)):
                yield sign, line


def _counted(ruleset: Ruleset) -> dict[str, int]:
    found: dict[str, int] = {}
    for table, chain in ruleset.chains():
        lines = [rule.text for rule in chain.rules]
        if chain.hook:
            lines.append(
                f"type {chain.type} hook {chain.hook} priority {chain.priority} policy {chain.policy}"
            )
        for line in lines:
            place = f"{table} {chain.name}: {line}"
            found[place] = found.get(place, 0) + 1
    return found
