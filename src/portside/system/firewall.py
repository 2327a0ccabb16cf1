"""The firewall's rules as the programs that know them print them: nft(8), iptables-save(8), ipset(8).

`any_tables` finds out without a program whether there are rules at all: one netlink dump and two files of /proc.  It
loads no kernel module: where nf_tables is none yet, there are no tables.  Reading rules takes CAP_NET_ADMIN; to
be refused (NotPermitted) never means that there are no rules.

`add_addresses` is the one change that goes by netlink: of very many addresses nft(8) takes as long to read them and
to write its messages as the kernel to put them in.
"""

from __future__ import annotations

import _socket  # see system.netlink
import os
from itertools import repeat

from portside.errors import NotPermitted, NotSupported
from portside.system import commands
from portside.system.netlink import Netlink, open_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portside.system.host import Host

NETLINK_NETFILTER = 12
_LEGACY = {"ip": "ip_tables_names", "ip6": "ip6_tables_names"}


def any_tables(host: Host) -> bool:
    """Return whether there is any table of nftables or of legacy iptables in the calling thread's namespace.

    Raises NotPermitted where that may not be known.
    """
    return bool(nft_tables(host)) or any(legacy_tables(host, family) for family in _LEGACY)


def nft_tables(host: Host) -> list[tuple[int, str]]:
    """Return (family number, name) of the tables of nftables; raises NotPermitted."""
    from portside.wire import nfnetlink

    if host.netlink is None or not host.live:
        raise NotSupported("read", "firewall tables", "a recorded host tells no rules")
    if not _loaded(host):
        return []
    try:
        with Netlink(NETLINK_NETFILTER, host.netlink) as link:
            return list(nfnetlink.tables(link.dump(nfnetlink.tables_request(), "firewall tables")))
    except NotSupported:
        return []


def _loaded(host: Host) -> bool:
    """Return whether the kernel has nf_tables: a dump request would load the module."""
    modules = host.read_or("/proc/modules")
    if not modules or "nf_tables " in modules:
        return True
    return "/nf_tables.ko" in host.read_or(f"/lib/modules/{os.uname().release}/modules.builtin")


def legacy_tables(host: Host, family: str) -> list[str]:
    """Return the names of the tables of legacy iptables (`ip`) or ip6tables (`ip6`); raises NotPermitted."""
    try:
        return host.net(_LEGACY[family]).split()
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise NotPermitted("read", "firewall tables", "it takes root", "run it with sudo") from error
    except OSError:
        return []


def nft_json(table: str = "") -> str:
    """Return `nft -j list ruleset`, or the listing of one table (`inet filter`)."""
    what = ("table", *table.split()) if table else ("ruleset",)
    return commands.run(("nft", "-j", "list", *what))


def iptables_save(family: str, legacy: bool = False) -> str:
    """Return iptables-save's (`ip`) or ip6tables-save's (`ip6`) text with counters, of either back end."""
    word = "iptables" if family == "ip" else "ip6tables"
    named = f"{word}-{'legacy' if legacy else 'nft'}-save"
    return commands.run((named if commands.find(named) else f"{word}-save", "-c"))


def ipset_save() -> str:
    """Return `ipset save`."""
    return commands.run(("ipset", "save"))


def add_addresses(family: int, table: str, sets: Iterable[tuple[str, Sequence[str], int]]) -> None:
    """Add single addresses to sets of one table, all in one transaction: (set, addresses, seconds or 0 for good).

    `family` is the table's (NFPROTO_*).  The sets must be there and have no intervals.  Raises NotPermitted,
    Vanished where there is no such table or set, PortsideError for what else the kernel says.
    """
    from portside.wire import nft_elements

    bodies = [
        body
        for name, addresses, seconds in sets
        for body in nft_elements.addition(family, table, name, _packed(addresses), seconds * 1000)
    ]
    if bodies:
        batch = nft_elements.batch(bodies)
        with Netlink(NETLINK_NETFILTER, lambda protocol: open_socket(protocol, len(batch))) as link:
            link.call(batch, f"table '{table}'")


def _packed(addresses: Sequence[str]) -> list[bytes]:
    """Return addresses of one family, in the canonical form, as the bytes of a packet."""
    kind = _socket.AF_INET6 if ":" in addresses[0] else _socket.AF_INET
    return list(map(_socket.inet_pton, repeat(kind), addresses))
