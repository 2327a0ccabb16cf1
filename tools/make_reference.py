"""Write docs/reference.md from the commands' own parsers, so that the page and the program cannot differ.

    python tools/make_reference.py

The page is built from the parsers' actions and not from their help text, whose layout differs between Python
versions.  `tests/rules/test_reference.py` compares it with the file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import textwrap
from pathlib import Path

from portside.cli import COMMANDS, load
from portside.cli.command import Command
from portside.cli.parsing import build_parser
from portside.faces import FACES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

FACE_HELP = {"lsof": "-h"}  # where it is not --help
FACE_LOOKS = {"netstat": ("netstat.bsd",)}  # other looks of a face, with a help of their own

OPENING = """\
# Reference

Every command and option, written by `make reference` from the program itself: edit the commands, not this page.
`portside` without a command is `portside list`. Exit codes: 0 yes, found or done; 1 no or nothing found; 2 usage or
error; 3, with `--strict`, when something could not be seen.

| command | what it does |
|---|---|
"""

FACES_OPENING = """\
## The faces

`portside FACE ...` takes the options of the tool of that name and prints its text; so does a link of that name to the
command (`portside faces DIR`). Exit codes are the tool's. What is below is what each says when it is asked for help.
Side by side with Portside's own commands: [coming from other tools](guides/coming-from-other-tools.md).
"""


def page() -> str:
    """Return the whole page."""
    parts = [
        OPENING
        + "".join(f"| [`{name}`](#portside-{name}) | {_cell(line)} |\n" for name, line in COMMANDS.items())
    ]
    parts += [command_section(load(name)) for name in COMMANDS]
    parts += [FACES_OPENING, *(face_section(name, line) for name, line in FACES.items())]
    return "\n".join(parts)


def command_section(command: Command) -> str:
    """Return one command's part: what it is for, how it is called, every argument, examples."""
    parser = build_parser(command)
    lines = [f"## portside {command.name}", "", command.description.strip() or f"{command.help}.", ""]
    lines += ["```", usage(parser), "```", ""]
    for group in parser._action_groups:
        lines += group_table(group)
    if command.examples:
        lines += ["Examples:", "", "```", textwrap.dedent(command.examples).strip("\n"), "```", ""]
    return "\n".join(lines)


def face_section(name: str, line: str) -> str:
    """Return one face's part: its line, and the help it prints."""
    return "\n".join(
        [f"### {name}", "", f"{line[0].upper()}{line[1:]}.", "", "```", face_help(name), "```", ""]
    )


def face_help(name: str) -> str:
    """Return what a face prints when it is asked for help, and what its other looks print."""
    return "\n\n".join(_help_of(each, name) for each in (name, *FACE_LOOKS.get(name, ())))


def _help_of(module_name: str, name: str) -> str:
    """Return the module's `HELP`, else what it prints, wherever it prints it."""
    module = importlib.import_module(f"portside.faces.{module_name}")
    said = getattr(module, "HELP", "")
    if not said:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            module.main([FACE_HELP.get(name, "--help")])
        said = out.getvalue()
    return "\n".join(text.rstrip() for text in str(said).expandtabs().strip("\n").splitlines())


def usage(parser: argparse.ArgumentParser) -> str:
    """Return one line: the command, that it has options, its positional arguments."""
    words = [parser.prog, "[OPTION...]"]
    words += [
        _repeated(action, argument_name(action)) for action in parser._actions if not action.option_strings
    ]
    return " ".join(words)


def _repeated(action: argparse.Action, name: str) -> str:
    return {"*": f"[{name}...]", "+": f"{name}...", "?": f"[{name}]"}.get(str(action.nargs), name)


def group_table(group: argparse._ArgumentGroup) -> list[str]:
    """Return a table of a group's arguments; nothing for an empty group."""
    shown = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
    if not shown:
        return []
    rows = [f"| `{_cell(spelling(action))}` | {_cell(help_text(action))} |" for action in shown]
    title = (group.title or "").capitalize()
    return [f"| {title} | |", "|---|---|", *rows, ""]


def spelling(action: argparse.Action) -> str:
    """Return how an argument is typed: every spelling of an option, then what it takes."""
    if not action.option_strings:
        return argument_name(action)
    takes = "" if action.nargs == 0 else argument_name(action)
    value = f" [{takes}]" if action.nargs == "?" else f" {takes}"
    return ", ".join(action.option_strings) + (value if takes else "")


def argument_name(action: argparse.Action) -> str:
    """Return the word that stands for an argument's value."""
    if action.choices is not None and action.metavar is None:
        return "|".join(map(str, action.choices))
    named = action.metavar if isinstance(action.metavar, str) else None
    return named or (action.dest.upper() if action.option_strings else action.dest)


def help_text(action: argparse.Action) -> str:
    """Return an argument's help with its `%(default)s` and the like filled in."""
    return (action.help or "") % {**vars(action), "prog": "portside"}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
