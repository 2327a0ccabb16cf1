"""House rules that hold for every file: sizes, no machine's own paths, no registry's hosts, documented names."""

from __future__ import annotations

import ast
import configparser
import inspect
import os
import re
import subprocess
from pathlib import Path

import pytest

import portside

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MOST_LINES_IN_FILE = 500
MOST_LINES_IN_FUNCTION = 60

# Spelled in two halves so that this file keeps its own rule.
MACHINE_PATHS = ["/" + "work/", "/" + "root/.", "/" + "home/runner"]
REGISTRY_SETTINGS = ["index" + "-url", "trusted" + "-host", "extra-index" + "-url", "PIP_" + "INDEX"]


@pytest.fixture(scope="module")
def texts():
    """Return path -> text of every file of the project: what git tracks and what it would."""
    found = {}
    for name in project_files():
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in content:
            found[name] = content.decode()
    assert "pyproject.toml" in found
    return found


def project_files():
    listing = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or an unpacked archive
        files = (file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*") if file.is_file())
        return [name for name in files if not name.startswith(".") and "__pycache__" not in name]
    return [name for name in done.stdout.decode().split("\0") if name]


def test_no_machine_paths(texts):
    for name, text in texts.items():
        for path in MACHINE_PATHS:
            assert path not in text, f"{name} names {path!r}: a path of somebody's machine"


def test_no_registry_hosts(texts):
    for name, text in texts.items():
        for setting in REGISTRY_SETTINGS:
            assert setting not in text, (
                f"{name} has {setting!r}: where packages come from is the machine's business"
            )
        for host in own_registry_hosts():
            assert host not in text, f"{name} names the package registry this machine is set to use"


def own_registry_hosts():
    """Return the hosts that this machine's pip and apt are configured with."""
    settings = ["/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf"]
    settings += os.environ.get("PIP_CONFIG_FILE", "").split()
    urls = [value for name, value in os.environ.items() if name.startswith("PIP_")]
    for file in settings:
        config = configparser.RawConfigParser(strict=False)
        config.read(Path(file).expanduser())
        urls += [value for section in config.sections() for _, value in config.items(section)]
    for file in Path("/etc/apt").glob("sources.list*/**/*"):
        urls.append(file.read_text() if file.is_file() else "")
    pattern = r"https?://(?:[^/@\s]*@)?([\w.-]+\.[a-z]\w+)"
    return {host for text in urls for host in re.findall(pattern, text)}


def test_files_are_short():
    for file in SOURCES:
        lines = len(file.read_text().splitlines())
        assert lines <= MOST_LINES_IN_FILE, f"{file.relative_to(ROOT)} has {lines} lines: split it"


def test_functions_are_short():
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                where = f"{file.relative_to(ROOT)}:{node.lineno}"
                assert lines <= MOST_LINES_IN_FUNCTION, f"{where}: {node.name} has {lines} lines: split it"


def test_modules_say_what_they_are():
    for file in SOURCES:
        assert ast.get_docstring(ast.parse(file.read_text())), f"{file.relative_to(ROOT)} has no docstring"


def test_public_names_are_documented():
    """What `portside` exports exists, and says what it is; so do the public methods and properties of its classes."""
    for name in getattr(portside, "__all__", ()):
        exported = getattr(portside, name)
        if not callable(exported):
            continue
        assert inspect.getdoc(exported), f"portside.{name} has no docstring"
        for member, value in vars(exported).items() if inspect.isclass(exported) else ():
            documented = callable(value) or isinstance(value, property | classmethod | staticmethod)
            if documented and not member.startswith("_"):
                assert inspect.getdoc(value), f"portside.{name}.{member} has no docstring"
