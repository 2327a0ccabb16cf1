"""The echo pair of docs/guides/small-servers.md, in today's plain Python: each server with the client, as printed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portside.use.small.client import EchoClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "small-servers.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
CLIENT = next(block for block in BLOCKS if "create_connection" in block)
SERVERS = [block for block in BLOCKS if block is not CLIENT]


@pytest.mark.parametrize("server", SERVERS, ids=["threads", "asyncio"])
def test_pair(server, space):
    """Port 8888 is free: it is a namespace of the test's own."""
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", server], stdout=subprocess.PIPE, text=True, preexec_fn=space.enter
    )
    try:
        client = ask_until_it_listens(space)
        assert client.stdout == "Received b'Hello, world'\n"
        assert space.call(ours) == b"from ours"
        assert running.stdout.readline().startswith("Connected by ('127.0.0.1', ")
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def ask_until_it_listens(space, seconds=15.0):
    deadline = time.monotonic() + seconds
    while True:
        done = space.run([sys.executable, "-c", CLIENT])
        if done.returncode == 0:
            return done
        assert "ConnectionRefusedError" in done.stderr
        assert time.monotonic() < deadline


def ours():
    with EchoClient("127.0.0.1", 8888) as client:
        return client.ask(b"from ours").data


def test_they_are_short():
    assert len(SERVERS) == 2
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= 14
