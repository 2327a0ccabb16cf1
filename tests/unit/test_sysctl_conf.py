"""Files of sysctl settings: read, changed by one key, and who has the last word."""

from __future__ import annotations

import pytest

from portside.system import sysctl_files
from portside.wire import sysctl_conf
from portside.wire.sysctl_conf import Entry

TEXT = """# a comment = 1
; another = 2
net.ipv4.ip_forward=1
 -net/core/somaxconn =  4096
no assignment
net.ipv4.conf.eth0/100.forwarding = 0
= 5
"""


def test_assignments_are_read_as_sysctl_reads_them():
    assert sysctl_conf.parse(TEXT) == (
        Entry("net.ipv4.ip_forward", "1", 3),
        Entry("net.core.somaxconn", "4096", 4),
        Entry("net.ipv4.conf.eth0/100.forwarding", "0", 6),
    )
    assert (
        sysctl_conf.parse("net/ipv4/conf/eth0.100/forwarding=1")[0].key == "net.ipv4.conf.eth0/100.forwarding"
    )
    assert sysctl_conf.last("a.b=1\na/b = 2\n", "a.b") == "2"
    assert sysctl_conf.last(TEXT, "a.b") is None


def test_a_new_key_goes_to_the_end_and_away_with_its_comment():
    text = sysctl_conf.changed("x.y = 1\n", "a.b", "2", "ours")
    assert text == "x.y = 1\n# ours\na.b = 2\n"
    assert sysctl_conf.changed(text, "a.b", None, "ours") == "x.y = 1\n"


def test_a_known_key_is_changed_in_its_place_once():
    text = "a/b = 0\n# mine\na.b = 1\nx.y = 1\n"
    assert sysctl_conf.changed(text, "a.b", "5", "ours") == "# mine\na.b = 5\nx.y = 1\n"
    assert sysctl_conf.changed(text, "a.b", None, "ours") == "# mine\nx.y = 1\n"


@pytest.mark.parametrize(
    ("files", "by"),
    [
        ([("/1", "a.b=1"), ("/ours", "a.b=2"), ("/3", "x.y=1")], None),
        ([("/ours", "a.b=2"), ("/3", "a/b = 1")], "/3"),
        ([("/ours", "a.b=2"), ("/3", "a.b=1"), ("/4", "a.b=1")], "/4"),
        ([("/3", "a.b=1")], None),
    ],
)
def test_who_has_the_last_word(files, by):
    found = sysctl_conf.overriding(files, "/ours", "a.b")
    assert (found[0] if found else None) == by


def test_files_apply_by_name_and_the_first_directory_wins(tmp_path):
    written = {
        "/etc/sysctl.d/50-a.conf": "a.a=etc",
        "/usr/lib/sysctl.d/50-a.conf": "a.a=usr",
        "/usr/lib/sysctl.d/10-b.conf": "b.b=1",
        "/run/sysctl.d/99-z.conf": "z.z=1",
        "/etc/sysctl.d/notes.txt": "n.n=1",
        "/etc/sysctl.conf": "c.c=1",
    }
    for path, text in written.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text(text)
    assert sysctl_files.read_all(str(tmp_path)) == [
        ("/usr/lib/sysctl.d/10-b.conf", "b.b=1"),
        ("/etc/sysctl.d/50-a.conf", "a.a=etc"),
        ("/run/sysctl.d/99-z.conf", "z.z=1"),
        ("/etc/sysctl.conf", "c.c=1"),
    ]
