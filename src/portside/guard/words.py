"""Answers in words: sets of addresses as networks, where a port is reached from."""

from __future__ import annotations

from portside.guard.environment import WIDTH
from portside.guard.packet import DEPENDS, YES, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.closed import KeptOut
    from portside.guard.difference import Difference
    from portside.guard.reach import Piece, Reachability

_FEW = 3
_LINK_LOCAL = 0x3FA  # the ten bits of fe80::/10


def networks(family: str, spans: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yield the networks that make up spans of addresses, a lone address without its length."""
    width = WIDTH[family]
    for low, high in spans:
        while low <= high:
            size = min(low & -low or 1 << width, 1 << (high - low + 1).bit_length() - 1)
            length = width - size.bit_length() + 1
            yield text(family, low) + (f"/{length}" if length < width else "")
            low += size


def sources(piece: Piece | Difference | KeptOut, most: int = _FEW) -> str:
    """Return the sources of a piece: `192.0.2.0/24, 10.0.0.0/8 and 5 more`."""
    found: list[str] = []
    left = 0
    for network in networks(piece.family, piece.sources):
        if len(found) < most:
            found.append(network)
        else:
            left += 1
    return ", ".join(found) + (f" and {left} more" if left else "")


def who(piece: Piece | Difference, most: int = _FEW) -> str:
    """Return who is meant by a piece: everybody, most, or which networks."""
    family = "IPv6" if piece.family == "ip6" else "IPv4"
    if piece.whole and everything(piece):
        return f"all of {family}"
    return f"most of {family}" if everything(piece) else sources(piece, most)


def link_local(piece: Piece) -> bool:
    """Whether a piece is about neighbours' link-local addresses, which are seldom asked for."""
    return piece.family == "ip6" and all(is_link_local(low) for low, _ in piece.sources)


def is_link_local(address: int) -> bool:
    """Whether an IPv6 address, as a number, is of fe80::/10."""
    return address >> 118 == _LINK_LOCAL


def everything(piece: Piece | Difference) -> bool:
    """Whether a piece holds most of the world: then what is missing is told better than what is there."""
    size = sum(high - low + 1 for low, high in piece.sources)
    return size > 1 << WIDTH[piece.family] - 1


def from_where(found: Reachability) -> str:
    """Return where a port is reached from, in a few words."""
    if found.verdict == "anyone":
        return "anyone who can route here"
    wanted = DEPENDS if found.verdict == "depends" else YES
    pieces = sorted((piece for piece in found.pieces if piece.verdict == wanted), key=link_local)
    if not pieces:
        return found.verdict
    words = [f"{who(piece, 2)} on {piece.interface}" for piece in pieces]
    more = f" and {len(words) - 2} more" if len(words) > 2 else ""
    return "; ".join(words[:2]) + more
