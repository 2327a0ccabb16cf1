"""ss -D FILE: the kernel's answers for TCP as they came, for a replay by TCPDIAG_FILE."""

from __future__ import annotations

import sys

from portside.errors import PortsideError
from portside.faces import printable
from portside.faces.ss import replay
from portside.faces.ss.context import Options, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.ss.reading import Live

_WRONG = 255


def write(path: str, options: Options, live: Live) -> int:
    """Write the answers to a file, `-` for standard output; the filter does not apply.  Return the exit code."""
    if "tcp" not in options.tables:
        raise Stop(0, "ss: tcpdiag dump requested and no tcp in filter.\n")
    try:
        answers = replay.recording(options, live)
    except PortsideError as error:
        raise Stop(1, f"ss: {printable(str(error))}\n") from None
    try:
        if path.startswith("-"):
            sys.stdout.flush()
            sys.stdout.buffer.write(answers)
        else:
            with open(path, "wb") as file:
                file.write(answers)
    except OSError as error:
        if path.startswith("-"):
            raise
        raise Stop(_WRONG, f"fopen dump file: {error.strerror}\n") from None
    return 0
