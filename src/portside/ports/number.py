"""Port numbers: the ranges of RFC 6335 (section 6), and a host's own ranges from its sysctls.

The registry divides the numbers; the kernel does not follow it.  Which ports a host hands out by itself
(`net.ipv4.ip_local_port_range`), which it keeps back (`ip_local_reserved_ports`) and from where on anybody may bind
(`ip_unprivileged_port_start`) are read by `system` and given meaning here (Documentation/networking/ip-sysctl.rst).
"""

from __future__ import annotations

from portside.errors import BadReply, BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LAST_PORT = 65535


class Range(Record):
    """The ports `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


SYSTEM = Range(0, 1023)  # "well known": assigned by IETF review or IESG approval
USER = Range(1024, 49151)  # "registered"
DYNAMIC = Range(49152, LAST_PORT)  # "private" or "ephemeral": never assigned


def range_name(port: int) -> str:
    """Return `system`, `user` or `dynamic`, RFC 6335's name for the range that `port` lies in."""
    return "system" if port < 1024 else "user" if port < 49152 else "dynamic"


def parse_range(text: str) -> Range | None:
    """Return the ports of `80`, `8000-8100`, `-100` (1-100), `60000-` (to 65535) or `-` (1-65535).

    None if `text` is not of that form; BadRequest if it is and no such range exists.  Port 0 must be written out:
    nothing listens on it, and bind() takes it for "any".
    """
    first, dash, last = text.partition("-")
    if not all(_is_number(part) for part in (first, last) if part) or not (first or dash):
        return None
    low = _port(first) if first else 1
    high = (_port(last) if last else LAST_PORT) if dash else low
    if low > high:
        reason = "the range is reversed" if first else "a range without a start begins at 1"
        raise BadRequest("read ports", repr(text), reason, f"write {high}-{low}" if first else "write 0")
    return Range(low, high)


def _port(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > 5 or int(significant) > LAST_PORT:
        shown = digits if len(digits) < 20 else f"{digits[:17]}..."
        raise BadRequest("read port", repr(shown), f"'{shown}' is above {LAST_PORT}")
    return int(significant)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the same ports as sorted ranges that neither overlap nor touch."""
    merged: list[Range] = []
    for first, last in sorted((each.first, each.last) for each in ranges):
        if merged and first <= merged[-1].last + 1:
            if last > merged[-1].last:
                merged[-1] = Range(merged[-1].first, last)
        else:
            merged.append(Range(first, last))
    return tuple(merged)


class HostRanges(Record):
    """A host's own division of the ports; the defaults are the kernel's.

    `ephemeral`: what connect() and bind() to port 0 choose from; `unprivileged_start`: the first port that needs no
    CAP_NET_BIND_SERVICE; `reserved`: never chosen by the kernel, free for who asks by number.
    """

    ephemeral: Range = Range(32768, 60999)
    unprivileged_start: int = 1024
    reserved: tuple[Range, ...] = ()

    def is_ephemeral(self, port: int) -> bool:
        """Tell whether the kernel may hand out `port` by itself."""
        return port in self.ephemeral and not self.is_reserved(port)

    def is_reserved(self, port: int) -> bool:
        """Tell whether `port` is kept back from automatic choice."""
        return any(port in each for each in self.reserved)

    def needs_privilege(self, port: int) -> bool:
        """Tell whether binding `port` takes CAP_NET_BIND_SERVICE."""
        return 0 < port < self.unprivileged_start

    def words(self, port: int) -> tuple[str, ...]:
        """Return what `port` is on this host: `privileged`, `ephemeral`, `reserved`, or nothing special."""
        answers = {
            "privileged": self.needs_privilege(port),
            "ephemeral": self.is_ephemeral(port),
            "reserved": self.is_reserved(port),
        }
        return tuple(word for word, true in answers.items() if true)


def parse_host_ranges(
    local_port_range: str = "", unprivileged_port_start: str = "", local_reserved_ports: str = ""
) -> HostRanges:
    """Return the record of three sysctls' text; an empty one (not readable) keeps the kernel's default."""
    default = HostRanges()
    bounds = local_port_range.split()
    start = unprivileged_port_start.strip()
    ephemeral = default.ephemeral
    if bounds:
        if len(bounds) != 2:
            raise _malformed("ip_local_port_range", local_port_range)
        ephemeral = _range_of(bounds[0], bounds[1], "ip_local_port_range", local_port_range)
    return HostRanges(
        ephemeral=ephemeral,
        unprivileged_start=_bounded(start, LAST_PORT + 1, "ip_unprivileged_port_start")
        if start
        else default.unprivileged_start,
        reserved=_parse_reserved(local_reserved_ports),
    )


def _parse_reserved(text: str) -> tuple[Range, ...]:
    ranges = []
    for item in text.strip().split(",") if text.strip() else ():
        first, dash, last = item.strip().partition("-")
        ranges.append(_range_of(first, last if dash else first, "ip_local_reserved_ports", text))
    return merge_ranges(ranges)


def _range_of(first: str, last: str, sysctl: str, text: str) -> Range:
    made = Range(_bounded(first, LAST_PORT, sysctl), _bounded(last, LAST_PORT, sysctl))
    if made.first > made.last:
        raise _malformed(sysctl, text)
    return made


def _bounded(text: str, highest: int, sysctl: str) -> int:
    if not (_is_number(text) and len(text) < 6 and int(text) <= highest):
        raise _malformed(sysctl, text)
    return int(text)


def _malformed(sysctl: str, text: str) -> BadReply:
    return BadReply("read sysctl", f"net.ipv4.{sysctl}", f"unexpected text {text[:60]!r}")
