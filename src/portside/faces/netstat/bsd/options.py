"""What was typed to `netstat --bsd`, and what follows from it.

Reference: netstat(1) of FreeBSD and macOS, usr.bin/netstat/main.c.  FreeBSD ends with the codes of sysexits(3) today;
here a usage error ends with 1, as it did until FreeBSD 11 and does on macOS.
"""

from __future__ import annotations

from portside.faces.bsd import Refused
from portside.faces.bsd import options as bsd_options
from portside.record import Record

USAGE = """\
usage: netstat --bsd [-46aLlnSW] [-f address_family | -p protocol]
       netstat --bsd -i | -I interface [-46bdhnW] [-f address_family]
       netstat --bsd -w wait [-I interface] [-d] [-q howmany]
       netstat --bsd -s [-46s] [-f address_family | -p protocol]
       netstat --bsd -r [-46nW] [-f address_family]"""

HELP = f"""\
{USAGE}

  -a             sockets of servers too: those that listen or are bound to any address
  -L             the queue of each listener: waiting, incomplete, limit
  -f FAMILY      inet, inet6, unix (local), link; -4, -6 and -u are the first three
  -p PROTOCOL    tcp, udp, udplite, sctp, ip, icmp, igmp, icmp6, ip6
  -n             addresses and ports as numbers; -S addresses alone
  -l -W          whole addresses
  -i -I NAME     interfaces, or one of them; -b bytes, -d drops, -h short numbers
  -w SECONDS     what goes through the interfaces, again and again; -q HOWMANY times
  -r             routes
  -s             counters of the protocols; -ss without those that are zero

FreeBSD's -A, -B, -c, -C, -F, -g, -j, -m, -M, -N, -o, -O, -P, -Q, -R, -T, -x and -z are refused."""

_SHORT = "46AaBbCcdF:f:ghI:ij:LlM:mN:nOoPp:Qq:RrSTsuWw:xz"
_NOT_TOLD = "Linux does not tell it"
_REFUSED = {
    "A": "Linux tells nobody the address of a protocol control block",
    "B": "Linux has no bpf(4) devices ('portside list -a --packet' lists packet sockets)",
    "c": "the details of a connection are told by 'portside ss -i'",
    "C": "the details of a connection are told by 'portside ss -i'",
    "F": "Linux has no FIB numbers",
    "g": "multicast groups are told by 'portside netstat -g'",
    "j": "Linux has no jails",
    "m": "Linux has no mbufs",
    "M": "there is no core to read",
    "N": "there is no system image to read",
    "o": _NOT_TOLD,
    "O": _NOT_TOLD,
    "P": "Linux has no BBLog",
    "Q": "Linux has no netisr",
    "R": "Linux has no flow number for a socket",
    "T": "the details of a connection are told by 'portside ss -i'",
    "x": "the details of a connection are told by 'portside ss -m'",
    "z": "Linux does not let its counters be set to zero",
}
FAMILIES = {"inet": "inet", "inet6": "inet6", "unix": "unix", "local": "unix", "link": "link"}
PROTOCOLS = ("tcp", "udp", "udplite", "sctp", "ip", "icmp", "igmp", "ip6", "icmp6")


class Options(Record):
    """What to show: `what` is sockets, interfaces, traffic, routes or statistics."""

    what: str = "sockets"
    family: str = ""
    protocol: str = ""
    every: bool = False
    queues: bool = False
    numeric_addresses: bool = False
    numeric_ports: bool = False
    wide: bool = False
    interface: str = ""
    interval: int = 0
    rounds: int = 0
    bytes: bool = False
    drops: bool = False
    human: bool = False
    nonzero: bool = False


def parse(words: list[str]) -> Options:
    """Return what was typed; raises Refused."""
    given, operands = bsd_options(words, _SHORT, _REFUSED)
    letters = [letter for letter, _ in given]
    values = dict(given)
    interval = _interval(values.get("w"), operands)
    for letter, value in given:
        if letter == "f" and value not in FAMILIES:
            raise Refused(f"{value}: unknown address family")
        if letter == "p" and value.lower() not in PROTOCOLS:
            raise Refused(f"{value}: unknown or uninstrumented protocol")
    what = _what(letters, interval)
    return Options(
        what, _family(given), values.get("p", "").lower(), "a" in letters, "L" in letters,
        "n" in letters or "S" in letters, "n" in letters, "W" in letters or "l" in letters,
        values.get("I", ""), interval, _count(values.get("q")), "b" in letters, "d" in letters,
        "h" in letters, letters.count("s") > 1,
    )  # fmt: skip


def _what(letters: list[str], interval: int) -> str:
    """Return which of the displays is meant: the first of these, as in main()."""
    interfaces = interval or "i" in letters or "I" in letters
    if interfaces and "s" in letters:
        raise Refused("-s cannot be honoured here with -i: no counters of one interface", usage=True)
    if interfaces and "a" in letters:
        raise Refused(
            "-a cannot be honoured here with -i: 'portside netstat -g' tells the groups", usage=True
        )
    if interval:
        return "traffic"
    if interfaces:
        return "interfaces"
    if "r" in letters:
        if "s" in letters:
            raise Refused(
                "-s cannot be honoured here with -r: Linux does not count routing messages", usage=True
            )
        return "routes"
    return "statistics" if "s" in letters else "sockets"


def _family(given: list[tuple[str, str]]) -> str:
    """Return the family that was named last."""
    family = ""
    for letter, value in given:
        family = {"4": "inet", "6": "inet6", "u": "unix", "f": FAMILIES.get(value, "")}.get(letter, family)
    return family


def _interval(wait: str | None, operands: list[str]) -> int:
    """Return the seconds between two looks at the interfaces; a number by itself means -w too."""
    if operands and operands[0][:1].isdigit() and len(operands) == 1:
        wait = operands[0]
    elif operands:
        raise Refused("", usage=True)
    if wait is None:
        return 0
    if not (wait.isascii() and wait.isdecimal() and 1 <= int(wait[:9]) <= 86400):
        raise Refused(f"{wait}: not a number of seconds", usage=True)
    return int(wait)


def _count(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and int(text[:9])):
        raise Refused(f"{text}: not a number of outputs", usage=True)
    return int(text[:9])
