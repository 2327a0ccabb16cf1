"""A scan for people: the table at its end, the line that moves meanwhile, and how sure the answer is."""

from __future__ import annotations

import time

from portside.cli.output import Column, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.cli.output import Output
    from portside.probe.records import Result
    from portside.probe.scan import Progress, Scan

_PLAIN = {
    "product",
    "server",
    "status",
    "said",
    "answer",
    "tls",
    "cipher",
}  # values that need no word before them
_EVERY = 0.2  # seconds between two drawings of the line
_STYLES = {
    "open": "green",
    "closed": "dim",
    "filtered": "yellow",
    "open|filtered": "yellow",
    "unknown": "red",
}


def sort_key(one: Result) -> tuple[bytes, str, int]:
    """Return what results are sorted by: address (IPv4 before IPv6), protocol, port."""
    return address_key(one.address), one.protocol, one.port


def address_key(address: str) -> bytes:
    """Return what addresses are sorted by: IPv4 before IPv6, each by number, then the zone."""
    from portside.ports.address import parse_address

    bare, _, zone = address.partition("%")
    raw = parse_address(bare)
    return bytes([len(raw)]) + raw + zone.encode("utf-8", "surrogateescape")


def columns(names: Callable[[int, str], str], ask: str = "") -> list[Column]:
    """Return the columns; `names` guesses a service from (port, transport); `ask` as in `Scan`."""
    made = [
        Column("address", "ADDRESS", _address, shrink=2),
        Column("port", "PORT", lambda one: f"{one.port}/{one.protocol}"),
        Column("state", "STATE", lambda one: one.state, style=lambda one: _STYLES.get(one.state, "")),
        Column("reason", "REASON", _reason, shrink=4),
        Column("service", "SERVICE", lambda one: service_of(one, names), shrink=1),
        Column("rtt", "RTT", lambda one: milliseconds(one.rtt), right=True, shrink=3),
    ]
    if ask:
        made.append(Column("says", "SAYS", says if ask == "identify" else lambda one: one.banner, shrink=5))
    return made


def says(one: Result) -> str:
    """Return what a service told of itself, its banner where nothing could be read out of it."""
    if not one.details:
        return one.banner
    return ", ".join(value if what in _PLAIN else f"{what} {value}" for what, value in one.details)


def service_of(one: Result, names: Callable[[int, str], str]) -> str:
    """Return the service that answered, or in brackets the guess from the port's number."""
    if one.service:
        return one.service
    guess = names(one.port, one.protocol)
    return f"({guess})" if guess else ""


def _address(one: Result) -> str:
    return f"{one.target} ({one.address})" if one.target else one.address


def _reason(one: Result) -> str:
    return f"{one.reason} from {one.source}" if one.source else one.reason


def milliseconds(seconds: float | None) -> str:
    """Return a round-trip time as people compare them."""
    return "" if seconds is None else f"{seconds * 1000:.3g} ms" if seconds < 10 else f"{seconds:.0f} s"


class Line:
    """The progress line on a terminal's standard error; elsewhere nothing."""

    def __init__(self, output: Output, scan: Scan) -> None:
        self._output = output
        self._scan = scan
        self._on = output.err.isatty() and not output.quiet
        self._drawn = 0.0
        self._shown = False

    def draw(self) -> None:
        """Draw the line anew, if it is time."""
        now = time.monotonic()
        if not self._on or now < self._drawn + _EVERY:
            return
        self._drawn, self._shown = now, True
        text = progress_text(self._scan.progress())
        self._output.err.write(f"\r{cut(text, (self._output.width() or 80) - 1)}\x1b[K")
        self._output.err.flush()

    def erase(self) -> None:
        """Leave the line empty for what comes next."""
        if self._shown:
            self._output.err.write("\r\x1b[K")
            self._output.err.flush()
            self._shown = False


def progress_text(now: Progress) -> str:
    """Return the line: how far, how fast, what was found, what is left, what was lost."""
    share = now.decided / now.total if now.total else 1.0
    rate = now.sent / now.seconds if now.seconds else 0.0
    parts = [f"{share:4.0%}", f"{rate:,.0f}/s", f"open {now.open:,}", f"left {now.left:,}"]
    if now.answered:
        parts.append(f"loss {loss(now):.1%}")
    if 0.01 < share < 1 and now.seconds > 1:
        parts.append(f"{duration(now.seconds / share - now.seconds)} to go")
    return ", ".join(parts)


def loss(now: Progress) -> float:
    """Return the share of packets that the way loses, from answers that came only when asked again."""
    return now.late / now.answered if now.answered else 0.0


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"


def summary(now: Progress, told: dict[tuple[str, str], int], hosts: int, tries: int) -> Iterator[str]:
    """Yield the lines that end a scan: what was done, what was not shown, how sure that is.

    `told`: how many were shown of each (state, reason).
    """
    how = f" by {' and '.join(dict.fromkeys(now.methods))}" if now.methods else ""
    yield (
        f"{_many(now.decided, 'port')} of {_many(hosts, 'host')} probed in {duration(now.seconds)}{how}, "
        f"{now.open:,} open"
    )
    rest = [(state, reason, times - told.get((state, reason), 0)) for state, reason, times in now.states]
    hidden = [f"{times:,} {state} ({reason})" for state, reason, times in rest if times > 0]
    if hidden:
        yield f"not shown: {', '.join(hidden)}"
    yield from certainty(now, tries)
    yield from now.notes


def certainty(now: Progress, tries: int) -> Iterator[str]:
    """Yield how sure the answer is: what was left unsaid, and what loss may have hidden."""
    silent = sum(times for _, reason, times in now.states if reason == "no-response")
    unsent = sum(times for _, reason, times in now.states if reason == "local-error")
    if now.decided and not silent and not unsent and not now.left:
        yield "sure: every probe was answered"
    if silent:
        yield (
            f"{_many(silent, 'port')} gave no answer in {_many(tries, 'try', 'tries')}: filtered, or no such host; "
            + _lost(now, silent, tries)
        )
    if unsent:
        yield f"{_many(unsent, 'port')} could not be asked from here: nothing is known of them"
    if now.dropped:
        yield f"{now.dropped:,} answers were dropped by this kernel before they could be read"


def _lost(now: Progress, silent: int, tries: int) -> str:
    """Return how many of the silent ports may have been missed by loss alone."""
    if not now.answered:
        return "nothing answered at all, so loss cannot be told"
    share = loss(now)
    if not share:
        return "no loss was seen"
    missed = now.answered * share**tries
    told = "less than one" if missed < 0.95 else f"about {missed:,.0f}"
    return f"the way loses {share:.1%}, so {told} of them may have been missed"


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"
