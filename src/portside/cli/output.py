"""Where answers go: tables, JSON and CSV on standard output, notes on standard error.

Text of foreign origin (process names, command lines, paths) passes through `clean` before a terminal sees it.
Colour is decoration only: it needs a terminal, obeys NO_COLOR (no-color.org), and never carries meaning alone.
"""

from __future__ import annotations

import os
import sys
import time

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import SimpleNamespace
    from typing import Any, TextIO

    from portside.see.records import Gap

FORMAT_VERSION = 1
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_PLAIN = str.maketrans("├└─│←…", "|`-|<~")  # our own drawing, for terminals that do not speak UTF-8


class Column(Record):
    """One column of a listing: its name (for --columns and --sort), header, cell text, sort key, and alignment.

    `shrink` says how a column gives way to a narrow terminal: 0 never, 1 cut first, 2 cut and then left out, 3 left
    out, 4 cut when nothing else helps, 5 left out when not even that does.
    """

    name: str
    header: str
    cell: Callable[[Any], str]
    key: Callable[[Any], Any] | None = None
    right: bool = False
    shrink: int = 0
    style: Callable[[Any], str] | None = None


class Output:
    """The streams of one run and how to write to them."""

    def __init__(
        self, arguments: SimpleNamespace, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.json = bool(arguments.json)
        self.quiet = bool(arguments.quiet)
        self.verbose = bool(arguments.verbose)
        self.colored = _wants_color(arguments.color, self.out)
        self._encoding = getattr(self.out, "encoding", None) or "utf-8"

    def write(self, text: str) -> None:
        """Write text to standard output; what the encoding cannot say is escaped, never an error."""
        try:
            self.out.write(text)
        except UnicodeEncodeError:
            self.out.write(self._sayable(text.translate(_PLAIN)))

    def clean(self, text: str) -> str:
        """Escape what a terminal would act on, and what standard output's encoding cannot say."""
        text = clean(text)
        return text if text.isascii() else self._sayable(text)

    def _sayable(self, text: str) -> str:
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def note(self, text: str) -> None:
        """Say something on standard error, unless --quiet; what was written before is seen before."""
        if not self.quiet:
            self.out.flush()
            print(f"portside: {clean(text)}", file=self.err)

    def detail(self, text: str) -> None:
        """Say something on standard error with --verbose."""
        if self.verbose:
            print(f"portside: {clean(text)}", file=self.err)

    def gaps(self, gaps: Iterable[Gap]) -> None:
        """Tell what could not be seen."""
        for gap in gaps:
            times = f" ({gap.count})" if gap.count > 1 else ""
            self.note(
                f"not seen: {gap.what}{times}: {gap.why}" + (f"; {gap.next_step}" if gap.next_step else "")
            )

    def envelope(
        self, kind: str, items: list[dict[str, Any]], gaps: Sequence[Gap] = (), *, at: float | None = None,
        host: str = "", **more: Any,
    ) -> None:  # fmt: skip
        """Write the JSON envelope: one document on one line when not for a terminal; `more` are further fields."""
        import json

        document = {
            "portside": FORMAT_VERSION,
            "kind": kind,
            "at": iso_time(time.time() if at is None else at),
            "host": host or os.uname().nodename,
            "complete": not gaps,
            "gaps": [
                {"what": gap.what, "why": gap.why, "count": gap.count, "next_step": gap.next_step}
                for gap in gaps
            ],
            "items": items,
            **more,
        }
        self.write(json.dumps(document, indent=2 if self.out.isatty() else None) + "\n")

    def style(self, text: str, style: str) -> str:
        """Return text in a style (bold, dim, red, green, yellow), or as it is where colour is off."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colored and style else text

    def width(self) -> int | None:
        """Return the terminal's width, None where output does not go to one (then nothing is cut)."""
        columns = os.environ.get("COLUMNS", "")
        if not self.out.isatty():
            return None
        if columns.isdecimal() and int(columns):
            return int(columns)
        try:
            return os.get_terminal_size(self.out.fileno()).columns or None
        except (OSError, ValueError):
            return None

    def table(self, rows: Sequence[Any], columns: Sequence[Column], *, header: bool = True) -> None:
        """Write a table fitted to the terminal; in a pipe nothing is cut."""
        cells = [[self.clean(column.cell(row)) for column in columns] for row in rows]
        heads = [column.header for column in columns]
        body = [heads, *cells] if header else cells
        widths = [max((display_width(line[at]) for line in body), default=0) for at in range(len(columns))]
        fit(widths, columns, self.width())
        lines = [self._line(heads, widths, columns, ["bold"] * len(columns))] if header else []
        for row, texts in zip(rows, cells, strict=True):
            styles = [column.style(row) if column.style else "" for column in columns]
            lines.append(self._line(texts, widths, columns, styles))
        self.write("".join(f"{line}\n" for line in lines))

    def _line(self, texts: list[str], widths: list[int], columns: Sequence[Column], styles: list[str]) -> str:
        parts = []
        for text, width, column, style in zip(texts, widths, columns, styles, strict=True):
            if width <= 0:
                continue
            short = cut(text, width)
            padding = " " * (width - display_width(short))
            styled = self.style(short, style)
            parts.append(padding + styled if column.right else styled + padding)
        return "  ".join(parts).rstrip()

    def csv(self, rows: Sequence[Any], columns: Sequence[Column], *, header: bool = True) -> None:
        """Write the columns as RFC 4180 comma-separated values; cells are escaped as for a terminal."""
        import csv

        writer = csv.writer(self)
        if header:
            writer.writerow([column.name for column in columns])
        writer.writerows([clean(column.cell(row)) for column in columns] for row in rows)


# (rank, least width): the order in which columns give way to a narrow terminal; 0 leaves the column out
_STAGES = ((1, 8), (1, 0), (2, 8), (3, 0), (2, 0), (4, 8), (5, 0))


def fit(widths: list[int], columns: Sequence[Column], limit: int | None) -> None:
    """Shrink `widths` in place until the line fits `limit`, the rightmost of a rank first; 0 leaves a column out."""
    if limit is None:
        return
    wanted = list(widths)
    for rank, least in _STAGES:
        for at in range(len(columns) - 1, -1, -1):
            excess = _length(widths) - limit
            if excess > 0 and columns[at].shrink == rank and widths[at] > least:
                widths[at] = max(least, widths[at] - excess) if least else 0
    for at, width in enumerate(widths):  # what the columns left out have freed goes to those that were cut
        if 0 < width < wanted[at]:
            widths[at] += max(0, min(wanted[at] - width, limit - _length(widths)))


def _length(widths: Sequence[int]) -> int:
    """Return the length of a line with columns of these widths, two blanks apart."""
    return sum(width + 2 for width in widths if width > 0) - 2


def clean(text: str) -> str:
    """Escape what a terminal would act on or could not show: control, format and undecodable characters."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(ord(character)) for character in text)


def _escaped(code: int) -> str:
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named:
        return named
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_MARKS = ("Mn", "Me")  # drawn over the character before them


def display_width(text: str) -> int:
    """Return how many terminal cells a clean text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(0 if category(c) in _MARKS else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Return the text, its end replaced by `…` if it takes more than `width` cells."""
    if display_width(text) <= width:
        return text
    if width <= 0:
        return ""
    if text.isascii():
        return f"{text[: width - 1]}…"
    kept, room = "", width - 1
    for character in text:
        room -= display_width(character)
        if room < 0:
            break
        kept += character
    return f"{kept}…"


def iso_time(seconds: float) -> str:
    """Return a moment as ISO 8601 in UTC with milliseconds."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03d}Z"


def _wants_color(choice: str, out: TextIO) -> bool:
    if choice != "auto":
        return choice == "always"
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
