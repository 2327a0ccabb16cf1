"""What is asked of a service, and what its answer shows: the records that the tables of this package are made of.

A table row is a `Question`: the ports where it is asked first, what is sent (nothing: the server speaks first), and
a reader, a pure function from the bytes so far to a `Service`, or None if they are not (yet) of that protocol.  A
reader takes any bytes of any length up to `MOST` and never raises.
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[bytes], "Service | None"]

MOST = 16_384  # bytes of an answer that are looked at
_LONGEST = 200  # characters of a detail


class Service(Record):
    """A service known by its answer: `name` as IANA has it where it has one, and details as (what, text)."""

    name: str
    details: tuple[tuple[str, str], ...] = ()


class Question(Record):
    """One way to make a service speak."""

    name: str
    ports: tuple[int, ...]
    ask: bytes
    read: Reader


def service(name: str, **details: str) -> Service:
    """Return a service with the details that are not empty, cut to a line of sensible length."""
    kept = ((what, line(text)) for what, text in details.items())
    return Service(name, tuple((what, text) for what, text in kept if text))


def line(text: str) -> str:
    """Return text as one line, cut short, blanks made one; what has no look (control codes) becomes `?`."""
    words = " ".join(text[: 4 * _LONGEST].split())[:_LONGEST]
    return words if words.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in words)


def text(data: bytes) -> str:
    """Return bytes of foreign origin as text: UTF-8 where it is, else Latin-1, which takes anything."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def number(data: bytes, at: int, size: int) -> int:
    """Return the big-endian number at `at`, 0 where the bytes end before."""
    return int.from_bytes(data[at : at + size].ljust(size, b"\0"), "big")
