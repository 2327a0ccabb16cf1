"""Kept numbers of the kernel's types: believed only when whole, of this kernel, and written by nobody else."""

from __future__ import annotations

import os

import pytest
from tests.btf_blobs import small_kernel
from tests.support import require

from portside.errors import BadReply, NotSupported
from portside.system import kernel_layout

NAMES = ("size:outer", "outer.right.b", "func:do_it", "func:absent")
FOUND = {"size:outer": 64, "outer.right.b": 12, "func:do_it": 13}


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel of our own making, and a directory to keep its numbers in."""
    blob, notes = tmp_path / "vmlinux", tmp_path / "notes"
    blob.write_bytes(small_kernel().build())
    notes.write_bytes(b"build one")
    monkeypatch.setattr(kernel_layout, "BTF", str(blob))
    monkeypatch.setattr(kernel_layout, "NOTES", str(notes))
    return tmp_path


@pytest.fixture
def cache(kernel):
    """A directory that holds the numbers."""
    directory = kernel / "cache" / "portside"
    assert kernel_layout.read(NAMES, str(directory)) == FOUND
    assert kernel_layout.kept(NAMES, str(directory)) == FOUND
    return directory


def kept(directory):
    return kernel_layout.kept(NAMES, str(directory))


def test_what_is_kept_is_for_its_owner_alone(cache):
    assert cache.stat().st_mode & 0o777 == 0o700
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_btf(kernel, monkeypatch):
    monkeypatch.setattr(kernel_layout, "BTF", str(kernel / "absent"))
    assert kept(kernel) is None
    with pytest.raises(NotSupported, match="built without BTF"):
        kernel_layout.read(NAMES, str(kernel))


def test_broken_btf_is_a_bad_reply(kernel):
    (kernel / "vmlinux").write_bytes(b"garbage, and long enough for a header")
    with pytest.raises(BadReply):
        kernel_layout.read(NAMES, str(kernel / "cache"))


def test_nothing_kept_yet(kernel):
    assert kept(kernel / "absent") is None
    assert kept(kernel) is None


def test_another_kernel(cache, kernel):
    (kernel / "notes").write_bytes(b"build two")
    assert kept(cache) is None
    kernel_layout.read(NAMES, str(cache))
    assert kept(cache) == FOUND


def test_other_names(cache):
    assert kernel_layout.kept(NAMES[:-1], str(cache)) is None
    assert kernel_layout.kept((*NAMES, "size:inode"), str(cache)) is None


def test_a_directory_others_may_write(cache):
    for mode in (0o777, 0o720, 0o702):
        cache.chmod(mode)
        assert kept(cache) is None
    cache.chmod(0o755)
    assert kept(cache) == FOUND


def test_a_file_others_may_write(cache):
    (file,) = cache.iterdir()
    for mode in (0o666, 0o620, 0o602):
        file.chmod(mode)
        assert kept(cache) is None


def test_nothing_is_written_where_others_may_write(kernel):
    directory = kernel / "open"
    directory.mkdir()
    directory.chmod(0o777)
    assert kernel_layout.read(NAMES, str(directory)) == FOUND
    assert list(directory.iterdir()) == []


def test_a_link_in_place_of_the_directory(cache):
    link = cache.parent / "link"
    link.symlink_to(cache)
    assert kept(link) is None


def test_a_link_in_place_of_the_file(cache):
    (file,) = cache.iterdir()
    elsewhere = file.rename(cache.parent / "elsewhere")
    file.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert kept(cache) is None
    kernel_layout.read(NAMES, str(cache))  # replaces the link, not what it points to
    assert kept(cache) == FOUND
    assert elsewhere.read_bytes() == before
    assert not file.is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_something_else_in_place_of_the_file(cache, make):
    (file,) = cache.iterdir()
    file.unlink()
    make(file, 0o600)
    assert kept(cache) is None
    assert kernel_layout.read(NAMES, str(cache)) == FOUND


def test_a_foreign_owner(cache):
    require(os.geteuid() == 0, "only root can give files away")
    (file,) = cache.iterdir()
    os.chown(file, 65534, -1)
    assert kept(cache) is None
    os.chown(file, 0, -1)
    assert kept(cache) == FOUND
    os.chown(cache, 65534, -1)
    assert kept(cache) is None


def test_any_damage_is_seen(cache):
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert kept(cache) is None
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert kept(cache) is None
    for text in (b"", b"\0" * 100, b"\xff\xfe" * 50, whole + b"x", b"x" * (1 << 17)):
        file.write_bytes(text)
        assert kept(cache) is None


@pytest.mark.parametrize("number", ["-2", str(1 << 28), "many", "", "0x10", "1e3"])
def test_numbers_that_cannot_be(cache, number):
    (file,) = cache.iterdir()
    body = file.read_bytes().partition(b"\n")[2].replace(b"size:outer 64", b"size:outer " + number.encode())
    head = f"portside kernel layout 1 {kernel_layout._checksum(body):x}\n"
    file.write_bytes(head.encode() + body)
    assert kept(cache) is None


def test_keeping_nothing_is_no_error(kernel):
    blocker = kernel / "file"
    blocker.write_bytes(b"")
    assert kernel_layout.read(NAMES, str(blocker / "portside")) == FOUND


def test_nothing_but_the_file_is_left(cache, monkeypatch):
    def refuse(*_args, **_named):
        raise OSError("no")

    monkeypatch.setattr(os, "rename", refuse)
    assert kernel_layout.read(NAMES, str(cache)) == FOUND
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    ("uid", "environment", "directory"),
    [
        (0, {"XDG_CACHE_HOME": "/home/eve/.cache", "HOME": "/home/eve"}, "/var/cache/portside"),
        (1000, {"XDG_CACHE_HOME": "/x", "HOME": "/home/ann"}, "/x/portside"),
        (1000, {"XDG_CACHE_HOME": "relative", "HOME": "/home/ann"}, "/home/ann/.cache/portside"),
        (1000, {"HOME": "/home/ann"}, "/home/ann/.cache/portside"),
    ],
)
def test_where_it_is_kept(monkeypatch, uid, environment, directory):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "environ", environment)
    assert kernel_layout._default_directory() == directory


def test_nowhere_to_keep_it(kernel, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "environ", {})
    assert kernel_layout.kept(NAMES) is None
    assert kernel_layout.read(NAMES) == FOUND
