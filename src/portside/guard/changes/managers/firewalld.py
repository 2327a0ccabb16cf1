"""Openings in firewalld's words.  The daemon ends one that is for a time; `--permanent` is its own persistence.

Reference: firewall-cmd(1), firewalld.richlanguage(5).
"""

from __future__ import annotations

from portside.guard.changes.names import PER_SECOND
from portside.guard.changes.plan import Plan, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.wish import Wish


def opening(wish: Wish, *, zone: str = "", seconds: int = 0, permanent: bool = False) -> Plan:
    """Return the plan, in a zone or the default one; after `seconds` the daemon ends it.

    firewalld keeps no comments: the rule is known by its words.
    """
    of_zone = (f"--zone={zone}",) if zone else ()
    steps, back = [], []
    for add, remove in _options(wish):
        timeout = (f"--timeout={seconds}",) if seconds else ()
        steps.append(Run(("firewall-cmd", *of_zone, add, *timeout)))
        back.append(Run(("firewall-cmd", *of_zone, remove), may_fail=bool(seconds)))
        if permanent:
            steps.append(Run(("firewall-cmd", "--permanent", *of_zone, add)))
            back.append(Run(("firewall-cmd", "--permanent", *of_zone, remove)))
    return Plan("firewalld", tuple(steps), tuple(reversed(back)))


def _options(wish: Wish) -> Iterator[tuple[str, str]]:
    for protocol, ranges in wish.by_protocol().items():
        for ports in ranges:
            if not wish.sources and not wish.log:
                yield f"--add-port={ports}/{protocol}", f"--remove-port={ports}/{protocol}"
                continue
            for rule in _rich(wish, protocol, str(ports)):
                yield f"--add-rich-rule={rule}", f"--remove-rich-rule={rule}"


def _rich(wish: Wish, protocol: str, ports: str) -> Iterator[str]:
    tail = (
        f'port port="{ports}" protocol="{protocol}"'
        + (f' log prefix="portside " limit value="{PER_SECOND}/s"' if wish.log else "")
        + " accept"
    )
    if not wish.sources:
        yield f"rule {tail}"
    for source in wish.sources:
        yield f'rule family="ipv{source.version}" source address="{source}" {tail}'
