"""Openings in ufw's words.  ufw keeps its rules in /etc/ufw: they survive a reboot and its own reload.

An opening for a time is no rule of ufw's, which knows no time: it goes into ufw's user chain with the end as a
condition that the kernel checks, and a reload of ufw takes it away.  Reference: ufw(8) of 0.36.
"""

from __future__ import annotations

from portside.guard.changes.managers import iptables
from portside.guard.changes.names import comment_text
from portside.guard.changes.plan import Plan, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.wish import Wish

CHAINS = {4: "ufw-user-input", 6: "ufw6-user-input"}


def opening(wish: Wish, number: int, *, front: bool) -> Plan:
    """Return the plan; `front` puts the rule before all of the user's, one of which denies."""
    if wish.until:
        timed = iptables.opening(wish, number, CHAINS[4], 1, chain6=CHAINS[6])
        return timed.replace(manager="ufw", notes=("ufw knows no time: a reload of ufw ends this early",))
    steps, back = [], []
    for words in _rules(wish):
        verb = ("prepend",) if front else ()
        steps.append(Run(("ufw", *verb, *_rule(words, comment_text(number, wish)))))
        back.append(Run(("ufw", "delete", *_rule(words)), may_fail=False))
    return Plan("ufw", tuple(steps), tuple(reversed(back)), ("ufw keeps this over a reboot",))


def _rule(words: tuple[str, ...], comment: str = "") -> tuple[str, ...]:
    return (*words, "comment", comment) if comment else words


def _rules(wish: Wish) -> Iterator[tuple[str, ...]]:
    log = ("log",) if wish.log else ()
    on = ("in", "on", wish.interface) if wish.interface else ()
    for protocol, ranges in wish.by_protocol().items():
        ports = ",".join(str(one).replace("-", ":") for one in ranges)
        for source in [str(one) for one in wish.sources] or ["any"]:
            yield ("allow", *on, *log, "proto", protocol, "from", source, "to", "any", "port", ports)
