"""What the nc faces tell, in the words of the model: `nc: ...` on standard error, exit code 1."""

from __future__ import annotations

import sys

from portside.faces import printable
from portside.faces.libc import reason as reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.relay.relay import Relay


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


def judge(relay: Relay) -> None:
    """Raise Refused where what came could not be kept."""
    from portside.use.netcat.talk import lost

    if (error := lost(relay)) is not None:
        raise Refused(f"nc: write error: {reason(error)}")


def tell(text: str) -> None:
    """Write one line to standard error, whatever may be in it."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()
