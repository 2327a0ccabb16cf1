"""Ports of other network namespaces are judged by the rules of theirs: `reach --netns all`, `list --netns all`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import require

from portside.testing.namespaces import Namespace

SOURCE = Path(__file__).resolve().parents[2] / "src"
LISTENER = """
import socket, sys
held = [socket.create_server((address, port)) for address, port in (("", 7301), ("127.0.0.1", 7302))]
print("up", flush=True)
sys.stdin.read()
"""
RULES = """table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		ct state established accept
		ip saddr 192.0.2.0/24 tcp dport 7301 accept
	}
}
"""


@pytest.fixture
def spaces():
    """Two namespaces with the same listeners, one of which has rules; a third, to ask from."""
    require(os.geteuid() == 0, "needs root, to enter network namespaces")
    with Namespace() as open_one, Namespace() as closed_one, Namespace() as here:
        started = []
        try:
            for space in (open_one, closed_one):
                space.add_link("eth0", peer="far0", addresses=["192.0.2.1/24"])
                space.ip("route add default dev eth0")
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        text=True, preexec_fn=space.enter,
                    )
                )  # fmt: skip
                assert started[-1].stdout.readline() == "up\n"
            loaded = closed_one.run(["nft", "-f", "-"], input=RULES)
            assert loaded.returncode == 0, loaded.stderr
            yield open_one, closed_one, here
        finally:
            for one in started:
                one.kill()
                one.communicate()


def portside(space, *words):
    return space.run(["env", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "portside", *words])


def items(space, *words):
    done = portside(space, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["items"]


def verdicts(found, space):
    """Port -> verdict of the ports of one namespace."""
    name = f"net:[{space.inode}]"
    return {
        one["port"]: one.get("verdict") or one["reach"]["verdict"] for one in found if one["netns"] == name
    }


@pytest.mark.parametrize("command", ["reach", "list"])
def test_each_namespace_has_its_own_rules(spaces, command):
    open_one, closed_one, here = spaces
    found = items(here, command, "--netns", "all")
    assert verdicts(found, open_one) == {7301: "anyone", 7302: "nobody"}
    assert verdicts(found, closed_one) == {7301: "some", 7302: "nobody"}


def test_one_port_of_every_namespace(spaces):
    open_one, closed_one, here = spaces
    done = portside(here, "reach", "-n", "7301", "--netns", "all")
    assert done.returncode == 0, done.stderr
    for space, verdict in ((open_one, "anyone"), (closed_one, "some")):
        heads = [line for line in done.stdout.splitlines() if line.endswith(f"in net:[{space.inode}]")]
        assert [line.split()[1] for line in heads] == [verdict]
    assert "ip saddr 192.0.2.0/24 tcp dport 7301 accept" in done.stdout


def test_the_filter_asks_each_namespace(spaces):
    open_one, closed_one, here = spaces
    found = items(here, "list", "--netns", "all", "reach = some and port = 7301")
    assert (verdicts(found, open_one), verdicts(found, closed_one)) == ({}, {7301: "some"})


def test_what_is_for_one_namespace_is_refused_for_all(spaces):
    done = portside(spaces[2], "reach", "--netns", "all", "--verify")
    assert (done.returncode, "--verify is for one of them" in done.stderr) == (2, True)
