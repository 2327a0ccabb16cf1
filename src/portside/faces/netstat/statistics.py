"""The protocols' counters (`netstat -s`): those of /proc/net/snmp, netstat and sctp/snmp, with -6 of snmp6.

A line is indented as the last one that had a text was (net-tools keeps it in a variable), so that counters without
one that follow a histogram of ICMP stand in it.  Reference: statistics.c of net-tools 2.10.
"""

from __future__ import annotations

from portside.faces import printable
from portside.faces.netstat.phrases import phrases
from portside.wire import counters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.options import Options
    from portside.system.host import Host

_HISTOGRAMS = {"<": "ICMP input histogram:", ">": "ICMP output histogram:"}
# group -> the kind of socket that must be asked for, and whose texts it takes
_SHOWN = {
    "Ip": ("raw", "Ip"), "Icmp": ("raw", "Icmp"), "Tcp": ("tcp", "Tcp"), "Udp": ("udp", "Udp"),
    "Sctp": ("sctp", "Sctp"), "TcpExt": ("tcp", "TcpExt"),
}  # fmt: skip
_SHOWN6 = {
    "Ip6": ("raw", "Ip6"), "Icmp6": ("raw", "Icmp6"), "Udp6": ("udp", "Udp6"), "Tcp6": ("tcp", "Tcp"),
}  # fmt: skip


class _Writer:
    """Makes the lines; `state` is how the last counter with a text was told."""

    def __init__(self, options: Options, shown: dict[str, tuple[str, str]]) -> None:
        self._tables = options.tables
        self._shown = shown
        self._phrases = phrases()
        self._state = "="
        self._texts: dict[str, tuple[str, str]] | None = {}

    def start(self, group: str) -> Iterator[str]:
        """Begin a group: yield its title, unless it is one that was not asked for."""
        if group not in self._shown:
            self._texts = {}
            yield f"{printable(group)}:"
            return
        kind, table = self._shown[group]
        self._texts = self._phrases[table] if kind in self._tables else None
        self._state = "="
        if self._texts is not None:
            yield f"{group}:"

    def counter(self, name: str, value: int) -> Iterator[str]:
        """Yield a counter's line, and a histogram's title before its first one."""
        if self._texts is None:
            return
        if name not in self._texts:
            if value:
                yield f"{self._indent()}{printable(name)}: {value % (1 << 64)}"
            return
        how, text = self._texts[name]
        if how == ".":
            return
        if how in _HISTOGRAMS and self._state != how:
            yield f"{self._indent()}{_HISTOGRAMS[how]}"
        self._state = how
        if how == "=" or value:
            yield self._indent() + text.replace("#", str(value % (1 << 64)))

    def _indent(self) -> str:
        return " " * (8 if self._state in _HISTOGRAMS else 4)


def lines(options: Options, host: Host) -> Iterator[str]:
    """Yield the counters of IPv4, or with -6 those of IPv6 and TCP's."""
    if "inet6" in options.families:
        writer = _Writer(options, _SHOWN6)
        yield from _single(writer, counters.single(host.net("snmp6"), "snmp6"))
        groups = counters.groups(host.net("snmp"), "snmp")
        tcp = {group: counts for group, counts in groups.items() if group.startswith("Tcp")}
        yield from _groups(_Writer(options, _SHOWN), tcp)
        return
    writer = _Writer(options, _SHOWN)
    for file in ("snmp", "netstat"):
        yield from _groups(writer, counters.groups(host.net(file), file))
    yield from _sctp(writer, host)


def _groups(writer: _Writer, found: dict[str, dict[str, int]]) -> Iterator[str]:
    for group, counts in found.items():
        yield from writer.start(group)
        for name, value in counts.items():
            yield from writer.counter(name, value)


def _single(writer: _Writer, found: dict[str, int]) -> Iterator[str]:
    """A group is what stands before the digit 6 of the names, and goes on as long as they hold it."""
    group = ""
    for name, value in found.items():
        if not group or group not in name:
            group = name.partition("6")[0] + ("6" if "6" in name else "")
            yield from writer.start(group)
        yield from writer.counter(name, value)


def _sctp(writer: _Writer, host: Host) -> Iterator[str]:
    try:
        found = counters.single(host.net("sctp/snmp"), "sctp/snmp")
    except FileNotFoundError:
        return
    yield from writer.start("Sctp")
    for name, value in found.items():
        yield from writer.counter(name, value)
