"""The import law, read from the AST: who may import whom, and who may touch the machine.

ports <- wire <- system <- {see, use, probe, guard, watch} <- {faces, cli, tui, web}; below all: errors, record, memo.
Each rule carries its reason, and the failure says file, line and reason.  `testing` may import anything; nothing of
the product may import it.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "portside"

BASE = {"errors", "record", "memo"}
BELOW_FEATURES = BASE | {"ports", "wire", "system"}
FEATURES = {"see", "use", "probe", "guard", "watch"}
TOPS = {"faces", "cli", "tui", "web"}

# part -> the parts it may import (itself always); "" is portside/__init__.py, which re-exports the public names
MAY_IMPORT = {
    "errors": set(),
    "record": set(),
    "memo": set(),
    "ports": BASE,
    "wire": BASE | {"ports"},
    "system": BASE | {"ports", "wire"},
    "see": BELOW_FEATURES,
    "use": BELOW_FEATURES,
    "probe": BELOW_FEATURES | {"see"},
    "guard": BELOW_FEATURES | {"see"},
    "watch": BELOW_FEATURES | {"see", "guard"},
    **{top: BELOW_FEATURES | FEATURES | TOPS | {""} for top in TOPS},
    "": BELOW_FEATURES | FEATURES,
    "__main__": {"cli"},
}
LAYER_REASON = (
    "imports go one way, ports <- wire <- system <- features <- cli: a lower part knows no higher one"
)

# (modules, the parts that may import them, reason); at run time, that is outside `if TYPE_CHECKING:`
OUTSIDE = [
    (
        {"os", "subprocess", "time", "logging", "select", "io", "threading"},
        "not ports wire",
        "ports and wire do no I/O",
    ),
    ({"ctypes", "subprocess"}, "system", "only system touches the machine"),
    ({"socket", "ssl", "selectors"}, "system use probe", "only system, use and probe talk to the network"),
    ({"numpy"}, "probe", "numpy costs 90 ms at start: the packet engine alone may need it"),
    ({"rich", "textual", "click"}, "cli tui web", "only what people look at draws"),
    ({"argparse"}, "faces cli tui web", "a feature never parses arguments"),
    ({"importlib"}, "cli", "it hides imports from this test"),
]
LAZY = {"numpy", "rich", "textual"}
# A package that is numpy throughout imports it at the top, and is itself imported where it is used.
NUMPY_ENGINE = "probe/packets/"
ENGINE_REASON = "it brings numpy, which costs start-up time: import it where it is used"
FORKED = "system/forked.py"  # ends the children it made, never the program
SAYS_OR_EXITS = "a feature never prints and never exits: it returns records and raises errors"


def findings(path: str, source: str) -> list[str]:
    """Return what breaks the law in one file; `path` is relative to src/portside."""
    part = path.partition("/")[0].removesuffix(".py").replace("__init__", "")
    if part == "testing":
        return []
    tree = ast.parse(source)
    found = [*imports(tree, part, path), *literals(tree, part), *calls(tree, part, path)]
    return [f"src/portside/{path}:{line}: {what}: {reason}" for line, what, reason in sorted(found)]


def imports(tree, part, path):
    typing_only = {id(node) for block in typing_blocks(tree) for node in ast.walk(block)}
    at_start = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        for name in imported(node, path):
            top = name.partition(".")[0]
            if top == "portside":
                yield from layer(node, part, name)
                if name.startswith("portside.probe.packets") and id(node) in at_start:
                    yield from [] if path.startswith(NUMPY_ENGINE) else [(node.lineno, name, ENGINE_REASON)]
            elif id(node) not in typing_only:
                yield from outside(node, part, top)
                if top in LAZY and id(node) in at_start and not path.startswith(NUMPY_ENGINE):
                    yield (
                        node.lineno,
                        f"imports {top} at start",
                        "it costs start-up time: import it where it is used",
                    )


def typing_blocks(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from node.body


def imported(node, path):
    """Yield the full names a statement imports; of `from portside import see` both parts, as `portside.see`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = ["portside", *path.split("/")[:-1]]
        above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
        module = ".".join(filter(None, (above, node.module)))
        if module == "portside":
            yield from (f"portside.{alias.name}" for alias in node.names)
        else:
            yield module


def layer(node, part, name):
    target = name.partition(".")[2].partition(".")[0]
    if target and not (SOURCE / target).is_dir() and not (SOURCE / f"{target}.py").is_file():
        target = ""  # a name of portside/__init__.py, such as __version__
    if target == "testing":
        yield node.lineno, f"imports {name}", "portside.testing is for tests: the product never needs it"
    elif target != part and target not in MAY_IMPORT[part]:
        yield node.lineno, f"{part or 'portside'} imports {name}", LAYER_REASON


def outside(node, part, top):
    for modules, parts, reason in OUTSIDE:
        forbidden = part in parts.split()[1:] if parts.startswith("not ") else part not in parts.split()
        if top in modules and forbidden:
            yield node.lineno, f"{part or 'portside'} imports {top}", reason


def literals(tree, part):
    """Yield literals that are a path at or below /proc or /sys: those that start so, and stand for themselves."""
    if part == "system":
        return
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in prose and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if text.startswith(("/proc/", "/sys/")) or text in ("/proc", "/sys"):
                yield (
                    node.lineno,
                    f"the literal {text!r}",
                    "only system knows where the kernel keeps its files",
                )


