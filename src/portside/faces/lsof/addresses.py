"""The argument of -i: `[46][protocol][@host|address][:services or ports]`.

One argument stands for as many addresses as its host has, times its ports and ranges.  Hosts and services are looked
up when the command line is read, a name in both families unless one is asked for.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.faces.lsof.text import safe
from portside.ports.address import parse_address
from portside.record import Record
from portside.system import resolver
from portside.system.resolver import AF_INET, AF_INET6

MOST = 100  # lsof's limit of addresses together

_PROTOCOLS = ("tcp", "udp", "udplite")
_MAPPED = bytes(10) + b"\xff\xff"


class Wrong(Exception):
    """What is wrong with the argument, as lsof says it."""


class Address(Record):
    """One thing to compare with an end of a socket; `family`, `protocol`, `raw` and `ports` are empty for any."""

    argument: str
    family: int = 0
    protocol: str = ""
    raw: bytes = b""
    ports: tuple[int, int] | None = None

    def covers(self, protocol: str, family: int, raw: bytes, port: int) -> bool:
        """Whether it covers this end; an IPv4 address in an IPv6 socket is AF_INET with its four bytes."""
        return (
            (not self.protocol or self.protocol == protocol)
            and (not self.family or self.family == family)
            and (not any(self.raw) or self.raw == raw)
            and (self.ports is None or self.ports[0] <= port <= self.ports[1])
        )


def parse(argument: str, family: int) -> list[Address]:
    """Return the addresses of an argument; `family` (0, 4 or 6) is that of a `-i4` before it.  Raises Wrong."""
    rest = argument
    if rest[:1] in ("4", "6"):
        family, rest = int(rest[0]), rest[1:]
    wanted = {0: 0, 4: AF_INET, 6: AF_INET6}[family]
    end = min((rest.find(one) for one in "@:" if one in rest), default=len(rest))
    typed, rest = rest[:end], rest[end:]
    protocol = typed.lower()
    if protocol and protocol not in _PROTOCOLS:
        raise Wrong(f"unknown protocol name ({safe(typed)}) in: -i {safe(argument)}")
    hosts: list[tuple[int, bytes]] = [(wanted, b"")]
    if rest.startswith("@"):
        hosts, rest = _hosts(argument, rest[1:], wanted)
    ports: list[tuple[int, int] | None] = [None]
    if rest:
        ports = [*_ports(argument, rest, protocol)]
    if not protocol and ports == [None] and not any(any(raw) for _, raw in hosts):
        raise Wrong(f"incomplete Internet address specification: -i {safe(argument)}")
    return [Address(argument, af, protocol, raw, ranges) for ranges in ports for af, raw in hosts]


def _hosts(argument: str, rest: str, wanted: int) -> tuple[list[tuple[int, bytes]], str]:
    """Return (family, raw address) of each address behind the `@`, and what follows."""
    if not rest or rest.startswith(":"):
        raise _unacceptable(argument)
    if rest.startswith("["):
        return _ipv6(argument, rest, wanted)
    host, colon, ports = rest.partition(":")
    raw = _ipv4(host)
    if raw:
        if wanted == AF_INET6:
            raise Wrong(f"IPv4 addresses are prohibited: -i {safe(argument)}")
        return [(AF_INET, raw)], colon + ports
    families = (wanted,) if wanted else (AF_INET6, AF_INET)
    found = [(family, raw) for family in families for raw in resolver.addresses(host, family)]
    if not found:
        raise Wrong(f"unknown host name ({safe(host)}) in: -i {safe(argument)}")
    return found, colon + ports


def _ipv6(argument: str, rest: str, wanted: int) -> tuple[list[tuple[int, bytes]], str]:
    if wanted == AF_INET:
        raise Wrong(f"IPv6 addresses are prohibited: -i {safe(argument)}")
    text, bracket, ports = rest[1:].rpartition("]")
    try:
        raw = parse_address(text) if bracket and ":" in text else b""
    except BadRequest:
        raw = b""
    if not any(raw):
        raise _unacceptable(argument)
    if not raw.startswith(_MAPPED):
        return [(AF_INET6, raw)], ports
    if wanted == AF_INET6:
        raise Wrong(f"IPv4 addresses are prohibited: -i {safe(argument)}")
    return [(AF_INET, raw[12:])], ports


def _unacceptable(argument: str) -> Wrong:
    return Wrong(f"unacceptable Internet address in: -i {safe(argument)}")


def _ipv4(text: str) -> bytes:
    """Return the bytes of four numbers with dots; anything else is a host's name."""
    octets = text.split(".")
    if len(octets) != 4 or not all(one.isascii() and one.isdigit() and int(one[:10]) < 256 for one in octets):
        return b""
    return bytes(map(int, octets))


def _ports(argument: str, rest: str, protocol: str) -> list[tuple[int, int]]:
    """Return the ranges behind the colon; a name may end a range, and may hold a `-` itself."""
    unacceptable = Wrong(f"unacceptable port specification in: -i {safe(argument)}")
    if len(rest) < 2 or rest[0] != ":":
        raise unacceptable
    found = []
    for part in rest[1:].removesuffix(",").split(","):
        if part[:1].isascii() and part[:1].isdigit():
            first, dash, last = part.partition("-")
            low = high = _number(first, unacceptable)
            if dash:
                named = last and not ("0" <= last[0] <= "9")
                high = _service(argument, last, protocol) if named else _number(last or "0", unacceptable)
        else:
            low = high = _service(argument, part, protocol)
        if high < low:
            raise unacceptable
        found.append((low, high))
    return found


def _number(text: str, otherwise: Wrong) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise otherwise
    return int(text)


def _service(argument: str, name: str, protocol: str) -> int:
    """Return the port of a service; without a protocol, TCP's and UDP's must be the same."""
    if not name:
        raise Wrong(f"invalid service name: -i {safe(argument)}")
    if protocol:
        port = resolver.port_of(name, protocol)
        if port is None:
            raise Wrong(f"unknown service {safe(name)} for {protocol} in: -i {safe(argument)}")
        return port
    tcp, udp = (resolver.port_of(name, transport) for transport in ("tcp", "udp"))
    if tcp is not None and udp is not None and tcp != udp:
        raise Wrong(
            f"TCP={tcp} and UDP={udp} {safe(name)} ports conflict;\n"
            f'      specify "tcp:{safe(name)}" or "udp:{safe(name)}": -i {safe(argument)}'
        )
    port = tcp if tcp is not None else udp
    if port is None:
        raise Wrong(f"unknown service {safe(name)} in: -i {safe(argument)}")
    return port
