"""Small files of others: what a user may put where root looks."""

from __future__ import annotations

import os

import pytest

from portside.system import files
from portside.system.files import read_small


def test_regular_file(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    assert read_small(str(tmp_path / "a")) == b"text"


def test_long_file_is_cut(tmp_path):
    (tmp_path / "a").write_bytes(bytes(3 << 20))
    assert len(read_small(str(tmp_path / "a"))) == 1 << 20


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(OSError):
        read_small(str(tmp_path / "a"))


def test_device_is_not_read(tmp_path):
    with pytest.raises(OSError):
        read_small("/dev/zero")


def test_own_link_is_followed_and_a_strangers_is_not(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "link").symlink_to("a")
    assert read_small(str(tmp_path / "link")) == b"text"
    monkeypatch.setattr(files.os, "geteuid", lambda: 4711)
    if os.lstat(tmp_path / "link").st_uid == 0:
        os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
    with pytest.raises(OSError):
        read_small(str(tmp_path / "link"))
