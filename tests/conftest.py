"""For every test: live tests are marked by where they lie, and a session that leaves something behind has failed."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIVE = Path(__file__).parent / "live"
NAMED = Path("/run/netns")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below live/."""
    for item in items:
        if LIVE in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Deal tests that share a fixture to one process: what a file sets up for all its tests is set up once.

    `--dist loadgroup` would do it by marks, but xdist 3.8 hands them on in a field that pytest 9.2 does not read.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        """Each file whose tests share something, the files of the live world together, every other test alone."""

        def _split_scope(self, nodeid: str) -> str:
            return shared(nodeid.partition("::")[0]) or nodeid

    return Sharing(config, log)


@functools.cache
def shared(path: str) -> str:
    """The group of a file's tests, empty where they share nothing.

    There may be one world at a time: who looks at every namespace would find the other's sockets too.
    """
    text = (ROOT / path).read_text()
    if "probe_world" not in text and re.search(r"^def \w+\([^)]*\b(world|sight)\b", text, re.MULTILINE):
        return "world"
    return path if 'scope="module"' in text else ""


@pytest.fixture(autouse=True, scope="session")
def nothing_left_behind():
    """Fail the session if a child process or a named network namespace made by tests is still there at its end."""
    before = named_namespaces()
    yield
    children = child_processes(os.getpid())
    assert not children, f"tests left child processes: {children}"
    left = {name for name in named_namespaces() - before if is_ours(name)}
    assert not left, f"tests left network namespaces: {left}"


def named_namespaces() -> set[str]:
    """The names under /run/netns that say that we made them: others may come and go meanwhile."""
    return {path.name for path in NAMED.glob("portside*")} if NAMED.is_dir() else set()


def is_ours(name: str) -> bool:
    """Whether a name is not another session's that runs at the same time: theirs have their process's id in them."""
    numbers = [int(word) for word in name.split("-") if word.isdecimal()]
    return not numbers or os.getpid() in numbers


def child_processes(pid: int) -> list[str]:
    """Each child of `pid`, all threads', with its command line."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            found.append(f"{child} {os.fsdecode(command)}")
    return found
