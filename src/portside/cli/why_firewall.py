"""What the firewall's rules do to a connection of this host to one of its own addresses: the step that `why` adds.

It stands here because a feature knows no other: `see.why` has a seam, `guard` the rules.
"""

from __future__ import annotations

from portside.guard import plain, reading
from portside.guard.packet import DEPENDS, YES, Packet
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, as_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.packet import Because
    from portside.system.attempt import Target


def judge(target: Target, source: str) -> Step:
    """Return the step: the rule that lets the connection in, or the one that refuses it."""
    ruleset = reading.read_rules()
    address = target.address.partition("%")[0]
    if ruleset.unread:
        mend = "" if as_root("") == "" else as_root(f"portside why {target}")
        return Step("firewall", UNKNOWN, ruleset.unread[0], mend, target.address)
    packet = Packet("lo", target.protocol, source or address, address, target.port)
    told = plain.judge_packet(ruleset, reading.read_environment(), packet)
    facts = (("rule", str(told.because)),)
    if told.verdict == YES:
        return Step("firewall", PASSED, f"lets it in ({told.because})", "", target.address, facts)
    if told.verdict == DEPENDS:
        why = "; ".join(told.reasons) or "on what the rules do not tell"
        return Step("firewall", UNKNOWN, f"it depends: {why} ({told.because})", "", target.address, facts)
    seen = f", and the client sees {told.client}" if told.client else ""
    evidence = f"refuses it ({told.because}){seen}"
    return Step("firewall", FAILED, evidence, _mend(told.because, target), target.address, facts)


def _mend(because: Because, target: Target) -> str:
    """Return what takes the deciding rule away, or lets the port in before a chain's policy."""
    if because.handle:
        return as_root(f"nft delete rule {because.table} {because.chain} handle {because.handle}")
    if because.table and because.rule.startswith("policy "):
        accept = f"{target.protocol} dport {target.port} accept"
        return as_root(f"nft add rule {because.table} {because.chain} {accept}")
    return ""
