"""The line of a transfer: what it says on terminals of any width."""

from __future__ import annotations

import pytest

from portside.cli.progress import line
from portside.use.transfer.records import Progress

GIB = 1 << 30


@pytest.mark.parametrize("name", ["film.mkv", "a name that is longer than there is room for.tar.gz", "x"])
@pytest.mark.parametrize("width", range(40, 200, 7))
def test_rate_and_time_left_are_always_there(name, width):
    said = line(Progress(f"/home/{name}", GIB, 4 * GIB), 512 * 2**20, width)
    if width >= 54:
        assert len(said) <= width
    assert said.endswith("1.0 GiB of 4.0 GiB  512 MiB/s 0:00:06")
    assert " 25%" in said


def test_the_bar_takes_what_is_left():
    progress = Progress("film.mkv", 17 * GIB // 10, 4 * GIB)
    wide = line(progress, 912 * 2**20, 120)
    assert wide == "film.mkv  42% [########            ]   1.7 GiB of 4.0 GiB  912 MiB/s 0:00:03"
    assert "[#" in line(progress, 1.0, 79)
    assert "[" not in line(progress, 1.0, 56)


def test_what_was_there_is_checked_first():
    assert line(Progress("film.mkv", 1, 4, checking=True), 1.0, 100).startswith(
        "checking film.mkv  25% [#####  "
    )


def test_nothing_is_done_of_nothing():
    assert "100%" in line(Progress("empty", 0, 0), 0.0, 79)
    assert line(Progress("x\x1b[2J", 0, 10), 0.0, 79).count("\x1b") == 0
