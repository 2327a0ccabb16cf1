"""docs/filter.md: its examples are filters, its tables name every test and every state."""

import re
import shlex
from pathlib import Path

from portside.see.filter import parse
from portside.see.filter.parser import CHOICES, NAMES
from portside.see.filter.states import WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "filter.md").read_text()


def test_every_example_parses():
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
    assert len(lines) > 15
    for line in lines:
        words = [word for word in shlex.split(line)[2:] if not word.startswith("-")]
        expression = parse(" ".join(words))
        assert parse(str(expression)) == expression


def test_every_word_is_documented():
    for word in (*NAMES, *WORDS, *(word for words in CHOICES.values() for word in words)):
        assert f"`{word}`" in PAGE or word == "excl"
