"""The routing table (`netstat -r`) from /proc/net/route and ipv6_route, the columns by the number of -e.

The kernel has had no routing cache since 3.6: of -C the titles are left.  Reference: lib/inet_gr.c, lib/inet6_gr.c of
net-tools 2.10; include/uapi/linux/route.h, ipv6_route.h.
"""

from __future__ import annotations

import sys

from portside.errors import BadReply
from portside.faces import printable
from portside.faces.netstat.options import OPTION_ERROR, Ended
from portside.ports.address import format_ipv4
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.names import Names
    from portside.faces.netstat.options import Options
    from portside.system.host import Host

_UP, _HOST, _REJECT, _CACHE = 0x1, 0x4, 0x200, 0x01000000
# bits and letters in the order of the columns; ! in IPv4 takes the place of what stands before it
_FLAGS = (
    (_UP, "U"), (0x2, "G"), (_REJECT, "!"), (_HOST, "H"), (0x8, "R"), (0x10, "D"), (0x20, "M"), (0x10000, "d"),
    (0x20000, "a"), (0x40000, "c"), (0x200000, "o"), (0x400000, "e"), (_CACHE, "c"), (0x02000000, "f"),
    (0x04000000, "p"), (0x80000000, "l"), (0x40, "u"), (0x80, "w"), (0x100, "i"), (0x400, "n"),
)  # fmt: skip
_FLAGS6 = (
    (_UP, "U"), (_REJECT, "!"), (0x2, "G"), (_HOST, "H"), (0x10000, "D"), (0x40000, "A"), (_CACHE, "C"),
    (0x20000, "a"), (0x400000, "e"), (0x20, "m"), (0x200000, "n"), (0x02000000, "f"),
)  # fmt: skip
_TITLES = (
    "",
    "Flags Metric Ref    Use Iface",
    "Flags   MSS Window  irtt Iface",
    "Flags Metric Ref    Use Iface    MSS   Window irtt",
)
_CACHED = "  TOS HHRef HHUptod     SpecDst"
# families netstat prints routes of, and what it says where the kernel has them not: standard output and error
_ABSENT = {
    "ax25": ("AX.25 not configured in this system.\n", "{net}ax25_route: No such file or directory\n"),
    "netrom": (
        "NET/ROM not configured in this system.\n",
        "{net}nr_nodes: No such file or directory\n{net}nr_neigh: No such file or directory\n",
    ),
    "rose": (
        "", "{net}rose_nodes: No such file or directory\nROSE not configured in this system.\n",
    ),
    "ipx": (
        "IPX routing not in file {net}ipx/route or {net}ipx_route found.\n",
        "No such file or directory\n",
    ),
    "ddp": (
        "",
        "Error opening {net}atalk_route: No such file or directory\n"
        "DDP (AppleTalk) not configured on this system.\n",
    ),
    "x25": ("X.25 not configured in this system.\n", ""),
}  # fmt: skip
_FILES = {
    "ax25": ("ax25_route",), "netrom": ("nr_nodes", "nr_neigh"), "rose": ("rose_nodes",),
    "ipx": ("ipx/route", "ipx_route"), "ddp": ("atalk_route",), "x25": ("x25/route", "x25_routes"),
}  # fmt: skip


class _Route(Record):
    """A line of /proc/net/route, addresses as raw bytes."""

    interface: str
    destination: bytes
    gateway: bytes
    mask: bytes
    flags: int
    references: int
    use: int
    metric: int
    mtu: int
    window: int
    irtt: int


def tables(options: Options, names: Names, host: Host) -> Iterator[str]:
    """Yield the lines of every family that was named, of IPv4 where none was; raises Ended where one has none."""
    columns = {0: 2, 1: 1}.get(options.extend, options.extend + 1) & 3  # FLAG_EXT
    for family in options.families or ("inet",):
        if family == "inet":
            yield from _inet(columns, options, names, host)
        elif family == "inet6":
            yield from _inet6(options, names, host)
        else:
            _refuse(family, host)


def _refuse(family: str, host: Host) -> None:
    if family not in _ABSENT:
        if family == "bluetooth":
            raise Ended(OPTION_ERROR, err="Address family `bluetooth' not supported.\n")
        raise Ended(OPTION_ERROR, err=f"No routing for address family `{family}'.\n")
    if any(host.net_exists(file) for file in _FILES[family]):
        raise Ended(1, err=f"netstat: the routes of `{family}' cannot be honoured here\n")
    raise Ended(1, *(text.format(net=host.net_path("")) for text in _ABSENT[family]))


def _inet(columns: int, options: Options, names: Names, host: Host) -> Iterator[str]:
    if options.fib or not options.cache:
        routes = list(_routes(_text(host, "route", "INET (IPv4)")))
        yield "Kernel IP routing table"
        yield from _heading("Destination     Gateway         Genmask         ", columns)
        for route in routes:
            if route.flags & _UP and columns:
                yield _line(route, columns, options, names)
    if options.cache:
        _text(host, "rt_cache", "INET (IPv4)")
        yield "Kernel IP routing cache"
        for line in _heading("Source          Destination     Gateway         ", columns):
            yield line + (_CACHED if columns == 3 else "")


