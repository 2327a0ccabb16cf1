"""What each command may import: starting fast is a promise, and an import is how it gets broken without notice.

The standard library's modules are pinned by name, Portside's own by number.  A new name here is a decision: measure
it (`python -X importtime -m portside ...`) and say in the commit what it buys.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portside.cli import COMMANDS
from portside.faces import FACES

SOURCE = Path(__file__).resolve().parents[2] / "src"

PROBE = """
import sys
bare = set(sys.modules)
from portside.cli import main
import os
out, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1)
os.dup2(null, 2)
code = main(sys.argv[1:])
sys.stdout.flush()
os.write(out, "\\n".join([str(code), *sorted(set(sys.modules) - bare)]).encode())
"""

# What argparse brings: re and enum with it, and gettext only for an error.
ARGPARSE = {"argparse", "re", "enum", "types", "operator", "keyword", "functools", "collections", "reprlib"}
ARGPARSE |= {
    "copyreg",
    "gettext",
    "locale",
    "_locale",
    "_sre",
    "_collections",
    "_functools",
    "_operator",
    "itertools",
}
# Bytes, numbers and clocks: built in or next to nothing.
SMALL = {"__future__", "struct", "_struct", "errno", "time", "bisect", "_bisect", "zlib", "binascii", "fcntl"}
SMALL |= {"math", "warnings", "encodings"}
NETLINK = {"socket", "_socket", "select", "selectors", "array"}
BPF = {"ctypes", "_ctypes"}
FACTS = {"pwd", "grp"}
THREADS = {"threading", "_weakrefset"}

# these change the machine: they are asked for help alone
CHANGING = ("open", "close", "block", "unblock", "redirect", "confirm", "undo")
JOURNAL = {"json", "_json", "signal"}  # what was changed is kept as JSON

ALLOWED = {
    "list": ARGPARSE | SMALL | NETLINK | BPF | FACTS,
    "who": ARGPARSE | SMALL | NETLINK | BPF | FACTS,
    "reach": ARGPARSE | SMALL | NETLINK | BPF | FACTS,
    "rules": ARGPARSE | SMALL | NETLINK,
    "free": ARGPARSE | SMALL | NETLINK | BPF | FACTS | {"signal"},
    "tune": ARGPARSE | SMALL | NETLINK | BPF | FACTS,
    "why": ARGPARSE | SMALL | NETLINK | BPF | FACTS | THREADS,
    "install": ARGPARSE | SMALL | FACTS,
    "uninstall": ARGPARSE | SMALL,
    "pick": ARGPARSE | SMALL | NETLINK,
    **dict.fromkeys(CHANGING, ARGPARSE | SMALL | {"textwrap"}),
    "changes": ARGPARSE | SMALL | BPF | NETLINK | JOURNAL,
    "check": ARGPARSE | SMALL | NETLINK | THREADS | {"queue", "_queue", "heapq", "_heapq"},
    "wait": ARGPARSE | SMALL | NETLINK | THREADS | {"queue", "_queue", "heapq", "_heapq"},
    "scan": ARGPARSE | SMALL | NETLINK | {"heapq", "_heapq", "resource", "signal"},
    "name": ARGPARSE | SMALL,
    "serve": ARGPARSE | SMALL | NETLINK | {"gc", "heapq", "_heapq", "mmap"},
    "echo": ARGPARSE | SMALL | NETLINK,
    "send": ARGPARSE | SMALL | {"textwrap"},
    "receive": ARGPARSE | SMALL | {"textwrap"},
    "forward": ARGPARSE | SMALL | NETLINK | {"gc", "heapq", "_heapq", "mmap", "signal", "resource"},
    "doctor": ARGPARSE | SMALL | NETLINK | BPF | FACTS | THREADS,
    "faces": ARGPARSE | SMALL,
}
MOST_OF_OURS = {
    "list": 62,
    "why": 74,
    "who": 71,
    "reach": 99,
    "rules": 42,
    "free": 72,
    "tune": 78,
    "install": 30,
    "uninstall": 22,
    "pick": 24,
    **dict.fromkeys(CHANGING, 10),
    "changes": 44,
    "scan": 50,
    "check": 30,
    "wait": 31,
    "name": 18,
    "serve": 32,
    "echo": 20,
    "send": 12,
    "receive": 12,
    "forward": 50,
    "doctor": 31,
    "faces": 12,
}
# face -> what it is run with, the modules it may load beside SMALL, and the most of ours
FACE_WORDS = {
    "ss": ["-s"],
    "netstat": ["-tln"],
    "lsof": ["-i"],
    "sockstat": ["-l"],
    "nc": ["-z", "127.0.0.1", "1"],
    "ncat": ["-z", "127.0.0.1", "1"],
}
OWNERS = NETLINK | BPF | FACTS | {"types"}  # ctypes brings types
# the whole socket module, which brings enum
SOCKETS = NETLINK | {"heapq", "_heapq", "enum", "types", "operator", "_operator", "functools", "_functools"}
SOCKETS |= {"collections", "_collections", "itertools", "keyword", "reprlib"}
FACE_ALLOWED = {
    "ss": NETLINK,
    "netstat": OWNERS,
    "lsof": OWNERS,
    "sockstat": OWNERS,
    "nc": SOCKETS | {"mmap"},
    "ncat": SOCKETS | {"mmap"},
}
MOST_OF_FACES = {"ss": 40, "netstat": 54, "lsof": 60, "sockstat": 54, "nc": 28, "ncat": 30}
NEVER = {
    "asyncio",
    "dataclasses",
    "inspect",
    "typing",
    "json",
    "subprocess",
    "numpy",
    "ipaddress",
    "datetime",
}
NEVER |= {
    "logging",
    "email",
    "http",
    "urllib",
    "pathlib",
    "shutil",
    "random",
    "decimal",
    "traceback",
    "contextlib",
}


@pytest.fixture(scope="module")
def port():
    """Return a port that has a listener, so that there is a row to print and an owner to find."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that finds this checkout's source."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PORTSIDE_STATE": "/nonexistent"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def loaded(*arguments: str) -> set[str]:
    """Return the modules that a command loads over a bare interpreter."""
    done = python(PROBE, *arguments)
    code, *modules = done.stdout.split("\n")
    assert code in ("0", "1"), f"portside {' '.join(arguments)} ended with {code}: {done.stderr}"
    return set(modules)


