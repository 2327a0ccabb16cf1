"""What somebody asks of the firewall, as values; and the durations and rates in which they ask it."""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.address import clear_host_bits, format_address, parse_address, parse_prefix
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portside.ports.number import Range

OPEN, CLOSE, BLOCK, UNBLOCK, REDIRECT = "open", "close", "block", "unblock", "redirect"

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 366 * 86400
_PER = {
    "second": "second",
    "sec": "second",
    "s": "second",
    "minute": "minute",
    "min": "minute",
    "m": "minute",
}
_PER |= {"hour": "hour", "h": "hour", "day": "day", "d": "day"}
NOTE_LENGTH = 100  # nftables keeps 128 bytes of a comment (NFTNL_UDATA_COMMENT_MAXLEN)


class Network(Record):
    """Addresses of one family that share their first bits; `str()` writes a single one without its length."""

    raw: bytes
    bits: int

    @property
    def version(self) -> int:
        """Return 4 or 6."""
        return 4 if len(self.raw) == 4 else 6

    @property
    def single(self) -> bool:
        """Whether it is one address."""
        return self.bits == 8 * len(self.raw)

    def overlaps(self, other: Network) -> bool:
        """Whether some address is in both."""
        bits = min(self.bits, other.bits)
        mine, theirs = clear_host_bits(self.raw, bits), clear_host_bits(other.raw, bits)
        return len(self.raw) == len(other.raw) and mine == theirs

    def __str__(self) -> str:
        return format_address(self.raw) + ("" if self.single else f"/{self.bits}")


class Rate(Record):
    """So many new connections from one address in a second, minute, hour or day."""

    count: int
    per: str

    def __str__(self) -> str:
        return f"{self.count}/{self.per}"


class Target(Record):
    """Where a redirected port leads: a port of this host (no address), or one of another."""

    port: int
    address: str = ""

    @property
    def version(self) -> int:
        """Return the family of the address, 0 without one."""
        return (6 if ":" in self.address else 4) if self.address else 0

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{shown}:{self.port}"


class Wish(Record):
    """One change: what to do, with which ports or addresses, for whom, for how long.

    `ports` are (protocol, range) pairs.  `sources` empty means everybody.  `addresses` are what is blocked: texts in
    the canonical form, because there may be very many.  `until` is the end as seconds since 1970, 0 for none.
    """

    verb: str
    ports: tuple[tuple[str, Range], ...] = ()
    sources: tuple[Network, ...] = ()
    addresses: tuple[str, ...] = ()
    interface: str = ""
    until: int = 0
    rate: Rate | None = None
    log: bool = False
    note: str = ""
    target: Target | None = None

    def by_protocol(self) -> dict[str, list[Range]]:
        """Return the ranges of each protocol."""
        found: dict[str, list[Range]] = {}
        for protocol, ports in self.ports:
            found.setdefault(protocol, []).append(ports)
        return found

    def by_version(self) -> dict[int, list[Network]]:
        """Return the sources of each family: 4, 6; empty where everybody is meant."""
        found: dict[int, list[Network]] = {}
        for source in self.sources:
            found.setdefault(source.version, []).append(source)
        return found

    def __str__(self) -> str:
        words = [self.verb]
        if self.ports:
            words.append(",".join(f"{ports}/{protocol}" for protocol, ports in self.ports))
        if self.verb in (BLOCK, UNBLOCK):
            words.append(few(self.addresses))
        elif self.sources:
            words.append(f"from {few(tuple(map(str, self.sources)))}")
        if self.target is not None:
            words.append(f"to {self.target}")
        if self.interface:
            words.append(f"on {self.interface}")
        if self.rate is not None:
            words.append(f"at most {self.rate}")
        return " ".join(words)


def few(texts: Sequence[str], most: int = 3) -> str:
    """Return a list for people: the first ones, and how many more."""
    rest = len(texts) - most
    return ",".join(texts) if rest <= 0 else ",".join(texts[:most]) + f" and {rest:,} more"


def parse_network(text: str) -> Network:
    """Return the network that `10.0.0.0/8`, `2001:db8::1` or `10/8` names; BadRequest for anything else."""
    raw, bits = parse_prefix(text.strip())
    return Network(raw, bits)


def parse_duration(text: str) -> int:
    """Return the seconds of `90`, `30m`, `1h30m`, `2d`; BadRequest for anything else, or over a year."""
    total, digits = 0, ""
    for letter in text.strip().lower():
        if letter.isascii() and letter.isdigit():
            digits += letter
        elif letter in UNITS and digits:
            total, digits = total + int(digits) * UNITS[letter], ""
        else:
            total, digits = 0, ""
            break
    total += int(digits or 0)
    if not 0 < total <= _LONGEST:
        raise BadRequest(
            "read duration", f"'{text}'", "not a time up to a year", "write 90s, 30m, 1h30m or 2d"
        )
    return total


def parse_rate(text: str) -> Rate:
    """Return the rate that `10/minute` or `5/s` names; BadRequest for anything else."""
    count, _, unit = text.strip().lower().partition("/")
    if not (count.isascii() and count.isdigit() and len(count) < 8 and int(count) and unit in _PER):
        raise BadRequest("read rate", f"'{text}'", "not so many in a time", "write 10/minute or 5/second")
    return Rate(int(count), _PER[unit])


def parse_note(text: str) -> str:
    """Return a comment that every firewall keeps as it is; BadRequest where one would not."""
    if len(text.encode()) > NOTE_LENGTH or not text.isprintable() or set(text) & set("\"'\\"):
        reason = f"rules keep {NOTE_LENGTH} bytes of plain text without quotes"
        raise BadRequest("read comment", f"'{text[:40]}'", reason)
    return text


def parse_target(text: str) -> Target:
    """Return the target that `8080`, `:8080`, `10.0.0.5:80` or `[2001:db8::1]:80` names."""
    address, _, port = text.strip().rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) <= 65535):
        raise BadRequest(
            "read target", f"'{text}'", "a target is PORT or ADDRESS:PORT", "write 8080 or 10.0.0.5:80"
        )
    bare = address.removeprefix("[").removesuffix("]")
    if not bare:
        return Target(int(port))
    if ":" in bare and bare == address:
        raise BadRequest(
            "read target", f"'{text}'", "an IPv6 address stands in brackets", f"write [{bare}]:{port}"
        )
    return Target(int(port), format_address(parse_address(bare)))


def collapse(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return the same addresses without what is inside another network, in order."""
    kept: list[Network] = []
    end = {4: -1, 6: -1}
    for network in sorted(networks, key=lambda one: (len(one.raw), one.raw, one.bits)):
        first = int.from_bytes(network.raw, "big")
        if first > end[network.version]:
            kept.append(network)
            end[network.version] = first + (1 << 8 * len(network.raw) - network.bits) - 1
    return tuple(kept)
