"""When each netcat tells of an end of file and when it ends: ours beside its model, every row of one table.

The peer is a plain socket.  `told`: our input ends; is the peer told?  `then`: does the program end by itself after
that, and not before so many seconds?  `peer`: the peer has ended, our input is open and silent; does the program end?
`data`: the same, our input being a file that the peer takes no byte of before it has ended; does all of it arrive?
Two words with a bar are the model's and ours: the differences that docs/comparison.md gives the reasons of.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time

import pytest
from tests.netcats import Started, await_listener

TABLE = """
program        ours         options        role      told  then    peer       data
nc.openbsd     nc           -              client    no    runs    runs       whole
nc.openbsd     nc           -              listener  no    runs    ends       part|whole
nc.openbsd     nc           -N             client    yes   runs    runs       whole
nc.openbsd     nc           -N             listener  yes   runs    ends       part|whole
nc.openbsd     nc           -q_1           client    yes   runs|1  runs       whole
nc.openbsd     nc           -q_1           listener  yes   1       1|ends     part|whole
nc.traditional traditional  -              client    no    runs    ends       part|whole
nc.traditional traditional  -              listener  no    runs    ends       part|whole
nc.traditional traditional  -q_0           client    yes   ends    ends       part|whole
nc.traditional traditional  -q_0           listener  yes   ends    ends       part|whole
nc.traditional traditional  -q_1           client    yes   1       ends       part|whole
nc.traditional traditional  -q_1           listener  yes   1       ends       part|whole
busybox        busybox      -              client    yes   runs    ends       part|whole
busybox        busybox      -              listener  yes   runs    ends       part|whole
ncat.real      ncat         -              client    yes   runs    runs|ends  whole
ncat.real      ncat         -              listener  yes   runs    ends       part|whole
ncat.real      ncat         --no-shutdown  client    no    runs    runs|ends  whole
ncat.real      ncat         --no-shutdown  listener  no    runs    ends       part|whole
ncat.real      ncat         --send-only    client    yes   ends    runs       whole
ncat.real      ncat         --send-only    listener  yes   ends    runs       whole
ncat.real      ncat         --recv-only    client    no    runs    ends       none
ncat.real      ncat         --recv-only    listener  yes   runs    ends       none
none           ncat         -k             client    yes   runs    runs       whole
socat          none         -t_1           client    yes   1       1          whole
socat          none         -t_1           listener  yes   1       1          whole
"""
SIZE = 24 << 20  # more than the kernel takes for a peer that does not read
WATCHED = 1.5  # seconds after which what runs on is taken to run on
DEADLINE = 60.0


class Row:
    """One program in one role, started with a socket at its other end."""

    def __init__(self, words, theirs):
        program, ours, options, role, *self.expected = words
        self.name = program if theirs else ours
        self.name = "busybox nc" if theirs and ours == "busybox" else self.name
        self.listens = role == "listener"
        self.options = [] if options == "-" else options.split("_")
        self.label = f"{self.name} {' '.join(self.options)} {role}"
        self.expected = [cell.split("|")[0 if theirs else -1] for cell in self.expected]

    def meet(self, **streams):
        """Start it, return it with the connected peer."""
        if not self.listens:
            with socket.create_server(("127.0.0.1", 0)) as server:
                server.settimeout(DEADLINE)
                started = Started(self.name, *self.words(server.getsockname()[1]), **streams)
                return started, server.accept()[0]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started = Started(self.name, *self.words(port), **streams)
        await_listener(port)
        return started, socket.create_connection(("127.0.0.1", port))

    def words(self, port):
        if self.name == "socat":
            place = f"TCP-LISTEN:{port},bind=127.0.0.1" if self.listens else f"TCP:127.0.0.1:{port}"
            return [*self.options, place, "STDIO"]
        if not self.listens:
            return [*self.options, "127.0.0.1", port]
        if self.name in ("nc.traditional", "traditional", "busybox", "busybox nc"):
            return [*self.options, "-l", "-p", port]
        return [*self.options, "-l", "127.0.0.1", port]


LINES = [line.split() for line in TABLE.strip().splitlines()[1:]]
ROWS = [Row(words, True) for words in LINES if words[0] != "none"]
ROWS += [Row(words, False) for words in LINES if words[1] != "none"]
TOLD, THEN, PEER, DATA = range(4)
BATCH = 8  # rows at a time: they wait together
BATCHES = [ROWS[start : start + BATCH] for start in range(0, len(ROWS), BATCH)]
batches = pytest.mark.parametrize("rows", BATCHES, ids=[f"{rows[0].label}..." for rows in BATCHES])


def until_they_end(processes, began):
    """Return for each process after how many seconds it ended, None for those that run on.

    Those that are to end are waited for; the others are watched for a while.
    """
    found = {}
    while time.monotonic() < began + DEADLINE:
        for place, (process, ends) in enumerate(processes):
            if place not in found and process.poll() is not None:
                found[place] = time.monotonic() - began
            assert not (ends is None and place in found), f"row {place} ended"
        waits = any(ends is not None for place, (_, ends) in enumerate(processes) if place not in found)
        if not waits and time.monotonic() > began + WATCHED:
            break
        time.sleep(0.02)
    return [found.get(place) for place in range(len(processes))]


def judge(rows, started, column, began):
    """Hold when the programs end against a column of the table."""
    expected = [row.expected[column] for row in rows]
    after = {"runs": None, "ends": 0.0}
    wanted = [float(word) if word not in after else after[word] for word in expected]
    found = until_they_end(list(zip([each.process for each in started], wanted, strict=True)), began)
    for row, ends, took in zip(rows, wanted, found, strict=True):
        assert (took is None) == (ends is None), (row.label, ends, took)
        assert ends is None or took >= ends - 0.1, (row.label, ends, took)


@batches
def test_the_end_of_our_input(rows):
    with contextlib.ExitStack() as stack:
        started, peers = met_by_all(rows, stack)
        for row, each, peer in zip(rows, started, peers, strict=True):
            if "--recv-only" not in row.options:
                each.writes(b"x")
                assert peer.recv(1) == b"x"
        began = time.monotonic()
        for each in started:
            each.ends_input()
        judge(rows, started, THEN, began)
        for row, each, peer in zip(rows, started, peers, strict=True):
            runs = row.expected[THEN] == "runs"
            assert hears_an_end(peer, runs) == (row.expected[TOLD] == "yes" or not runs), row.label
            if runs:  # what the peer sends still arrives, and its end is the end
                peer.sendall(b"late")
                assert each.reads(4) == b"late", row.label
                peer.close()
                assert each.ends(DEADLINE) == 0, row.label


def met_by_all(rows, stack, **streams):
    started, peers = [], []
    for row in rows:
        each, peer = row.meet(**streams)
        stack.enter_context(each)
        stack.enter_context(peer)
        peer.settimeout(DEADLINE)
        started.append(each)
        peers.append(peer)
    return started, peers


def hears_an_end(peer, may_be_silent):
    peer.settimeout(0.3 if may_be_silent else DEADLINE)  # what is told has long been told
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    finally:
        peer.settimeout(DEADLINE)


@batches
def test_the_end_of_the_peer(rows):
    with contextlib.ExitStack() as stack:
        started, peers = met_by_all(rows, stack)
        for row, each, peer in zip(rows, started, peers, strict=True):
            if "--send-only" not in row.options:
                peer.sendall(b"last")
                assert each.reads(4) == b"last", row.label
        began = time.monotonic()
        for peer in peers:
            peer.shutdown(socket.SHUT_WR)
        judge(rows, started, PEER, began)
        for row, each, peer in zip(rows, started, peers, strict=True):
            if row.expected[PEER] == "runs":  # and it still sends
                each.writes(b"still")
                assert peer.recv(5) == b"still", row.label


@batches
def test_the_end_of_the_peer_while_our_input_has_data(rows, tmp_path):
    (tmp_path / "in").write_bytes(os.urandom(1 << 10) * (SIZE >> 10))
    for row in rows:
        with (tmp_path / "in").open("rb") as file:
            each, peer = row.meet(stdin=file, stdout=subprocess.DEVNULL)
        with each, peer:
            peer.settimeout(DEADLINE)
            peer.shutdown(socket.SHUT_WR)
            if row.expected[DATA] == "part":  # it must have seen the end before it is read from
                time.sleep(0.2)
            size = taken(peer)
            found = "whole" if size == SIZE else "part" if size else "none"
            assert found == row.expected[DATA], (row.label, size)


def taken(peer):
    size, buffer = 0, bytearray(1 << 20)
    while got := peer.recv_into(buffer):
        size += got
    return size
