"""What may stand after a predicate: ports, addresses, numbers, words from a list.

Each reader takes a token's text and `fail`, which makes the error that points at the token.  Names that the filter
does not know by itself (services) go through the resolver given to `parse`; host names are never looked up, since
that would send packets in order to list sockets.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.ports.address import clear_host_bits, parse_address, parse_prefix
from portside.ports.number import LAST_PORT, Range, merge_ranges
from portside.see.filter.syntax import OPEN, HostPattern
from portside.see.filter.tokens import plain, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.errors import BadRequest

    Fail = Callable[[str, str], BadRequest]
    Resolver = Callable[[str], tuple[int, ...]]

_FAMILIES = {name: name for name in ("inet", "inet6", "unix", "link", "netlink", "vsock")} | {
    "packet": "link"
}
_IP = ("", "inet", "inet6")


def number(text: str, last: int) -> int | None:
    """Return `text` as a number from 0 to `last`, `None` if it is not one."""
    if text.isascii() and text.isdecimal() and len(text) < 12 and int(text) <= last:
        return int(text)
    return None


def read_range(text: str, last: int, what: str, fail: Fail) -> Range | None:
    """Read `N`, `N-M`, `-M`, `N-` or `*`; `None` if this is not made of digits at all."""
    if text == "*":
        return Range(0, OPEN)
    if text == "-" or text.strip("0123456789-") or text.count("-") > 1:
        return None
    low, dash, high = text.partition("-")
    first = number(low, last) if low else 0
    end = first if not dash else number(high, last) if high else OPEN
    if first is None or end is None:
        raise fail(f"{shorten(text)!r} is not a {what}", f"{what}s go from 0 to {last}")
    if first > end:
        raise fail(f"the range {shorten(text)!r} runs backwards", f"write {end}-{first}")
    return Range(first, end)


def read_ports(text: str, resolve: Resolver, fail: Fail) -> tuple[Range, ...]:
    """Read a port, a range of ports or a service name, with ss's leading colon or without."""
    bare = plain(text).removeprefix(":")
    ports = read_range(bare, LAST_PORT, "port", fail)
    return read_service(bare, resolve, fail) if ports is None else (ports,)


def read_service(name: str, resolve: Resolver, fail: Fail) -> tuple[Range, ...]:
    """Read a service name: the ports it is registered for."""
    base, slash, transport = name.partition("/")
    if slash and transport.lower() in ("tcp", "udp", "sctp"):
        raise fail(
            "a transport does not belong into a filter",
            f"write {base!r} and choose -t or -u beside the filter",
        )
    if not name:
        raise fail("the port is missing", "give a number, a range 8000-8100 or a service name")
    next_step = "give the number"
    try:
        ports = resolve(name)
    except (PortsideError, LookupError) as error:
        ports = ()
        next_step = getattr(error, "next_step", "") or next_step
    if not ports:
        raise fail(f"there is no service named {shorten(name)!r}", next_step)
    return merge_ranges(Range(port, port) for port in ports)


def split_family(text: str) -> tuple[str, str]:
    """Split ss's `FAMILY:` off; the family is empty if there is none."""
    name, colon, rest = text.partition(":")
    family = _FAMILIES.get(name.lower(), "") if colon else ""
    return (family, rest) if family else ("", text)


def read_hosts(text: str, resolve: Resolver, fail: Fail) -> tuple[HostPattern, ...]:
    """Read one HOST: [FAMILY:]ADDRESS[/BITS][:PORT], one pattern for each range that PORT stands for."""
    family, rest = split_family(text)
    if not family and rest[:1] in ("/", "@"):
        family = "unix"
    if family in _IP:
        return _read_ip(family, plain(rest), resolve, fail)
    if family in ("netlink", "vsock"):
        name, colon, port = rest.rpartition(":")
        if colon:
            return (HostPattern(family=family, text=name, ports=_socket_id(port, fail)),)
    if family == "link" and ":" in rest:
        protocol, _, device = rest.rpartition(":")
        return (HostPattern(family=family, text=protocol, device="" if device == "*" else plain(device)),)
    if not rest:
        raise fail(f"nothing follows '{family}:'", "write * for any")
    return (HostPattern(family=family, text=rest),)


