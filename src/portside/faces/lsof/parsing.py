"""From words to Options, letter by letter.

Every letter of lsof 4.95 is known, and -J and -j of its newer versions.  What concerns other files than network files
is refused in words of our own; what lsof itself refuses is refused in its words.
"""

from __future__ import annotations

from portside.faces.lsof import addresses, given
from portside.faces.lsof.options import DELAY, FIELDS, FLAGS, QUEUES, SHORTEST_WAIT, STATE, Options, marker
from portside.faces.lsof.text import safe
from portside.faces.lsof.words import Words, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Letter = Callable[[Options, Words], None]

_NEVER_TOLD = "CFNzZ"  # fields of other systems: known, and never there


def parse(typed: list[str]) -> Options:
    """Return what was typed, with what is to be said of it."""
    options, words = Options(), Words(typed)
    while letter := words.next():
        if words.wrong:
            options.wrongly([words.wrong if letter.isprintable() else safe(words.wrong)])
        elif letter in _SWITCHES:
            name, minus, plus = _SWITCHES[letter]
            setattr(options, name, minus if words.sign == "-" else plus)
        else:
            _LETTERS[letter](options, words)
    options.names = words.operands()
    _check(options)
    return options


# letter -> attribute, its value behind a minus and behind a plus
_SWITCHES: dict[str, tuple[str, object, object]] = {
    "a": ("every", True, True),
    "E": ("endpoints", 1, 2),
    "h": ("help", True, True),
    "?": ("help", True, True),
    "l": ("logins", False, False),
    "M": ("portmap", False, True),
    "n": ("hosts", False, True),
    "N": ("nfs", True, True),
    "P": ("services", False, True),
    "Q": ("search_fails", False, False),
    "R": ("parent", True, True),
    "U": ("unix", True, True),
    "v": ("version", True, True),
    "V": ("verbose", True, True),
    "w": ("warnings", False, True),
}


def _nothing(_options: Options, _words: Words) -> None:
    """-b and -O: nothing here can block, and no child is made."""


def _command(options: Options, words: Words) -> None:
    value = words.value
    if words.sign == "+":
        digits = (value or "")[: len(value or "") - len((value or "").lstrip("0123456789"))]
        if not digits:
            options.wrongly(["+c not followed by width number"])
            if value is not None:
                words.give_back()
            return
        options.width = number(digits)
        if options.width > given.LONGEST_COMMAND:
            limit = given.LONGEST_COMMAND
            options.wrongly([f"+c {options.width} > what system provides ({limit})"])
    elif value is not None and value.startswith("/"):
        options.wrongly(given.add_pattern(options.patterns, value))
    else:
        options.wrongly(given.add_command(options.commands, value))


def _descriptors(options: Options, words: Words) -> None:
    if words.sign == "+":
        options.refuse("+d asks for the files of a directory")
        return
    options.descriptors, said = given.add_descriptors(options.descriptors, words.value)
    options.wrongly(said)


def _directory(options: Options, words: Words) -> None:
    if words.sign == "+":
        options.refuse("+D asks for the files of a directory")
    else:
        options.wrongly(["unsupported option: -D"])


def _exempt(options: Options, words: Words) -> None:
    options.refuse(f"{words.sign}e exempts a file system")


def _file_flags(options: Options, words: Words) -> None:
    value = words.optional()
    if value is None:
        options.only_systems = words.sign == "+"
        return
    for one in value:
        if one in "gG":
            options.flags = words.sign == "+"
            options.flags_in_hex = one == "G"
        else:
            options.wrongly([f"unknown file struct option: {safe(one)}"])


def _fields(options: Options, words: Words) -> None:
    value = words.optional()
    if value is None or value == "0":
        options.every_field()
        options.flags_in_hex = True
        options.end = "\0" if value else options.end
    elif value == "?":
        options.field_help = True
    else:
        options.choose_fields("".join(one for one in value if one in FIELDS))
        options.end = "\0" if "0" in value else options.end
        options.offset = options.offset or "o" in value
        options.wrongly(
            [f"unknown field: {safe(one)}" for one in value if one not in FIELDS and one not in _NEVER_TOLD]
        )


def _group(options: Options, words: Words) -> None:
    value = words.optional()
    if value is not None:
        options.wrongly(given.add_ids(options.groups, value, group=True))
    options.group = True


def _internet(options: Options, words: Words) -> None:
    value = words.optional()
    if value is None:
        options.net, options.family = True, 0
    elif value in ("4", "6"):
        other = options.net and options.family not in (0, int(value))
        options.net, options.family = True, 0 if other else int(value)
    else:
        try:
            found = addresses.parse(value, options.family if options.net else 0)
        except addresses.Wrong as error:
            options.wrongly([str(error)])
            return
        options.addresses += found
        if len(options.addresses) > addresses.MOST:
            options.wrongly([f"network address limit ({addresses.MOST}) exceeded: -i {safe(value)}"])


def _document(letter: str) -> Letter:
    def choose(options: Options, words: Words) -> None:
        if words.sign == "+":
            options.wrongly([f"+{letter} is not supported"])
        elif options.document not in ("", letter):
            options.wrongly(["-J and -j are mutually exclusive"])
        options.document = letter

    return choose


