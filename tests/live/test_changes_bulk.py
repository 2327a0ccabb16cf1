"""Blocks of very many addresses, which go to the kernel in bulk: the sets nft would make, and nothing half of one."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

import pytest
from tests.live.test_changes_live import SOURCE, ruleset, settle, states
from tests.support import require

from portside.errors import NotPermitted, PortsideError, Vanished
from portside.guard.changes import blocked_sets, own_table, transition
from portside.guard.changes.wish import Wish


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    """A journal of the test's own."""
    require(os.geteuid() == 0, "needs root, to change a firewall")
    require(shutil.which("nft"), "nft(8) of nftables is not installed")
    monkeypatch.setenv("PORTSIDE_STATE", str(tmp_path))


def test_in_bulk_the_sets_get_what_nft_would_give_them(space):
    many = [
        *(f"10.0.{number >> 8}.{number & 255}" for number in range(5000)),
        *map("2001:db8::{:x}".format, range(1, 5000)),
    ]
    until = int(time.time()) + 3600
    changes = [
        (1, Wish("block", addresses=tuple(many[:6000]))),
        (2, Wish("block", addresses=tuple(many[5000:]), until=until)),
    ]
    found = transition.between([], changes, now=until - 3600, exists=False)
    assert found.many
    listed = []
    for script, added in ((found.script, ()), (found.rest, found.added)):
        assert space.run(["nft", "-f", "-"], input=f"flush ruleset\n{script}").returncode == 0
        space.call(lambda added=added: blocked_sets.add(added))
        listed.append(ruleset(space))
    assert listed[0] == listed[1]
    assert listed[0].count("timeout 1h") == 3999


def test_what_cannot_be_added_in_bulk_is_said(space):
    def add(name):
        blocked_sets.add([blocked_sets.Hosts(name, ("192.0.2.1", "192.0.2.2"), 0)])

    with pytest.raises(Vanished, match="table 'portside': there is none such"):
        space.call(lambda: add("hosts4"))
    space.run(["nft", "-f", "-"], input=own_table.rules_script([]))
    with pytest.raises(PortsideError, match="invalid argument"):
        space.call(lambda: add("hosts6"))
    with pytest.raises(NotPermitted, match="run it with sudo"):
        space.call(lambda: add("hosts4"), uid=65534)
    assert "192.0.2" not in ruleset(space)


MANY_KILLED = """
import os, signal, sys
from portside.guard.changes import blocked_sets
from portside.guard.changes.wish import Wish
from tests.live.test_changes_live import make_here

add = blocked_sets.add

def deadly(many):
    if sys.argv[1] == "after":
        add(many)
    os.kill(os.getpid(), signal.SIGKILL)

blocked_sets.add = deadly
make_here(Wish("block", addresses=tuple(f"10.0.{number >> 8}.{number & 255}" for number in range(2000))))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_the_rules_and_the_addresses_the_host_is_in_the_old_state(space, when):
    path = f"PYTHONPATH={SOURCE}:{SOURCE.parent}"
    killed = space.run(["env", path, sys.executable, "-c", MANY_KILLED, when])
    assert killed.returncode == -signal.SIGKILL
    settle(space)
    assert states(space) == [(1, "undone")]
    assert ruleset(space) == ""
