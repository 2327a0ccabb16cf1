"""From a command's arguments as data to argparse, for what was typed and for --help."""

from __future__ import annotations

import argparse
import os
import sys

from portside.cli.command import COMMON, FAILED
from portside.cli.output import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any, NoReturn

    from portside.cli.command import Argument, Command


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal; the standard one imports shutil to ask, for every argument it checks."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size(1).columns
        except OSError:
            width = 100
        super().__init__(prog, width=min(width, 100) - 2, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors read as Portside's."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and where the help is; exit 2."""
        self.exit(FAILED, f"portside: {clean(message)}; see '{self.prog} --help'\n")

    def print_help(self, file: Any = None) -> None:
        """Write the help; the standard one passes over a full disk in silence."""
        (file or sys.stdout).write(self.format_help())


def build_parser(command: Command) -> Parser:
    """Return the parser of one command: its own arguments and the common ones."""
    parser = Parser(
        prog=f"portside {command.name}",
        description=command.description or command.help,
        epilog=f"examples:\n{command.examples}" if command.examples else None,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    groups: dict[str, argparse._ActionsContainer] = {"": parser}
    for argument in (*command.arguments, *COMMON):
        group = groups.get(argument.group) or groups.setdefault(
            argument.group, parser.add_argument_group(argument.group)
        )
        group.add_argument(*argument.names, **_options(argument))
    return parser


def parse(command: Command, words: list[str]) -> SimpleNamespace:
    """Return the typed arguments; exits 2 with a message where they are wrong, 0 after --help."""
    from types import SimpleNamespace

    tail = []
    if command.tail and "--" in words:
        end = words.index("--")
        words, tail = words[:end], words[end + 1 :]
    typed = list(_joined(command, words))
    parsed = SimpleNamespace(**vars(build_parser(command).parse_intermixed_args(typed)))
    if command.tail:
        setattr(parsed, command.tail, tail)
    return parsed


def _joined(command: Command, words: list[str]) -> Iterator[str]:
    """Yield the words, an option's value joined to it: as with getopt(3) it may begin with a minus (--sort -port)."""
    needy = {
        name
        for argument in (*command.arguments, *COMMON)
        for name in argument.names
        if name.startswith("--") and not argument.switch and argument.bare is None
    }
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield word
            yield from rest
        elif word in needy and (value := next(rest, None)) is not None:
            yield f"{word}={value}"
        else:
            yield word


def _options(argument: Argument) -> dict[str, Any]:
    """Return the keywords of `add_argument`."""
    options: dict[str, Any] = {"help": argument.help.replace("%", "%%")}
    if argument.switch:
        return options | {"action": "store_true"}
    if argument.metavar:
        options["metavar"] = argument.metavar
    if argument.choices:
        options["choices"] = argument.choices
    if argument.many == "append":
        options["action"] = "append"
    elif argument.many:
        options["nargs"] = argument.many
    if argument.convert is not None:
        options["type"] = _converter(argument)
    if not argument.positional:
        options["default"] = argument.default
    if argument.bare is not None:
        options |= {"nargs": "?", "const": argument.bare}
    return options


def _converter(argument: Argument) -> Any:
    """Return the argument's conversion with its reason kept: argparse would replace a ValueError's text."""
    convert = argument.convert
    assert convert is not None

    def converted(text: str) -> Any:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted
