"""The options of Hobbit's nc and of busybox's: what was typed, with the models' complaints about it."""

from __future__ import annotations

from portside.faces.getopt import Unknown, getopt
from portside.faces.nc.words import Refused
from portside.record import Record

TRADITIONAL, BUSYBOX = "traditional", "busybox"
_LETTERS = {TRADITIONAL: "bCc:e:g:G:hi:klno:p:q:rs:T:tuvw:z", BUSYBOX: "e:f:i:lp:w:"}
BUSYBOX_USAGE = """\
Usage: nc [-iN] [-wN] [-l] [-p PORT] [-f FILE|IPADDR PORT] [-e PROG]

Open a pipe to IP:PORT or FILE

\t-l\tListen mode, for inbound connects
\t\t(use -ll with -e for persistent server)
\t-p PORT\tLocal port
\t-w SEC\tConnect timeout
\t-i SEC\tDelay interval for lines sent
\t-f FILE\tUse file (ala /dev/ttyS0) instead of network
\t-e PROG\tRun PROG after connect"""
_HELP = """\
[v1.10-47]
connect to somewhere:\tnc [-options] hostname port[s] [ports] ...
listen for inbound:\tnc -l -p port [-options] [hostname] [port]
\t-b\t\tAllow broadcast
\t-C\t\tSend CRLF as line-ending
\t-c command\tRun a command with /bin/sh after the connection
\t-e program\tRun a program after the connection
\t-G num\t\tPointer into the source route: 4, 8, 12, ...
\t-g gateway\tHop of a source route, up to 8
\t-h\t\tThis text
\t-i secs\t\tSeconds between lines sent, and between ports
\t-k\t\tSO_KEEPALIVE
\t-l\t\tListen
\t-n\t\tLook no names up
\t-o file\t\tHexadecimal dump of what is sent and received
\t-p port\t\tLocal port
\t-q secs\t\tTell the peer of the end of standard input, and end so many seconds after it
\t-r\t\tPorts in random order
\t-s addr\t\tLocal address
\t-T tos\t\tType of service: a number, or Minimize-Delay and the like
\t-t\t\tAnswer telnet's negotiation
\t-u\t\tUDP
\t-v\t\tTell of connections; twice: of bytes too
\t-w secs\t\tSeconds for a connection to be made, and for the peer's last words
\t-z\t\tScan: connect and close
Ports are numbers, ranges lo-hi, or names of services"""
_TOS = {
    "minimize-delay": 0x10,
    "maximize-throughput": 0x08,
    "maximize-reliability": 0x04,
    "minimize-cost": 0x02,
}  # linux/ip.h
_LAST_PORT = 65535
_MOST_HOPS = 8
_LAST_POINTER = 28


class Typed(Record):
    """What was typed: how often each flag, the values, all those of -g, the operands."""

    dialect: str
    flags: dict[str, int]
    values: dict[str, str]
    hops: tuple[str, ...]
    operands: tuple[str, ...]
    tos: int | None = None
    pointer: int = 4  # of the source route

    def has(self, letter: str) -> bool:
        """Whether a flag was given."""
        return letter in self.flags or letter in self.values

    def number(self, letter: str, what: str) -> int | None:
        """Return a value as a number above nought (-q: from nought), None where it was not given; raises Refused."""
        text = self.values.get(letter)
        if text is None:
            return None
        numeric = text.isascii() and text.isdecimal() and len(text) < 10
        if letter == "p" and numeric and int(text) > _LAST_PORT:
            numeric = False
        least = 1 if self.dialect == TRADITIONAL and letter != "q" else 0
        if not numeric or int(text) < least:
            if self.dialect == BUSYBOX:
                raise Refused(f"nc: bad port '{text}'" if letter == "p" else f"nc: invalid number '{text}'")
            raise Refused(f"invalid {what} {text}")
        return int(text)


def _tos(text: str) -> int:
    """Return a type of service; raises Refused, where the model takes what it does not know for 0."""
    if text.isascii() and text.isdecimal() and int(text[:4]) < 256:
        return int(text)
    if text.lower() not in _TOS:
        raise Refused(f"invalid type of service {text}")
    return _TOS[text.lower()]


def _pointer(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else 0
    if value % 4 or not 0 < value <= _LAST_POINTER:
        raise Refused(f"invalid hop pointer {text}, must be multiple of 4 <= {_LAST_POINTER}")
    return value


def parse(words: list[str], dialect: str) -> Typed:
    """Return what was typed; raises Refused with the model's words."""
    usage = ("nc -h for help",) if dialect == TRADITIONAL else (BUSYBOX_USAGE,)
    try:
        found, operands = getopt(words, _LETTERS[dialect], None)
    except Unknown as error:
        raise Refused(f"nc: {error}", *usage) from None
    flags: dict[str, int] = {}
    for letter, value in found:
        if value is None:
            flags[letter] = flags.get(letter, 0) + 1
    values = {letter: value for letter, value in found if value is not None}
    hops = tuple(value for letter, value in found if letter == "g" and value is not None)
    typed = Typed(dialect, flags, values, hops, tuple(operands))
    if typed.has("h"):
        raise Refused(_HELP, code=0)
    if len(hops) > _MOST_HOPS:
        raise Refused("too many -g hops")
    if "T" in values:
        typed = typed.replace(tos=_tos(values["T"]))
    if "G" in values:
        typed = typed.replace(pointer=_pointer(values["G"]))
    typed.number("i", "interval time")
    typed.number("w", "wait-time")
    if typed.has("f") and (operands or typed.has("l")):
        raise Refused(*usage)
    if not operands and not typed.has("l") and not typed.has("f"):
        traditional = "no destination" if found else "Cmd line: wrong"
        raise Refused(*((traditional,) if dialect == TRADITIONAL else usage))
    return typed