def words(name: str, port: str) -> list[str]:
    """Return what a command is run with: little, but enough to answer."""
    given = {"who": [port], "why": [port], "free": ["1", "--dry-run"], "name": ["https"]}
    given |= {"echo": ["127.0.0.1", port, "nothing", "--count", "0"], "forward": ["0", port, "--dry-run"]}
    given |= {"install": ["9", "--print", "--for", "systemd", "--", "/bin/cat"], "uninstall": ["9"]}
    given |= {"check": [port], "wait": [port]}
    given |= {"scan": ["127.0.0.1", "-p", port, "--method", "connect"]}
    given |= {"send": ["--help"], "receive": ["--help"]}  # they need each other
    return ["--help"] if name in CHANGING else given.get(name, [])


@pytest.mark.parametrize("name", COMMANDS)
def test_command_loads_only_what_it_needs(name, port):
    modules = loaded(name, *words(name, str(port)))
    ours = {module for module in modules if module.partition(".")[0] == "portside"}
    tops = {module.partition(".")[0] for module in modules - ours}
    slow = tops & NEVER - ALLOWED[name]
    assert not slow, f"portside {name} loads {sorted(slow)}: too slow to start with"
    assert tops <= ALLOWED[name], (
        f"portside {name} loads {sorted(tops - ALLOWED[name])}: see this file's docstring"
    )
    assert len(ours) <= MOST_OF_OURS[name], (
        f"portside {name} loads {len(ours)} modules of ours: {sorted(ours)}"
    )


@pytest.mark.parametrize("name", FACES)
def test_face_loads_only_what_it_needs(name, port):
    modules = loaded(name, *FACE_WORDS[name])
    ours = {module for module in modules if module.partition(".")[0] == "portside"}
    tops = {module.partition(".")[0] for module in modules - ours}
    assert not tops & (NEVER | {"argparse", "re"}), f"portside {name} loads {sorted(tops & NEVER)}"
    assert tops <= SMALL | FACE_ALLOWED[name], (
        f"portside {name} loads {sorted(tops - SMALL - FACE_ALLOWED[name])}: see this file's docstring"
    )
    assert len(ours) <= MOST_OF_FACES[name], f"portside {name} loads {len(ours)} of ours: {sorted(ours)}"
    strangers = {one for one in ours if one.startswith("portside.faces.")} - {
        "portside.faces.bsd", "portside.faces.getopt", "portside.faces.libc",
    }  # fmt: skip
    assert all(one.split(".")[2] == name for one in strangers), f"{name} loads another face: {strangers}"


def test_json_is_loaded_when_asked_for(port):
    assert "json" in loaded("list", "--json")


def test_importing_the_library_loads_nothing_else():
    script = "import sys; bare = set(sys.modules); import portside; print(*sorted(set(sys.modules) - bare))"
    assert python(script).stdout.split() == ["__future__", "portside"]
