"""The listeners of this host and who reaches them: what `portside reach` asks."""

from __future__ import annotations

from portside.errors import BadRequest
from portside.guard.environment import WIDTH
from portside.guard.packet import DEPENDS, NO, YES, number
from portside.guard.reach import ANYONE, NOBODY, SOME, Bound, Judge, Listener, Piece, Reachability
from portside.guard.seam import listener
from portside.ports.address import parse_prefix
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.see.ports import OpenPort


class Answer(Record):
    """One port and who reaches it; `row` is the open port, `None` where nothing listens."""

    listener: Listener
    reachability: Reachability
    row: OpenPort | None = None


class Source(Record):
    """Whom is asked for: sources of one family (a span), or everybody on one interface."""

    family: str = ""
    span: tuple[int, int] = (0, 0)
    interface: str = ""


def source(judge: Judge, text: str) -> Source:
    """Return whom an address, a network or the name of an interface stands for; raises BadRequest."""
    if judge.environment.device(text) is not None:
        return Source(interface=text)
    try:
        raw, length = parse_prefix(text)
    except BadRequest as error:
        names = ", ".join(device.name for device in judge.environment.devices)
        raise BadRequest(
            "judge", f"'{text}'", "it is no address, network or interface", f"interfaces are {names}"
        ) from error
    family = "ip6" if len(raw) == 16 else "ip"
    low = int.from_bytes(raw, "big")
    return Source(family, (low, low | (1 << WIDTH[family] - length) - 1))


def answers(judge: Judge, rows: Iterable[OpenPort], asked: Source | None = None) -> list[Answer]:
    """Return who reaches each open port that listens, of those asked for alone."""
    found = []
    for row in rows:
        if row.state == "bound-inactive":
            continue
        wanted = listener(row.sockets)
        found.append(Answer(wanted, reach(judge, wanted, asked), row))
    return found


def nobody_listens(
    judge: Judge, port: int, protocols: Iterable[str], asked: Source | None = None
) -> list[Answer]:
    """Return who could reach a port if something listened on it everywhere."""
    bounds = (Bound("ip"), Bound("ip6"))
    listeners = [Listener(protocol, port, bounds) for protocol in protocols]
    return [Answer(one, reach(judge, one, asked)) for one in listeners]


def reach(judge: Judge, wanted: Listener, asked: Source | None = None) -> Reachability:
    """Return who reaches a listener, of those asked for."""
    if asked is None:
        return judge.reach(wanted)
    if asked.interface:
        device = judge.environment.device(asked.interface)
        assert device is not None
        return judge.reach(wanted, (device,))
    single = asked.span[0] == asked.span[1]
    own = single and any(value == asked.span[0] for value, _ in judge.environment.own(asked.family))
    local = judge.environment.device("lo")
    found = judge.reach(wanted, (local,)) if own and local is not None else judge.reach(wanted)
    return narrowed(found, asked)


def narrowed(found: Reachability, asked: Source) -> Reachability:
    """Return an answer for some sources alone: `anyone` then means all of them."""
    pieces = tuple(cut for piece in found.pieces if (cut := _cut(piece, asked)) is not None)
    verdicts = {piece.verdict for piece in pieces}
    if found.verdict == "unknown":
        return found
    if verdicts == {YES}:
        verdict = ANYONE
    elif YES in verdicts:
        verdict = SOME
    else:
        verdict = DEPENDS if DEPENDS in verdicts else NOBODY
    wanted = {ANYONE: YES, SOME: YES, DEPENDS: DEPENDS, NOBODY: NO}[verdict]
    because = next((piece.because for piece in pieces if piece.verdict == wanted), found.because)
    return found.replace(verdict=verdict, pieces=pieces, because=because)


def _cut(piece: Piece, asked: Source) -> Piece | None:
    low, high = asked.span
    spans = tuple(
        (max(low, first), min(high, last))
        for first, last in piece.sources
        if piece.family == asked.family and first <= high and last >= low
    )
    if not spans:
        return None
    inside = any(first <= number(piece.sample.source) <= last for first, last in spans)
    first, last = spans[0]
    usual = first + (last > first + 1)  # not a network's own number
    sample = piece.sample if inside else piece.sample.replace(source=_text(piece, usual))
    return piece.replace(sources=spans, sample=sample)


def _text(piece: Piece, value: int) -> str:
    from portside.guard.packet import text

    return text(piece.family, value)
