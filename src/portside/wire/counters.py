"""The protocols' counters in /proc/net: `snmp` and `netstat` (pairs of lines), `snmp6` (one counter a line).

Names are the kernel's: `Tcp.OutSegs`, `TcpExt.ListenOverflows`, `Ip6InReceives` (net/ipv4/proc.c, net/ipv6/proc.c).
"""

from __future__ import annotations

from portside.errors import BadReply


def groups(text: str, file: str) -> dict[str, dict[str, int]]:
    """Return group -> name -> count of a file of titles and values in turn; raises BadReply where they do not fit."""
    found: dict[str, dict[str, int]] = {}
    lines = text.splitlines()
    for titles, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, names = titles.partition(":")
        same, _, numbers = values.partition(":")
        try:
            counts = [int(number) for number in numbers.split()]
            if group != same:
                raise ValueError(same)
            found.setdefault(group, {}).update(zip(names.split(), counts, strict=True))
        except ValueError:
            raise BadReply("read", f"proc/net/{file}", f"'{group}' and its values do not fit") from None
    return found


def pairs(text: str, file: str) -> dict[str, int]:
    """Return `Group.Name` -> count of the same file."""
    return {
        f"{group}.{name}": count
        for group, counts in groups(text, file).items()
        for name, count in counts.items()
    }


def single(text: str, file: str) -> dict[str, int]:
    """Return name -> count of a file with one counter a line; raises BadReply where a line is none."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        try:
            name, number = line.split()
            found[name] = int(number)
        except ValueError:
            raise BadReply("read", f"proc/net/{file}", f"'{line}' is no counter") from None
    return found
