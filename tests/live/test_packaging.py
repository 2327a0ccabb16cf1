"""`pip install .` gives a working `portside` that needs nothing but the standard library."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from tests.support import require

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the built wheel; the build back end is one of the dev dependencies, so nothing is downloaded."""
    require(importlib.util.find_spec("hatchling"), "the build back end 'hatchling' is not installed")
    target = tmp_path_factory.mktemp("wheel")
    run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", target, ROOT])
    return next(target.glob("portside-*.whl"))


def run(command):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PORTSIDE"))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=clean)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"portside"}
    source = ROOT / "src"
    wanted = {file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()}
    assert {name for name in wanted if "__pycache__" not in name} <= set(names)


def test_installed_command_works(wheel, tmp_path):
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python, portside = tmp_path / "fresh" / "bin" / "python", tmp_path / "fresh" / "bin" / "portside"
    run([*PIP, "--python", python, "install", "--no-index", wheel])
    assert run([portside, "--version"]).startswith("portside ")
    assert "https" in run([portside, "name", "443"])
    assert run([python, "-m", "portside", "name", "443"]) == run([portside, "name", "443"])


def test_installed_command_links_its_faces(wheel, tmp_path):
    """`portside faces DIR` of an installed command makes links that run the faces, by path and through PATH."""
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python, portside = tmp_path / "fresh" / "bin" / "python", tmp_path / "fresh" / "bin" / "portside"
    run([*PIP, "--python", python, "install", "--no-index", wheel])
    links = tmp_path / "links"
    links.mkdir()
    run([portside, "faces", links])
    told = run([portside, "sockstat", "-P", "udplite"])
    assert told.startswith("USER COMMAND ")
    assert run([links / "sockstat", "-P", "udplite"]) == told
    assert run(["/bin/sh", "-c", f"PATH={links}:$PATH; sockstat -P udplite"]) == told
    assert run([python, "-m", "portside", "sockstat", "-P", "udplite"]) == told
    run([portside, "faces", "--remove", links])
    assert not list(links.iterdir())
