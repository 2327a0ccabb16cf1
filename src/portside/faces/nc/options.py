"""nc.openbsd's options, as its Debian build reads them (1.219): what was typed, checked word by word.

Every complaint is worded as the model words it, and comes in the order in which the model looks.
"""

from __future__ import annotations

from portside.faces.getopt import Unknown, getopt
from portside.faces.nc.words import Refused
from portside.record import Record

LETTERS = "46bCDdFhI:i:klM:m:NnO:P:p:q:rSs:T:tUuV:vW:w:X:x:Zz"
USAGE = """\
usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]
\t  [-m minttl] [-O length] [-P proxy_username] [-p source_port]
\t  [-q seconds] [-s sourceaddr] [-T keyword] [-V rtable] [-W recvlimit]
\t  [-w timeout] [-X proxy_protocol] [-x proxy_address[:port]]
\t  [destination] [port]"""
HELP = f"""\
{USAGE}
\tOptions of Debian's OpenBSD netcat (1.219), and --as DIALECT before them:
\t\t--as NAME\tBe nc of another family: openbsd, traditional, busybox
\t\t-4\t\tUse IPv4
\t\t-6\t\tUse IPv6
\t\t-b\t\tAllow broadcast
\t\t-C\t\tSend CRLF as line-ending
\t\t-D\t\tEnable the debug socket option
\t\t-d\t\tDo not read standard input
\t\t-F\t\tPass the connected socket to standard output and end
\t\t-h\t\tThis text
\t\t-I length\tTCP receive buffer length
\t\t-i interval\tSeconds between pieces of text, and between ports
\t\t-k\t\tGo on listening after a connection
\t\t-l\t\tListen
\t\t-M ttl\t\tOutgoing TTL / hop limit
\t\t-m minttl\tLowest incoming TTL / hop limit
\t\t-N\t\tShut the sending side down after the end of standard input
\t\t-n\t\tLook no names up
\t\t-O length\tTCP send buffer length
\t\t-P proxyuser\tUser name for the proxy
\t\t-p port\t\tLocal port
\t\t-q secs\t\tEnd so many seconds after the end of standard input
\t\t-r\t\tPorts in random order
\t\t-S\t\tTCP MD5 signatures
\t\t-s sourceaddr\tLocal address
\t\t-T keyword\tType of service
\t\t-t\t\tAnswer telnet's negotiation
\t\t-U\t\tUnix sockets
\t\t-u\t\tUDP
\t\t-V rtable\tRouting table (there is none to choose on Linux)
\t\t-v\t\tTell of connections
\t\t-W recvlimit\tEnd after so many packets
\t\t-w timeout\tSeconds for a connection to be made, and to be idle
\t\t-X proto\tProxy protocol: "4", "5" (SOCKS) or "connect"
\t\t-x addr[:port]\tProxy
\t\t-Z\t\tDCCP
\t\t-z\t\tScan: connect and close
\tPorts are numbers, ranges lo-hi, or names of services"""

_INT_MAX = (1 << 31) - 1
_TOS_MAX = 255
_HEX = "0123456789abcdefABCDEF"
_TOS = {
    "af11": 0x28, "af12": 0x30, "af13": 0x38, "af21": 0x48, "af22": 0x50, "af23": 0x58,
    "af31": 0x68, "af32": 0x70, "af33": 0x78, "af41": 0x88, "af42": 0x90, "af43": 0x98,
    "critical": 0xA0, "cs0": 0x00, "cs1": 0x20, "cs2": 0x40, "cs3": 0x60, "cs4": 0x80, "cs5": 0xA0,
    "cs6": 0xC0, "cs7": 0xE0, "ef": 0xB8, "inetcontrol": 0xC0, "lowcost": 0x02, "lowdelay": 0x10,
    "netcontrol": 0xE0, "reliability": 0x04, "throughput": 0x08,
}  # fmt: skip
_PROXIES = {"connect": "http", "4": "4", "5": "5"}


class Options(Record):
    """What was typed; numbers are None where nothing was, `ports` are words yet."""

    host: str | None
    ports: tuple[str, ...]
    flags: frozenset[str]
    family: str = ""  # "", "4", "6" or "unix"
    interval: int = 0
    timeout: int | None = None
    quit_after: int | None = None
    receives: int = 0
    tos: int | None = None
    ttl: int | None = None
    least_ttl: int | None = None
    receive_buffer: int | None = None
    send_buffer: int | None = None
    source: str | None = None
    source_port: str | None = None
    proxy: str = ""
    proxy_kind: str = "5"
    proxy_user: str | None = None
    secret: str = ""  # of -S; asked for, never typed among the options

    def has(self, letter: str) -> bool:
        """Whether a flag without an argument was given."""
        return letter in self.flags


