"""Sessions and files in the guides to forwarding, small servers, sending files and installing: what they show is so.

Numbers that a run makes (ports, times, rates, checksums) are compared as numbers of any value.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.netcats import SOURCE

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
DEADLINE = 60.0


def page(name):
    return (GUIDES / f"{name}.md").read_text()


def blocks(name, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", page(name), re.M | re.S)


def shape(text):
    """Return a text with its numbers and the names of directories taken for one and the same."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    text = re.sub(r"(?:/[\w.-]+)+/(?=film)", "DIR/", text)
    text = re.sub(r"\d+(?:\.\d+)?", "N", text)
    return re.sub(r"\b[KMG]?i?B/s", "RATE", text)


def argv(line):
    words = shlex.split(line)
    assert words[0] == "portside"
    return [sys.executable, "-m", *words]


def environment():
    return {"PYTHONPATH": str(SOURCE), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def here(line, **more):
    return subprocess.run(
        argv(line), capture_output=True, text=True, timeout=DEADLINE, env=environment(), **more
    )


FORWARDS = [
    line for block in blocks("forwarding", "sh") for line in block.splitlines() if "--config" not in line
]


@pytest.mark.parametrize("line", FORWARDS)
def test_forwards_are_what_can_be_forwarded(line):
    done = here(line + " --dry-run")
    assert done.returncode == 0, done.stderr


def test_the_file_of_rules_is_taken(tmp_path):
    (text,) = blocks("forwarding", "toml")
    (tmp_path / "rules.toml").write_text(text)
    done = here(f"portside forward --config {tmp_path}/rules.toml --dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("10.0.0.53:53") == 1


def test_the_list_of_services():
    session = next(
        block for block in blocks("small-servers", "console") if block.startswith("$ portside serve\n")
    )
    assert here("portside serve").stdout == session.partition("\n")[2]


def test_what_install_prints():
    session = next(block for block in blocks("installing", "console") if "--print" in block)
    line, _, promised = session.partition("\n")
    printed = here(line.removeprefix("$ ").partition(" |")[0]).stdout
    assert "".join(printed.splitlines(keepends=True)[: promised.count("\n")]) == promised


def spoken(first, then, space, cwd):
    """Run the first session's command in the background, the other's once it listens; return what each printed."""

    def talk():
        listening = subprocess.Popen(
            argv(first),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=environment(),
        )
        try:
            said = listening.stdout.readline()
            while said.count("\n") < (4 if "serve" in first else 1):
                said += listening.stdout.readline()
            answers = [here(line, cwd=cwd).stdout for line in then]
            if "serve" in first:
                while "Connected by" not in said:
                    said += listening.stdout.readline()
            else:
                said += listening.communicate(timeout=DEADLINE)[0]
        finally:
            listening.kill()
            listening.communicate()
        return said, answers

    return space.call(talk, timeout=2 * DEADLINE)


def test_the_echo_pair(space, tmp_path):
    serve, asking = blocks("small-servers", "console")[:2]
    lines = [line.removeprefix("$ ") for line in asking.splitlines() if line.startswith("$ ")]
    said, answers = spoken(serve.partition("\n")[0].removeprefix("$ "), lines, space, tmp_path)
    assert said == re.sub(r":\d+ \(echo/tcp\)\n$", said[said.rindex(":") :], serve.partition("\n")[2])
    promised = re.split(r"^\$ .*\n", asking, flags=re.M)[1:]
    assert [shape(answer) for answer in answers] == [shape(text) for text in promised]


def test_a_file_sent(space, tmp_path):
    receiving, sending = blocks("sending-files", "console")[:2]
    (tmp_path / "film.mkv").write_bytes(bytes(3_000_000))
    (tmp_path / "there").mkdir()
    first = f"portside receive '*:5000' {tmp_path}/there"
    line = sending.partition("\n")[0].removeprefix("$ ").replace("10.0.0.5", "127.0.0.1")
    said, answers = spoken(first, [line], space, tmp_path)
    assert shape(said).replace("DIR/", "./") == shape(receiving.partition("\n")[2]).replace("DIR/", "./")
    assert shape(answers[0]) == shape(sending.partition("\n")[2])
