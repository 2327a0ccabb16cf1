"""The order in which a packet meets base chains: hooks, priorities, and what the kernel does between them.

    from outside:  ingress -> prerouting -> (routing) -> input -> the listener
                                                     \\-> forward -> postrouting -> a container or the next host
    from here:     output -> postrouting -> the wire; for an own address back to prerouting

Within a hook the lower priority runs first.  Connection tracking stands at -200, translations at -100 (of the
destination, prerouting and output) and at 100 (of the source, input and postrouting): chains of type nat run there,
whatever their own priority, which only orders them among themselves (nf_nat_register_fn).  Of equal ones the chain
registered later runs first (nf_hook_entries_grow).  Reference: include/uapi/linux/netfilter_ipv4.h.
"""

from __future__ import annotations

import itertools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.model import Chain, Ruleset, Table

    Place = tuple[Table, Chain]

CONNTRACK = -200
NAT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}


def base_chains(ruleset: Ruleset, family: str, hook: str, device: str = "") -> list[Place]:
    """Return the base chains that a packet of a family (ip, ip6) meets at a hook, in their order.

    At ingress those of `device` alone count.
    """
    found = []
    for number, (table, chain) in enumerate(ruleset.chains()):
        families = ("netdev", "inet") if hook == "ingress" else (family, "inet")
        if chain.hook != hook or table.family not in families:
            continue
        if hook == "ingress" and device not in chain.devices:
            continue
        found.append((_order(table, chain, number), table, chain))
    found.sort(key=lambda one: one[0])
    return [(table, chain) for _, table, chain in found]


def effective_priority(chain: Chain) -> int:
    """Return the priority at which a chain runs."""
    return NAT.get(chain.hook, chain.priority) if chain.type == "nat" else chain.priority


def _order(table: Table, chain: Chain, number: int) -> tuple[int, int, int, int, int]:
    return effective_priority(chain), chain.priority, -table.handle, -chain.handle, -number


def ties(chains: list[Place]) -> list[tuple[Place, Place]]:
    """Return neighbours of equal priority in different tables: their order is no promise of the kernel's."""
    return [
        (one, other)
        for one, other in itertools.pairwise(chains)
        if one[0] != other[0]
        and (effective_priority(one[1]), one[1].priority) == (effective_priority(other[1]), other[1].priority)
    ]
