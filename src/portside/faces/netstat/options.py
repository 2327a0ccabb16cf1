"""What was typed to netstat, and what follows from it, as main() of net-tools 2.10 has it.

Options act in order: one that ends the run (-V, -h, an unknown family) does so before a later one is looked at.
"""

from __future__ import annotations

from portside.faces import printable
from portside.faces.getopt import Long, Unknown, getopt
from portside.faces.netstat.usage import FAMILIES, USAGE, VERSION
from portside.record import Record

OPTION_ERROR = 3  # E_OPTERR

_SHORT = "A:CFMacdeghilnNoprsStuUvVWw2fx64?Z"
_LONG = (
    *(
        Long(name)
        for name in (
            "ax25", "x25", "ip", "ipx", "appletalk", "netrom", "inet", "inet6", "ddp", "rose", "unix",
            "bluetooth", "tcpip",
        )
    ),
    Long("version", short="V"), Long("interfaces", short="i"), Long("help", short="h"),
    Long("route", short="r"), Long("masquerade", short="M"), Long("protocol", "required", "A"),
    Long("tcp", short="t"), Long("sctp", short="S"), Long("udp", short="u"), Long("udplite", short="U"),
    Long("raw", short="w"), Long("unix", short="x"), Long("l2cap", short="2"), Long("rfcomm", short="f"),
    Long("listening", short="l"), Long("all", short="a"), Long("timers", short="o"),
    Long("continuous", short="c"), Long("extend", short="e"), Long("programs", short="p"),
    Long("verbose", short="v"), Long("statistics", short="s"), Long("wide", short="W"),
    Long("numeric", short="n"), Long("numeric-hosts"), Long("numeric-ports"), Long("numeric-users"),
    Long("symbolic", short="N"), Long("cache", short="C"), Long("fib", short="F"), Long("groups", short="g"),
    Long("context", short="Z"),
)  # fmt: skip
# what may be typed for a family -> its name
_FAMILIES = {
    "ax25": "ax25", "ip": "inet", "ip6": "inet6", "ipx": "ipx", "rose": "rose", "appletalk": "ddp",
    "netrom": "netrom", "inet": "inet", "inet6": "inet6", "ddp": "ddp", "unix": "unix", "tcpip": "inet",
    "econet": "ec", "x25": "x25", "ash": "ash", "bluetooth": "bluetooth",
}  # fmt: skip
_WORDS = {"t": "tcp", "S": "sctp", "u": "udp", "U": "udplite", "w": "raw", "2": "l2cap", "f": "rfcomm"}
IP_TABLES = ("tcp", "sctp", "udp", "udplite", "raw")
_OWN_TABLES = ("unix", "ipx", "ax25", "netrom", "x25", "rose")  # families that have a table of sockets


class Ended(Exception):
    """The run is over: what goes to standard output, what to standard error, and the exit code."""

    def __init__(self, code: int, out: str = "", err: str = "") -> None:
        super().__init__(err)
        self.code, self.out, self.err = code, out, err


class Options(Record):
    """What to show.  `tables` is empty where no kind of socket was named: then all are shown.

    `families` are those named, in order; `whole` says that the kinds follow from a family (--inet) and may be missing
    on this kernel without a word.  `extend` counts -e.
    """

    what: str = "sockets"
    families: tuple[str, ...] = ()
    tables: frozenset[str] = frozenset()
    whole: bool = False
    every: bool = False
    listening: bool = False
    programs: bool = False
    timers: bool = False
    wide: bool = False
    verbose: bool = False
    continuous: bool = False
    extend: int = 0
    numeric_hosts: bool = False
    numeric_ports: bool = False
    numeric_users: bool = False
    symbolic: bool = False
    cache: bool = False
    fib: bool = False

    @property
    def v4(self) -> bool:
        """Whether IPv4's sockets are shown."""
        return not self.tables or "inet" in self.tables

    @property
    def v6(self) -> bool:
        """Whether IPv6's sockets are shown."""
        return not self.tables or "inet6" in self.tables

    def shows(self, table: str) -> bool:
        """Whether a table was named, or none was."""
        return not self.tables or table in self.tables


def parse(words: list[str]) -> Options:
    """Return what was typed; raises Ended."""
    try:
        given, _ = getopt(words, _SHORT, _LONG)
    except Unknown as error:
        raise Ended(OPTION_ERROR, err=f"netstat: {printable(str(error))}\n{USAGE}{FAMILIES}") from None
    families: list[str] = []
    for name, value in given:
        _end_at(name)
        families += _families_of(name, value)
    letters = [name for name, _ in given]
    displays = [what for letter, what in _DISPLAYS.items() if letter in letters]
    if sum(letters.count(letter) for letter in _DISPLAYS) > 1:
        raise usage_error()
    what = displays[0] if displays else "sockets"
    tables = {word for letter, word in _WORDS.items() if letter in letters}
    tables |= {"igmp"} if "g" in letters else set()
    chosen, whole = _tables(tables, families, what)
    numeric = "n" in letters
    return Options(
        what, tuple(families), chosen, whole, "a" in letters, "l" in letters, "p" in letters, "o" in letters,
        "W" in letters, "v" in letters, "c" in letters, letters.count("e"),
        numeric or "numeric-hosts" in letters, numeric or "numeric-ports" in letters,
        numeric or "numeric-users" in letters, "N" in letters, "C" in letters, "F" in letters,
    )  # fmt: skip


_DISPLAYS = {"i": "interfaces", "r": "routes", "M": "masquerade", "s": "statistics"}


def usage_error() -> Ended:
    """Return the end of a run whose options do not go together."""
    return Ended(OPTION_ERROR, err=USAGE + FAMILIES)


def _end_at(name: str) -> None:
    """Raise Ended at an option that ends the run."""
    if name == "V":
        raise Ended(0, VERSION)
    if name == "h":
        raise Ended(0, USAGE, FAMILIES)
    if name == "?":
        raise usage_error()
    if name == "Z":
        from portside.system.host import LIVE
        from portside.system.privilege import has_selinux

        if has_selinux(LIVE):
            raise Ended(1, err="netstat: -Z cannot be honoured here: contexts are not read\n")
        raise Ended(1, err="SELinux is not enabled on this machine.\n")


def _families_of(name: str, value: str | None) -> list[str]:
    """Return the families that an option names; raises Ended for one that is unknown."""
    if name == "A":
        typed = (value or "").split(",")
    elif name in ("4", "6", "x"):
        typed = [{"4": "inet", "6": "inet6", "x": "unix"}[name]]
    else:
        typed = [name] if name in _FAMILIES else []
    for one in typed:
        if one not in _FAMILIES:
            raise Ended(1, err=f"Unknown address family `{printable(one)}'.\n")
    return [_FAMILIES[one] for one in typed]


def _tables(tables: set[str], families: list[str], what: str) -> tuple[frozenset[str], bool]:
    """Return the kinds of sockets that are meant and the IP families they are shown of.

    A family alone means all of its kinds, kinds alone mean both families.
    """
    ip = {"inet", "inet6"}.intersection(families)
    whole = bool(ip or what == "statistics") and not tables.intersection(IP_TABLES)
    if whole:
        tables.update(IP_TABLES)
    if tables.intersection((*IP_TABLES, "igmp")) and not ip:
        ip = {"inet", "inet6"}
    if "bluetooth" in families and not tables.intersection(("l2cap", "rfcomm")):
        tables.update(("l2cap", "rfcomm"))
    tables.update(set(families).intersection(_OWN_TABLES))
    return frozenset(tables | ip if tables else ()), whole
