"""docs/guides/coming-from-other-tools.md: each command of its tables is run as it stands, the tool's and ours.

They run in a throw-away network namespace, where port 8080 has a listener and a connection.  "Works" means: it ends
with what the tool ends with when it did what it was asked (lsof with 1 where there is nothing), and no complaint.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import socket
from pathlib import Path

import pytest
from tests.support import require

from portside.cli import COMMANDS, main
from portside.errors import NotPermitted
from portside.faces import FACES
from portside.testing import Namespace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "coming-from-other-tools.md"
TALKERS = {"nc", "ncat"}  # they print what a peer sends, not what is open
ROW = re.compile(r"^\| `([^`]+)` \| (?:`([^`]+)`)? ?\|", re.M)


def commands():
    """Return the words of every command in the tables, the word `portside` left out."""
    typed = [shlex.split(text) for row in ROW.findall(PAGE.read_text()) for text in row if text]
    found = [words[words[0] == "portside" :] or ["list"] for words in typed]
    return [words for words in found if words[0] in COMMANDS or words[0] in FACES]


def run_all():
    """Return (words, code, standard output, standard error) of every command."""
    done = []
    with (
        socket.create_server(("127.0.0.1", 8080)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0],
    ):
        for words in commands():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(words)
            done.append((words, code, out.getvalue(), err.getvalue()))
    return done


@pytest.fixture(scope="module")
def runs():
    try:
        with Namespace() as scratch:
            return scratch.call(run_all)
    except NotPermitted as error:
        require(False, str(error))


def test_every_command_on_the_page_works(runs):
    assert len(runs) > 50
    for words, code, out, err in runs:
        assert code in (0, 1), f"portside {shlex.join(words)} ends with {code}: {err}"
        assert out or code == 1 or words[0] in FACES, f"portside {shlex.join(words)} prints nothing"
        assert not re.search(r"usage|illegal|invalid|unrecognized|cannot be honoured", err, re.I), err


def test_what_the_listener_matches_is_found(runs):
    """A command that asks for port 8080 tells it, by number or by the name that /etc/services has for it."""
    asked = [
        (words, out)
        for words, _, out, _ in runs
        if "8080" in " ".join(words) and "-t" not in words and words[0] not in TALKERS
    ]
    assert len(asked) >= 3
    assert all("8080" in out or "http-alt" in out for _, out in asked), asked


@pytest.mark.parametrize("face", FACES)
def test_every_face_has_its_table(face):
    rows = [words for words in commands() if words[0] == face]
    assert len(rows) >= 8, f"the page has few commands of {face}"
    assert f"\n## {face}\n" in PAGE.read_text()