def _text(host: Host, file: str, family: str) -> str:
    try:
        return host.net(file)
    except OSError as error:
        said = f"{host.net_path(file)}: {error.strerror}\n"
        raise Ended(1, f"{family} not configured in this system.\n", said) from None


def _heading(addresses: str, columns: int) -> Iterator[str]:
    if columns:
        yield addresses + _TITLES[columns]


def _routes(text: str) -> Iterator[_Route]:
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    for line in lines[1:]:
        told = dict(zip(titles, line.split("\t") if "\t" in line else line.split(), strict=False))
        try:
            destination, gateway, mask = (
                int(told[name], 16).to_bytes(4, sys.byteorder) for name in ("Destination", "Gateway", "Mask")
            )
            references, use, metric, mtu, window, irtt = (
                int(told[name]) for name in ("RefCnt", "Use", "Metric", "MTU", "Window", "IRTT")
            )
            yield _Route(
                told["Iface"].strip(), destination, gateway, mask, int(told["Flags"], 16), references, use,
                metric, mtu, window, irtt,
            )  # fmt: skip
        except (KeyError, ValueError, OverflowError):
            raise BadReply("read", "proc/net/route", f"not a route: {line[:60]!r}") from None


def _line(route: _Route, columns: int, options: Options, names: Names) -> str:
    numeric = options.numeric_hosts or options.symbolic
    destination = _destination(route, numeric, names)[:15]
    gateway = names.host(route.gateway, numeric)[:15]
    mask = format_ipv4(route.mask)
    rejected = bool(route.flags & _REJECT)
    head = f"{destination:<15} {'-' if rejected else gateway:<15} {mask:<15} {_flags(route.flags):<5} "
    name = printable(route.interface)
    if columns == 1:
        if rejected:
            return head + f"{route.metric:<6} -  {route.use:>7} -"
        return head + f"{route.metric:<6} {route.references:<2} {route.use:>7} {name}"
    if columns == 2:
        if rejected:
            return head + "    - -          - -"
        return head + f"{route.mtu:>5} {route.window:<5} {route.irtt:>6} {name}"
    if rejected:
        return head + f"{route.metric:<6} -  {route.use:>7} -        -     -      -"
    return head + (
        f"{route.metric:<6} {route.references:<3} {route.use:>6} {name[:6]:<6}   "
        f"{route.mtu:<5} {route.window:<6} {route.irtt}"
    )


def _destination(route: _Route, numeric: bool, names: Names) -> str:
    """Return the name of the host or network a route leads to."""
    raw = route.destination
    if numeric:
        return format_ipv4(raw)
    if not any(raw):
        return "0.0.0.0" if any(route.mask) else "default"
    outside = int.from_bytes(raw, "big") & ~int.from_bytes(route.mask, "big")
    if outside or route.flags & _HOST:
        return names.host(raw, False)
    return names.network(raw) or format_ipv4(raw)


def _flags(bits: int) -> str:
    letters = ""
    for bit, letter in _FLAGS:
        if bits & bit:
            letters = letter if bit == _REJECT else letters + letter
    return letters


def _inet6(options: Options, names: Names, host: Host) -> Iterator[str]:
    """The cache is that of neighbours where a kernel has /proc/net/ndisc; none does any more."""
    if options.fib or not options.cache:
        yield from _fib6(False, options, names, host)
    if options.cache:
        yield from _fib6(True, options, names, host)


def _fib6(cached: bool, options: Options, names: Names, host: Host) -> Iterator[str]:
    text = _text(host, "ipv6_route", "INET6 (IPv6)")
    yield f"Kernel IPv6 routing {'cache' if cached else 'table'}"
    yield "Destination                    Next Hop                   Flag Met Ref  Use If"
    numeric = options.numeric_hosts or options.symbolic
    for line in text.splitlines():
        try:
            destination, prefix, _, _, hop, *numbers, name = line.split()
            metric, references, use, flags = (int(number, 16) for number in numbers)
            addresses = [names.host(bytes.fromhex(one), numeric) for one in (destination, hop)]
        except (ValueError, BadReply):
            raise BadReply("read", "proc/net/ipv6_route", f"not a route: {line[:60]!r}") from None
        if bool(flags & _CACHE) is cached:
            letters = "".join(letter for bit, letter in _FLAGS6 if flags & bit)
            yield (
                f"{f'{addresses[0]}/{int(prefix, 16)}':<30} {addresses[1]:<26} {letters:<4} {_signed(metric):<3} "
                f"{_signed(references):<1} {_signed(use):>6} {printable(name)}"
            )


def _signed(number: int) -> int:
    return number - (1 << 32) if number >> 31 else number