def calls(tree, part, path):
    for node in ast.walk(tree):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name == "__import__" and part not in ("", "cli"):
            yield node.lineno, "calls __import__", "it hides imports from this test"
        if part in TOPS | {"", "__main__"}:
            continue
        if name == "os._exit" and path == FORKED:
            continue
        if name in ("print", "input", "exit", "quit", "sys.exit", "os._exit"):
            yield node.lineno, f"calls {name}", SAYS_OR_EXITS
        raised = node.exc if isinstance(node, ast.Raise) else None
        if raised is not None and ast.unparse(raised).startswith("SystemExit"):
            yield node.lineno, "raises SystemExit", SAYS_OR_EXITS
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            yield node.lineno, f"uses {ast.unparse(node)}", SAYS_OR_EXITS


def test_law_holds():
    broken = []
    for file in sorted(SOURCE.rglob("*.py")):
        broken += findings(file.relative_to(SOURCE).as_posix(), file.read_text())
    assert not broken, "\n".join(["the import law is broken:", *broken])


def test_every_part_is_in_the_law():
    parts = {entry.name.removesuffix(".py") for entry in SOURCE.iterdir() if entry.suffix in ("", ".py")}
    assert parts - {"__init__", "__pycache__", "testing"} <= set(MAY_IMPORT)


BREAKS = [
    ("wire/x.py", "import socket", "talk to the network"),
    ("wire/x.py", "from os import path", "no I/O"),
    ("ports/x.py", "import time", "no I/O"),
    ("ports/x.py", "def f():\n    from portside.wire import layout", "one way"),
    ("wire/x.py", "from portside import system", "one way"),
    ("wire/x.py", "from .. import see", "one way"),
    ("wire/deep/x.py", "from ...see import records", "one way"),
    ("system/x.py", "if TYPE_CHECKING:\n    from portside.see.records import Socket", "one way"),
    ("see/x.py", "from portside.guard import reach", "one way"),
    ("see/x.py", "import portside.cli.output", "one way"),
    ("see/x.py", "import subprocess", "touches the machine"),
    ("see/x.py", "def f():\n    import ctypes.util", "touches the machine"),
    ("see/x.py", "import socket", "talk to the network"),
    ("see/x.py", "import argparse", "parses arguments"),
    ("see/x.py", "print('hello')", "never prints"),
    ("see/x.py", "import sys\nsys.exit(1)", "never exits"),
    ("see/x.py", "raise SystemExit", "never exits"),
    ("system/x.py", "import os\nos._exit(0)", "never exits"),
    ("see/x.py", "import sys\nsys.stdout.write('')", "never prints"),
    ("see/x.py", "from portside.testing import fakeproc", "for tests"),
    ("see/x.py", "open('/proc/net/tcp')", "keeps its files"),
    ("see/x.py", "def f(root):\n    return f'{root}/sys/kernel/btf'", "keeps its files"),
    ("see/x.py", "ROOT = b'/proc'", "keeps its files"),
    ("see/x.py", "import numpy", "90 ms"),
    ("probe/x.py", "import numpy", "start-up time"),
    ("probe/x.py", "from portside.probe.packets import engine", "start-up time"),
    ("wire/packets/x.py", "import numpy", "90 ms"),
    ("cli/x.py", "import rich.table", "start-up time"),
    ("cli/x.py", "import subprocess", "touches the machine"),
    ("see/x.py", "__import__('socket')", "hides imports"),
    ("record.py", "import portside.errors", "one way"),
    ("__init__.py", "from portside.cli import main", "one way"),
]

KEEPS = [
    ("wire/x.py", "from portside.ports import scope\nimport struct"),
    ("wire/x.py", "if TYPE_CHECKING:\n    import os\n    from subprocess import Popen"),
    ("wire/x.py", "if __debug__:\n    '''/proc/net/tcp is read elsewhere'''"),
    ("system/x.py", "import os, socket, ctypes, subprocess\nopen('/proc/net/tcp')"),
    ("see/x.py", "'''/proc/PID/fd: docstring'''\nfrom portside.system import host\nimport os, time"),
    ("see/x.py", "REASON = 'reading /proc/PID/fd takes root'"),
    ("guard/x.py", "from portside.see.records import Socket"),
    ("probe/x.py", "def f():\n    import numpy"),
    ("probe/x.py", "def f():\n    from portside.probe.packets import engine"),
    ("probe/packets/x.py", "import numpy\nfrom portside.probe.packets import chunk"),
    ("cli/x.py", "import argparse, sys\nfrom portside import __version__\nprint(sys.stdout)"),
    ("cli/x.py", "def f():\n    import rich.table"),
    ("testing/x.py", "import socket\nfrom portside.cli import main\nopen('/proc/1/stat')"),
    ("__main__.py", "from portside.cli import main\nraise SystemExit(main())"),
]


@pytest.mark.parametrize(("path", "source", "reason"), BREAKS, ids=[f"{p}: {s}" for p, s, _ in BREAKS])
def test_checker_catches(path, source, reason):
    found = findings(path, source)
    assert all(finding.startswith(f"src/portside/{path}:") for finding in found)
    assert any(reason in finding for finding in found)


@pytest.mark.parametrize(("path", "source"), KEEPS, ids=[f"{p}: {s}" for p, s in KEEPS])
def test_checker_lets_pass(path, source):
    assert findings(path, source) == []
