"""Every command and every argument says what it is for, and docs/reference.md says the same."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import pytest

from portside.cli import COMMANDS, load
from portside.cli.parsing import build_parser, parse

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_command_explains_itself(name):
    command = load(name)
    assert command.name == name
    assert command.help == COMMANDS[name], "the one line of help differs from the one in `portside --help`"
    assert command.description, f"portside {name} has no description"
    assert command.examples, f"portside {name} has no examples"
    for action in build_parser(command)._actions:
        assert action.help, f"portside {name}: {action.option_strings or action.dest} has no help"
        assert action.help != argparse.SUPPRESS or action.dest.startswith("_")


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_accepted(name):
    """An example in the help parses: its lines start with `portside`, a comment may follow two blanks and #."""
    import shlex

    command = load(name)
    for line in command.examples.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["portside"] or "|" in words:
            continue
        rest = words[2:] if words[1:2] == [name] else words[1:]
        parse(command, rest)


def test_reference_page_is_up_to_date():
    page = reference_maker().page()
    assert (ROOT / "docs" / "reference.md").read_text() == page, "run: make reference"


def reference_maker():
    """Return tools/make_reference.py as a module: tools is no package."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "tools" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
