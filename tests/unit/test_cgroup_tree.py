import os
import time
from concurrent.futures import ThreadPoolExecutor

from portside.system.cgroups import CgroupTree, find_mount, find_root

V2 = b"""24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
31 23 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
HYBRID = b"""31 25 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:27 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
"""
V1 = b"33 31 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
PART = b"640 632 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
BLANK = rb"31 23 0:27 / /mnt/a\040b rw shared:1 master:2 - cgroup2 none rw" + b"\n"


def test_mounts():
    assert find_mount(V2) == "/sys/fs/cgroup"
    assert find_mount(HYBRID) == "/sys/fs/cgroup/unified"
    assert find_mount(BLANK) == "/mnt/a b"
    assert [find_mount(text) for text in (V1, PART, b"", b"x - cgroup2")] == ["", "", "", ""]


def test_no_mountinfo(tmp_path):
    assert find_root(str(tmp_path / "missing")) == ""


def test_paths(tmp_path):
    for path in ("system.slice/ssh.service", "system.slice/a.service/inner", "user.slice"):
        os.makedirs(tmp_path / path)
    (tmp_path / "system.slice" / "cgroup.procs").write_text("")
    ids = {
        path: os.stat(f"{tmp_path}{path}").st_ino for path in ("/system.slice/a.service/inner", "/user.slice")
    }
    tree = CgroupTree(str(tmp_path))
    assert tree.path_of(os.stat(tmp_path).st_ino) == "/"
    assert {tree.path_of(inode): inode for inode in ids.values()} == ids
    assert tree.path_of(os.stat(tmp_path / "system.slice/ssh.service").st_ino) == "/system.slice/ssh.service"
    assert tree.path_of(1 << 62) is None


def test_a_tree_that_is_not_there(tmp_path):
    assert CgroupTree().path_of(1) is None
    assert CgroupTree(str(tmp_path / "missing")).path_of(1) is None


def test_several_threads_share_one_walk(tmp_path, monkeypatch):
    """A snapshot may be read by several threads at once: none breaks into the walk of another."""
    monkeypatch.setattr(os, "scandir", slowly(os.scandir))
    for name in range(60):
        (tmp_path / f"{name % 4}" / f"{name}").mkdir(parents=True)
    ids = {path.stat().st_ino: f"/{path.relative_to(tmp_path)}" for path in tmp_path.glob("*/*")}
    tree = CgroupTree(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: {inode: tree.path_of(inode) for inode in ids}, range(8)))
    assert answers == [ids] * 8


def slowly(scandir):
    def scan(path):
        time.sleep(0.002)  # gives the other threads their turn inside the walk
        return scandir(path)

    return scan
