"""The values of the selecting options: lists of numbers, users, descriptors, names of commands, states.

Each function adds to what earlier options gave and returns what is to be said of it, nothing where it is well; a
value that is wrong in part is taken as far as it is right, since nothing is listed then anyhow.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.faces.lsof.text import safe
from portside.faces.lsof.words import HIGHEST, number
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.posix_regex import Expression

# include/net/tcp_states.h, by number; 0 is lsof's own
STATES = (
    "CLOSED", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
    "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING",
)  # fmt: skip
LONGEST_COMMAND = 15  # include/linux/sched.h: TASK_COMM_LEN, and its NUL
_LONGEST_LOGIN = 32  # utmp(5)
_HIGHEST_UID = (1 << 32) - 1


class Id(Record):
    """A process, process group or user that is wanted, or not; `name` is the login it was given by."""

    number: int
    excluded: bool
    name: str = ""


class Command(Record):
    """The beginning of a command's name that is wanted, or not."""

    name: str
    excluded: bool


class Pattern(Record):
    """A command's name as a regular expression; `text` is what stood between the slashes."""

    text: str
    compiled: Expression


class Descriptors(Record):
    """What -d gave: ranges of numbers, and names such as `cwd`; all of it `excluded`, or none."""

    excluded: bool = False
    ranges: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()


def add_ids(known: list[Id], value: str | None, group: bool) -> list[str]:
    """Add the numbers of -p, or with `group` of -g."""
    kind = " group" if group else ""
    if value is None:
        return [f"no process{kind} ID specified"]
    said: list[str] = []
    for part in value.removesuffix(",").split(",") if value else ():
        digits = part.removeprefix("^")
        if digits and not (digits.isascii() and digits.isdigit()):
            return [*said, f"illegal process{kind} ID: {safe(value)}"]
        wanted = Id(number(digits), part.startswith("^"))
        same = [one for one in known if one.number == wanted.number]
        if any(one.excluded != wanted.excluded for one in same):
            said.append(f"P{'G' if group else ''}ID {wanted.number} has been included and excluded.")
        elif not same:
            known.append(wanted)
    return said


def add_users(known: list[Id], value: str | None) -> list[str]:
    """Add the users of -u, by number or by login."""
    if value is None:
        return ["no UIDs specified"]
    said = []
    for part in value.removesuffix(",").split(",") if value else ():
        login = part.removeprefix("^")
        if len(login) > _LONGEST_LOGIN:
            said.append(f"-u login name > {_LONGEST_LOGIN} characters: {safe(part)}")
            continue
        uid = _uid(login)
        if uid is None:
            said.append(f"can't get UID for {safe(login)}")
            continue
        wanted = Id(uid, part.startswith("^"), "" if login.isdigit() else login)
        same = [one for one in known if one.number == uid]
        if any(one.excluded != wanted.excluded for one in same):
            said.append(f"UID {uid} has been included and excluded.")
        elif not same:
            known.append(wanted)
    return said


def _uid(login: str) -> int | None:
    if not login or (login.isascii() and login.isdigit()):
        return min(int(login[:20] or "0"), _HIGHEST_UID)
    import pwd

    try:
        return pwd.getpwnam(login).pw_uid
    except (KeyError, ValueError, UnicodeError):
        return None


def add_command(known: list[Command], value: str | None) -> list[str]:
    """Add the beginning of a name, the value of -c."""
    if value is None or value[:1] in ("-", "+"):
        return ["missing -c option value"]
    wanted = Command(value.removeprefix("^"), value.startswith("^"))
    size = len(wanted.name.encode("utf-8", "surrogateescape"))
    if size > LONGEST_COMMAND:
        return [f'"-c {safe(wanted.name)}" length ({size}) > what system provides ({LONGEST_COMMAND})']
    known.append(wanted)
    return []


