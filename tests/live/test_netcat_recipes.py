"""docs/guides/netcat-recipes.md: a shell runs every block in a namespace of its own, and prints what it says."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

import pytest
from tests.netcats import SOURCE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "netcat-recipes.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```", re.M | re.S)
LISTENS = re.compile(r"^.*nc(?:at)? -l.*&$", re.M)
# a reader's second terminal comes later than the listener: here the shell waits for it
WAIT = """
listens() {
    for _ in $(seq 200); do
        case $1 in
        ./*) [ -S "$1" ] && return ;;
        *) ss -tln | grep -q ":$1 " && return ;;
        esac
        sleep 0.05
    done
}
"""


def waiting(block):
    """Return the block with a wait behind each listener."""
    return WAIT + LISTENS.sub(lambda line: f"{line[0]}\nlistens {place(line[0])}", block)


def place(line):
    return re.search(r"(\./socket|\b50\d\d\b)", line)[0]


def test_every_recipe(space, tmp_path):
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == PAGE.read_text().count("```sh") >= 10
    ours = tmp_path / "bin" / "portside"
    ours.parent.mkdir()
    ours.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -m portside "$@"\n')
    ours.chmod(ours.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "original").write_bytes(os.urandom(100_000))
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a").write_text("in here\n")
    for block, promised in blocks:
        script = f"cd {tmp_path}; PATH={ours.parent}:$PATH\n" + waiting(block)
        done = space.run(["timeout", "20", "bash", "-c", script])
        assert done.stdout.replace("\r", "") == promised, f"{block}\n{done.stderr}"


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
