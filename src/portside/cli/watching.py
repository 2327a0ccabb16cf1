"""`--watch SECONDS`: the same question again and again, on a terminal as one screen that changes.

The screen is cleared only when the next one is ready to be drawn: what is read stays readable meanwhile, and what
stands there when ^C comes is a whole table, or the one before it.
"""

from __future__ import annotations

import gc
import io
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace
    from typing import NoReturn

    from portside.cli.output import Output

_CLEAR = "\x1b[H\x1b[2J"


def watch(
    once: Callable[[SimpleNamespace, Output], int], arguments: SimpleNamespace, output: Output
) -> NoReturn:
    """Answer every `arguments.watch` seconds, until interrupted."""
    gc.enable()  # it is switched off for a single answer: cli.entry
    terminal = output.out.isatty() and not (output.json or arguments.csv)
    if terminal and isinstance(output.out, io.TextIOWrapper):
        output.out.reconfigure(line_buffering=False)
    while True:
        if terminal:
            output.write(f"{_CLEAR}{time.strftime('%H:%M:%S')}\n")
        once(arguments, output)
        output.out.flush()
        time.sleep(arguments.watch)
        if not (terminal or output.json):
            output.write("\n")
