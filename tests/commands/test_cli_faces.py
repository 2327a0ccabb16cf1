"""`portside faces`: links are made, replaced and removed, and nothing that is not our own is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakemachine import Run

from portside.cli import main
from portside.faces import FACES, links

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A portside command as pip would install it, and the one that runs now."""
    path = tmp_path / "install" / "portside"
    path.parent.mkdir()
    script = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(SOURCE)!r})\n"
    path.write_text(script + "from portside.cli import entry\nentry()\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path)])
    return path


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "bin"
    path.mkdir()
    return path


def test_links_are_made_for_every_face(command, directory, capsys):
    run = Run(capsys, "faces", str(directory))
    assert run.code == 0
    assert {path.name for path in directory.iterdir()} == set(FACES)
    assert all(os.readlink(path) == str(command) for path in directory.iterdir())
    assert f'export PATH="{directory}:$PATH"' in run.err


def test_a_second_time_there_is_nothing_to_do(command, directory, capsys):
    Run(capsys, "faces", str(directory))
    run = Run(capsys, "faces", str(directory))
    assert run.code == 0
    assert all("there already" in line for line in run.lines[1:])


def test_link_of_another_installation_is_replaced_also_one_that_dangles(command, directory, capsys):
    (directory / "sockstat").symlink_to("/nowhere/bin/portside")
    run = Run(capsys, "faces", str(directory))
    assert run.code == 0
    assert "replaced" in run.out
    assert os.readlink(directory / "sockstat") == str(command)


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "directory"])
@pytest.mark.parametrize("words", [[], ["--remove"]])
def test_what_is_not_ours_is_kept(kind, words, command, directory, capsys):
    place = directory / "sockstat"
    if kind == "file":
        place.write_text("theirs")
    elif kind == "link":
        place.symlink_to("/bin/sh")
    elif kind == "dangling":
        place.symlink_to("/nowhere/sockstat")
    else:
        place.mkdir()
    before = place.lstat()
    run = Run(capsys, "faces", *words, str(directory))
    assert run.code == 1
    assert "kept: it is not a link of ours" in run.out
    after = place.lstat()  # but for the time of access: to look at a link may set it
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (
        before.st_ino,
        before.st_mode,
        before.st_mtime_ns,
    )


def test_something_that_comes_in_between_is_kept(command, directory):
    (link,) = [one for one in links.plan(str(directory), str(command)) if one.face == "sockstat"]
    (directory / "sockstat").write_text("theirs")
    assert links.apply(link, str(command)).action == links.KEPT
    assert (directory / "sockstat").read_text() == "theirs"


def test_remove_takes_our_links_alone(command, directory, capsys):
    Run(capsys, "faces", str(directory))
    (directory / "other").symlink_to(command)
    run = Run(capsys, "faces", "--remove", str(directory))
    assert run.code == 0
    assert [path.name for path in directory.iterdir()] == ["other"]
    assert Run(capsys, "faces", "--remove", str(directory)).code == 1


def test_dry_run_does_nothing(command, directory, capsys):
    run = Run(capsys, "faces", "--dry-run", str(directory))
    assert "would be made" in run.out
    assert not list(directory.iterdir())


def test_json_tells_each_link(command, directory, capsys):
    run = Run(capsys, "faces", "--json", str(directory))
    document = json.loads(run.out)
    assert document["kind"] == "face-links"
    assert {item["face"] for item in document["items"]} == set(FACES)
    assert {(item["action"], item["done"], item["target"]) for item in document["items"]} == {
        ("made", True, str(command))
    }


def test_without_a_directory_the_faces_are_listed(command, directory, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(directory))
    assert "another program" not in Run(capsys, "faces").out
    Run(capsys, "faces", str(directory))
    run = Run(capsys, "faces", "--json")
    items = {item["face"]: item for item in json.loads(run.out)["items"]}
    assert set(items) == set(FACES)
    assert items["sockstat"]["ours"] is True
    assert items["sockstat"]["program"] == str(directory / "sockstat")
    (directory / "sockstat").unlink()
    (directory / "sockstat").write_text("#!/bin/sh\n")
    (directory / "sockstat").chmod(0o755)
    assert any("another program" in line for line in Run(capsys, "faces").lines)


def test_hint_says_when_other_programs_come_first(command, directory, tmp_path, capsys, monkeypatch):
    other = tmp_path / "first"
    other.mkdir()
    (other / "sockstat").write_text("#!/bin/sh\n")
    (other / "sockstat").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}:{directory}")
    assert "other programs come first in PATH" in Run(capsys, "faces", str(directory)).err


@pytest.mark.parametrize("words", [["/nonexistent/x"], ["a", "b"]])
def test_bad_requests_say_what_is_wrong(words, command, capsys):
    run = Run(capsys, "faces", *words)
    assert run.code == 2
    assert run.err.startswith("portside: link faces")


def test_directory_that_may_not_be_written_is_told(command, directory, capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "symlink", refuse)
    run = Run(capsys, "faces", str(directory))
    assert run.code == 2
    assert "permission denied; run it with sudo" in run.err


def test_no_command_to_point_at(directory, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/portside/__main__.py"])
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setenv("PATH", str(directory))
    run = Run(capsys, "faces", str(directory))
    assert run.code == 2
    assert "no portside command to point at" in run.err


def start(*command, **environment):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)


def test_a_link_runs_the_face(command, directory, capsys):
    """By its path, through PATH, and as `python -m portside FACE` and `portside FACE`: all say the same."""
    Run(capsys, "faces", str(directory))
    words = ["-P", "nosuch", "-q", "-Z"]
    path = f"{directory}:{os.environ['PATH']}"
    runs = [
        start(str(directory / "sockstat"), *words),
        start("/bin/sh", "-c", 'exec sockstat "$@"', "sh", *words, PATH=path),
        start(str(command), "sockstat", *words),
        start(sys.executable, "-m", "portside", "sockstat", *words, PYTHONPATH=str(SOURCE)),
    ]
    for run in runs:
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr.startswith("sockstat: illegal option -- Z\nusage: sockstat ")


def test_started_by_its_own_name_it_is_no_face(command):
    assert start(str(command), "-q", "who").returncode == 2


def test_arguments_given_by_a_caller_are_never_a_faces(capsys, monkeypatch):
    """`main([...])` of a program that happens to be called ss is Portside's."""
    monkeypatch.setattr(sys, "argv", ["/usr/bin/sockstat"])
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("portside ")
