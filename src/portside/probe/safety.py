"""What a scan leaves alone unless told otherwise: others' networks at large, and addresses that mean nothing there.

- A special-purpose block (IANA's registries, RFC 6890) is scanned only if what was typed lies within it: 10.0.0.0/8
  is, 0.0.0.0/1 leaves 10.0.0.0/8 out.  A wide range would find one's own router and other people's private hosts.
- More than MOST_PUBLIC public addresses have to be asked for in so many words.
- Beyond the networks this host is attached to, MODEST_RATE probes a second unless a rate is given.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.address import parse_prefix
from portside.probe.space import Addresses, Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_PUBLIC = 1 << 16
MODEST_RATE = 1000.0

# IANA IPv4 and IPv6 special-purpose address registries, and multicast (RFC 5771, RFC 4291)
_SPECIAL = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/127", "::ffff:0.0.0.0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
    "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8",
)  # fmt: skip


def block_of(prefix: str) -> Block:
    """Return the addresses of `10.0.0.0/8`."""
    raw, bits = parse_prefix(prefix)
    first = int.from_bytes(raw, "big")
    return Block(len(raw), first, first + (1 << (len(raw) * 8 - bits)) - 1)


def special_purpose() -> Addresses:
    """Return every special-purpose address."""
    return Addresses(map(block_of, _SPECIAL))


def without_special(blocks: Iterable[Block]) -> tuple[Addresses, int]:
    """Return the addresses of typed blocks without the special-purpose ones, and how many those were.

    A block that lies within special-purpose space was meant, and stays.
    """
    typed, special = list(blocks), special_purpose()
    meant = [block for block in typed if Addresses([block]).within(special).size == block.size]
    others = Addresses(typed).without(Addresses(meant))
    kept = others.without(special)
    return Addresses([*kept.blocks, *meant]), others.size - kept.size


def check_size(addresses: Addresses, allowed: bool) -> None:
    """Raise BadRequest for more public addresses than anybody owns, unless the user says that it is meant."""
    public = addresses.without(special_purpose()).size
    if public > MOST_PUBLIC and not allowed:
        raise BadRequest(
            "scan", "", f"{public:,} public addresses are more than one network",
            "scan only what is yours or agreed; if it is, add --i-may-scan-this",
        )  # fmt: skip


def near() -> Addresses:
    """Return the addresses of the networks that this host is attached to, its own and loopback among them."""
    from portside.system.host import Host
    from portside.system.interfaces import read_addresses

    own = [block_of(prefix) for prefix in ("127.0.0.0/8", "::1", "fe80::/10")]
    for each in read_addresses(Host()):
        bits = len(each.address) * 8 - each.prefix
        first = int.from_bytes(each.address, "big") >> bits << bits
        own.append(Block(len(each.address), first, first + (1 << bits) - 1))
    return Addresses(own)
