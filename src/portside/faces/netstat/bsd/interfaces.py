"""Interfaces as BSD's netstat draws them: -i a table, -w what goes through them from one look to the next.

An interface has a row for its link and one for each address.  Packets are counted at the link alone: the others have
`-` (BSD counts by address too).  Reference: usr.bin/netstat/if.c of FreeBSD.
"""

from __future__ import annotations

import sys

from portside.faces import printable
from portside.faces.bsd import Refused
from portside.ports.address import format_ipv4, format_ipv6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.bsd.names import Names
    from portside.faces.netstat.bsd.options import Options
    from portside.system.host import Host
    from portside.wire.interfaces import Counters, Interface, InterfaceAddress

_AF_INET, _AF_INET6 = 2, 10
_FAMILIES = {_AF_INET: "inet", _AF_INET6: "inet6"}
_LINES_BELOW_BANNER = 21


def table(options: Options, names: Names, host: Host) -> Iterator[str]:
    """Yield the titles and the rows of -i."""
    from portside.system.interfaces import read_addresses, read_interfaces

    chosen = [one for one in read_interfaces(host) if options.interface in ("", one.name)]
    addresses = read_addresses(host)
    widths = _widths(options, chosen, addresses)
    name, network, address = widths
    incoming = f"{'Ipkts':>8} {'Ierrs':>5} {'Idrop':>5}" + (f" {'Ibytes':>10}" if options.bytes else "")
    outgoing = f"{'Opkts':>8} {'Oerrs':>5}" + (f" {'Obytes':>10}" if options.bytes else "")
    yield (
        f"{'Name':<{name}} {'Mtu':>5} {'Network':<{network}} {'Address':<{address}} {incoming} {outgoing} "
        f"{'Coll':>5}" + (f" {'Drop':>5}" if options.drops else "")
    )
    for one in chosen:
        if options.family in ("", "link"):
            hardware = ":".join(f"{byte:02x}" for byte in one.hardware) if any(one.hardware) else ""
            yield _row(one, f"<Link#{one.index}>", hardware, one.counters, options, widths)
        for told in addresses:
            if told.index == one.index and options.family in ("", _FAMILIES.get(told.family)):
                yield _row(one, _network(told, one), _address(told, one, names), None, options, widths)


def _widths(
    options: Options, chosen: list[Interface], addresses: list[InterfaceAddress]
) -> tuple[int, int, int]:
    """Return the widths of name, network and address: fixed, but for -W."""
    if not options.wide:
        return 5, 13, 17
    longest = max((len(printable(one.name)) + (not one.up) for one in chosen), default=0)
    six = any(told.family == _AF_INET6 for told in addresses)
    return max(5, longest), 24 if six else 18, 39 if six else 17


def _row(
    one: Interface, network: str, address: str, counters: Counters | None, options: Options,
    widths: tuple[int, int, int],
) -> str:  # fmt: skip
    cells = (printable(one.name) + ("" if one.up else "*"), network, address)
    name, net, addr = (
        (cell if options.wide else cell[:width]).ljust(width)
        for cell, width in zip(cells, widths, strict=True)
    )
    return f"{name}{one.mtu or '-':>6} {net} {addr} {_numbers(counters, options)}"


def _numbers(counters: Counters | None, options: Options) -> str:
    if counters is None:
        values: list[tuple[int | None, int]] = [(None, 8), (None, 5), (None, 5)]
        values += [(None, 10)] * options.bytes + [(None, 8), (None, 5)]
        values += [(None, 10)] * options.bytes + [(None, 5)] + [(None, 5)] * options.drops
    else:
        values = [(counters.rx_packets, 8), (counters.rx_errors, 5), (counters.rx_dropped, 5)]
        values += [(counters.rx_bytes, 10)] * options.bytes
        values += [(counters.tx_packets, 8), (counters.tx_errors, 5)]
        values += [(counters.tx_bytes, 10)] * options.bytes + [(counters.collisions, 5)]
        values += [(counters.tx_dropped, 5)] * options.drops
    return " ".join(f"{_shown(value, width, options.human):>{width}}" for value, width in values)


def _shown(value: int | None, width: int, human: bool) -> str:
    if value is None:
        return "-"
    return humanize(value, 1024 if width == 10 else 1000) if human else str(value)


def humanize(value: int, step: int) -> str:
    """Return a number in four characters at most: `999`, `1.2k`, `12M` (humanize_number(3))."""
    suffixes = ("", "k" if step == 1000 else "K", "M", "G", "T", "P", "E")
    amount, place = float(value), 0
    while amount >= 999.5 and place < len(suffixes) - 1:
        amount /= step
        place += 1
    if place and amount < 9.95:
        return f"{amount:.1f}{suffixes[place]}"
    return f"{amount:.0f}{suffixes[place]}"


def _network(told: InterfaceAddress, one: Interface) -> str:
    bits = 8 * len(told.address)
    number = int.from_bytes(told.address, "big") >> (bits - told.prefix) << (bits - told.prefix)
    raw = number.to_bytes(len(told.address), "big")
    return f"{_text(raw, one)}/{told.prefix}"


def _address(told: InterfaceAddress, one: Interface, names: Names) -> str:
    return names.host(_text(told.address, one))


def _text(raw: bytes, one: Interface) -> str:
    if len(raw) == 4:
        return format_ipv4(raw)
    local = raw[0] == 0xFE and raw[1] & 0xC0 == 0x80  # fe80::/10
    return format_ipv6(raw) + (f"%{printable(one.name)}" if local else "")


def traffic(options: Options, host: Host) -> None:
    """Write what went through the interfaces in each interval, `options.rounds` times or until interrupted."""
    import time

    before = _total(options, host)
    left = options.rounds
    line = 0
    while True:
        if line % _LINES_BELOW_BANNER == 0:
            _banner(options)
        time.sleep(options.interval)
        now = _total(options, host)
        passed = [new - old for new, old in zip(now, before, strict=True)]
        before = now
        line += 1
        widths = (10, 5, 5, 10, 10, 5, 10, 5) + ((5,) if options.drops else ())
        bytes_ = (3, 6)
        cells = [
            f"{humanize(value, 1024 if place in bytes_ else 1000) if options.human else value:>{width}}"
            for place, (value, width) in enumerate(zip(passed, widths, strict=False))
        ]
        sys.stdout.write(" ".join(cells) + "\n")
        sys.stdout.flush()
        left -= 1
        if left == 0:
            return


def _banner(options: Options) -> None:
    titles = [
        f"{'packets':>10} {'errs':>5} {'idrops':>5} {'bytes':>10} {'packets':>10} {'errs':>5} {'bytes':>10}"
    ]
    titles += [f"{'colls':>5}"] + ([f"{'drops':>5}"] if options.drops else [])
    which = printable(options.interface) or "(Total)"
    sys.stdout.write(f"{'input':>17} {which:>14} {'output':>16}\n{' '.join(titles)}\n")
    sys.stdout.flush()


def _total(options: Options, host: Host) -> list[int]:
    """Return the sums over the chosen interfaces, in the order of the columns."""
    from portside.system.interfaces import read_interfaces

    chosen = [one.counters for one in read_interfaces(host) if options.interface in ("", one.name)]
    if not chosen:
        raise Refused(f"interface {options.interface} not found")
    return [
        sum(getattr(one, field) for one in chosen)
        for field in (
            "rx_packets", "rx_errors", "rx_dropped", "rx_bytes", "tx_packets", "tx_errors", "tx_bytes",
            "collisions", "tx_dropped",
        )
    ]  # fmt: skip
