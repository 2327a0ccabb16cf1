"""` users:((...))` of ss, from a made-up /proc: order, threads, contexts, names."""

from __future__ import annotations

import pytest

from portside.faces.ss.context import Options
from portside.faces.ss.holders import Users
from portside.system.host import Host

STAT = "{} ({}) S 1 {} {} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100" + " 0" * 30 + "\n"


def make(root, pid, name, descriptors, threads=(), context=""):
    """A process that holds sockets: descriptor -> inode."""
    for path in (f"{pid}", *(f"{pid}/task/{tid}" for tid in (pid, *threads))):
        (root / path / "fd").mkdir(parents=True)
        (root / path / "stat").write_text(STAT.format(pid, name, pid, pid))
        for number, inode in descriptors.items():
            (root / path / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
    if context:
        (root / str(pid) / "attr").mkdir()
        (root / str(pid) / "attr" / "current").write_text(context + "\0")


@pytest.fixture
def users(tmp_path):
    make(tmp_path, 7, "first", {3: 100, 4: 101, 12: 100}, threads=(8,), context="system_u:system_r:a_t:s0")
    make(tmp_path, 20, "se)cond\x1b(", {3: 100})
    (tmp_path / "1" / "fd").mkdir(parents=True)

    def text(inode, **flags):
        made = Users(Host(procfs=str(tmp_path)), Options(**flags))
        made.want([inode, 0])
        return made.text(inode)

    return text


def test_the_last_found_is_the_first_told(users):
    assert users(100, processes=True) == (
        ' users:(("se)cond\\x1b(",pid=20,fd=3),("first",pid=7,fd=12),("first",pid=7,fd=3))'
    )
    assert users(101, processes=True) == ' users:(("first",pid=7,fd=4))'


def test_nobody_is_told_as_nothing(users):
    assert users(999, processes=True) == ""
    assert users(0, processes=True) == ""


def test_threads(users):
    assert users(101, threads=True) == (' users:(("first",pid=7,tid=8,fd=4),("first",pid=7,tid=7,fd=4))')


def test_contexts(users):
    label = "proc_ctx=system_u:system_r:a_t:s0"
    assert users(101, process_context=True) == f' users:(("first",pid=7,{label},fd=4))'
    assert users(101, process_context=True, socket_context=True) == (
        f' users:(("first",pid=7,{label},fd=4,sock_ctx=unavailable))'
    )
    assert "pid=20,proc_ctx=unavailable,fd=3" in users(100, process_context=True)
