"""systemd's socket units as text: the output of `systemctl show`, and unit files.

Rule: text in, records out; lines that are not understood are skipped, because every version of systemd adds some.

`systemctl show --property=Id,Listen,...` prints one block for each unit, blocks parted by an empty line, one
`Key=value` per line; a socket with several addresses has several lines `Listen=ADDRESS (Type)`.  In unit files
`ListenStream=22` alone stands for `[::]:22`, and an empty assignment forgets the addresses before it.

Reference: systemctl(1), systemd.socket(5), systemd.syntax(7).
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# systemd's word -> socket type, as the records of sockets spell it.
SHOWN_TYPES = {"Stream": "stream", "Datagram": "dgram", "SequentialPacket": "seqpacket"}
FILE_TYPES = {"ListenStream": "stream", "ListenDatagram": "dgram", "ListenSequentialPacket": "seqpacket"}

ANY = ("0.0.0.0", "::")


class Listen(Record):
    """One address of a socket unit.  `port` is 0 for a Unix socket, whose path (or `@name`) is in `address`."""

    type: str
    address: str
    port: int = 0

    @property
    def wildcard(self) -> bool:
        """Whether it is bound to every address of the host."""
        return bool(self.port) and self.address in ANY


class SocketUnit(Record):
    """A socket unit: what it listens on and which service it starts.

    `active` is `None` where that is not known (read from files).
    """

    id: str
    listens: tuple[Listen, ...] = ()
    triggers: tuple[str, ...] = ()
    active: bool | None = None
    v6only: bool = False


class UnitFile(Record):
    """The assignments of a unit file and its drop-ins, in order: (section, key, value)."""

    entries: tuple[tuple[str, str, str], ...]

    def last(self, section: str, key: str) -> str:
        """Return the value that counts: the last one."""
        return next((value for s, k, value in reversed(self.entries) if (s, k) == (section, key)), "")


def parse_show(text: str) -> tuple[SocketUnit, ...]:
    """Read what `systemctl show` prints for socket units."""
    units = (_shown_unit(block) for block in text.replace("\r\n", "\n").split("\n\n"))
    return tuple(unit for unit in units if unit)


def parse_listen(text: str) -> Listen | None:
    """Read `0.0.0.0:22 (Stream)`, `[::]:22 (Stream)`, `/run/x (Stream)`, `@abstract (Datagram)`; else `None`."""
    address, _, kind = text.strip().rpartition(" ")
    kind = SHOWN_TYPES.get(kind.strip("()"), "")
    return parse_address(kind, address) if kind else None


def parse_address(kind: str, text: str) -> Listen | None:
    """Read an address as `ListenStream=` takes it: port, IPv4:port, [IPv6]:port, path, @name.

    A device (`[fe80::1%eth0]:80`, and as shown `[fe80::1]:80%eth0`) is left out.
    """
    if text.startswith(("/", "@")):
        return Listen(kind, text)
    host, colon, digits = text.rpartition(":")
    digits = digits.partition("%")[0]
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
    if host.startswith("[") and host.endswith("]"):
        address = _ipv6(host[1:-1].partition("%")[0])
    else:
        address = _ipv4(host) if colon else "::"
    return Listen(kind, address, port) if address and 0 < port < 65536 else None


def parse_unit_file(*texts: str) -> UnitFile:
    """Read a unit file and its drop-ins, in the order in which they apply."""
    return UnitFile(tuple(entry for text in texts for entry in _entries(text)))


def socket_unit(name: str, file: UnitFile) -> SocketUnit:
    """Build the socket unit `name` from its files; `%i`, `%I`, `%p`, `%n` and `%N` in addresses are filled in."""
    listens: list[Listen] = []
    for section, key, value in file.entries:
        if section != "Socket" or not key.startswith("Listen"):
            continue
        if not value:
            listens.clear()
        elif key in FILE_TYPES:
            listen = parse_address(FILE_TYPES[key], _fill_in(value, name))
            listens += [listen] if listen else []
    return SocketUnit(
        id=name,
        listens=tuple(listens),
        triggers=(file.last("Socket", "Service") or _service(name, file.last("Socket", "Accept")),),
        v6only=file.last("Socket", "BindIPv6Only") == "ipv6-only",
    )


def _shown_unit(block: str) -> SocketUnit | None:
    values: dict[str, list[str]] = {}
    for line in block.splitlines():
        key, _, value = line.partition("=")
        values.setdefault(key, []).append(value)
    name = values.get("Id", [""])[0]
    if not name.endswith(".socket"):
        return None
    listens = (parse_listen(text) for text in values.get("Listen", []))
    state = values.get("ActiveState", [""])[0]
    return SocketUnit(
        id=name,
        listens=tuple(listen for listen in listens if listen),
        triggers=tuple(values.get("Triggers", [""])[0].split()),
        active=state == "active" if state else None,
        v6only=values.get("BindIPv6Only", [""])[0] == "ipv6-only",
    )


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, value); comments dropped, lines that end in a backslash joined by a blank."""
    section = pending = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith(("#", ";")):
            continue
        line = pending + line
        if line.endswith("\\"):
            pending = line[:-1] + " "
            continue
        pending = ""
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        else:
            key, equals, value = line.partition("=")
            if equals:
                yield section, key.strip(), value.strip()


def _fill_in(value: str, name: str) -> str:
    if "%" not in value:
        return value
    stem = name.removesuffix(".socket")
    prefix, _, instance = stem.partition("@")
    for mark, text in (("%i", instance), ("%I", instance), ("%p", prefix), ("%n", name), ("%N", stem)):
        value = value.replace(mark, text)
    return value


def _service(name: str, accept: str) -> str:
    """Return the service a socket starts when the file does not say: its namesake, a template with Accept=yes."""
    stem = name.removesuffix(".socket")
    return f"{stem}@.service" if accept in ("yes", "true", "on", "1") else f"{stem}.service"


def _ipv6(host: str) -> str:
    """Return the kernel's spelling of an IPv6 address; empty if it is none."""
    if host in ("::", "::1"):  # spares the import
        return host
    import ipaddress

    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        return ""


def _ipv4(host: str) -> str:
    """Return a dotted quad; empty if it is none."""
    parts = host.split(".")
    valid = len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p[:4]) < 256 for p in parts)
    return host if valid else ""
