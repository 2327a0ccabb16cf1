"""What the ncat face tells, all on standard error, each line led by `Ncat: `."""

from __future__ import annotations

import sys

from portside.faces import libc, printable


class Quit(Exception):
    """What ends a run: a line, told as it is where `bare`, and the exit code."""

    def __init__(self, text: str, code: int = 2, *, bare: bool = False) -> None:
        self.text = text
        self.code = code
        self.bare = bare
        super().__init__(text)

    def tell(self) -> int:
        """Write the line and return the exit code."""
        if self.bare:
            sys.stderr.write(self.text + "\n")
        elif self.text:
            loud(self.text)
        return self.code


def reason(error: Exception) -> str:
    """Return what the C library says of an error; of a time that has run out what nsock says."""
    said = libc.reason(error)
    return "TIMEOUT" if said == "timed out" else said


def loud(text: str) -> None:
    """Tell a line."""
    sys.stderr.write(f"Ncat: {printable(text)}\n")
    sys.stderr.flush()


def wrong(text: str) -> Quit:
    """Return what ends a run because of what was typed."""
    return Quit(f"{text} QUITTING.")