def _tasks(options: Options, words: Words) -> None:
    value = words.optional()
    if value is not None and value.lower() != "i":
        options.wrongly([f"-K not followed by i (but by {safe(value)})"])
        return
    options.tasks = value is None


def _links(options: Options, words: Words) -> None:
    options.link_column = words.sign == "+"
    least = words.number()
    if least is not None and words.sign == "-":
        options.wrongly(["no number may follow -L"])
    elif least is not None:
        options.links = least or -1


def _mounts(options: Options, words: Words) -> None:
    if words.sign == "-":
        options.wrongly(["-m not supported"])
    else:
        options.refuse("+m is about mounted file systems")


def _offset(options: Options, words: Words) -> None:
    if words.number() is None:  # a number is how many digits are decimal; a socket's offset has one
        options.offset = True


def _pids(options: Options, words: Words) -> None:
    options.wrongly(given.add_ids(options.pids, words.value, group=False))


def _repeat(options: Options, words: Words) -> None:
    options.until_empty = options.until_empty or words.sign == "+"
    value = words.optional()
    options.delay = DELAY
    if value is None:
        return
    rest = value.lstrip("0123456789")
    used = len(value) - len(rest)
    if used:
        options.delay = number(value[:used])
    rest = rest.lstrip(" ")
    if rest.startswith("c"):
        behind = rest[1:].lstrip("0123456789")
        options.rounds = number(rest[1 : len(rest) - len(behind)])
        rest = behind
    if rest.startswith("m"):
        options.marker = rest[1:]
        if not marker(options):
            options.wrongly([f'illegal <fmt>: "{safe(options.marker)}"'])
    elif rest:
        words.give_back(len(value) - len(rest))


def _size(options: Options, words: Words) -> None:
    value = words.optional()
    if value is None:
        options.size = True
    else:
        options.wrongly(given.add_states(options.states, options.other_states, value))


def _timeout(options: Options, words: Words) -> None:
    seconds = words.number()  # nothing here waits that long: what lsof says of it is all that is left
    if seconds is not None and seconds < SHORTEST_WAIT:
        options.said.append(f"WARNING: -S time ({seconds}) changed to {SHORTEST_WAIT}")


def _terse(options: Options, _words: Words) -> None:
    options.terse, options.warnings = True, False


def _connection(options: Options, words: Words) -> None:
    value = words.optional()
    if value is None:
        options.tell = 0 if words.sign == "-" else STATE
        return
    bits = {"f": FLAGS, "q": QUEUES, "s": STATE}
    options.tell = sum({bits[one] for one in value if one in bits})
    options.wrongly([f"unsupported TCP/TPI info selection: {safe(one)}" for one in value if one not in bits])


def _users(options: Options, words: Words) -> None:
    options.wrongly(given.add_users(options.users, words.value))


def _cross(options: Options, words: Words) -> None:
    value = words.optional()
    options.wrongly([f"unknown cross-over option: {safe(one)}" for one in value or "" if one not in "fl"])
    options.wrongly(["-x must accompany +d or +D"])


def _not_tcp(options: Options, _words: Words) -> None:
    options.not_tcp = not options.not_tcp


def _context(options: Options, _words: Words) -> None:
    from portside.system.mounts import kinds  # few ask

    if "selinuxfs" in kinds():
        options.refuse("-Z is about security contexts")
    else:
        options.wrongly(["-Z limited to SELinux"])


_LETTERS: dict[str, Letter] = {
    "b": _nothing, "c": _command, "d": _descriptors, "D": _directory, "e": _exempt, "f": _file_flags,
    "F": _fields, "g": _group, "i": _internet, "J": _document("J"), "j": _document("j"), "K": _tasks,
    "L": _links, "m": _mounts, "o": _offset, "O": _nothing, "p": _pids, "r": _repeat, "s": _size,
    "S": _timeout, "t": _terse, "T": _connection, "u": _users, "x": _cross, "X": _not_tcp, "Z": _context,
}  # fmt: skip


def _check(options: Options) -> None:
    """Say what does not go together."""
    names = {one.name for one in options.commands if not one.excluded}
    for one in options.commands:
        if one.excluded and one.name in names:
            options.wrongly([f"-c^{safe(one.name)} and -c{safe(one.name)} conflict."])
    both = sorted(options.states & options.other_states)
    options.wrongly([f"can't include and exclude TCP state: {given.STATES[one]}" for one in both])
    if options.size and options.offset:
        options.wrongly(["-o and -s are mutually exclusive"])
    fields = options.fields is not None or bool(options.document)
    if fields and options.terse:
        options.wrongly(["-F and -t are mutually exclusive"])
    if fields and "%n" in options.marker.replace("%%", ""):
        said = "%n illegal in -r m<fmt> when -F has been specified"
        options.wrongly([f'{said}: "{safe(options.marker)}"'])
    if options.document and options.terse:
        options.wrongly(["-J/-j and -t are mutually exclusive"])
    if options.document and (options.fields or set()) <= {"p", "m"}:
        options.every_field()
