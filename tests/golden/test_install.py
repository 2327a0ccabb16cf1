"""What each service manager is given, byte for byte.

Each file of tests/golden/install holds the wish on its first line (manager, how, port/protocol, fields, and the
command behind --), and below it the plan's text: files, lines, commands.  Where the manager's own checker or the
manager itself is to be had, tests/live/test_install.py lets it judge the same.
"""

from __future__ import annotations

import plistlib
import shlex
from pathlib import Path

import pytest

from portside.use.install import launchd, scripts, superservers, systemd
from portside.use.install.wish import Wish, check, default_name

FILES = sorted((Path(__file__).parent / "install").glob("*.txt"))
RENDER = {
    "systemd": systemd.render, "systemd-forward": lambda wish: systemd.render(wish, portside="/usr/bin/portside"),
    "sysv": scripts.sysv, "chkconfig": lambda wish: scripts.sysv(wish, chkconfig=True),
    "openrc": scripts.openrc, "freebsd": scripts.freebsd, "launchd": launchd.render,
    "inetd": superservers.inetd, "inetd-freebsd": lambda wish: superservers.inetd(wish, freebsd=True),
    "xinetd": superservers.xinetd,
}  # fmt: skip


def wish_of(line):
    """Read `systemd passed 80/tcp user=www -- /bin/cat -u`: (manager, wish)."""
    words = shlex.split(line)
    at = words.index("--")
    kind, how, place, *fields = words[:at]
    port, _, protocol = place.partition("/")
    named = dict(field.split("=", 1) for field in fields)
    name = named.pop("name", default_name(int(port), protocol))
    return kind, check(Wish(int(port), protocol, tuple(words[at + 1 :]), name, how, **named))


def plan_of(line):
    kind, wish = wish_of(line)
    return RENDER[kind](wish)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_plan_reads_as_written(file):
    line, _, expected = file.read_text().partition("\n")
    assert plan_of(line).text() == expected


def test_every_manager_and_every_way_has_a_text():
    seen = {tuple(file.read_text().split()[:2]) for file in FILES}
    assert {kind for kind, _ in seen} == set(RENDER)
    assert {how for kind, how in seen if kind == "systemd"} == {"passed", "inetd", "proxy", "own"}


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem.startswith("launchd")], ids=lambda file: file.stem
)
def test_property_lists_say_what_was_meant(file):
    line = file.read_text().partition("\n")[0]
    _, wish = wish_of(line)
    [written] = plan_of(line).files
    told = plistlib.loads(written.text.encode())
    assert told["ProgramArguments"] == list(wish.command)
    assert told["Label"] == wish.name == Path(written.path).stem
    if wish.how == "own":
        assert told["RunAtLoad"]
        assert told["KeepAlive"]
    else:
        assert told["Sockets"]["Listeners"]["SockServiceName"] == str(wish.port)
        assert told["inetdCompatibility"] == {"Wait": wish.protocol == "udp"}
