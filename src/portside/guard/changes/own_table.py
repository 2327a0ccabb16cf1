"""Portside's own nftables table, `inet portside`: what it holds is a function of the changes in force.

    chain block       prerouting, raw: drops what comes from a blocked address, before anything else sees it,
                      connections that are established too; so it holds for forwarded ports (containers) as well
    chain gate        prerouting, after connection tracking and before any DNAT, so that the port is the one that
                      was asked for: accepts the exceptions, then limits rates, then drops what is closed
    chains turn*      the redirections

A drop is final wherever it stands; an accept here only spares what this table would drop.  Each script is one
transaction: rules are made anew, the sets of blocked addresses are left as they are, and are changed by elements.
Very many new addresses follow in a transaction of their own (`transition.MANY`): until it nothing of them is blocked,
after it all of them are.
The end of a change is a condition in its rules (`meta time`), of an element its timeout: the kernel keeps both.
Reference: nft(8).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.guard.changes.wish import CLOSE, OPEN, REDIRECT, collapse, parse_network
from portside.record import Record
from portside.system import firewall
from portside.system.host import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from portside.guard.changes.wish import Network, Wish

    Numbered = tuple[int, Wish]

TABLE = "inet portside"
NFPROTO_INET = 1  # include/uapi/linux/netfilter.h
MARK = (
    "portside:"  # begins the comment of every rule of ours, wherever it stands; the change's number follows
)
SETS = {
    (4, True): "hosts4", (4, False): "nets4", (6, True): "hosts6", (6, False): "nets6",
}  # fmt: skip
_SKELETON = """\
add table inet portside
add set inet portside hosts4 { type ipv4_addr; flags timeout; }
add set inet portside nets4 { type ipv4_addr; flags interval,timeout; }
add set inet portside hosts6 { type ipv6_addr; flags timeout; }
add set inet portside nets6 { type ipv6_addr; flags interval,timeout; }
add chain inet portside block { type filter hook prerouting priority raw; policy accept; }
add chain inet portside gate { type filter hook prerouting priority mangle; policy accept; }
flush chain inet portside block
flush chain inet portside gate
add rule inet portside block ip saddr @hosts4 counter drop
add rule inet portside block ip saddr @nets4 counter drop
add rule inet portside block ip6 saddr @hosts6 counter drop
add rule inet portside block ip6 saddr @nets6 counter drop
add rule inet portside gate iifname "lo" accept
"""
_TURNS = """\
add chain inet portside turn { type nat hook prerouting priority dstnat; policy accept; }
add chain inet portside turn_own { type nat hook output priority -100; policy accept; }
add chain inet portside turn_back { type nat hook postrouting priority srcnat; policy accept; }
flush chain inet portside turn
flush chain inet portside turn_own
flush chain inet portside turn_back
"""
_LOCAL = "fib daddr type local"


def rules_script(changes: Sequence[Numbered], *, turns: bool = False) -> str:
    """Return the script that makes the table's rules those of `changes`, oldest first.

    `turns` keeps the chains of redirections even without one: they exist and must be emptied.
    """
    lines = [_SKELETON]
    opened = [(number, wish) for number, wish in changes if wish.verb == OPEN]
    for number, wish in sorted(opened, key=lambda change: change[1].rate is not None):
        lines += _rates(number, wish)
        lines += _gate(number, wish)
    for number, wish in changes:
        if wish.verb == CLOSE:
            lines += _gate(number, wish)
    redirections = [(number, wish) for number, wish in changes if wish.verb == REDIRECT]
    if redirections or turns:
        lines.append(_TURNS)
    for number, wish in redirections:
        lines += _turn(number, wish)
    return "".join(lines)


def is_there() -> bool:
    """Return whether the kernel has the table; asked without nft(8), which reads every set first."""
    return (NFPROTO_INET, TABLE.partition(" ")[2]) in firewall.nft_tables(LIVE)


def removal_script() -> str:
    """Return the script that takes the table away, which must be there."""
    return f"delete table {TABLE}\n"


class Hosts(Record):
    """Single addresses to be put into one set, for `seconds` (0: for good)."""

    name: str
    addresses: Sequence[str]
    seconds: int

    @property
    def script(self) -> str:
        """Return the words in which nft does it."""
        timeout = f" timeout {self.seconds}s" if self.seconds else ""
        return f"add element {TABLE} {self.name} {{ {f'{timeout},'.join(self.addresses)}{timeout} }}\n"


def hosts(addresses: Iterable[str], seconds: int) -> list[Hosts]:
    """Return what blocks single addresses, by set; networks among them are left out."""
    return [Hosts(name, texts, seconds) for name, texts in _by_set(addresses).items()]


def add(many: Iterable[Hosts]) -> None:
    """Put very many addresses into sets that are there, in one transaction."""
    name = TABLE.partition(" ")[2]
    firewall.add_addresses(NFPROTO_INET, name, [(one.name, one.addresses, one.seconds) for one in many])


def hosts_removal(addresses: Iterable[str]) -> str:
    """Return the script that unblocks single addresses, whether they are blocked or not."""
    return "".join(_remove(name, texts) for name, texts in _by_set(addresses).items())


def hosts_flush() -> str:
    """Return the script that unblocks every single address."""
    return "".join(f"flush set {TABLE} {SETS[version, True]}\n" for version in (4, 6))


def networks_script(blocks: Iterable[Wish], now: int) -> str:
    """Return the script that makes the sets of networks those of all blocks in force.

    Networks inside others are left out, for the sets take no overlaps.
    """
    lines = [f"flush set {TABLE} {SETS[version, False]}\n" for version in (4, 6)]
    for network, until in merged_networks(blocks):
        timeout = f" timeout {max(until - now, 1)}s" if until else ""
        lines.append(f"add element {TABLE} {SETS[network.version, False]} {{ {network}{timeout} }}\n")
    return "".join(lines)


def merged_networks(blocks: Iterable[Wish]) -> list[tuple[Network, int]]:
    """Return the networks that blocks name, each with its end (0: none), without those inside others.

    Raises BadRequest where one that ends holds or lies in one that ends at another time.
    """
    ends: dict[Network, int] = {}
    for wish in blocks:
        for text in wish.addresses if "/" in ",".join(wish.addresses) else ():
            if "/" in text:
                network = parse_network(text)
                ends[network] = wish.until if ends.get(network, wish.until) and wish.until else 0
    lasting = collapse(network for network, until in ends.items() if not until)
    found = [(network, 0) for network in lasting]
    passing = sorted((item for item in ends.items() if item[1]), key=lambda item: item[0].bits)
    for network, until in passing:
        around = next((item for item in found if item[0].overlaps(network)), None)
        if around is None:
            found.append((network, until))
        elif around[0].bits > network.bits or around[1] not in (0, until):
            raise BadRequest(
                "block", f"{network}", f"it overlaps {around[0]}, which is blocked for another time",
                f"run: portside unblock {around[0]}",
            )  # fmt: skip
    return found


def _by_set(addresses: Iterable[str]) -> dict[str, list[str]]:
    hosts = list(addresses)
    joined = ",".join(hosts)  # of a long list most have one kind: found at the pace of C
    if "/" in joined:
        hosts = [text for text in hosts if "/" not in text]
    if ":" not in joined:
        return {"hosts4": hosts} if hosts else {}
    sixth = [text for text in hosts if ":" in text]
    fourth = [text for text in hosts if ":" not in text]
    return {name: texts for name, texts in (("hosts4", fourth), ("hosts6", sixth)) if texts}


def _remove(name: str, texts: Sequence[str]) -> str:
    """Put in, then out: what is taken out must be there (there is no `destroy` before nft 1.0.7)."""
    elements = ",".join(texts)
    return f"add element {TABLE} {name} {{ {elements} }}\ndelete element {TABLE} {name} {{ {elements} }}\n"


def _gate(number: int, wish: Wish) -> Iterator[str]:
    verdict = "accept" if wish.verb == OPEN else "drop"
    for match in _matches(wish):
        tail = f"ct state new{_log(number, wish)} counter {verdict} {_comment(number, wish)}"
        yield f"add rule {TABLE} gate {match} {_LOCAL} {tail}\n"


def _rates(number: int, wish: Wish) -> Iterator[str]:
    if wish.rate is None:
        return
    for at, match in enumerate(_matches(wish, both=True)):
        family = "ip6" if "nfproto ipv6" in match or "ip6 saddr" in match else "ip"
        meter = f"meter rate{number}_{at} {{ {family} saddr limit rate over {wish.rate} }}"
        tail = f"{_LOCAL} ct state new {meter}{_log(number, wish)} counter drop {_comment(number, wish)}"
        yield f"add rule {TABLE} gate {match} {tail}\n"


def _turn(number: int, wish: Wish) -> Iterator[str]:
    target = wish.target
    assert target is not None
    if target.address:
        family = "ip6" if target.version == 6 else "ip"
        action = f"dnat {family} to {target}"
    else:
        family, action = "", f"redirect to :{target.port}"
    for match in _matches(wish):
        if family and f"{'ip' if family == 'ip6' else 'ip6'} saddr" in match:
            continue
        of_family = f"meta nfproto ipv{target.version} " if family else ""
        tail = f"{_LOCAL}{_log(number, wish)} counter {action} {_comment(number, wish)}\n"
        yield f"add rule {TABLE} turn {of_family}{match} {tail}"
        if not wish.interface and not wish.sources:
            yield f"add rule {TABLE} turn_own {of_family}{match} {tail}"
    if family:
        for protocol in wish.by_protocol():
            back = f"ct status dnat {family} daddr {target.address} {protocol} dport {target.port}"
            yield f"add rule {TABLE} turn_back {back} counter masquerade {_comment(number, wish)}\n"


def _matches(wish: Wish, *, both: bool = False) -> Iterator[str]:
    """Yield the conditions of a wish: one line for each protocol and family of sources; `both`: each family apart."""
    before = f"meta time < {wish.until} " if wish.until else ""
    if wish.interface:
        before += f'iifname "{wish.interface}" '
    families = [
        f"{'ip6' if version == 6 else 'ip'} saddr {{ {', '.join(map(str, sources))} }} "
        for version, sources in sorted(wish.by_version().items())
    ]
    if not families:
        families = ["meta nfproto ipv4 ", "meta nfproto ipv6 "] if both else [""]
    for protocol, ranges in wish.by_protocol().items():
        for family in families:
            yield f"{before}{family}{protocol} dport {{ {', '.join(map(str, ranges))} }}"


def _log(number: int, wish: Wish) -> str:
    return f' log prefix "{MARK}{number} "' if wish.log else ""


def _comment(number: int, wish: Wish) -> str:
    return f'comment "{comment_text(number, wish)}"'


def comment_text(number: int, wish: Wish) -> str:
    """Return the comment by which the rules of a change are found again."""
    return f"{MARK}{number}" + (f" {wish.note}" if wish.note else "")