def parse(words: list[str]) -> Options:
    """Return what was typed; raises Refused with the model's own words."""
    try:
        found, operands = getopt(words, LETTERS, None)
    except Unknown as error:
        raise Refused(f"nc: {error}", USAGE) from None
    values: dict[str, object] = {}
    flags = set()
    for letter, value in found:
        if value is None:
            flags.add(letter)
            if letter == "h":
                raise Refused("OpenBSD netcat (Debian patchlevel 1.219-1)", *HELP.split("\n"), code=0)
            if letter in "46U":
                values["family"] = {"4": "4", "6": "6", "U": "unix"}[letter]
        else:
            _take(letter, value, values)
    return _checked(Options(None, (), frozenset(flags), **values), operands)  # type: ignore[arg-type]


def _take(letter: str, value: str, values: dict[str, object]) -> None:
    """Read one option's argument."""
    if letter in _NUMBERS:
        field, what, least, most = _NUMBERS[letter]
        values[field] = number(value, what, least, most)
    elif letter in _LIMITS:
        field, what = _LIMITS[letter]
        try:
            values[field] = number(value, "", 0, 255)
        except Refused as error:
            complaint = error.lines[0].removeprefix("nc: ").strip().partition(":")[0]
            raise Refused(f"nc: {what} is {complaint}") from None
    elif letter == "T":
        values["tos"] = _tos(value)
    elif letter == "X":
        kind = _PROXIES.get(value.lower())
        if kind is None:
            raise Refused("nc: unsupported proxy protocol")
        values["proxy_kind"] = kind
    elif letter == "V":
        raise Refused("nc: no alternate routing table support available")
    else:
        values[{"P": "proxy_user", "p": "source_port", "s": "source", "x": "proxy"}[letter]] = value


_NUMBERS = {
    "i": ("interval", "interval ", 0, _INT_MAX),
    "w": ("timeout", "timeout ", 0, _INT_MAX // 1000),
    "q": ("quit_after", "quit timer ", -_INT_MAX, _INT_MAX),
    "W": ("receives", "receive limit ", 1, _INT_MAX),
    "I": ("receive_buffer", "TCP receive window ", 1, _INT_MAX),
    "O": ("send_buffer", "TCP send window ", 1, _INT_MAX),
}
_LIMITS = {"M": ("ttl", "ttl"), "m": ("least_ttl", "minttl")}


def number(text: str, what: str, least: int, most: int) -> int:
    """Read a number as strtonum(3) does; raises Refused: too small, too large, invalid."""
    body = text.strip()
    if not body.lstrip("+-").isdecimal() or not body.isascii() or len(body) - len(body.lstrip("+-")) > 1:
        raise Refused(f"nc: {what}invalid: {text}")
    value = int(body)
    if value < least:
        raise Refused(f"nc: {what}too small: {text}")
    if value > most:
        raise Refused(f"nc: {what}too large: {text}")
    return value


def _tos(text: str) -> int:
    if text in _TOS:
        return _TOS[text]
    if text[:2] == "0x":
        digits = text[2 : len(text) - len(text[2:].lstrip(_HEX))]  # as strtol(3): up to what is none
        value = int(digits or "0", 16)
        if value <= _TOS_MAX:
            return value
    else:
        try:
            return number(text, "", 0, _TOS_MAX)
        except Refused:
            pass
    raise Refused(f"nc: illegal tos value {text}")


def _checked(options: Options, operands: list[str]) -> Options:
    """Sort out which operand is what, and refuse what does not go together."""
    has, unix = options.has, options.family == "unix"
    if unix and has("Z"):
        raise Refused("nc: cannot use -Z and -U")
    local = options.source_port is not None or (options.source is not None and not unix)
    if (operands and local and (has("l") or (unix and options.source_port is not None))) or (
        len(operands) > 2 and has("l")
    ):
        raise Refused(USAGE)
    if unix:
        if len(operands) > 1 or options.source_port is not None:
            raise Refused("nc: cannot use port with -U")
        if not operands and not has("l"):
            raise Refused(USAGE)
        if not operands:
            raise Refused("nc: missing socket pathname")
        options = options.replace(host=operands[0])
    elif not operands and has("l"):
        if options.source_port is None:
            raise Refused("nc: missing port number")
        options = options.replace(host=options.source, ports=(options.source_port,))
    elif not operands:
        raise Refused(USAGE)
    elif len(operands) == 1:
        if not has("l"):
            raise Refused("nc: missing port number")
        options = options.replace(ports=(operands[0],))
    else:
        options = options.replace(host=operands[0], ports=tuple(operands[1:]))
    _agrees(options)
    return options


def _agrees(options: Options) -> None:
    has, unix = options.has, options.family == "unix"
    if has("l") and has("z"):
        raise Refused("nc: cannot use -z and -l")
    if has("k") and not has("l"):
        raise Refused("nc: must use -l with -k")
    if has("F") and unix:
        raise Refused("nc: cannot use -F and -U")
    if options.proxy:
        for wrong, what in (
            (has("u"), "UDP mode"),
            (has("Z"), "DCCP mode"),
            (has("l"), "listen"),
            (unix, "unix sockets"),
            (options.source is not None, "local source address"),
        ):
            if wrong:
                raise Refused(f"nc: no proxy support for {what}")
