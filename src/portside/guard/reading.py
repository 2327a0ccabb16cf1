"""Rules in force, and rules in files, as a `Ruleset`; interfaces and routes as an `Environment`.

No single source is enough: nft's JSON hides what iptables' own matches ask (`xt`), iptables-save is wrong about rules
it did not make, and the legacy back end shows in neither.  So the JSON is the frame, and where a rule is opaque the
rule at the same place of iptables-save stands in; where counts do not agree it stays an open question.
"""

from __future__ import annotations

from portside.errors import BadRequest, NotPermitted, PortsideError
from portside.guard import ipset, iptables, nft
from portside.guard.environment import Address, Device, Environment, Way, sorted_ways
from portside.guard.model import Ruleset, Table
from portside.system import commands, firewall
from portside.system.host import LIVE, Host
from portside.wire.nft_text import has_anonymous_chains

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.guard.ipset import IpSet

_FAMILIES = {2: "ip", 10: "ip6"}
# include/uapi/linux/netfilter.h
_NFPROTO = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def read_rules(host: Host = LIVE, *, without: str = "") -> Ruleset:
    """Return the rules in force; what may not or cannot be read is said in `unread`, never left out.

    A table that is left `without` (`inet portside`) is known otherwise; its sets may be very long.
    """
    try:
        found = [f"{_NFPROTO.get(number, number)} {name}" for number, name in firewall.nft_tables(host)]
        legacy = [family for family in ("ip", "ip6") if firewall.legacy_tables(host, family)]
    except NotPermitted:
        return Ruleset(unread=("reading firewall rules takes root: sudo portside reach",))
    except PortsideError as error:
        return Ruleset(unread=(str(error),))
    tables: tuple[Table, ...] = ()
    try:
        if without in found:
            for name in found:
                tables += _from_nft(firewall.nft_json(name)) if name != without else ()
        elif found:
            tables += _from_nft(firewall.nft_json())
        for family in legacy:
            text = firewall.iptables_save(family, legacy=True)
            tables += iptables.from_save(text, family, _ipsets(text), "iptables-legacy")
    except PortsideError as error:
        return Ruleset(tables, (str(error),))
    return Ruleset(tables)


def _from_nft(text: str) -> tuple[Table, ...]:
    replacements = {}
    if '"xt"' in text:
        for family in ("ip", "ip6"):
            save = firewall.iptables_save(family)
            replacements.update(iptables.saved_rules(save, family, _ipsets(save)))
    tables = nft.from_json(text, replacements).tables
    return _named(tables) if has_anonymous_chains(text) else tables


