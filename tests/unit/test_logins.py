"""Who is logged in, from made-up utmp and session files."""

from __future__ import annotations

import struct

import pytest

from portside.errors import BadReply
from portside.system.logins import logged_in
from portside.wire.utmp import parse_session, parse_utmp


def entry(kind, user):
    """One struct utmp as glibc lays it out: 384 bytes."""
    return struct.pack("=hxxi32s4s32s256s", kind, 1, b"pts/0", b"s0", user, b"").ljust(384, b"\0")


def test_utmp(tmp_path):
    data = entry(2, b"reboot") + entry(7, b"bob") + entry(8, b"gone") + entry(7, b"alice")
    assert list(parse_utmp(data)) == ["bob", "alice"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "utmp").write_bytes(data)
    assert logged_in(str(tmp_path)) == ("alice", "bob")
    with pytest.raises(BadReply):
        list(parse_utmp(data[:-1]))


def test_sessions_where_there_is_no_utmp(tmp_path):
    assert logged_in(str(tmp_path)) == ()
    sessions = tmp_path / "run" / "systemd" / "sessions"
    sessions.mkdir(parents=True)
    (sessions / "3").write_text("# private\nUID=1000\nUSER=alice\nCLASS=user\n")
    (sessions / "c1").write_text("UID=107\nUSER=sddm\nCLASS=greeter\n")
    assert logged_in(str(tmp_path)) == ("alice",)
    assert parse_session("") == ""
