"""What a terminal is given: escaped text, fitted tables, colour by the rules, any encoding."""

from __future__ import annotations

import io
import itertools
import os
import pty
import unicodedata

import pytest

from portside.cli.command import COMMON, Command, defaults
from portside.cli.output import Column, Output, clean, cut, display_width, fit, iso_time
from portside.see.records import Gap


def arguments(**typed):
    made = defaults(Command("test", "", COMMON, lambda arguments, output: 0))
    vars(made).update(typed)
    return made


def output(out=None, **typed):
    return Output(arguments(**typed), out or io.StringIO(), io.StringIO())


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


# clean

HOSTILE = {
    "\x1b[31mred": "\\x1b[31mred",
    "a\nb": "a\\nb",
    "a\tb\r": "a\\tb\\r",
    "nul\0": "nul\\x00",
    "del\x7f": "del\\x7f",
    "\x9b31m": "\\x9b31m",  # C1: one character that starts an escape sequence
    "\x85": "\\x85",
    "\udcff\udc80": "\\xff\\x80",  # bytes that were not UTF-8
    "\ud800": "\\ud800",
    "evil\u202egnp.exe": "evil\\u202egnp.exe",  # right-to-left override
    "\u2066\u2069\u200f": "\\u2066\\u2069\\u200f",
    "a\u200bb\ufeffc\u200d": "a\\u200bb\\ufeffc\\u200d",  # zero-width
    "\u2028\u2029": "\\u2028\\u2029",
    "\xad\xa0": "\\xad\\xa0",
    "\U000e0041": "\\U000e0041",  # tag characters
    "\ue000": "\\ue000",
}


@pytest.mark.parametrize("raw", HOSTILE, ids=ascii)
def test_clean_escapes_what_a_terminal_acts_on_or_hides(raw):
    assert clean(raw) == HOSTILE[raw]


@pytest.mark.parametrize(
    "text", ["", "plain", "a) b", "dö-端口", "e\u0301", "🦊", 'quote",pid=1', "back\\slash"]
)
def test_clean_leaves_readable_text(text):
    assert clean(text) == text


def test_clean_of_any_character_is_printable():
    codes = itertools.chain(
        range(0x3100), range(0xD7A0, 0x10400), range(0x1F000, 0x20000), range(0xE0000, 0xE0200)
    )
    everything = "".join(map(chr, codes))
    assert clean(everything).isprintable()


# widths

WIDTHS = {
    "": 0,
    "abc": 3,
    "端口": 4,
    "dö": 2,
    "e\u0301a\u0301": 2,
    "한글": 4,
    "ﾊﾝｶｸ": 4,
    "🦊": 2,
    "\u0e01\u0e31": 1,  # a Thai vowel sign, of combining class 0
    "\u20dd": 0,
    "…": 1,
}


@pytest.mark.parametrize("text", WIDTHS)
def test_display_width(text):
    assert display_width(text) == WIDTHS[text]


@pytest.mark.parametrize("text", ["abcdef", "端口端口", "a端b口c", "e\u0301e\u0301e\u0301e\u0301", "🦊🦊"])
def test_cut_never_exceeds_the_width_and_says_that_it_cut(text):
    for width in range(10):
        short = cut(text, width)
        assert display_width(short) <= width
        if display_width(text) <= width:
            assert short == text
        else:
            assert not width or short.endswith("…")
            assert text.startswith(short[:-1])


def test_cut_uses_the_room():
    assert cut("abcdef", 4) == "abc…"
    assert cut("端口端口", 4) == "端…"  # half a character cannot be shown
    assert cut("端口端口", 5) == "端口…"
    assert cut("e\u0301e\u0301e\u0301e\u0301", 3) == "e\u0301e\u0301…"


# fit

COLUMNS = [Column(str(rank), f"HEAD{rank}", str, shrink=rank) for rank in (0, 2, 0, 4, 2, 3, 1)]
NEEDED = 12 + 2 + 9  # the two columns that are never cut


@pytest.mark.parametrize("limit", range(1, 130))
def test_fit_never_cuts_the_columns_that_must_be_whole(limit):
    before = [12, 16, 9, 24, 8, 16, 30]
    widths = list(before)
    fit(widths, COLUMNS, limit)
    total = sum(width + 2 for width in widths if width) - 2
    assert (widths[0], widths[2]) == (12, 9)
    assert all(0 <= width <= was for width, was in zip(widths, before, strict=True))
    assert total <= limit or widths == [12, 0, 9, 8, 0, 0, 0]
    assert widths[3] >= 8  # who holds the port is the answer: cut, never left out
    assert widths[5] in (0, 16)  # half a date says nothing


def test_fit_gives_way_in_stages():
    def fitted(limit):
        widths = [12, 16, 9, 24, 8, 16, 30]
        fit(widths, COLUMNS, limit)
        return widths

    assert fitted(None) == fitted(127) == [12, 16, 9, 24, 8, 16, 30]
    assert fitted(126) == [12, 16, 9, 24, 8, 16, 29]
    assert fitted(105) == [12, 16, 9, 24, 8, 16, 8]
    assert fitted(104) == fitted(95) == [12, 16, 9, 24, 8, 16, 0]
    assert fitted(90) == [12, 11, 9, 24, 8, 16, 0]
    assert fitted(70) == [12, 9, 9, 24, 8, 0, 0]  # the date made room for the service again
    assert fitted(45) == [12, 0, 9, 20, 0, 0, 0]


def test_fit_leaves_no_column_of_an_ellipsis_alone():
    for limit in range(1, 130):
        widths = [12, 16, 9, 24, 8, 16, 30]
        fit(widths, COLUMNS, limit)
        assert all(width == 0 or width >= 8 for width in widths), (limit, widths)


