"""The nc face: OpenBSD's netcat as Debian builds it, and with `--as` the dialects of others.

`openbsd` (the default), `traditional` and `busybox` each read their own options and say their own words; what they
run on is `use.netcat` and the relay.  `--as NAME` must be the first word.
"""

from __future__ import annotations

from portside.faces.nc.options import HELP as HELP
from portside.faces.nc.words import Refused

DIALECTS = ("openbsd", "traditional", "busybox")


def main(words: list[str]) -> int:
    """Run nc with these words and return its exit code."""
    try:
        dialect, words = _dialect(words)
        if dialect != DIALECTS[0]:
            from portside.faces.nc import hobbit

            return hobbit.run(words, dialect)
        from portside.faces.nc.openbsd import run

        return run(words)
    except Refused as refused:
        return refused.tell()


def _dialect(words: list[str]) -> tuple[str, list[str]]:
    if not words or not words[0].startswith("--as"):
        return DIALECTS[0], words
    name, equals, value = words[0].partition("=")
    if name != "--as":
        return DIALECTS[0], words
    rest = words[1:] if equals else words[2:]
    value = value if equals else "".join(words[1:2])
    if value not in DIALECTS:
        raise Refused(f"nc: no dialect '{value}'; there are {', '.join(DIALECTS)}")
    return value, rest