def _socket_id(port: str, fail: Fail) -> Range | None:
    """Read the port of a netlink or vsock address: a number, `kernel` (0) or `*`."""
    if port == "*":
        return None
    ports = Range(0, 0) if port == "kernel" else read_range(port, OPEN - 1, "number", fail)
    if ports is None:
        raise fail(f"{shorten(port)!r} is not a number", "give a number, kernel or *")
    return ports


def _read_ip(family: str, text: str, resolve: Resolver, fail: Fail) -> tuple[HostPattern, ...]:
    host, port = _split_port(text, fail)
    host, bits = _split_bits(host)
    address, _, device = host.partition("%")
    if len(device) > 15 or any(each in "/:" or each.isspace() for each in device):
        raise fail(f"{shorten(device)!r} is not an interface name", "write ADDRESS%eth0")
    raw, length = b"", 0
    if address not in ("", "*"):
        raw, length = _read_address(address, bits, fail)
    elif bits:
        raise fail(f"'*' has no prefix length {bits!r}", "write 0.0.0.0/0 or ::/0")
    if raw and family not in ("", "inet" if len(raw) == 4 else "inet6"):
        raise fail(f"{shorten(address)!r} is not an address of {family}", "leave the family out")
    if port is None:
        return (HostPattern(family if not raw else "", raw, length, None, device),)
    return tuple(
        HostPattern(
            family if not raw else "", raw, length, None if ports == Range(0, OPEN) else ports, device
        )
        for ports in read_ports(port, resolve, fail)
    )


def _split_port(text: str, fail: Fail) -> tuple[str, str | None]:
    """Split `[A]%D/N:P`, `A:P` or a bare IPv6 address into host (without brackets) and port."""
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise fail("the bracket is not closed", "write [ADDRESS]:PORT")
        between, colon, port = rest.partition(":")
        if between and between[0] not in "%/":
            raise fail(f"{shorten(rest)!r} follows the address", "write [ADDRESS]:PORT")
        inner += between
    elif text.count(":") != 1:
        inner, colon, port = text, "", ""
    else:
        inner, colon, port = text.partition(":")
    if colon and not port:
        raise fail("the port is missing after ':'", "write * for any")
    if not inner and not colon:
        raise fail("the address is missing", "give an address, a prefix such as 10.0.0.0/8, or *")
    return inner, port if colon else None


def _split_bits(host: str) -> tuple[str, str]:
    """Split the prefix length off, wherever the zone stands: `A%D/N` and `A/N%D` are the same."""
    front, slash, rest = host.partition("/")
    bits, percent, device = rest.partition("%")
    return front + percent + device, slash + bits


def _read_address(address: str, bits: str, fail: Fail) -> tuple[bytes, int]:
    try:
        if bits:
            raw, length = parse_prefix(address + bits)
            return clear_host_bits(raw, length), length
        raw = parse_address(address)
        return raw, 8 * len(raw)
    except PortsideError as error:
        reason = f"{shorten(address + bits)!r} is not an address: {error.reason}"
        if address.isdecimal() and not bits:
            raise fail(f"{shorten(address)!r} is not an address", f"for a port write :{address}") from None
        if ":" not in address and any(each.isalpha() for each in address):
            raise fail(
                f"{shorten(address)!r} is not an address, and names are not looked up",
                "give the address itself (getent hosts NAME shows it)",
            ) from None
        raise fail(reason, "write 192.0.2.1, 10.0.0.0/8, 2001:db8::1 or [2001:db8::1]:443") from None


def read_mark(text: str, fail: Fail) -> tuple[int, int]:
    """Read a firewall mark as ss does: `N` or `N/MASK`, decimal, octal or hexadecimal."""
    value, slash, mask = plain(text).partition("/")
    numbers = [_c_number(value), _c_number(mask) if slash else 0xFFFFFFFF]
    if None in numbers:
        raise fail(f"{shorten(text)!r} is not a firewall mark", "write 0x10, 16 or 0x10/0xff")
    return numbers[0] or 0, numbers[1] or 0


def _c_number(text: str) -> int | None:
    """Return a number as strtoul(3) with base 0 reads it, `None` if it is not one of 32 bits."""
    if not text.isascii() or not text.isalnum() or len(text) > 12:
        return None
    base = 16 if text[:2].lower() == "0x" else 8 if text[0] == "0" else 10
    try:
        value = int(text, base)
    except ValueError:
        return None
    return value if value <= 0xFFFFFFFF else None
