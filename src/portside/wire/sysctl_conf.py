"""Files of sysctl settings: one `key = value` a line, comments, and what a change of one key makes of a file.

Rule: text in, values out; a line that is none is skipped, as sysctl(8) skips it after a complaint.  A key may be
written with dots or slashes; a leading `-` says that failing is no error, and is no part of it.

Reference: sysctl.conf(5), sysctl.d(5).
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Entry(Record):
    """One assignment: the key with dots, its value, and the number of its line."""

    key: str
    value: str
    line: int


def parse(text: str) -> tuple[Entry, ...]:
    """Return the assignments of a file, in order."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.partition("=")
        key = key.strip().removeprefix("-").strip()
        if equals and key and not key.startswith(("#", ";")):
            found.append(Entry(_dotted(key), value.strip(), number))
    return tuple(found)


def last(text: str, key: str) -> str | None:
    """Return the value that a file gives a key in the end, None where it gives none."""
    return next((entry.value for entry in reversed(parse(text)) if entry.key == key), None)


def changed(text: str, key: str, value: str | None, comment: str = "") -> str:
    """Return a file's text with one key set (None: not set); every other line stays as it is.

    A new key goes to the end, below its comment; the comment goes with the key.
    """
    lines = text.splitlines()
    mine = {entry.line for entry in parse(text) if entry.key == key}
    if value is not None and mine:
        place = max(mine) - 1
        lines[place] = f"{key} = {value}"
        mine.discard(max(mine))
    elif value is not None:
        lines += [f"# {comment}"] * bool(comment) + [f"{key} = {value}"]
    kept = [
        line for number, line in enumerate(lines, 1) if number not in mine | _comments(lines, mine, comment)
    ]
    return "".join(f"{line}\n" for line in kept)


def _comments(lines: list[str], gone: set[int], comment: str) -> set[int]:
    """Return the lines that hold our comment above a line that goes."""
    above = {number - 1 for number in gone}
    return {number for number in above if number and comment and lines[number - 1] == f"# {comment}"}


def overriding(files: Iterable[tuple[str, str]], ours: str, key: str) -> tuple[str, Entry] | None:
    """Return who has the last word about a key after the file `ours`: (path, entry), None where ours has it.

    `files` are (path, text) in the order in which they apply.
    """
    after, found = False, None
    for path, text in files:
        if after:
            for entry in parse(text):
                if entry.key == key:
                    found = path, entry
        after = after or path == ours
    return found


def _dotted(key: str) -> str:
    """Return a key with dots: whichever of `.` and `/` comes first parts it, the other stands for itself."""
    first = next((character for character in key if character in "./"), ".")
    return key if first == "." else key.translate({ord("/"): ".", ord("."): "/"})
