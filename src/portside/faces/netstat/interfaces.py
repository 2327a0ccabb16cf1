"""The interfaces (`netstat -i`): a line for each, with -e a paragraph as ifconfig prints it.

Counters are those of /proc/net/dev, everything else comes from rtnetlink.  An IPv4 address with a label of its own
(`eth0:1`) is a row without counters.  Reference: lib/interface.c, lib/nstrcmp.c of net-tools 2.10.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.faces import printable
from portside.faces.netstat.hardware import describe
from portside.ports.address import format_ipv4, format_ipv6
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.options import Options
    from portside.system.host import Host
    from portside.wire.interfaces import Interface, InterfaceAddress

_AF_INET = 2
_BROADCAST, _POINT_TO_POINT = 0x2, 0x10
# include/uapi/linux/if.h, in the order of the short and of the long form
_LETTERS = (
    (0x200, "A"), (_BROADCAST, "B"), (0x4, "D"), (0x8, "L"), (0x1000, "M"), (0x8000, "d"), (0x100, "P"),
    (0x20, "N"), (0x80, "O"), (_POINT_TO_POINT, "P"), (0x800, "s"), (0x400, "m"), (0x40, "R"), (0x1, "U"),
)  # fmt: skip
_WORDS = (
    (0x1, "UP"), (_BROADCAST, "BROADCAST"), (0x4, "DEBUG"), (0x8, "LOOPBACK"), (_POINT_TO_POINT, "POINTOPOINT"),
    (0x20, "NOTRAILERS"), (0x40, "RUNNING"), (0x80, "NOARP"), (0x100, "PROMISC"), (0x200, "ALLMULTI"),
    (0x800, "SLAVE"), (0x400, "MASTER"), (0x1000, "MULTICAST"), (0x8000, "DYNAMIC"),
)  # fmt: skip
_UNITS = ((60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"))
_SCOPES = ((0x20, "link"), (0x40, "site"), (0x10, "host"))  # include/net/ipv6.h, IPV6_ADDR_*
_COMPATIBLE = 0x80
_COMPRESSING = (257, 259)  # ARPHRD_CSLIP, ARPHRD_CSLIP6

TITLE = "Kernel Interface table"
HEADING = "Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg"


class _Entry(Record):
    """An interface under one of its names; `counters` are the columns of /proc/net/dev, None for a label."""

    name: str
    link: Interface
    counters: tuple[int, ...] | None
    address: InterfaceAddress | None


def table(options: Options, host: Host) -> Iterator[str]:
    """Yield the lines of the interfaces that are up, with -a of all."""
    if not options.extend:
        yield HEADING
    inet6 = "" if not options.extend else host.net("if_inet6") if host.net_exists("if_inet6") else ""
    for entry in _entries(host):
        if options.every or entry.link.up:
            yield from _paragraph(entry, inet6) if options.extend else (_line(entry),)


def _entries(host: Host) -> list[_Entry]:
    from portside.system.interfaces import read_addresses, read_interfaces

    counters = _counters(host.net("dev"))
    links = {one.index: one for one in read_interfaces(host)}
    by_label: dict[str, InterfaceAddress] = {}
    for address in read_addresses(host):
        if address.family == _AF_INET and address.index in links:
            by_label.setdefault(address.label or links[address.index].name, address)
    found = {
        link.name: _Entry(link.name, link, counters.get(link.name), by_label.get(link.name))
        for link in links.values()
    }
    for label, address in by_label.items():
        if label not in found:
            found[label] = _Entry(label, links[address.index], None, address)
    return sorted(found.values(), key=lambda entry: _natural(entry.name))


def _counters(text: str) -> dict[str, tuple[int, ...]]:
    found = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.rpartition(":")
        try:
            found[name.strip()] = tuple(int(number) for number in numbers.split())
        except ValueError:
            raise BadReply("read", "proc/net/dev", f"not an interface: {line[:60]!r}") from None
    return found


def _natural(name: str) -> tuple[str, int, int, str]:
    """Return the key of netstat's order: the digits at a name's end, and a label's, count as numbers."""
    base, _, label = name.rpartition(":") if ":" in name and name[-1:].isdigit() else (name, "", "")
    stem = base.rstrip("0123456789")
    return stem, int(base[len(stem) :] or 0), int(label) if label.isdigit() else -1, name


