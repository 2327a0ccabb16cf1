"""What a command is: a name, its arguments as data, and what it does.

One file per command in this package; each holds a `COMMAND`.  A command's file parses nothing itself: it declares
arguments, calls a feature, and chooses a rendering.  `run` returns the exit code: 0 yes / found / done, 1 no /
nothing found, 2 usage or error, 3 (with --strict) when the view was incomplete.

Arguments are data, read by the parser, the reference and the tests.  `defaults` gives what a command runs with when
nothing was typed: the plain `portside` never loads argparse, which would take a third of its time.
"""

from __future__ import annotations

from types import SimpleNamespace

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.cli.output import Output

FOUND, NOTHING, FAILED, INCOMPLETE = 0, 1, 2, 3


class Argument(Record):
    """One argument: `names` with dashes make an option, one name without makes a positional.

    `metavar` names the value; an option without it is a switch.  `many` is the positional's `*` or `+` (empty: one
    value); `append` makes an option that may be repeated.  `convert` turns the text into the value and raises
    ValueError with the reason.  `bare` is the value of an option that may stand without one.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    default: Any = None
    choices: tuple[str, ...] = ()
    many: str = ""
    convert: Callable[[str], Any] | None = None
    bare: Any = None
    group: str = ""

    @property
    def attribute(self) -> str:
        """The name under which a command finds the value."""
        long = next((name for name in self.names if name.startswith("--")), self.names[0])
        return long.lstrip("-").replace("-", "_")

    @property
    def positional(self) -> bool:
        """Whether the argument is told by its place."""
        return not self.names[0].startswith("-")

    @property
    def switch(self) -> bool:
        """Whether the option takes no value."""
        return not (self.positional or self.metavar or self.choices)


class Command(Record):
    """One command: its name, one line of help, arguments, what it does; a longer description and examples.

    `tail` names the attribute that takes the words behind `--` (a command to run), empty where those are arguments.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]
    run: Callable[[SimpleNamespace, Output], int]
    description: str = ""
    examples: str = ""
    tail: str = ""


COMMON = (
    Argument(("--json",), "print one JSON document instead of text", group="common options"),
    Argument(
        ("--color",), "colour: auto means on a terminal", default="auto", choices=("auto", "always", "never"),
        group="common options",
    ),
    Argument(("-q", "--quiet"), "no notes on standard error", group="common options"),
    Argument(("-v", "--verbose"), "say which roads were taken", group="common options"),
)  # fmt: skip

NO_HEADER = Argument(("--no-header",), "leave the header line out", group="listing")
CSV = Argument(("--csv",), "print comma-separated values", group="listing")
STRICT = Argument(("--strict",), "exit 3 when something could not be seen", group="listing")
NETNS = Argument(("--netns",), "network namespaces to read", default="own", choices=("own", "all"))


def listing(columns: str) -> tuple[Argument, ...]:
    """Return what every listing takes; `columns` tells which there are."""
    return (
        Argument(("--columns",), f"columns to show, in order: {columns}", "A,B", group="listing"),
        Argument(
            ("--sort",), "columns to sort by; a minus sign turns the order around", "A,-B", group="listing"
        ),
        NO_HEADER,
        CSV,
        Argument(
            ("--watch",),
            "repeat until interrupted (2 s)",
            "SECONDS",
            convert=interval,
            bare=2.0,
            group="listing",
        ),
        STRICT,
        Argument(("-n", "--numeric"), "numbers instead of service and user names", group="listing"),
    )


def interval(text: str) -> float:
    """Turn text into a number of seconds to wait between two looks."""
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number of seconds (a filter goes before --watch)") from None
    if not 0.1 <= seconds <= 86400:
        raise ValueError(f"'{text}' is not between 0.1 and 86400 seconds")
    return seconds


def defaults(command: Command) -> SimpleNamespace | None:
    """Return the arguments of a command typed without any, None where it needs some."""
    values = {}
    for argument in (*command.arguments, *COMMON):
        if argument.positional and argument.many != "*":
            return None
        empty: Any = [] if argument.positional else False if argument.switch else argument.default
        values[argument.attribute] = empty
    if command.tail:
        values[command.tail] = []
    return SimpleNamespace(**values)
