"""Which ports to look at first: an order of all ports of a transport, for `scan --top N`.

Our own order, made of public knowledge alone: (1) the ports on which the programs that people run listen by default,
most common first (`_TCP`, `_UDP`: kept by hand); (2) the system ports (RFC 6335) for which IANA has a service name;
(3) the user ports for which it has one; (4) the others.  Each of (2) to (4) ascends.  It knows nothing of how often a
port is found open; a file that does, in the syntax of nmap-services (`name port/transport frequency`), may be read in
its place when the user names one.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.number import LAST_PORT, Range, merge_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_TCP = (
    80, 443, 22, 3389, 21, 25, 53, 110, 143, 445, 139, 23, 3306, 8080, 993, 995, 587, 5900, 111, 135, 8443, 5432,
    6379, 1723, 465, 8000, 8888, 5060, 8081, 9100, 631, 2049, 27017, 1433, 9200, 5985, 389, 636, 88, 3000, 5000,
    9090, 6443, 10250, 2375, 2376, 11211, 5672, 15672, 1883, 8883, 9092, 2181, 1521, 8008, 8009, 10000, 1080,
    3128, 179, 873, 548, 515, 554, 1720, 2000, 2222, 2121, 4443, 5001, 5555, 5601, 5901, 5984, 5986, 6000, 6001,
    6667, 7001, 7443, 7547, 7777, 8001, 8082, 8083, 8086, 8088, 8090, 8091, 8123, 8139, 8161, 8181, 8291, 8333,
    8500, 8834, 8899, 9000, 9001, 9042, 9043, 9080, 9091, 9093, 9099, 9160, 9300, 9418, 9443, 9999, 49152, 49153,
    49154, 49155, 50000, 50070, 25565, 32400, 62078, 64738, 2379, 2380, 2082, 2083, 2086, 2087, 2095, 2096, 3268,
    3269, 3690, 4369, 4444, 4567, 4848, 4899, 5222, 5269, 5280, 5357, 5800, 5683, 6881, 7000, 7070, 7474, 8096,
    8200, 8300, 8880, 10443, 10255, 11434, 16010, 19132, 20000, 28017, 44818, 47808, 502, 102, 1911, 2404, 4840,
    8069, 1099, 1900, 264, 427, 500, 513, 514, 543, 544, 593, 749, 990, 1194, 1025, 1026, 1027, 1110, 1352, 1434,
    1701, 1755, 1935, 2601, 2967, 3050, 3260, 3299, 3478, 3689, 3986, 4000, 4045, 4333, 5003, 5009, 5051, 5061,
    5190, 5349, 5666, 6646, 6697, 8554, 8728, 10051,
)  # fmt: skip
_UDP = (
    53, 123, 161, 137, 67, 68, 69, 500, 4500, 1900, 5353, 514, 138, 111, 443, 51820, 1194, 3478, 5060, 5683, 162,
    1812, 1813, 520, 546, 547, 623, 631, 1434, 1701, 2049, 389, 88, 464, 135, 139, 445, 80, 853, 3389, 3702, 5004,
    5005, 5351, 5355, 11211, 27015, 19132, 30120, 4789, 8472, 6081, 4433, 784, 8853, 10001, 17185, 20000, 30718,
    32414, 33434, 34964, 47808, 44818, 48808, 49152, 2152, 2123, 3544, 5632, 6881, 7, 9, 13, 17, 19, 37, 49, 177,
    319, 320, 427, 433, 513, 518, 593, 626, 996, 997, 998, 999, 1025, 1026, 1027, 1645, 1646, 1718, 1719, 2222,
    3283, 3456, 4045, 5000, 9200,
)  # fmt: skip


def top_ports(transport: str, count: int, ranking: str = "") -> tuple[Range, ...]:
    """Return the first `count` ports of our order, of `ranking`'s where the text of such a file is given."""
    order = parse_ranking(ranking, transport) if ranking else _ours(transport)
    chosen: dict[int, None] = {}
    for port in order:
        if len(chosen) >= count:
            break
        chosen[port] = None
    return merge_ranges(Range(port, port) for port in chosen)


def _ours(transport: str) -> Iterator[int]:
    from portside.ports.registry import Registry

    registry = Registry()
    yield from _UDP if transport == "udp" else _TCP
    for ports in (range(1, 1024), range(1024, 49152)):
        yield from (port for port in ports if registry.name_of(port, transport))
    yield from range(1, LAST_PORT + 1)


def parse_ranking(text: str, transport: str) -> Iterator[int]:
    """Yield the ports of a file in nmap-services' syntax, most frequent first; BadRequest where it has none."""
    found = []
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        port, _, own = fields[1].partition("/") if len(fields) >= 3 else ("", "", "")
        if own != transport or not (port.isascii() and port.isdecimal() and len(port) < 6):
            continue
        try:
            frequency = float(fields[2])
        except ValueError:
            continue
        if int(port) <= LAST_PORT:
            found.append((-frequency, int(port)))
    if not found:
        raise BadRequest(
            "read ranking", "", f"no line has the form 'name port/{transport} frequency'",
            "see nmap-services of nmap for an example",
        )  # fmt: skip
    yield from (port for _, port in sorted(found))
