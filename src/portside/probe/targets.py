"""The grammar of targets, nmap's (nmap(1), "target specification"), as a set of addresses.

    192.0.2.7  2001:db8::7       one address             fe80::1%eth0        one that needs its interface
    192.0.2.0/24  2001:db8::/120 a network               www.example.org     what the name resolves to
    10.0.0-3.1,7  10.0.*.-9      lists and ranges of octets (a missing end is 0 or 255)
    www.example.org/28           the network around a name's address

Blanks separate words; commas do not, they belong to octets.  In a file a `#` begins a comment.  An address that is
named twice is probed once.  A network is kept as two numbers; octets become as many ranges as they need, of which a
scan may have a million.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.address import format_address, parse_prefix
from portside.probe.space import Addresses, Block
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Resolver = Callable[[str, int], list[bytes]]  # name, width in bytes (0: both) -> addresses, best first

MOST_BLOCKS = 1 << 20
_OCTET_SIGNS = frozenset("0123456789.,-*")
_HOST_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")
_WIDTHS = {"": (4, 16), "4": (4,), "6": (16,)}


class Targets(Record):
    """What was asked for: the addresses, and what the user called those that were named: (raw, name) pairs."""

    addresses: Addresses
    names: tuple[tuple[bytes, str], ...] = ()


def parse_targets(
    words: Iterable[str], resolve: Resolver, *, exclude: Iterable[str] = (), family: str = "",
    every_address: bool = False,
) -> Targets:  # fmt: skip
    """Return the addresses of all words without those of `exclude`; BadRequest names the word that is wrong.

    `family` `4` or `6` keeps to one.  A name stands for its first address, with `every_address` for all of them;
    an excluded name always for all.
    """
    widths = _WIDTHS[family]
    names: dict[bytes, str] = {}
    blocks: list[Block] = []
    for word in words:
        for block, name in _blocks(word, resolve, widths, every_address):
            blocks.append(block)
            if name:
                names.setdefault(block.first.to_bytes(block.width, "big"), name)
            if len(blocks) > MOST_BLOCKS:
                raise _refusal(word, f"more than {MOST_BLOCKS:,} separate ranges", "name whole networks")
    holes = Addresses(block for word in exclude for block, _ in _blocks(word, resolve, (4, 16), True))
    return Targets(Addresses(blocks).without(holes), tuple(names.items()))


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a target file: blanks and line ends separate, `#` begins a comment."""
    for line in text.splitlines():
        yield from line.partition("#")[0].split()


def _blocks(
    word: str, resolve: Resolver, widths: tuple[int, ...], every: bool
) -> Iterator[tuple[Block, str]]:
    """Yield the ranges of one word, each with the name that it came from."""
    if ":" in word:
        yield from ((block, "") for block in _ipv6(word) if block.width in widths)
    elif _OCTET_SIGNS.issuperset(word.partition("/")[0]):
        yield from ((block, "") for block in _ipv4(word) if block.width in widths)
    else:
        yield from _named(word, resolve, widths, every)


def _ipv6(word: str) -> Iterator[Block]:
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    address, slash, length = bare.partition("/")
    address, percent, zone = address.partition("%")
    if percent and not zone:
        raise _refusal(word, "there is no interface after '%'")
    yield _network(word, f"{address}{slash}{length}", zone)


def _network(word: str, text: str, zone: str = "") -> Block:
    try:
        raw, bits = parse_prefix(text)
    except BadRequest as error:
        raise _refusal(word, error.reason, error.next_step) from None
    first = int.from_bytes(raw, "big")
    return Block(len(raw), first, first + (1 << (len(raw) * 8 - bits)) - 1, zone)


def _ipv4(word: str) -> Iterator[Block]:
    address, slash, _ = word.partition("/")
    octets = address.split(".")
    if slash:
        if not all(octet.isdecimal() for octet in octets):
            raise _refusal(word, "lists of octets do not go with a length", "give one of them")
        yield _network(word, word)
        return
    if len(octets) != 4:
        raise _refusal(word, f"it has {len(octets)} of 4 octets", "write 192.0.2.1, or 10.0.0.0/8")
    yield from _grid(word, [_runs(word, octet) for octet in octets])


def _runs(word: str, octet: str) -> list[tuple[int, int]]:
    """Return the ranges of one octet's text, sorted, none touching another."""
    found: list[tuple[int, int]] = []
    for item in octet.split(","):
        first, dash, last = ("0", "-", "255") if item == "*" else item.partition("-")
        low, high = first or ("0" if dash else ""), (last or "255") if dash else first
        if not (_is_octet(low) and _is_octet(high) and int(low) <= int(high)):
            raise _refusal(
                word, f"'{item[:20]}' is not an octet or a range of octets", "write 0 to 255, or 1-9"
            )
        found.append((int(low), int(high)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _is_octet(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 4 and int(text) <= 255


def _grid(word: str, octets: list[list[tuple[int, int]]]) -> Iterator[Block]:
    """Yield the ranges of four octets' ranges: what is whole at the end needs no splitting."""
    *heads, tail = octets
    size = 1
    while heads and tail == [(0, size * 256 - 1)]:
        size *= 256
        tail = [(low * size, (high + 1) * size - 1) for low, high in heads.pop()]
    pieces = len(tail)
    for runs in heads:
        pieces *= sum(high - low + 1 for low, high in runs)
    if pieces > MOST_BLOCKS:
        raise _refusal(word, f"{pieces:,} separate ranges, {MOST_BLOCKS:,} at most", "name whole networks")
    bases = [0]
    for runs in heads:
        bases = [base * 256 + octet for base in bases for low, high in runs for octet in range(low, high + 1)]
    scale = 256 * size
    for base in bases:
        yield from (Block(4, base * scale + low, base * scale + high) for low, high in tail)


def _named(word: str, resolve: Resolver, widths: tuple[int, ...], every: bool) -> Iterator[tuple[Block, str]]:
    name, slash, length = word.partition("/")
    if not name or (not _HOST_SIGNS.issuperset(name.lower()) and name.isascii()):
        raise _refusal(word, "neither an address nor a host name")
    raws = [raw for raw in resolve(name, widths[0] if len(widths) == 1 else 0) if len(raw) in widths]
    if not raws:
        raise _refusal(word, "the name has no address", "see 'getent ahosts'")
    for raw in raws if every else raws[:1]:
        yield (_network(word, f"{format_address(raw)}{slash}{length}"), "" if slash else name)


def _refusal(word: str, reason: str, next_step: str = "") -> BadRequest:
    shown = word if len(word) <= 60 else word[:57] + "..."
    return BadRequest("read target", repr(shown), reason, next_step)
