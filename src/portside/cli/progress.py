"""What a transfer shows: its progress, on standard error and only where that is a terminal; and what it has done.

film.mkv  42% [########            ]   1.7 GiB of 4.0 GiB  912 MiB/s 0:02:34
"""

from __future__ import annotations

import os
import sys
import time

from portside.cli.output import clean, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from portside.cli.output import Output
    from portside.use.transfer.records import Progress, Transferred

_EVERY = 0.2  # seconds between two drawings
_WINDOW = 5.0  # seconds over which the rate is taken
_BAR, _LEAST_BAR, _NAME = 20, 5, 24


class Bar:
    """Draws progress, from `with` to the end of the block, which takes the line away."""

    def __init__(self, *, wanted: bool) -> None:
        self._on = wanted and sys.stderr.isatty()
        self._drawn = 0.0
        self._marks: list[tuple[float, int]] = []
        self._of = ("", False)

    def show(self, progress: Progress) -> None:
        """Draw, if it is time."""
        now = time.monotonic()
        if not self._on or (now - self._drawn < _EVERY and progress.done < progress.size):
            return
        if (progress.path, progress.checking) != self._of:
            self._of, self._marks = (progress.path, progress.checking), []
        self._marks = [mark for mark in self._marks if now - mark[0] < _WINDOW] + [(now, progress.done)]
        self._drawn = now
        try:
            width = os.get_terminal_size(2).columns or 80
        except OSError:
            width = 80
        sys.stderr.write("\r" + cut(line(progress, rate_of(self._marks), width - 1), width - 1) + "\x1b[K")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._on and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def rate_of(marks: list[tuple[float, int]]) -> float:
    """Return bytes a second between the first and the last of (time, bytes), 0 where that cannot be said."""
    seconds = marks[-1][0] - marks[0][0]
    return (marks[-1][1] - marks[0][1]) / seconds if seconds > 0 else 0.0


def line(progress: Progress, rate: float, width: int) -> str:
    """Return the line of one moment; where it is narrow first the bar gives way, then the name."""
    share = progress.done / progress.size if progress.size else 1.0
    moved = f"{size_text(progress.done)} of {size_text(progress.size)}"
    left = (progress.size - progress.done) / rate if rate else None
    figures = f"{moved:>20} {size_text(rate):>8}/s {time_text(left):>7}"
    name = clean(os.path.basename(progress.path))
    name = cut(
        f"checking {name}" if progress.checking else name, max(1, min(_NAME, width - len(figures) - 6))
    )
    room = min(_BAR, width - len(figures) - len(name) - 9)
    bar = f" [{'#' * round(share * room):<{room}}]" if room >= _LEAST_BAR else ""
    return f"{name} {share:4.0%}{bar} {figures}"


def tell(output: Output, done: Transferred, verb: str) -> None:
    """Print what a transfer has done."""
    if output.json:
        output.envelope("transfer", [dict(done.items()) | {"skipped": list(done.skipped)}])
        return
    if output.quiet:
        return
    files = "" if done.files == 1 else f"{done.files} files, "
    rate = size_text((done.size - done.resumed) / done.seconds) if done.seconds else "-"
    again = f", {size_text(done.resumed)} of it there already" if done.resumed else ""
    output.write(
        f"{verb} {output.clean(done.path)}: {files}{done.size} bytes in {done.seconds:.1f} s, {rate}/s{again}\n"
    )
    if done.files == 1:
        word = "confirmed" if done.confirmed else "not confirmed"
        output.write(f"sha256 {done.sha256} {word}\n")


def size_text(size: float) -> str:
    """Return a size with three digits or so: `912 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000 or (unit == "B" and size < 1024):
            return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def time_text(seconds: float | None) -> str:
    """Return a time left: `1:02:34`."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
