"""A packet that asks for a port, and what became of it: the words both evaluators answer with."""

from __future__ import annotations

from portside.guard.environment import IPV4, IPV6
from portside.ports.address import format_address, parse_address
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.model import Chain, Rule, Table

YES, NO, DEPENDS = "yes", "no", "depends"
CLIENT_PORT = 40000


class Packet(Record):
    """The first packet of a new connection: the interface it comes in by, and its addresses and ports as text.

    `protocol` is tcp (a plain SYN), udp, sctp, dccp or udplite.
    """

    interface: str
    protocol: str
    source: str
    destination: str
    port: int
    source_port: int = CLIENT_PORT
    ttl: int = 64
    dscp: int = 0

    @property
    def family(self) -> str:
        """Ip or ip6."""
        return IPV6 if ":" in self.destination else IPV4


class Because(Record):
    """What decided: a rule (`handle` 0: its place in the chain is in `rule`), a chain's policy, or the kernel itself.

    For a policy `rule` is `policy drop`; for what no rule decides `table` is empty and `rule` says it in words.
    """

    table: str = ""
    chain: str = ""
    handle: int = 0
    rule: str = ""

    def __str__(self) -> str:
        if not self.table:
            return self.rule
        handle = f" handle {self.handle}" if self.handle else ""
        return f"{self.table} {self.chain}{handle}: {self.rule}"


class Step(Record):
    """One rule or policy that a packet met and that did something, and at which hook."""

    hook: str
    because: Because
    does: str


class Judgement(Record):
    """What becomes of a packet.

    `verdict` is yes, no or depends, on `reasons`.  `because` decided it.  `client` is what the sender sees where it
    is refused: reset, unreachable, silence.  `arrives` is (address, port) where its way ends, `way` input or forward.
    `trace` has the rules passed; `one_way` says why answers would not come back, where only they are lost.
    """

    verdict: str
    because: Because
    client: str = ""
    arrives: tuple[str, int] | None = None
    way: str = ""
    reasons: tuple[str, ...] = ()
    trace: tuple[Step, ...] = ()
    one_way: str = ""


def because_rule(table: Table, chain: Chain, rule: Rule) -> Because:
    """Return the words for a rule that decided."""
    if rule.handle:
        return Because(str(table), chain.name, rule.handle, rule.text)
    place = f" (rule {rule.place})" if rule.place else ""  # one that is planned has none yet
    return Because(str(table), chain.name, 0, f"{rule.text}{place}")


def because_policy(table: Table, chain: Chain) -> Because:
    """Return the words for a chain's policy."""
    return Because(str(table), chain.name, 0, f"policy {chain.policy}")


def refused(detail: str) -> str:
    """Return what a rejected client sees."""
    return "reset" if detail == "tcp reset" else "unreachable"


def number(text: str) -> int:
    """Return an address as a number; raises BadRequest."""
    return int.from_bytes(parse_address(text), "big")


def text(family: str, value: int) -> str:
    """Return the text of an address that is a number."""
    return format_address(value.to_bytes(4 if family == IPV4 else 16, "big"))
