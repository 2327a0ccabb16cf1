"""docs/guides/library.md is one Python program: its blocks run in order, and print what the page says they print.

It runs in a throw-away network namespace, where port 8080 has a listener and a connection.  A `text` block below a
`python` block is that block's output.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
from pathlib import Path

from tests.support import require

from portside.errors import NotPermitted
from portside.testing import Namespace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "library.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)


def examples():
    """Return (line, code, output or None) of every block."""
    text = PAGE.read_text()
    return [(text.count("\n", 0, found.start(1)), *found.groups()) for found in BLOCK.finditer(text)]


def test_library_page_runs():
    try:
        with Namespace() as scratch:
            outputs = scratch.call(run_page)
    except NotPermitted as error:
        require(False, str(error))
    assert len(outputs) > 8
    for line, printed, promised in outputs:
        assert promised is None or printed == promised, f"{PAGE.name}:{line} prints something else"


def run_page():
    """Run every block in one module's names; return (line, printed, promised) for each."""
    names = {"__name__": "library_page"}
    outputs = []
    with (
        socket.create_server(("127.0.0.1", 8080)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0],
    ):
        for line, code, promised in examples():
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile("\n" * line + code, str(PAGE), "exec"), names)
            outputs.append((line, printed.getvalue(), promised))
    return outputs
