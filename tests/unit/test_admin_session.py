"""The connection we came by: from our environment, or from an ancestor's, because sudo takes it out of ours."""

from __future__ import annotations

import pytest

from portside.system import admin_session
from portside.system.admin_session import Session

CAME = Session("203.0.113.7", 50000, "192.0.2.1", 22)


@pytest.fixture
def proc(tmp_path):
    """An sshd (10), its shell (11), sudo (12), which cleaned the environment."""
    for pid, parent, name, environment in (
        (10, 1, "sshd", b"A=1\0"),
        (11, 10, "ba) sh", b"A=1\0SSH_CONNECTION=203.0.113.7 50000 192.0.2.1 22\0B=2\0"),
        (12, 11, "sudo", b""),
    ):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "environ").write_bytes(environment)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1")
    return str(tmp_path)


def test_the_environment_tells(monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.7 50000 192.0.2.1 22")
    assert admin_session.find() == CAME
    assert str(CAME) == "203.0.113.7 to 192.0.2.1 port 22"


def test_an_ancestors_environment_tells(proc):
    assert admin_session.find(proc, 12) == CAME
    assert admin_session.find(proc, 10) is None
    assert admin_session.find(proc, 99) is None


@pytest.mark.parametrize("text", ["", "a", "a b c d", "1 2 3", "fe80::1%eth0 x y 22"])
def test_anything_else_is_none(text):
    assert admin_session.parse(text) is None


def test_a_zone_is_left_out():
    assert admin_session.parse("fe80::1%eth0 5 fe80::2%eth0 22") == Session("fe80::1", 5, "fe80::2", 22)
