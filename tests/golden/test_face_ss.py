"""The ss face on recorded answers: byte for byte what ss of iproute2 6.1.0 made of the same answers.

A file holds the answers in hex and, below each `=== ss WORDS`, what ss printed for these words.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tests.golden.hexdump import load
from tests.ss_reading import RecordedReading, ip_line, options, rendered

from portside.faces.ss import families
from portside.wire import inet_diag

HERE = Path(__file__).parent / "ss"
TABLES = ("vsock", "xdp", "tipc", "unix", "packet", "netlink")
ONE_TABLE = ("xdp", "tipc", "netlink")  # ss has no column for the table's name
PROCESSES = {22640: "python"}  # who had that port id

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the golden bytes are little-endian")


def runs(names):
    """(file, words of ss, what it printed) of the golden files."""
    return [
        pytest.param(name, *part.partition("\n")[::2], id=f"{name}: {part.partition(chr(10))[0]}")
        for name in names
        for part in (HERE / f"{name}.txt").read_text(encoding="utf-8").split("=== ss ")[1:]
    ]


@pytest.mark.parametrize(("name", "words", "printed"), runs(TABLES))
def test_a_table_is_drawn_as_ss_draws_it(name, words, printed):
    letters = "".join(re.findall(r"(?<!\S)-(\w+)", words))
    reading = RecordedReading(b"".join(load(HERE / f"{name}.txt").received), names=PROCESSES)
    flags = "".join(letter for letter in letters if letter in "nembO")
    lines = list(families.rows(name, options(flags, tipcinfo="--tipcinfo" in words), reading))
    one_state = name in ("packet", "netlink") and "a" not in letters
    hidden = [0] * (name in ONE_TABLE) + [1] * one_state
    assert rendered(lines, hidden, "H" not in letters) == printed


@pytest.mark.parametrize(("name", "words", "printed"), runs(("tcp", "mptcp", "ulp")))
def test_the_inside_of_a_connection_is_drawn_as_ss_draws_it(name, words, printed):
    """Cubic, reno and BBR, MPTCP and its subflows, kernel TLS."""
    letters = "".join(re.findall(r"(?<!\S)-(\w+)", words))
    chosen = options(
        "".join(letter for letter in letters if letter in "noemiO"),
        tos="--tos" in words,
        sockopt="--inet-sockopt" in words,
    )
    protocol = inet_diag.IPPROTO_MPTCP if name == "mptcp" else inet_diag.IPPROTO_TCP
    rows = inet_diag.rows(b"".join(load(HERE / f"{name}.txt").received))
    lines = [ip_line(row, chosen, protocol, "/") for row in rows]
    assert rendered(lines, [0], "H" not in letters) == printed
