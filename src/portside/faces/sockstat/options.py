"""What was typed to the sockstat face, and what follows from it.

Reference: sockstat(1) of FreeBSD, usr.bin/sockstat/main.c of October 2025 (16-CURRENT).
"""

from __future__ import annotations

import sys

from portside.faces import printable
from portside.faces.bsd import Refused
from portside.faces.bsd import options as bsd_options
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

USAGE = """\
usage: sockstat [--libxo ...] [-46CciLlnqSsUuvw] [-j jid] [-p ports]
                [-P protocols]"""

HELP = f"""\
{USAGE}

  -4 -6 -u        IPv4, IPv6, Unix domain sockets (without any of them: all three)
  -l -c           listening, connected sockets (without either: both)
  -L              no Internet sockets with a loopback address
  -p PORTS        Internet sockets with one of these local or foreign ports: 22,80,8000-8100
  -P PROTOCOLS    Internet sockets of these protocols: tcp,udp,udplite,sctp,mptcp (without it: tcp,udp,sctp)
  -j JAIL         sockets of a network namespace (name or inode) or of a container (name or id)
  -n              uids instead of names of users
  -q              no header
  -s              CONN STATE: the state of TCP and SCTP sockets
  -C              CC: the congestion control of TCP sockets
  -S              STACK: the TCP stack; here there is one, `linux`
  -i              ID: the cookie, the kernel's lasting number of a socket
  -U              ENCAPS: the remote UDP encapsulation port; Linux has none for TCP: 0
  -w              address columns as wide as they need to be
  -v              on standard error, what could not be seen, and which roads were taken
  --libxo STYLE   text or json, pretty with it: --libxo json,pretty

FreeBSD's -A, -b, -f and -I tell what Linux does not have or does not tell: they are refused."""

_REFUSED = {
    "A": "Linux tells nobody the address of a protocol control block (-i tells the cookie)",
    "b": "Linux has no BBLog",
    "f": "Linux has no FIB number for a socket",
    "I": "Linux has no SO_SPLICE",
}
_SHORT = "46AbCcfIij:Llnp:P:qSsUuvw"
_DEFAULT_PROTOCOLS = ("sctp", "tcp", "udp")  # FreeBSD's divert is not Linux's
PROTOCOLS = ("tcp", "udp", "udplite", "sctp", "mptcp")
NO_SUCH_JAIL = 'jail_getid: jail "{}" not found: here a jail is a network namespace or a container'


class Options(Record):
    """What to show and how; `ports` is None where every port is wanted, `protocols` Portside's words."""

    v4: bool = False
    v6: bool = False
    unix: bool = False
    connected: bool = False
    listening: bool = False
    loopback: bool = True
    ports: frozenset[int] | None = None
    protocols: tuple[str, ...] = ()
    jail: str = ""
    numeric: bool = False
    header: bool = True
    wide: bool = False
    verbose: bool = False
    columns: str = ""
    json: bool = False
    pretty: bool = False


def parse(words: list[str], known: Callable[[str], int | None]) -> Options:
    """Return what was typed; `known` tells a protocol's number in /etc/protocols.  Raises Refused."""
    words, json, pretty = _libxo(words)
    given, operands = bsd_options(words, _SHORT, _REFUSED)
    if operands:
        raise Refused("", usage=True)
    letters = {letter for letter, _ in given}
    ports: frozenset[int] | None = None
    protocols: tuple[str, ...] | None = None
    for letter, argument in given:
        if letter == "p":
            ports = (ports or frozenset()) | parse_ports(argument)
        elif letter == "P":
            protocols = _protocols(argument, known)
        elif letter == "j" and not argument:
            raise Refused(NO_SUCH_JAIL.format(argument))
    v4, v6, unix = "4" in letters, "6" in letters, "u" in letters
    if protocols is not None and not (v4 or v6):
        v4 = v6 = True
    if not (v4 or v6 or unix):
        v4 = v6 = unix = True
    if not letters & {"c", "l"}:
        letters |= {"c", "l"}
    return Options(
        v4, v6, unix, "c" in letters, "l" in letters, "L" not in letters, ports,
        (_DEFAULT_PROTOCOLS if protocols is None else protocols) if v4 or v6 else (),
        dict(given).get("j", ""), "n" in letters, "q" not in letters, "w" in letters, "v" in letters,
        "".join(letter for letter in "iUsSC" if letter in letters), json, pretty,
    )  # fmt: skip


def _libxo(words: list[str]) -> tuple[list[str], bool, bool]:
    """Take the options of libxo out of the words: what is left, whether JSON is wanted, whether pretty."""
    left: list[str] = []
    wanted: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            left += [word, *rest]
            break
        if not word.startswith("--libxo"):
            left.append(word)
        elif word == "--libxo":
            if not rest:
                raise Refused("missing libxo option")
            wanted += rest.pop(0).split(",")
        elif word[7] == "=":
            wanted += word[8:].split(",")
        elif word[7] == ":":
            wanted += [{"J": "json", "T": "text", "P": "pretty"}.get(letter, letter) for letter in word[8:]]
        else:
            raise Refused(f"unknown libxo option: '{word}'")
    json = False
    for style in wanted:
        if style not in ("json", "text", "pretty"):
            raise Refused(f"libxo style '{style}' is not written here: json and text are, and pretty")
        json = style == "json" if style != "pretty" else json
    return left, json, "pretty" in wanted


def parse_ports(text: str) -> frozenset[int]:
    """Return the ports of `22,80,8000-8100`; raises Refused in the tool's words."""
    ports: set[int] = set()
    rest = text
    while rest:
        first, rest = _number(rest)
        last = first
        if rest.startswith("-"):
            last, rest = _number(rest[1:])
        if last < first:
            raise Refused("invalid port number")
        ports.update(range(first, last + 1))
        rest = rest.removeprefix(",")
    return frozenset(ports)


def _number(text: str) -> tuple[int, str]:
    """Take a port off the start of a text, as strtol(3) would: blanks and a sign before it are its own."""
    bare = text.lstrip(" \t\n\v\f\r")
    sign = bare[:1] if bare[:1] in ("+", "-") else ""
    rest = bare[len(sign) :].lstrip("0123456789")
    digits = bare[len(sign) : len(bare) - len(rest)]
    if not digits:
        raise Refused("syntax error in port range")
    if len(digits.lstrip("0")) > 5 or not 0 <= int(sign + digits) <= 65535:
        raise Refused("invalid port number")
    return int(digits), rest


def _protocols(text: str, known: Callable[[str], int | None]) -> tuple[str, ...]:
    """Return the protocols named; one that is not read ends the run, an unknown one is told and left out."""
    found: list[str] = []
    for name in text.split(","):
        word = name.lower() if name.isupper() else name
        if word in PROTOCOLS:
            found.append(word)
        elif name and (number := known(name)) is not None:
            raise Refused(f"protocol {number} not supported")
        elif name:
            print(f"sockstat: protocol '{printable(name)}' is not known", file=sys.stderr)
    return tuple(dict.fromkeys(found))
