"""The world, built once for all live tests, and what everybody said of it in its first seconds.

All are asked at once, because some things last a minute only (TIME_WAIT).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.live import ours, peers
from tests.live.world import World
from tests.support import require

from portside.errors import NotPermitted
from portside.testing.namespaces import Namespace

if TYPE_CHECKING:
    from tests.live.peers import Row

NOBODY = 65534
USERS = {"root": None, "other": NOBODY}
MISSING = pytest.StashKey[list[tuple[str, str]]]()


class Sight:
    """What we and the peers said of the world, each asked once; an answer that could not be had says why."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.looks: dict[tuple[str, str], ours.Look] = {}
        self.rows: dict[tuple[str, str], list[Row]] = {}
        self.psutil_unix_error: str | None = None
        users = {"root": None} if os.geteuid() else USERS
        for user, uid in users.items():
            self._ask(user, uid)
        for road in ("proc", "text"):
            self.looks[road, "root"] = ours.look(world.space, road)

    def _ask(self, user: str, uid: int | None) -> None:
        space = self.world.space
        self.looks["bpf", user] = ours.look(space, "bpf", uid)
        if shutil.which("ss"):
            self.rows["ss", user] = peers.ss(space, uid)
        if shutil.which("netstat"):
            self.rows["netstat", user] = peers.netstat(space, uid)
            self.rows["netstat -l", user] = peers.netstat(space, uid, "-tuUwlnpeeW")
        if shutil.which("lsof"):
            self.rows["lsof", user] = peers.lsof(space, uid)
        if importlib.util.find_spec("psutil"):
            self.rows["psutil", user] = peers.psutil(space, uid)
            self.psutil_unix_error = self._psutil_unix()

    def _psutil_unix(self) -> str:
        try:
            return f"{len(peers.psutil(self.world.space, kind='unix'))} rows"
        except RuntimeError as error:
            return str(error)

    def look(self, road: str, user: str) -> ours.Look:
        """Our snapshot by that road as that user."""
        require((road, user) in self.looks, "needs root, to be another user")
        return self.looks[road, user]

    def said(self, peer: str, user: str) -> list[Row]:
        """The peer's rows as that user."""
        require((peer, "root") in self.rows, f"{peer.split()[0]} is not installed")
        require((peer, user) in self.rows, "needs root, to be another user")
        return self.rows[peer, user]


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest):
    """A namespace in which processes hold every kind of socket."""
    require(shutil.which("ip"), "ip(8) of iproute2 is not installed")
    made = World()
    try:
        made.__enter__()
    except NotPermitted as error:
        require(False, str(error))
    request.config.stash[MISSING] = made.missing
    yield made
    made.close()


@pytest.fixture(scope="session")
def sight(world: World) -> Sight:
    """What we and the peers said of the world."""
    return Sight(world)


@pytest.fixture
def space():
    """An empty namespace of the test's own."""
    made = Namespace()
    try:
        made.__enter__()
    except NotPermitted as error:
        require(False, str(error))
    yield made
    made.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker: hand what the world lacks to the process that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["missing"] = session.config.stash.get(MISSING, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """In the process that reports: take it."""
    told = getattr(node, "workeroutput", {}).get("missing", [])
    node.config.stash[MISSING] = [*node.config.stash.get(MISSING, []), *map(tuple, told)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the world lacks here."""
    for what, why in dict.fromkeys(terminalreporter.config.stash.get(MISSING, [])):
        terminalreporter.write_line(f"not in the live world: {what}: {why}")


@pytest.fixture(scope="session")
def probe_world():
    """Hosts to scan, behind filters, translation, loss and delay."""
    from tests.live.probe_world import ProbeWorld

    require(os.geteuid() == 0, "needs root, to build hosts to scan")
    for command in ("ip", "nft", "sysctl"):
        require(shutil.which(command), f"{command} is not installed")
    with ProbeWorld() as made:
        yield made


@pytest.fixture
def places(tmp_path):
    """Two directories, of the sender and of the receiver."""
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    return tmp_path / "from", tmp_path / "to"
