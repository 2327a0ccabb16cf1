"""What the small services answer: echo, discard, chargen, qotd, users, daytime, time; as data and pure functions.

A service over TCP is one of four: it sends back what it gets, swallows it, sends without end, or says one text and
closes.  Over UDP it is a function from a datagram to the answer (None: there is none).
References: RFC 862 (echo), 863 (discard), 864 (chargen), 865 (qotd), 866 (users), 867 (daytime), 868 (time).
"""

from __future__ import annotations

import struct
from time import gmtime

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ECHO, DISCARD, ENDLESS, TEXT = "echo", "discard", "endless", "text"  # what a service does over TCP

_LINE = 72  # characters of a chargen line, RFC 864's recommended pattern
_RING = bytes(range(0x20, 0x7F))
_SINCE_1900 = 2_208_988_800  # seconds from 1900 to 1970, RFC 868
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST = 512  # RFC 865: a quote should be shorter
_QUOTES = (  # short ones: over UDP an answer may be no longer than the guard allows
    "Be liberal in what you accept. -- Jon Postel",
    "Simplicity is the ultimate sophistication.",
    "Make it work, make it right, make it fast. -- Kent Beck",
    "Premature optimization is the root of all evil. -- Knuth",
    "The network is the computer. -- John Gage",
    "We reject kings; rough consensus, running code. -- Clark",
    "When in doubt, use brute force. -- Ken Thompson",
)


class Facts(Record):
    """What the texts tell: the time in seconds since 1970, and the names of who is logged in."""

    now: float
    users: tuple[str, ...] = ()


class Service(Record):
    """One service: its own `port`, the `rfc` that defines it, what it does over TCP (`stream`), and its `text`."""

    name: str
    port: int
    rfc: int
    help: str
    stream: str
    text: Callable[[Facts], bytes] | None = None

    def answer(self, data: bytes, facts: Callable[[], Facts]) -> bytes | None:
        """Return the answer to a datagram, None where the service gives none."""
        if self.stream == ECHO:
            return data
        if self.stream == DISCARD:
            return None
        return chargen_line(len(data)) if self.text is None else self.text(facts())


def chargen(first: int, lines: int) -> bytes:
    """Return some lines of the character generator: 72 characters of the ring, one further on each line."""
    double = _RING + _RING
    starts = ((first + line) % len(_RING) for line in range(lines))
    return b"".join(double[start : start + _LINE] + b"\r\n" for start in starts)


def chargen_line(first: int) -> bytes:
    """Return one line, as a datagram's answer."""
    return chargen(first, 1)


PERIOD = len(_RING)  # lines after which the pattern comes again


def _quote(facts: Facts) -> bytes:
    """Return the quote of the day: the same for a whole day, UTC."""
    return _QUOTES[int(facts.now // 86400) % len(_QUOTES)].encode()[: _MOST - 2] + b"\r\n"


def _users(facts: Facts) -> bytes:
    return b"".join(name.encode("utf-8", "surrogateescape") + b"\r\n" for name in facts.users)


def _daytime(facts: Facts) -> bytes:
    """Return the time for people, in UTC."""
    return (time_text(facts.now) + "\r\n").encode()


def time_text(seconds: float) -> str:
    """Return a moment in asctime's form with its zone; pure, whatever the locale."""
    when = gmtime(seconds)
    clock = f"{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}"
    return f"{_DAYS[when.tm_wday]} {_MONTHS[when.tm_mon - 1]} {when.tm_mday:2} {clock} {when.tm_year} UTC"


def _time(facts: Facts) -> bytes:
    """Return seconds since 1900, which wrap in 2036."""
    return struct.pack("!I", (int(facts.now) + _SINCE_1900) & 0xFFFFFFFF)


SERVICES = {
    service.name: service
    for service in (
        Service("echo", 7, 862, "sends back what it gets", ECHO),
        Service("discard", 9, 863, "takes everything and answers nothing", DISCARD),
        Service("users", 11, 866, "who is logged in", TEXT, _users),
        Service("daytime", 13, 867, "the time in words", TEXT, _daytime),
        Service("qotd", 17, 865, "a quote of the day", TEXT, _quote),
        Service("chargen", 19, 864, "characters without end", ENDLESS),
        Service("time", 37, 868, "seconds since 1900 as four bytes", TEXT, _time),
    )
}
