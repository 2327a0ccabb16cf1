"""How fast a file goes through a netcat on loopback: ours beside nc.openbsd, ncat and socat.

    python benchmarks/netcat.py [--quick] [--only NAME] [--json FILE] [--check]

A listener writes to a file or to /dev/null, a client of the same family reads a file; both are of the same program.
One round of each in turn.  The time is from the start of the client, once the listener listens, to the end of both.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from entry import Options, run
from measure import Result, ratio
from report import Section, Target

SIZE = 4 << 30
SMALL = 16 << 20
ROUNDS = 5
PATIENCE = 30.0
CHUNK = 1 << 20

# name -> listener and client; {port} is free, both standard streams are given
PEERS = {
    "nc.openbsd": ("nc.openbsd -l 127.0.0.1 {port}", "nc.openbsd -N 127.0.0.1 {port}"),
    "ncat": ("ncat -l 127.0.0.1 {port}", "ncat --send-only 127.0.0.1 {port}"),
    "socat -b 1M": (
        "socat -u -b 1048576 TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr STDOUT",
        "socat -u -b 1048576 STDIN TCP:127.0.0.1:{port}",
    ),
}


def programs(options: Options) -> dict[str, tuple[str, str]]:
    """Return our commands and those of the peers that are here."""
    ours = options.portside
    found = {
        "portside nc": (f"{ours} nc -l 127.0.0.1 {{port}}", f"{ours} nc -N 127.0.0.1 {{port}}"),
        "portside ncat": (
            f"{ours} ncat -l 127.0.0.1 {{port}}",
            f"{ours} ncat --send-only 127.0.0.1 {{port}}",
        ),
    }
    return found | {name: pair for name, pair in PEERS.items() if shutil.which(pair[0].split()[0])}


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_listener(port: int) -> None:
    """Wait until the kernel has a listener at the port, without connecting to it."""
    wanted, end = f"0100007F:{port:04X}", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        if any(row[1:2] == [wanted] and row[3] == "0A" for row in rows):
            return
        time.sleep(0.002)
    raise TimeoutError(f"nothing listens at {port}")


def transfer(pair: tuple[str, str], source: Path, sink: Path) -> float:
    """Send a file from one to the other; return the seconds it took."""
    port = free_port()
    listener, client = (text.format(port=port).split() for text in pair)
    with source.open("rb") as given, sink.open("wb") as taken:
        listening = subprocess.Popen(listener, stdin=subprocess.DEVNULL, stdout=taken)
        try:
            await_listener(port)
            began = time.perf_counter()
            subprocess.run(client, stdin=given, check=True, timeout=10 * PATIENCE)
            listening.wait(10 * PATIENCE)
            return time.perf_counter() - began
        finally:
            listening.kill()
            listening.wait()


def in_turn(options: Options, source: Path, sink: Path) -> list[Result]:
    """Measure every program, round after round; a first round that does not count warms the caches."""
    pairs, rounds = programs(options), options.rounds or (1 if options.quick else ROUNDS)
    seconds: dict[str, list[float]] = {name: [] for name in pairs}
    failures: dict[str, str] = {}
    for counts in [False] * (not options.quick) + [True] * rounds:
        for name, pair in pairs.items():
            try:
                took = transfer(pair, source, sink)
                if sink != Path(os.devnull) and sink.stat().st_size != source.stat().st_size:
                    failures[name] = "the file is not whole"
            except (OSError, subprocess.SubprocessError) as error:
                failures[name] = str(error)
                continue
            if counts:
                seconds[name].append(took)
    return [Result(name, tuple(seconds[name]), failure=failures.get(name, "")) for name in pairs]


def question(to_file: bool, options: Options) -> Section:
    """Send a file of 4 GiB to a file, or to /dev/null."""
    size = SMALL if options.quick else SIZE
    where = "file" if to_file else "null"
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        source = Path(directory) / "source"
        with source.open("wb") as file:
            for _ in range(size // CHUNK):
                file.write(os.urandom(CHUNK))
        sink = Path(directory) / "sink" if to_file else Path(os.devnull)
        results = in_turn(options, source, sink)
    return Section(
        f"netcat-{where}",
        f"{size >> 20} MiB from a file to {'a file' if to_file else '/dev/null'}",
        results,
        targets(results),
        [f"{result.name}: {size / result.median / 1e9:.2f} GB/s" for result in results if result.seconds],
    )


def targets(results: list[Result]) -> list[Target]:
    """Return what was promised: at least as fast as the quickest of the others."""
    ours, theirs = results[0], [result for result in results[2:] if result.seconds]
    best = min(theirs, key=lambda result: result.median, default=None)
    if best is None:
        return []
    return [Target(f"portside nc as fast as {best.name}", 1.0, ratio(best, ours))]


def versions() -> dict[str, str]:
    """Return the peers' versions."""
    found = {}
    for name, words in (
        ("ncat", ["ncat", "--version"]),
        ("socat", ["socat", "-V"]),
        ("nc", ["nc.openbsd", "-h"]),
    ):
        if shutil.which(words[0]):
            done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
            lines = [line for line in (done.stdout + done.stderr).splitlines() if any(map(str.isdigit, line))]
            found[name] = lines[0].strip() if lines else ""
    return found


QUESTIONS = {"file": partial(question, True), "null": partial(question, False)}

if __name__ == "__main__":
    sys.exit(run(__doc__, QUESTIONS, versions))
