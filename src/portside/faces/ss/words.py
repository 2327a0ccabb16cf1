"""ss's command line: options in any order, then `state` and `exclude`, then the filter.

Options act in the order in which they stand, as in ss: -A forgets the tables named before the first of its kind, -4
and -6 leave the one named last as the family that is read.  Reference: misc/ss.c of iproute2 6.1; -B and -Q are
later ones'.
"""

from __future__ import annotations

from portside.faces.getopt import Long, Unknown, getopt
from portside.faces.ss import selection
from portside.faces.ss.context import Options, Stop
from portside.faces.ss.selection import FAMILY_WORDS, Selection, state_mask
from portside.record import Record
from portside.wire.sock_diag import AF_INET, AF_INET6, AF_PACKET, AF_TIPC, AF_UNIX, AF_VSOCK, AF_XDP

WRONG = 255  # ss ends with -1

_SHORT = "dhalBetuwxnro460spTbEf:mMiA:D:F:vVzZN:KHQSO"
_LONG = (
    Long("numeric", short="n"), Long("resolve", short="r"), Long("options", short="o"), Long("extended", short="e"),
    Long("memory", short="m"), Long("info", short="i"), Long("processes", short="p"), Long("threads", short="T"),
    Long("bpf", short="b"), Long("events", short="E"), Long("dccp", short="d"), Long("tcp", short="t"),
    Long("sctp", short="S"), Long("udp", short="u"), Long("raw", short="w"), Long("unix", short="x"), Long("tipc"),
    Long("vsock"), Long("all", short="a"), Long("listening", short="l"),
    Long("bound-inactive", short="B", exact=True),
    Long("ipv4", short="4"), Long("ipv6", short="6"), Long("packet", short="0"), Long("family", "required", "f"),
    Long("socket", "required", "A"), Long("query", "required", "A"), Long("summary", short="s"),
    Long("diag", "required", "D"), Long("filter", "required", "F"), Long("version", short="V"),
    Long("help", short="h"), Long("context", short="Z"), Long("contexts", short="z"), Long("net", "required", "N"),
    Long("tipcinfo"), Long("tos"), Long("cgroup"), Long("kill", short="K"), Long("no-header", short="H"),
    Long("no-queues", short="Q", exact=True), Long("xdp"), Long("mptcp", short="M"), Long("oneline", short="O"),
    Long("inet-sockopt"),
)  # fmt: skip

# what an option sets in Options
_FLAGS: dict[str, dict[str, bool]] = {
    "n": {"numeric": True}, "r": {"resolve": True}, "o": {"timers": True},
    "e": {"timers": True, "details": True}, "m": {"memory": True}, "i": {"info": True}, "p": {"processes": True},
    "T": {"threads": True}, "b": {"timers": True, "bpf": True}, "E": {"events": True}, "s": {"summary": True},
    "z": {"socket_context": True, "process_context": True}, "Z": {"process_context": True},
    "tipcinfo": {"tipcinfo": True}, "tos": {"tos": True}, "cgroup": {"cgroup": True}, "K": {"kill": True},
    "H": {"header": False}, "Q": {"queues": False}, "O": {"oneline": True}, "inet-sockopt": {"sockopt": True},
}  # fmt: skip
_TABLES = {"d": "dccp", "t": "tcp", "S": "sctp", "u": "udp", "w": "raw", "M": "mptcp"}
_FAMILIES = {
    "x": AF_UNIX, "vsock": AF_VSOCK, "tipc": AF_TIPC, "4": AF_INET, "6": AF_INET6, "0": AF_PACKET, "xdp": AF_XDP
}  # fmt: skip


class Request(Record):
    """A command line taken apart: what is shown and how, files and namespace named, and the words of the filter."""

    options: Options
    selection: Selection
    words: tuple[str, ...] = ()
    dump_file: str | None = None
    filter_file: str | None = None
    netns: str | None = None
    only_summary: bool = False


