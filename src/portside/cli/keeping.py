"""Lines that a service goes on printing: a disk that has no room for them ends nothing, it is told once.

The lines are lost until there is room again.
"""

from __future__ import annotations

import os

from portside.cli.output import clean
from portside.use.relay.flow import LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

OUTPUT = "standard output"


class Keeper:
    """Writes, and tells on `complaints` where that failed for want of room."""

    def __init__(self, complaints: TextIO) -> None:
        self._complaints = complaints
        self._lost: set[str] = set()

    def keep(self, place: str, write: Callable[[], object]) -> None:
        """Call `write`; raises OSError where it is not the disk."""
        try:
            write()
        except OSError as error:
            if error.errno not in LOST:
                raise
            if place not in self._lost:
                self._lost.add(place)
                text = f"write to {place}: {os.strerror(error.errno).lower()}; connections go on without"
                print(f"portside: {clean(text)}", file=self._complaints)
