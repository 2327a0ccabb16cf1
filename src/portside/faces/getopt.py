"""Options as glibc's getopt_long reads them: bundles, abbreviations, operands anywhere, and its words for errors.

Own code because the standard library's module words its errors otherwise and imports gettext and re, which takes as
long as reading the sockets does.  Reference: getopt(3).
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Unknown(Exception):
    """An option that is not known, ambiguous, or lacks its argument; the text is glibc's."""


class Long(Record):
    """A long option: `argument` is `no`, `required` or `optional`; `short` is the letter it stands for, if any.

    One that is `exact` cannot be abbreviated, and makes no other ambiguous.
    """

    name: str
    argument: str = "no"
    short: str = ""
    exact: bool = False


def getopt(
    words: list[str], short: str, long: Iterable[Long] | None = (), *, permute: bool = True
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Return the options in order, and the operands.

    `short` is getopt's string (`ab:c::`).  An option is told as its letter, a long one without a letter by its name;
    its argument is None where it has none.  `long` None is getopt(3) itself, to which `--name` is a bundle.
    `permute` False stops at the first operand.  Raises Unknown.
    """
    table = {one.name: one for one in long or ()}
    found: list[tuple[str, str | None]] = []
    operands: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return found, operands + rest
        if word.startswith("--") and long is not None:
            found.append(_long(word[2:], table, rest))
        elif word.startswith("-") and word != "-":
            _bundle(word[1:], short, rest, found)
        elif permute:
            operands.append(word)
        else:
            return found, [word, *rest]
    return found, operands


def _long(word: str, table: dict[str, Long], rest: list[str]) -> tuple[str, str | None]:
    name, equals, value = word.partition("=")
    option = table.get(name) or _abbreviated(name, table)
    if option.argument == "no" and equals:
        raise Unknown(f"option '--{option.name}' doesn't allow an argument")
    if option.argument == "required" and not equals:
        if not rest:
            raise Unknown(f"option '--{option.name}' requires an argument")
        return option.short or option.name, rest.pop(0)
    return option.short or option.name, value if equals else None


def _abbreviated(name: str, table: dict[str, Long]) -> Long:
    """Find the option that `name` is the start of; several that mean the same are one."""
    near = [option for option in table.values() if option.name.startswith(name) and not option.exact]
    if not near:
        raise Unknown(f"unrecognized option '--{name}'")
    if any(
        (one.argument, one.short or one.name) != (near[0].argument, near[0].short or near[0].name)
        for one in near
    ):
        raise Unknown(
            f"option '--{name}' is ambiguous; possibilities:" + "".join(f" '--{one.name}'" for one in near)
        )
    return near[0]


def _bundle(letters: str, short: str, rest: list[str], found: list[tuple[str, str | None]]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        place = short.find(letter)
        if place < 0 or letter in ":;":
            raise Unknown(f"invalid option -- '{letter}'")
        kind = short[place + 1 : place + 3]
        if kind == "::":
            found.append((letter, letters or None))
            return
        if kind[:1] == ":":
            if not letters and not rest:
                raise Unknown(f"option requires an argument -- '{letter}'")
            found.append((letter, letters or rest.pop(0)))
            return
        found.append((letter, None))
