"""The command line on a real terminal (tmux): fitted to its width, coloured by the rules, refreshed by --watch."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from tests.support import require

from portside.cli.output import display_width

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = f"{shlex.quote(sys.executable)} -m portside"
SGR = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS = (40, 60, 80, 200)


class Tmux:
    """A tmux server of our own inside the world, ended with the test."""

    def __init__(self, space, socket: Path) -> None:
        self.space = space
        self.command = ["tmux", "-u", "-f", "/dev/null", "-S", str(socket)]

    def do(self, *words: str, timeout: float = 20) -> str:
        done = self.space.run([*self.command, *words], timeout=timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, columns: int, script: str, rows: int = 300) -> None:
        """Run a script of sh on a new terminal; `ready` in it lets `await_ready` return."""
        ready = " ".join(map(shlex.quote, [*self.command, "wait-for", "-S", "ready"]))
        script = f'portside() {{ {PROGRAM} "$@"; }}; ready() {{ {ready}; }}; {script}; ready; exec cat'
        environment = ["env", "-u", "COLUMNS", "-u", "LINES", "-u", "NO_COLOR", f"PYTHONPATH={SOURCE}"]
        words = [*environment, "sh", "-c", script]
        self.do("new-session", "-d", "-x", str(columns), "-y", str(rows), shlex.join(words))

    def pane(self) -> list[str]:
        """The lines of the pane with their colours; a line that was wrapped is whole again."""
        self.do("wait-for", "ready")
        return [line.rstrip() for line in self.do("capture-pane", "-p", "-e", "-J").splitlines()]

    def end(self) -> None:
        self.space.run([*self.command, "kill-server"])


@pytest.fixture
def tmux(world, tmp_path):
    require(shutil.which("tmux"), "tmux is not installed")
    made = Tmux(world.space, tmp_path / "tmux")
    yield made
    made.end()


def plain(lines: list[str]) -> list[str]:
    return [SGR.sub("", line).rstrip() for line in lines if SGR.sub("", line).strip()]


def addresses(world) -> set[str]:
    """The bound addresses of open TCP ports as the table writes them, without the joined ones."""
    return {
        entry.local[0]
        for entry in world.entries
        if entry.protocol == "tcp" and entry.state == "listen" and entry.visible and entry.local
    } - {"::"}


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_list_fits_and_cuts_no_address(world, tmux, columns):
    tmux.start(columns, "portside -q")
    lines = plain(tmux.pane())
    assert len(lines) > 60
    assert fits(lines, columns)
    for address in addresses(world):
        text = f"[{address}]" if ":" in address else address
        assert any(f" {text}" in line for line in lines), address
    for port, name in (("21001/tcp", "listen"), ("26001/tcp", "forked"), ("26006/tcp", "reuse")):
        (line,) = [line for line in lines if line.startswith(port)]
        assert f" {name}" in line  # the holder is cut last
    assert "…" not in "".join(re.split(r" {2,}", line)[0] for line in lines)
    assert ("COMMAND" in lines[0]) == (columns == 200)


@pytest.mark.alone
@pytest.mark.parametrize("columns", WIDTHS)
def test_other_commands_fit(tmux, columns):
    commands = [
        "-q who 26006",
        "-q who 21101",
        "-q who 24100",
        "doctor",
        "-q --netns all -t",
        "name https ssh",
    ]
    tmux.start(columns, "; ".join(f"portside {words}" for words in commands), rows=500)
    lines = plain(tmux.pane())
    for table in tables(lines):
        assert fits(table, columns), table[0]
    text = "\n".join(lines)
    assert "26006/tcp  listening on" in text
    assert len(re.findall(r"held by  reuseport \d+", text)) == 3


def fits(lines: list[str], columns: int) -> bool:
    """Whether no line is wider than the terminal, but for a table of which only what is never cut is left."""
    left = re.split(r" {2,}", lines[0])
    return all(display_width(line) <= columns for line in lines) or left in (LEAST, [*LEAST, "NETNS"])


LEAST = ["PORT", "BOUND TO", "OWNER"]


def tables(lines: list[str]) -> list[list[str]]:
    """Split the lines of several commands where a header or a tree begins."""
    parts: list[list[str]] = []
    for line in lines:
        if not parts or re.match(r"(PORT|PROBE|NAME) |\d+/\S+  listening", line):
            parts.append([])
        parts[-1].append(line)
    return parts


@pytest.mark.parametrize("columns", [60, 200])
def test_every_socket_fits(tmux, columns):
    tmux.start(columns, "portside -a -q", rows=1500)
    lines = plain(tmux.pane())
    assert len(lines) > 100
    header = re.split(r" {2,}", lines[0])
    fit = all(display_width(line) <= columns for line in lines)
    assert fit or header == ["PROTO", "STATE", "LOCAL", "REMOTE", "OWNER"]
    assert fit or columns < 100


def test_colour_and_its_switches(tmux):
    tmux.start(
        100,
        "portside -q; echo ==; NO_COLOR=1 portside -q; echo ==; TERM=dumb portside -q; echo ==;"
        " portside -q --color never; echo ==; NO_COLOR=1 portside -q --color always; echo ==; portside -q | cat",
        rows=800,
    )
    parts: list[list[str]] = [[]]
    for line in tmux.pane():
        if line == "==":
            parts.append([])
        else:
            parts[-1].append(line)
    auto, no_color, dumb, never, always, piped = parts
    colored = [bool(SGR.search("".join(part))) for part in parts]
    assert colored == [True, False, False, False, True, False]
    assert plain(auto) == plain(no_color) == plain(dumb) == plain(never) == plain(always)
    assert auto == always
    assert SGR.search(auto[0])  # the header is bold
    assert any(len(line) > 100 for line in plain(piped))  # a pipe is never cut


def test_hostile_names_do_not_move_the_cursor(tmux):
    tmux.start(
        80, "portside -q --columns port,owner; portside -q --columns owner 'port = 26103'; portside who 26103"
    )
    text = "\n".join(plain(tmux.pane()))
    for name in ("\\x1b[31mred", "new\\nline", "tab\\there"):
        assert name in text


def test_watch_draws_one_table_at_a_time_and_ends_with_a_key(tmux):
    """The screen shows the newest table alone; ^C ends it with 130 and without a word."""
    tmux.start(80, "trap : INT; portside -q --watch 0.2 --columns port; echo code $?", rows=150)
    wait_for(tmux, "PORT", 5)
    tmux.do("send-keys", "C-c")
    lines = plain(tmux.pane())
    assert lines.count("PORT") == 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d", lines[0])
    assert lines[-1] in ("code 130", "^Ccode 130")


def wait_for(tmux: Tmux, word: str, seconds: float) -> None:
    """Wait until the pane shows `word`, for at most so many seconds."""
    import time

    deadline = time.monotonic() + seconds
    while word not in tmux.do("capture-pane", "-p"):
        assert time.monotonic() < deadline, f"no {word} on the terminal"
        time.sleep(0.05)


def test_in_a_pipe_of_any_width(world):
    """COLUMNS is about a terminal: a pipe gets everything."""
    done = world.space.run(
        ["env", "COLUMNS=20", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "portside", "-q"]
    )
    assert done.returncode == 0
    assert "COMMAND" in done.stdout
    assert os.path.basename(sys.executable) in done.stdout
