"""What the sockstat face prints of the made-up machine, byte for byte: widths and blanks are FreeBSD's.

Each file of tests/golden/sockstat holds the words on its first line, and below it what they print.  The texts follow
the formats of usr.bin/sockstat/main.c of FreeBSD (October 2025): one blank between columns, USER, PID, FD and PROTO
sized to what they hold, COMMAND 10, addresses 21 or, with -w, sized; cells at the end of a line are padded too.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests import fakemachine

FILES = sorted((Path(__file__).parent / "sockstat").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prints_what_freebsd_would(file, monkeypatch, tmp_path, capsys):
    words, _, expected = file.read_text().partition("\n")
    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    run = fakemachine.Run(capsys, *shlex.split(words))
    assert run.out == expected
    assert run.code == 0
    assert run.err == ""


def test_there_are_golden_texts():
    assert len(FILES) >= 8
