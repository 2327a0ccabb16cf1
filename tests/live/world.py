"""A world: one throw-away namespace in which processes hold every kind of socket this kernel offers.

    with World() as world:
        world.entries      # what was opened, and what an observer should see of it
        world.missing      # (what, why) for what this kernel or user cannot make
        world.space.call(...)

The cast (`cast/`) opens the sockets; here the links are made and the notes collected.  All of it ends
with the block.
"""

from __future__ import annotations

import base64
import os
import pickle
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Self

from tests.live.cast.actor import Entry
from tests.live.cast.families import VXLAN_LINK, VXLAN_PORT
from tests.live.cast.inet import LINK, LINK_LOCAL, LINK_V4, LINK_V6
from tests.live.cast.tcp import GHOST, SILENT, SPOOFED

from portside.errors import PortsideError
from portside.testing.namespaces import Namespace

STAGE = os.path.join(os.path.dirname(__file__), "cast", "stage.py")
TIMEOUT = 20.0
SETTINGS = {
    "net/ipv4/ping_group_range": "0 2147483647",  # else nobody may open a ping socket
    "net/ipv4/tcp_synack_retries": "20",  # a request that is never answered lasts for minutes
}


class World:
    """The namespace with its cast; `entries` and `missing` are complete when the block begins."""

    def __init__(self) -> None:
        self.space = Namespace()
        self.entries: list[Entry] = []
        self.missing: list[tuple[str, str]] = []
        self.began = 0.0
        self._stage: subprocess.Popen[bytes] | None = None
        self._directory = ""

    def __enter__(self) -> Self:
        self.space.__enter__()
        try:
            self._directory = tempfile.mkdtemp(prefix="portside-world-")
            os.chmod(self._directory, 0o755)
            self.began = time.monotonic()
            self.space.call(_settings)
            self._links()
            self._perform()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the cast, then the namespace; the directory with the sockets' paths goes too."""
        try:
            if self._stage is not None:
                self._end_stage(self._stage)
                self._end_orphans()
        finally:
            self.space.close()
            if self._directory:
                shutil.rmtree(self._directory, ignore_errors=True)

    def one(self, what: str) -> Entry:
        """The entry of that name."""
        return next(entry for entry in self.entries if entry.what == what)

    def _links(self) -> None:
        addresses = [f"{LINK_V4}/24", f"{LINK_V6}/64", f"{LINK_LOCAL}/64"]
        self.space.add_link(LINK, peer="right", addresses=addresses)
        nobody = "lladdr 02:00:00:00:00:99 nud permanent"
        self.space.ip(*(f"neigh add {address} {nobody} dev {LINK}" for address in (GHOST, SILENT, SPOOFED)))
        try:
            options = f"id 42 dstport {VXLAN_PORT} local {LINK_V4}"
            self.space.add_link(VXLAN_LINK, kind="vxlan", options=options)
        except PortsideError as error:
            self.missing.append(("vxlan link, for a socket of the kernel's", str(error)))

    def _perform(self) -> None:
        self._stage = subprocess.Popen(
            [sys.executable, "-I", "-S", STAGE, self._directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=self.space.enter,
        )
        assert self._stage.stdout is not None
        waiting: set[str] | None = None
        done: set[str] = set()
        for kind, value in _notes(self._stage.stdout.fileno(), time.monotonic() + TIMEOUT):
            if kind == "entry":
                self.entries.append(value)
            elif kind == "missing":
                self.missing.append(value)
            elif kind == "failed":
                raise AssertionError("role {} failed:\n{}".format(*value))
            elif kind == "roles":
                waiting = set(value)
            elif kind == "done":
                done.add(value)
            if waiting == done:
                return

    def _end_orphans(self) -> None:
        """End the connections that nobody holds any more: with unsent data they keep the namespace for minutes."""
        if shutil.which("ss"):
            self.space.run(["ss", "-K", "-t", "-a"])

    def _end_stage(self, stage: subprocess.Popen[bytes]) -> None:
        assert stage.stdin is not None
        assert stage.stdout is not None
        stage.stdin.close()  # the stage then kills and reaps the cast
        try:
            stage.wait(TIMEOUT)
        finally:
            stage.kill()
            stage.wait()
            stage.stdout.close()


def _settings() -> None:
    """Write the namespace's sysctls; run inside."""
    for name, value in SETTINGS.items():
        try:
            with open(f"/proc/sys/{name}", "w") as file:
                file.write(value)
        except OSError:
            continue  # then the role that needs it says what it cannot do


def _notes(descriptor: int, deadline: float):
    """Yield (kind, value) from the cast's pipe until `deadline`."""
    rest = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(descriptor, 1 << 16) if ready else b""
        if not chunk:
            raise AssertionError("the cast ended or took too long")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield pickle.loads(base64.b64decode(line))
