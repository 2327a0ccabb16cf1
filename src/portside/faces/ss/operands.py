"""What stands behind `dst`, `sport`, `dev`, `fwmark` and `cgroup` in ss's filter.

A host is `[FAMILY:]ADDRESS[:PORT]`, where a family that is named is from then on the only one shown; without one it
is the family that the options named last.  Addresses: `10/8`, `10.1.2.3`, `[2001:db8::/32]`, `*`, `any`, a host's
name; an ethertype, a netlink protocol, a vsock context id, a Unix socket's name with wildcards.
Reference: parse_hostcond in misc/ss.c, get_prefix in lib/utils.c of iproute2 6.1.
"""

from __future__ import annotations

import _socket
import os
import sys

from portside.faces import printable
from portside.faces.ss.condition import AF_UNSPEC, ANY_PORT, Cgroup, Device, End, Mark, Node, Place
from portside.wire.sock_diag import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.ss.selection import Selection
    from portside.faces.ss.services import Services
    from portside.system.host import Host

_FAMILIES = {
    "unix:": AF_UNIX, "link:": AF_PACKET, "netlink:": AF_NETLINK, "vsock:": AF_VSOCK, "inet:": AF_INET,
    "inet6:": AF_INET6,
}  # fmt: skip
_BITS = {AF_INET: 32, AF_INET6: 128}
_WORD = 0xFFFFFFFF
_INT_MAX = 0x7FFFFFFF


class Operands:
    """Reads values; None for one that is wrong, with what is to be said about it in `said`."""

    def __init__(self, host: Host, selection: Selection, services: Services) -> None:
        self._host = host
        self._selection = selection
        self._services = services
        self.said = ""

    def device(self, name: str) -> Node | None:
        """Return the test for an interface, by name or number."""
        index = _index_of(name)
        if not index:
            number = integer(name)
            if number is None or not 0 <= number <= _WORD:
                return None
            index = number
        return Device(index)

    def mark(self, text: str) -> Node | None:
        """Return the test for a firewall mark `N` or `N/MASK`."""
        value, slash, mask = text.partition("/")
        numbers = integer(value), integer(mask) if slash else _WORD
        if numbers[0] is None or numbers[1] is None:
            return None
        return Mark(numbers[0] & _WORD, numbers[1] & _WORD)

    def cgroup(self, path: str) -> Node | None:
        """Return the test for a cgroup, by its path below the mount of version 2 or as a file's."""
        from portside.system.cgroups import find_root

        root = find_root() if self._host.live else ""
        if not root:
            self.said = "Failed to find cgroup2 mount\n"
            return None
        inside = path if path.startswith(f"{root}/") else f"{root}/{path}"
        try:
            return Cgroup(os.stat(inside).st_ino)
        except OSError as error:
            self.said = f"Failed to get cgroup2 ID: {error.strerror}\n"
            return None

    def end(self, text: str, is_port: bool, about: str) -> Node | None:
        """Return the test for an end of a socket; `is_port`: the text is the port alone."""
        local = about in ("src", "sport")
        family = self._selection.preferred
        for word, named in _FAMILIES.items():
            if text.startswith(word):
                family, text = named, text[len(word) :]
                break
        if family == AF_UNIX:
            node: End | None = End(local, (), ANY_PORT, AF_UNIX, text)
        elif family in (AF_PACKET, AF_NETLINK, AF_VSOCK):
            node = self._numbered(local, text, is_port, family)
        else:
            node = self._ip(local, text, is_port, family)
        if node is not None and family != AF_UNSPEC:
            self._selection.only_family(family)
        return node

    def _numbered(self, local: bool, text: str, is_port: bool, family: int) -> End | None:
        """Read an end of a packet, netlink or vsock socket: a number or its name, and another."""
        address, colon, behind = ("", ":", text.removeprefix(":")) if is_port else text.partition(":")
        port: int | None = ANY_PORT
        if colon and behind != "*" and (behind or family == AF_VSOCK):
            port = self._number_port(behind, family)
        if port is None:
            return None
        places: tuple[Place, ...] = ()
        if address and address != "*":
            number = self._number_address(address, family)
            if number is None:
                return None
            places = (Place(family, (number & _WORD).to_bytes(4, sys.byteorder), 32),)
        return End(local, places, port, family)

    def _number_port(self, text: str, family: int) -> int | None:
        number = integer(text)
        if family == AF_VSOCK:
            return number if number is not None and 0 <= number <= _WORD else None
        if number is not None and -_INT_MAX - 1 <= number <= _INT_MAX:
            return number
        if family == AF_NETLINK:
            return 0 if text == "kernel" else None
        return _index_of(text) or None

    def _number_address(self, text: str, family: int) -> int | None:
        number = integer(text)
        if family == AF_VSOCK:
            return number if number is not None and 0 <= number <= _WORD else None
        from portside.faces.ss import netlink, packet

        if family == AF_PACKET:
            named = packet.number_of(text)
            return named if named is not None else number if number is not None and number >= 0 else None
        named = netlink.number_of(text, self._host)
        return named if named is not None else number if number is not None and number >= 0 else None

    def _ip(self, local: bool, text: str, is_port: bool, family: int) -> End | None:
        """Read an end of an IP socket."""
        address, behind = _cut(text, is_port)
        if address is None:
            return None
        port: int | None = ANY_PORT
        behind = behind.removeprefix(":")
        if behind and not behind.startswith("*"):
            port = self._port(behind)
        if port is None:
            return None
        places: tuple[Place, ...] = ()
        if address and not address.startswith("*"):
            found = self._places(address, family)
            if not found:
                said = printable(address)
                self.said = f'Error: an inet prefix is expected rather than "{said}".\n'
                return None
            places = tuple(found)
        return End(local, places, port, AF_UNSPEC)

    def _port(self, text: str) -> int | None:
        number = integer(text)
        if number is not None and -_INT_MAX - 1 <= number <= _INT_MAX:
            return number
        tables = [table for table in ("udp", "tcp") if table in self._selection.tables]
        found = {port for table in tables if (port := self._services.port(text, table)) is not None}
        if not found:
            found = {port for table in tables for port in self._services.registered(text, table)}
        if len(found) > 1:
            self.said = f'Error: ambiguous port "{printable(text)}".\n'
        elif not found:
            self.said = f'Error: "{printable(text)}" does not look like a port.\n'
        return found.pop() if len(found) == 1 else None

    def _places(self, text: str, family: int) -> list[Place]:
        """Return the addresses that a text stands for: a prefix, or those of a host of that name."""
        place = prefix(text, family)
        if place is not None:
            return [place]
        from portside.system.resolver import addresses

        wanted = (family,) if family else (AF_INET, AF_INET6)
        return [Place(each, raw, _BITS[each]) for each in wanted for raw in addresses(text, each)]