# tables

ROWS = ["short", "端口" * 10, "x" * 70, "e\u0301" * 30]
TABLE = [
    Column("a", "ADDRESS", lambda row: "[2001:db8::1]:443"),
    Column("n", "N", lambda row: str(len(row)), right=True),
    Column("o", "OWNER", lambda row: row, shrink=4, style=lambda row: "green"),
    Column("c", "COMMAND", lambda row: row, shrink=1),
]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("color", ["never", "always"])
def test_lines_fit_the_terminal(monkeypatch, columns, color):
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    output(terminal, color=color).table(ROWS, TABLE)
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 5
    for line in lines:
        assert display_width(bare(line)) <= columns
    assert all("[2001:db8::1]:443" in line for line in lines[1:])
    assert ("\x1b" in terminal.getvalue()) == (color == "always")


def bare(line):
    for code in ("0", "1", "2", "31", "32", "33"):
        line = line.replace(f"\x1b[{code}m", "")
    return line


def test_nothing_is_cut_in_a_pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    made = output()
    made.table(ROWS, TABLE)
    assert "x" * 70 in made.out.getvalue()
    assert "…" not in made.out.getvalue()


def test_columns_are_aligned_by_cells(monkeypatch):
    made = output()
    made.table(["端", "ab", "e\u0301"], [Column("x", "X", str), Column("y", "Y", lambda row: "y")])
    assert made.out.getvalue() == "X   Y\n端  y\nab  y\ne\u0301   y\n"


def test_hostile_cells_stay_on_their_line():
    made = output()
    made.table(["a\nb", "\x1b[2J"], [Column("x", "X", str)])
    assert made.out.getvalue() == "X\na\\nb\n\\x1b[2J\n"


def test_empty_table_is_its_header():
    made = output()
    made.table([], TABLE)
    made.table([], TABLE, header=False)
    assert made.out.getvalue() == "ADDRESS  N  OWNER  COMMAND\n"


# the terminal


@pytest.mark.parametrize("columns", ["", "0", "-3", "many", "²", "1e3"])
def test_width_falls_back_to_what_the_terminal_says(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert output(Terminal()).width() is None  # no descriptor to ask


def test_width_of_a_real_terminal(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    main, side = pty.openpty()
    try:
        with open(side, "w", closefd=False) as stream:
            made = Output(arguments(), stream, io.StringIO())
            assert made.width() is None  # a new one is 0 wide: not known
            import fcntl
            import struct
            import termios

            fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 57, 0, 0))
            assert made.width() == 57
    finally:
        os.close(main)
        os.close(side)


@pytest.mark.parametrize(
    ("choice", "tty", "environment", "colored"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),  # no-color.org: when present and not empty
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", True, {}, False),
    ],
)
def test_colour_rules(monkeypatch, choice, tty, environment, colored):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = output(Terminal() if tty else io.StringIO(), color=choice)
    assert made.colored is colored
    assert ("\x1b" in made.style("word", "bold")) is colored
    assert made.style("word", "") == "word"


# encodings


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8", "koi8-r"])
def test_no_encoding_breaks_the_answer(encoding):
    raw = io.BytesIO()
    made = output(io.TextIOWrapper(raw, encoding=encoding, newline=""))
    made.write("├─ ö 端 …\n")
    made.table(["dö-端口", "\udcff"], [Column("x", "X", str)])
    made.csv(["dö-端口"], [Column("x", "X", str)])
    made.envelope("test", [{"name": "端\udcff"}])
    made.out.flush()
    text = raw.getvalue().decode(encoding)
    assert text.isascii() or encoding != "ascii"
    assert ("端口" in text) == (encoding == "utf-8")
    assert ("\\u7aef\\u53e3" in text) == (encoding != "utf-8")


def test_drawing_has_a_plain_form():
    raw = io.BytesIO()
    made = output(io.TextIOWrapper(raw, encoding="ascii"))
    made.write("├─ a\n│  └─ b ← c…\n")
    made.out.flush()
    assert raw.getvalue() == b"|- a\n|  `- b < c~\n"


@pytest.mark.parametrize("columns", [40, 60])
def test_lines_fit_a_terminal_that_speaks_ascii(monkeypatch, columns):
    """Escaped characters are wider than the ones they stand for."""
    monkeypatch.setenv("COLUMNS", str(columns))
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    output(stream, color="never").table(ROWS, TABLE)
    stream.flush()
    assert all(len(line) <= columns for line in raw.getvalue().decode().splitlines())


# time and notes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1700000000.123, "2023-11-14T22:13:20.123Z"),
        (1.9996, "1970-01-01T00:00:02.000Z"),
        (1e9 + 0.0004, "2001-09-09T01:46:40.000Z"),
    ],
)
def test_iso_time(seconds, text):
    assert iso_time(seconds) == text


def test_gaps_are_notes():
    made = output()
    made.gaps([Gap("owners", "permission", 3, "run it with sudo"), Gap("x", "why", 1)])
    assert made.err.getvalue() == (
        "portside: not seen: owners (3): permission; run it with sudo\nportside: not seen: x: why\n"
    )
    assert made.out.getvalue() == ""


def test_quiet_and_verbose():
    for quiet, verbose in itertools.product((False, True), repeat=2):
        made = output(quiet=quiet, verbose=verbose)
        made.note("note")
        made.detail("de\x1btail")
        assert ("note" in made.err.getvalue()) is not quiet
        assert ("de\\x1btail" in made.err.getvalue()) is verbose


def test_every_character_a_mark_or_one_or_two_cells():
    assert all(display_width(c) == 0 for c in map(chr, range(0x300, 0x370)) if unicodedata.combining(c))