def _named(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """Return the tables with their anonymous chains, read under names from a scratch namespace that loaded them.

    Rules keep their places there, and here their handles; a table that does not load elsewhere stays as it is.
    """
    from portside.system import scratch

    made = []
    for table in tables:
        try:
            text = commands.run(("nft", "list", "table", table.family, table.name))
            (copy,) = nft.from_json(scratch.nft_json_of(text)).tables
        except (PortsideError, ValueError):
            made.append(table)
            continue
        chains = []
        for chain in copy.chains:
            known = table.chain(chain.name)
            if known is not None and len(known.rules) == len(chain.rules):
                rules = [
                    new.replace(handle=old.handle) for new, old in zip(chain.rules, known.rules, strict=True)
                ]
                chain = chain.replace(rules=tuple(rules), handle=known.handle)
            chains.append(chain)
        made.append(copy.replace(chains=tuple(chains), handle=table.handle, flags=table.flags))
    return tuple(made)


def _ipsets(save: str) -> dict[str, IpSet]:
    return ipset.from_save(firewall.ipset_save()) if "--match-set" in save else {}


def sources(host: Host = LIVE) -> list[tuple[tuple[str, ...], str]]:
    """Return how to load the rules in force elsewhere: (program and arguments, what it is given) in their order.

    Tables with iptables' own matches are taken from iptables-save, because nft cannot load their text.
    """
    import json

    found: list[tuple[tuple[str, ...], str]] = []
    loads: list[tuple[tuple[str, ...], str]] = []
    saved = ""
    for family, word in (("ip", "iptables"), ("ip6", "ip6tables")):
        for legacy in (False, True):
            if legacy and not firewall.legacy_tables(host, family):
                continue
            if not legacy and '"xt"' not in firewall.nft_json():
                continue
            text = firewall.iptables_save(family, legacy)
            saved += text
            loads.append(((f"{word}-{'legacy' if legacy else 'nft'}-restore",), text))
    if "--match-set" in saved:
        found.append((("ipset", "restore"), firewall.ipset_save()))
    found += loads
    foreign = any(not argv[0].count("legacy") for argv, _ in loads)
    for one in json.loads(firewall.nft_json())["nftables"] if firewall.nft_tables(host) else ():
        table = one.get("table")
        if table is not None and not (foreign and _iptables_owned(table)):
            listed = commands.run(("nft", "-s", "list", "table", table["family"], table["name"]))
            found.append((("nft", "-f", "-"), listed))
    return found


def _iptables_owned(table: dict[str, Any]) -> bool:
    names = ("filter", "nat", "mangle", "raw", "security")
    return table["family"] in ("ip", "ip6") and table["name"] in names


def file_sources(path: str) -> list[tuple[tuple[str, ...], str]]:
    """Return how to load a file's rules: `sources` for one."""
    text = LIVE.read(path)
    if text.lstrip().startswith("{"):
        return [(("nft", "-j", "-f", "-"), text)]
    if any(line.startswith("*") for line in text.splitlines()):
        word = "iptables" if save_family(text, path) == "ip" else "ip6tables"
        return [((f"{word}-nft-restore",), text)]
    return [(("nft", "-f", "-"), text)]


def read_file(path: str) -> Ruleset:
    """Return the ruleset of a file; nft's text is read by nft, in a namespace of its own; raises PortsideError."""
    text = LIVE.read(path)
    if text.lstrip().startswith("{") or any(line.startswith("*") for line in text.splitlines()):
        return rules_from_text(text, path)
    from portside.system import scratch

    return nft.from_json(scratch.nft_json_of(text))


def rules_from_text(text: str, name: str = "") -> Ruleset:
    """Return the ruleset of a file's text: nft's JSON, or iptables-save's; raises BadReply, BadRequest.

    iptables-save does not say of which family it is: a name or comment with `ip6`, or an IPv6 address, does.
    """
    if text.lstrip().startswith("{"):
        return nft.from_json(text)
    if any(line.startswith("*") for line in text.splitlines()):
        return Ruleset(iptables.from_save(text, save_family(text, name)))
    raise BadRequest("read rules", f"'{name}'", "it is neither nft's JSON nor iptables-save's text")


def save_family(text: str, name: str = "") -> str:
    """Return the family a save text is of."""
    signs = ("ip6tables", "icmp6", "ipv6-icmp", "icmpv6", "::")
    return "ip6" if any(sign in text for sign in signs) or "6" in name.rpartition("/")[2] else "ip"


def read_environment(host: Host = LIVE) -> Environment:
    """Return the interfaces, addresses, routes and settings that matter; raises NotSupported without rtnetlink."""
    from portside.system import interfaces

    links = interfaces.read_interfaces(host)
    names = {link.index: link.name for link in links}
    addresses: dict[int, list[Address]] = {}
    for one in interfaces.read_addresses(host):
        family = _FAMILIES.get(one.family)
        if family and one.taken:
            value = int.from_bytes(one.address, "big")
            addresses.setdefault(one.index, []).append(Address(family, value, one.prefix))
    devices = [
        Device(
            link.name,
            tuple(addresses.get(link.index, ())),
            link.up,
            link.kind,
            link.group,
            names.get(link.master, ""),
            link.xdp,
            **_settings(host, link.name),
        )
        for link in links
    ]
    ways = [
        Way(
            _FAMILIES[route.family], int.from_bytes(route.destination, "big") if route.destination else 0,
            route.prefix, route.type, names.get(route.interface, ""), route.table, route.metric,
        )
        for route in interfaces.read_routes(host)
        if route.family in _FAMILIES
    ]  # fmt: skip
    return Environment(
        tuple(devices),
        sorted_ways(ways),
        _setting(host, "ipv6/conf/all/forwarding") > 0,
        interfaces.count_routing_rules(host) > 5,
    )


def _settings(host: Host, name: str) -> dict[str, Any]:
    """Return a device's settings of IPv4, joined with those of `all` as the kernel does (inetdevice.h)."""
    both = {
        word: (_setting(host, f"ipv4/conf/all/{word}"), _setting(host, f"ipv4/conf/{name}/{word}"))
        for word in ("rp_filter", "forwarding", "route_localnet", "accept_local")
    }
    return {
        "rp_filter": max(both["rp_filter"]),
        "forwarding": both["forwarding"][1] > 0,
        "route_localnet": any(both["route_localnet"]),
        "accept_local": any(both["accept_local"]),
    }


def _setting(host: Host, name: str) -> int:
    from portside.system import sysctl

    text = sysctl.read_or_none(host, f"net/{name}")
    return int(text) if text is not None and text.lstrip("-").isdecimal() else 0