def _cut(text: str, is_port: bool) -> tuple[str | None, str]:
    """Take a text apart into an address (None: a bracket is missing) and what is behind it, a colon at the front."""
    if is_port:
        return "", text
    if text.startswith("["):
        address, bracket, behind = text[1:].partition("]")
        return (address, behind) if bracket else (None, "")
    if text.startswith("*"):
        return "*", text[1:]
    slash = text.find("/")
    colon = text.rfind(":", max(slash, 0))
    return (text, "") if colon < 0 else (text[:colon], text[colon:])


def prefix(text: str, family: int) -> Place | None:
    """Return the prefix that a text stands for, None where it is none: `10/8` is 10.0.0.0/8."""
    address, slash, mask = text.partition("/")
    if address in ("default", "all", "any"):
        return None if slash else Place(family, bytes(16), 0)
    raw = _ipv6(address) if ":" in address else _ipv4(address)
    if raw is None:
        return None
    named = AF_INET if len(raw) == 4 else AF_INET6
    if family not in (AF_UNSPEC, named):
        return None
    bits = _mask_bits(mask) if slash else _BITS[named]
    return Place(named, raw, bits) if bits is not None and bits <= _BITS[named] else None


def _ipv6(text: str) -> bytes | None:
    try:
        return _socket.inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None


def _ipv4(text: str) -> bytes | None:
    """Read one to four numbers; what is not written is zero."""
    numbers = [integer(part) for part in text.split(".")]
    if len(numbers) > 4 or any(number is None or not 0 <= number <= 255 for number in numbers):
        return None
    return bytes(number or 0 for number in numbers).ljust(4, b"\0")


def _mask_bits(text: str) -> int | None:
    """Read the length of a prefix, or a mask in IPv4's notation."""
    number = integer(text)
    if number is not None:
        return number if 0 <= number <= _WORD else None
    raw = _ipv4(text)
    if raw is None:
        return None
    bits = f"{int.from_bytes(raw, 'big'):032b}"
    return bits.count("1") if "01" not in bits else None


def integer(text: str) -> int | None:
    """Return the number that a whole text is to strtol(3) with base 0: decimal, 0x hexadecimal, 0 octal."""
    digits = text.lstrip(" \t\n\v\f\r")
    sign = digits[:1] if digits[:1] in ("+", "-") else ""
    digits = digits[len(sign) :]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" else 10
    body = digits[2:] if base == 16 else digits
    if not body or not body.isascii() or not body.isalnum():
        return None
    try:
        number = int(body, base)
    except ValueError:
        return None
    return -number if sign == "-" else number


def _index_of(name: str) -> int:
    """Return the number of an interface of the calling thread's namespace, 0 where there is none of that name."""
    try:
        return _socket.if_nametoindex(name)
    except (OSError, ValueError):
        return 0
