"""When each dialect tells of an end of file and when it ends, as measured of its model; peer: a plain socket."""

from __future__ import annotations

import socket
import time

import pytest
from tests.netcats import PATIENCE, Started

NEVER, AT_ONCE = None, 0.0
# face, its options; the end of our input: is the peer told, do we end by ourselves and after how long;
# the peer's end while our input is open: do we end, and after how long
TABLE = [
    ("nc", "", False, NEVER, NEVER),
    ("nc", "-N", True, NEVER, NEVER),
    ("nc", "-q 1", True, 1.0, 1.0),
    ("traditional", "", False, NEVER, AT_ONCE),
    ("traditional", "-q 0", True, AT_ONCE, AT_ONCE),
    ("traditional", "-q 1", True, 1.0, AT_ONCE),
    ("busybox", "", True, NEVER, AT_ONCE),
    ("ncat", "", True, NEVER, AT_ONCE),
    ("ncat", "-k", True, NEVER, NEVER),
    ("ncat", "--no-shutdown", False, NEVER, AT_ONCE),
    ("ncat", "--send-only", True, AT_ONCE, None),
]
IDS = [f"{face} {options}".strip() for face, options, *_ in TABLE]
SLACK = 0.5  # seconds that a loaded machine may take


def met(face, options):
    """Start a client of a plain socket; return both."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        started = Started(face, *options.split(), "127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
    peer.settimeout(SLACK)
    return started, peer


def ended_after(started, limit):
    """Return how long it ran on, None if it still runs at the limit."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        if started.process.poll() is not None:
            return time.monotonic() - began
        time.sleep(0.01)
    return None


def agrees(found, wanted):
    return found is None if wanted is None else found is not None and wanted - 0.1 <= found <= wanted + SLACK


@pytest.mark.parametrize(("face", "options", "told", "ends", "_"), TABLE, ids=IDS)
def test_the_end_of_our_input(face, options, told, ends, _):
    started, peer = met(face, options)
    with started, peer:
        started.writes(b"x")
        assert peer.recv(1) == b"x"
        started.ends_input()
        try:
            heard = peer.recv(1) == b""
        except TimeoutError:
            heard = False
        assert heard == told
        if ends is None:  # it goes on: what the peer sends still arrives
            assert started.process.poll() is None
            peer.sendall(b"late")
            assert started.reads(4) == b"late"
            peer.close()
            assert started.ends() == 0
        else:
            assert agrees(ended_after(started, ends + SLACK), ends)


@pytest.mark.parametrize(("face", "options", "_", "__", "ends"), TABLE[:-1], ids=IDS[:-1])
def test_the_end_of_the_peer(face, options, _, __, ends):
    started, peer = met(face, options)
    with started, peer:
        peer.sendall(b"last")
        peer.shutdown(socket.SHUT_WR)
        assert started.reads(4) == b"last"
        found = ended_after(started, (ends or 0) + SLACK)
        assert agrees(found, ends)
        if ends is None:
            started.writes(b"still")
            peer.settimeout(PATIENCE)
            assert peer.recv(5) == b"still"
