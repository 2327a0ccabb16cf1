"""The sets of blocked addresses in our own table, and the rules that drop what comes from them.

    hosts4, hosts6          single addresses; an element's timeout is the end of its block
    nets4, nets6            networks, none inside another
    log7_hosts4, ...        the addresses of change 7 once more, where it was made with --log: its lines name it

The first four are changed by elements, because they may be long; those for the log are filled anew.
Reference: nft(8) "SETS".
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.guard.changes.names import NFPROTO_INET, TABLE, comment, log_words
from portside.guard.changes.wish import BLOCK, collapse, parse_network
from portside.record import Record
from portside.system import firewall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portside.guard.changes.wish import Network, Wish

    Numbered = Sequence[tuple[int, Wish]]

SETS = ("hosts4", "nets4", "hosts6", "nets6")


def sets_script(changes: Numbered) -> str:
    """Return the script that makes the sets, where they are not there."""
    lines = [f"{_declaration(name, 'timeout')}\n" for name in SETS]
    return "".join((*lines, *(f"{_declaration(name)}\n" for name in logged(changes))))


def drops_script(changes: Numbered) -> str:
    """Return the rules of the chain `block`: what is logged, then what is dropped."""
    lines = []
    for number, wish in changes:
        if wish.verb == BLOCK and wish.log:
            before = f"meta time < {wish.until} " if wish.until else ""
            tail = f"{log_words(number)} {comment(number, wish)}"
            lines += [
                f"add rule {TABLE} block {before}{_source(name)} {tail}\n"
                for name in _logged_by(number, wish)
            ]
    lines += [f"add rule {TABLE} block {_source(name)} counter drop\n" for name in SETS]
    return "".join(lines)


def _declaration(name: str, *more: str) -> str:
    flags = (["interval"] if "nets" in name else []) + list(more)
    told = f" flags {','.join(flags)};" if flags else ""
    return f"add set {TABLE} {name} {{ type ipv{name[-1]}_addr;{told} }}"


def _source(name: str) -> str:
    return f"{'ip6' if name[-1] == '6' else 'ip'} saddr @{name}"


class Hosts(Record):
    """Addresses to be put into one set, for `seconds` (0: for good)."""

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
    table = TABLE.partition(" ")[2]
    firewall.add_addresses(NFPROTO_INET, table, [(one.name, one.addresses, one.seconds) for one in many])


def hosts_removal(addresses: Iterable[str]) -> str:
    """Return the script that unblocks single addresses, whether they are blocked or not."""
    return "".join(_remove(name, texts) for name, texts in _by_set(addresses).items())


def hosts_flush() -> str:
    """Return the script that unblocks every single address."""
    return "".join(f"flush set {TABLE} {name}\n" for name in SETS if "hosts" in name)


def networks_script(blocks: Iterable[Wish], now: int) -> str:
    """Return the script that makes the sets of networks those of all blocks in force.

    Networks inside others are left out, for the sets take no overlaps.
    """
    lines = [f"flush set {TABLE} {name}\n" for name in SETS if "nets" in name]
    groups: dict[tuple[int, int], list[str]] = {}
    for network, until in merged_networks(blocks):
        groups.setdefault((network.version, until), []).append(str(network))
    for (version, until), texts in groups.items():
        lines.append(Hosts(f"nets{version}", texts, max(until - now, 1) if until else 0).script)
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
    found: list[tuple[Network, int]] = []
    for network, until in sorted(ends.items(), key=lambda item: (item[0].version, item[0].raw, item[0].bits)):
        around, its_end = found[-1] if found else (network, until)  # only the last can hold this one
        if not found or not around.overlaps(network):
            found.append((network, until))
        elif its_end not in (0, until):
            timed, other = (network, around) if until else (around, network)
            raise BadRequest(
                "block", f"{timed}", f"it overlaps {other}, which is blocked for another time",
                f"run: portside unblock {other}",
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


def logged(changes: Numbered) -> dict[str, tuple[str, ...]]:
    """Return the sets that are for the log alone, by name, with what they hold."""
    return {
        name: texts
        for number, wish in changes
        if wish.verb == BLOCK and wish.log
        for name, texts in _logged_by(number, wish).items()
    }


def _logged_by(number: int, wish: Wish) -> dict[str, tuple[str, ...]]:
    found = {f"log{number}_{name}": tuple(texts) for name, texts in _by_set(wish.addresses).items()}
    networks = collapse(parse_network(text) for text in wish.addresses if "/" in text)
    for version in (4, 6):
        if texts := tuple(str(one) for one in networks if one.version == version):
            found[f"log{number}_nets{version}"] = texts
    return found


def logged_script(before: Numbered, after: Numbered) -> str:
    """Return the script from some sets for the log to others, but for `logged_hosts`.

    Nothing may refer to the old ones any more.  One that should be there, and is not, is made first.
    """
    old, new = logged(before), logged(after)
    lines = [f"{_declaration(name)}\ndelete set {TABLE} {name}\n" for name in old if name not in new]
    for name, texts in new.items():
        if old.get(name, texts) != texts:
            lines.append(f"flush set {TABLE} {name}\n")
        if "nets" in name and old.get(name) != texts:
            lines.append(Hosts(name, texts, 0).script)
    return "".join(lines)


def logged_hosts(before: Numbered, after: Numbered) -> list[Hosts]:
    """Return the single addresses that sets for the log get, where they do not have them yet."""
    old = logged(before)
    return [
        Hosts(name, texts, 0)
        for name, texts in logged(after).items()
        if "hosts" in name and old.get(name) != texts
    ]