def _line(entry: _Entry) -> str:
    head = f"{printable(entry.name)[:15]:<15} {entry.link.mtu:>5} "
    if entry.counters is None:
        body = f"{'     - no statistics available -':<56}"
    else:
        _, received, bad, dropped, overrun, *_ = entry.counters
        _, sent, failed, lost, collided, *_ = entry.counters[8:]
        body = (
            f"{received:>8} {bad:>6} {dropped:>6} {overrun:<6} {sent:>8} {failed:>6} {lost:>6} {collided:>6} "
        )
    letters = "".join(letter for bit, letter in _LETTERS if entry.link.flags & bit)
    return head + body + (letters or ("" if entry.link.flags & 0xFFFF else "[NO FLAGS]"))


def _paragraph(entry: _Entry, inet6: str) -> Iterator[str]:
    link = entry.link
    yield f"{printable(entry.name)}: flags={_short(link.flags)}<{_words(link.flags)}>  mtu {link.mtu}"
    if entry.address is not None:
        yield _inet(entry.address, link.flags)
    yield from _inet6(inet6, entry.name)
    name, title = describe(link.type, link.hardware)
    yield f"        {name}  txqueuelen {link.queue_length}  ({title})"
    if entry.counters is not None:
        yield from _traffic(entry.counters, link.type in _COMPRESSING)
    yield from _resources(link)
    yield ""


def _short(flags: int) -> int:
    """Return the flags as the short that SIOCGIFFLAGS tells."""
    return (flags & 0x7FFF) - (flags & 0x8000)


def _words(flags: int) -> str:
    return ",".join(word for bit, word in _WORDS if flags & bit)


def _inet(address: InterfaceAddress, flags: int) -> str:
    mask = format_ipv4((0xFFFFFFFF << (32 - address.prefix) & 0xFFFFFFFF).to_bytes(4, "big"))
    line = f"        inet {format_ipv4(address.address)}  netmask {mask}"
    if flags & _BROADCAST:
        line += f"  broadcast {format_ipv4(address.broadcast or bytes(4))}"
    if flags & _POINT_TO_POINT:
        line += f"  destination {format_ipv4(address.peer or address.address)}"
    return line


def _inet6(text: str, name: str) -> Iterator[str]:
    """Yield the IPv6 addresses of an interface: `address index prefix scope flags name`, numbers hexadecimal."""
    for line in text.splitlines():
        address, _, prefix, scope, _, device = line.split(None, 5)
        if device.strip() != name:
            continue
        bits = int(scope, 16)
        words = ["compat"] if bits & _COMPATIBLE else []
        words += ["global"] if not bits & ~_COMPATIBLE else []
        words += [word for bit, word in _SCOPES if bits & bit]
        yield (
            f"        inet6 {format_ipv6(bytes.fromhex(address))}  prefixlen {int(prefix, 16)}"
            f"  scopeid 0x{bits:x}<{','.join(words)}>"
        )


def _traffic(counters: tuple[int, ...], compressing: bool) -> Iterator[str]:
    """Yield the counters: bytes packets errors dropped fifo frame compressed multicast, then those that were sent."""
    size, packets, errors, dropped, overruns, frame, compressed, _ = counters[:8]
    yield f"        RX packets {packets}  bytes {size} ({_human(size)})"
    if compressing:
        yield f"        RX compressed:{compressed}"
    yield f"        RX errors {errors}  dropped {dropped}  overruns {overruns}  frame {frame}"
    size, packets, errors, dropped, overruns, collisions, carrier, compressed = counters[8:16]
    yield f"        TX packets {packets}  bytes {size} ({_human(size)})"
    if compressing:
        yield f"        TX compressed {compressed}"
    yield (
        f"        TX errors {errors}  dropped {dropped} overruns {overruns}  carrier {carrier}"
        f"  collisions {collisions}"
    )


def _human(size: int) -> str:
    """Return a number of bytes with one digit behind the point, cut off."""
    for bits, unit in _UNITS:
        if size > 1 << bits:
            tenths = size * 10 >> bits
            return f"{tenths // 10}.{tenths % 10} {unit}"
    return f"{size}.0 B"


def _resources(link: Interface) -> Iterator[str]:
    taken = link.resources
    if not (taken.interrupt or taken.memory_start or taken.dma or taken.base >= 0x100):
        return
    line = "        device "
    line += f"interrupt {taken.interrupt}  " if taken.interrupt else ""
    line += f"base 0x{taken.base:x}  " if taken.base >= 0x100 else ""
    if taken.memory_start:
        line += f"memory 0x{taken.memory_start:x}-{taken.memory_end:x}  "
    yield line + (f"  dma 0x{taken.dma:x}" if taken.dma else "")
