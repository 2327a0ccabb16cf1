"""How far an address reaches: the word that says who can route to it.

| word        | IPv4                                          | IPv6                                              |
|-------------|-----------------------------------------------|---------------------------------------------------|
| `any`       | 0.0.0.0: every address of the host            | :: (RFC 4291)                                     |
| `loopback`  | 127/8 (RFC 1122)                              | ::1                                               |
| `link`      | 169.254/16 (RFC 3927), 255.255.255.255        | fe80::/10 (RFC 4291)                              |
| `multicast` | 224/4 (RFC 5771)                              | ff00::/8                                          |
| `private`   | 10/8, 172.16/12, 192.168/16 (RFC 1918),       | fc00::/7 (RFC 4193), fec0::/10 (RFC 3879),        |
|             | 100.64/10 (RFC 6598, carrier-grade NAT), and  | and what is not globally reachable: 64:ff9b:1::/48|
|             | what is not globally reachable: 0/8, 240/4,   | (RFC 8215), 100::/64 (RFC 6666), 2001:2::/48      |
|             | 192.0.0/24 (RFC 6890), 192.0.2/24,            | (RFC 5180), 2001:10::/28 (RFC 4843), 2001:db8::/32|
|             | 198.51.100/24, 203.0.113/24 (RFC 5737),       | (RFC 3849), 3fff::/20 (RFC 9637), 5f00::/16       |
|             | 198.18/15 (RFC 2544)                          | (RFC 9602)                                        |
| `public`    | all else: where it is doubtful, the word is the one that warns                                    |

An IPv4-mapped address is judged as the IPv4 address it carries.  The special blocks are those of IANA's registries
of special-purpose addresses (RFC 6890).
"""

from __future__ import annotations

from portside.errors import BadReply

LOOPBACK = "loopback"
LINK = "link"
PRIVATE = "private"
PUBLIC = "public"
ANY = "any"
MULTICAST = "multicast"

WORDS = (LOOPBACK, LINK, PRIVATE, PUBLIC, ANY, MULTICAST)

_MAPPED = bytes(10) + b"\xff\xff"
_ANY_V6 = bytes(16)
_LOOPBACK_V6 = bytes(15) + b"\x01"

# One word for each first byte; an empty one means that further bytes decide.
_BY_FIRST_BYTE = tuple(
    PRIVATE if byte == 10 or byte >= 240
    else LOOPBACK if byte == 127
    else MULTICAST if byte >= 224
    else "" if byte in (0, 100, 169, 172, 192, 198, 203)
    else PUBLIC
    for byte in range(256)
)  # fmt: skip

_PRIVATE_V4_NETS = frozenset(bytes(net) for net in ((192, 0, 0), (192, 0, 2), (198, 51, 100), (203, 0, 113)))

_PRIVATE_V6 = tuple(
    bytes.fromhex(prefix)
    for prefix in ("0064ff9b0001", "0100000000000000", "200100020000", "20010db8", "5f00")
)


def scope_of(raw: bytes) -> str:
    """Return the scope of 4 or 16 raw bytes in network order."""
    if len(raw) == 4:
        if raw == b"\xff\xff\xff\xff":
            return LINK
        return _BY_FIRST_BYTE[raw[0]] or _look_closer(raw)
    if len(raw) != 16:
        raise BadReply("judge address", raw.hex(" "), f"{len(raw)} bytes instead of 4 or 16")
    if raw[0] == 0:
        if raw == _ANY_V6:
            return ANY
        if raw == _LOOPBACK_V6:
            return LOOPBACK
        if raw.startswith(_MAPPED):
            return scope_of(raw[12:])
    return _scope_v6(raw)


def _look_closer(raw: bytes) -> str:
    first, second = raw[0], raw[1]
    if first == 0:
        return PRIVATE if any(raw) else ANY
    if first == 169:
        return LINK if second == 254 else PUBLIC
    if (
        (first == 192 and second == 168)
        or (first == 172 and second & 0xF0 == 16)
        or (first == 100 and second & 0xC0 == 64)
        or (first == 198 and second & 0xFE == 18)
    ):
        return PRIVATE
    return PRIVATE if raw[:3] in _PRIVATE_V4_NETS else PUBLIC


def _scope_v6(raw: bytes) -> str:
    first, second = raw[0], raw[1]
    if first == 0xFF:
        return MULTICAST
    if first == 0xFE and second & 0xC0 == 0x80:
        return LINK
    if first & 0xFE == 0xFC or (first == 0xFE and second & 0xC0 == 0xC0) or raw.startswith(_PRIVATE_V6):
        return PRIVATE
    orchid = raw.startswith(b"\x20\x01\x00") and raw[3] & 0xF0 == 0x10
    documentation = raw.startswith(b"\x3f\xff") and raw[2] & 0xF0 == 0
    return PRIVATE if orchid or documentation else PUBLIC