class _Reading:
    """The options so far."""

    def __init__(self) -> None:
        self.flags: dict[str, bool] = {}
        self.selection = Selection()
        self.states = 0
        self.queried = False
        self.files: dict[str, str] = {}

    def take(self, option: str, value: str) -> None:
        if option in _FLAGS:
            self.flags |= _FLAGS[option]
        elif option in _TABLES:
            self.selection.add_tables((_TABLES[option],))
        elif option in _FAMILIES:
            self.selection.add_family(_FAMILIES[option])
        elif option in ("a", "l"):
            bound = self.states & selection.BOUND
            self.states = bound | (selection.ALL if option == "a" else selection.LISTENING)
        elif option == "B":
            self.states |= selection.BOUND
        elif option == "f":
            self._family(value)
        elif option == "A":
            self._query(value)
        elif option in ("D", "F", "N"):
            self._file(option, value)
        else:
            from portside.faces.ss import usage

            raise Stop(0, told=usage.USAGE if option == "h" else usage.VERSION)

    def _family(self, word: str) -> None:
        if word == "help":
            self.take("h", "")
        if word not in FAMILY_WORDS:
            raise wrong(f'ss: "{word}" is invalid family\n')
        self.selection.add_family(FAMILY_WORDS[word])

    def _query(self, words: str) -> None:
        if not self.queried:
            self.queried = True
            self.selection.tables.clear()
            self.selection.default = False
            self.states = self.states or selection.CONNECTED
        for word in words.split(","):
            if not self.selection.query(word):
                raise wrong(f'ss: "{word}" is illegal socket table id\n')

    def _file(self, option: str, name: str) -> None:
        if option == "F" and option in self.files:
            raise Stop(WRONG, "More than one filter file\n")
        self.files[option] = name


def wrong(said: str) -> Stop:
    """Return the end for a command line that ss does not understand: what is said, then the usage."""
    from portside.faces import printable
    from portside.faces.ss import usage

    return Stop(WRONG, "".join(f"{printable(line)}\n" for line in said.splitlines()) + usage.USAGE)


def parse(words: list[str]) -> Request:
    """Take a command line apart; raises Stop for what ends the run, with exit code 0 where help was asked for."""
    reading = _Reading()
    try:
        found, operands = getopt(words, _SHORT, _LONG)
    except Unknown as error:
        # what stands before it comes first, and may end the run
        _take_before(words, reading)
        raise wrong(f"ss: {error}\n") from None
    for option, value in found:
        reading.take(option, value or "")
    return _complete(reading, operands)


def _take_before(words: list[str], reading: _Reading) -> None:
    """Let the options act that stand whole before the one that is unknown."""
    for count in range(len(words), -1, -1):
        try:
            found, _ = getopt(words[:count], _SHORT, _LONG)
        except Unknown:
            continue
        for option, value in found:
            reading.take(option, value or "")
        return


def _complete(reading: _Reading, operands: list[str]) -> Request:
    chosen = reading.selection
    summary = reading.flags.get("summary", False)
    request = Request(
        Options(**reading.flags),  # type: ignore[arg-type]
        chosen,
        (),
        reading.files.get("D"),
        reading.files.get("F"),
        reading.files.get("N"),
        summary and chosen.default and not operands,
    )
    if request.only_summary:
        return request
    states, rest = _states(reading.states, operands)
    if chosen.default:
        states = states or selection.CONNECTED
        chosen.query("all")
    chosen.states = states or chosen.states
    chosen.complete()
    return request.replace(words=tuple(rest))


def _states(states: int, words: list[str]) -> tuple[int, list[str]]:
    """Take `state WORD` and `exclude WORD` from the front; return the states, 0 for the usual ones, and the rest."""
    seen = False
    while words and words[0] in ("state", "exclude", "excl"):
        if len(words) < 2:
            raise Stop(WRONG, 'Command line is not complete. Try option "help"\n')
        mask = state_mask(words[1])
        if mask is None:
            from portside.faces import printable

            raise Stop(WRONG, f"ss: wrong state name: {printable(words[1])}\n")
        if words[0] == "state":
            states = (states if seen else 0) | mask
        else:
            states = (states if seen else selection.ALL) & ~mask
        seen, words = True, words[2:]
    return states, words


def check(chosen: Selection) -> None:
    """Raise Stop where nothing is left to show."""
    for left, what in (
        (chosen.tables, "socket tables"),
        (chosen.families, "families"),
        (chosen.states, "socket states"),
    ):
        if not left:
            raise Stop(0, f"ss: no {what} to show with such filter.\n")


def final(request: Request) -> Options:
    """Return the options once the filter has been read: it may have changed the families."""
    chosen = request.selection
    return request.options.replace(
        tables=frozenset(chosen.tables),
        families=frozenset(chosen.families),
        states=chosen.states,
        preferred=chosen.preferred,
    )
