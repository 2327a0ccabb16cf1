"""What the nc faces tell, in the words of the model: `nc: ...` on standard error, exit code 1."""

from __future__ import annotations

import os
import sys

from portside.errors import PortsideError
from portside.faces import printable


class Refused(Exception):
    """What ends a run; `lines` go to standard error as they are, `code` is the exit code."""

    def __init__(self, *lines: str, code: int = 1) -> None:
        self.lines = lines
        self.code = code
        super().__init__(*lines)

    def tell(self) -> int:
        """Write the lines and return the exit code."""
        for line in self.lines:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
        return self.code


def tell(text: str) -> None:
    """Write one line to standard error, whatever may be in it."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def reason(error: Exception) -> str:
    """Return what the C library says of an error, as err(3) and gai_strerror(3) word it."""
    cause = error.__cause__ if isinstance(error, PortsideError) else error
    if isinstance(cause, TimeoutError) and not cause.errno:
        return "timed out"
    said = getattr(cause, "strerror", None)
    if said:
        return str(said)
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(cause or error)