def add_pattern(known: list[Pattern], value: str) -> list[str]:
    """Add a regular expression, a value of -c that begins with a slash."""
    text, slash, modifiers = value[1:].partition("/")
    if not slash:
        return [f"regexp doesn't end with '/': {safe(value)}"]
    said = _check_modifiers(modifiers, value)
    if said:
        return said
    from portside.system.posix_regex import Expression  # few ask, and ctypes is not small

    try:
        compiled = Expression(
            text.encode("utf-8", "surrogateescape"),
            extended="b" not in modifiers,
            ignore_case="i" in modifiers,
        )
    except BadRequest as error:
        return [f"regexp error: {safe(value)}: {error.reason}"]
    known.append(Pattern(text, compiled))
    return []


def _check_modifiers(modifiers: str, value: str) -> list[str]:
    """Say what is wrong with what follows the closing slash; each thing once."""
    said: dict[str, None] = {}
    seen: dict[str, int] = {}
    for one in modifiers:
        seen[one] = seen.get(one, 0) + 1
        if one not in "bix":
            said[f"invalid regexp modifier: {safe(one)}"] = None
        elif seen[one] > 1:
            said[f"{one} regexp modifier already used: {safe(value)}"] = None
        elif one != "i" and {"b": "x", "x": "b"}[one] in seen:
            said[f"b and x regexp modifiers conflict: {safe(value)}"] = None
    return [*said]


def add_descriptors(known: Descriptors | None, value: str | None) -> tuple[Descriptors | None, list[str]]:
    """Return what -d gives together with what it gave before."""
    if not value:
        return known, ["no file descriptor specified"]
    said = []
    for part in value.split(","):
        excluded, text = part.startswith("^"), part.removeprefix("^")
        if not text:
            continue
        between, wrong = _range(text)
        if wrong:
            said.append(wrong)
            continue
        if known is not None and known.excluded != excluded:
            kinds = ("include", "exclude")
            said.append(
                f"{kinds[excluded]} in an {kinds[known.excluded]} -d list: {'^' * excluded}{safe(text)}"
            )
            continue
        known = known or Descriptors(excluded)
        if between is None:
            known = known.replace(names=(*known.names, text))
        else:
            known = known.replace(ranges=(*known.ranges, between))
    return known, said


def _range(text: str) -> tuple[tuple[int, int] | None, str]:
    """Return a range of numbers, None for a name; or what is wrong with it."""
    if "-" not in text:
        if text == "fd":
            return (0, HIGHEST), ""
        return ((number(text),) * 2 if text.isascii() and text.isdigit() else None), ""
    low, _, high = text.rpartition("-")
    if not low:
        return None, f"illegal FD range for -d: {safe(text)}"
    if not ((low + high).isascii() and (low + high).isdigit()):
        return None, f"non-digit in -d FD range: {safe(text)}"
    if number(low) >= number(high):
        return None, f"-d FD range's low >= its high: {safe(text)}"
    return (number(low), number(high)), ""


def add_states(wanted: set[int], unwanted: set[int], value: str) -> list[str]:
    """Add the states of `-s tcp:...`; of UDP lsof knows none."""
    protocol, names = value[:4].upper(), value[4:]
    if protocol not in ("TCP:", "UDP:"):
        return [f'unknown -s protocol: "{safe(value)}"']
    if not names:
        return [f"no {protocol[:3]} state names in: {safe(value)}"]
    if protocol == "UDP:":
        return [f"no UDP state names available: {safe(value)}"]
    said = []
    for part in names.removesuffix(",").split(","):
        excluded, name = part.startswith("^"), part.removeprefix("^")
        if not name:
            said.append(f"NULL TCP state name in: {safe(value)}")
        elif name.upper() not in STATES:
            said.append(f"unknown TCP state name: {safe(name)}")
        else:
            number, known = STATES.index(name.upper()), unwanted if excluded else wanted
            if number in known:
                said.append(f"duplicate TCP {'ex' if excluded else 'in'}clusion: {safe(name)}")
            known.add(number)
    return said
