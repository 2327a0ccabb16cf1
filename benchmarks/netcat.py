"""How fast a file goes through a netcat on loopback: ours beside nc.openbsd, ncat and socat.

    python benchmarks/netcat.py [--quick] [--only NAME] [--json FILE] [--check]

A listener writes to a file or to /dev/null, a client reads a file; both are of the same program, or one is ours and
the other nc.openbsd.  One round of each in turn.  The time is from the start of the client, once the listener
listens, to the end of both.  The files are in memory (tmpfs) where 4 GiB twice fit, so that programs are measured and
not a disk; `disk` has them on a disk, once more small enough for the page cache.  The file that is written is there
already, as large, and written over in place: to find 4 GiB of fresh memory takes a virtual machine's host between one
and fifteen seconds here, whatever is measured.
"""

from __future__ import annotations

import os
import shutil
import signal
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
ON_DISK = 1 << 30
ROUNDS = 3
MEMORY = Path("/dev/shm")
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


BOTH, SENDER, RECEIVER = "portside nc", "portside nc to nc.openbsd", "nc.openbsd to portside nc"


def programs(options: Options) -> dict[str, tuple[str, str]]:
    """Return our commands, those of the peers that are here, and one of each."""
    listener, client = (f"{options.portside} nc {words} 127.0.0.1 {{port}}" for words in ("-l", "-N"))
    peers = {name: pair for name, pair in PEERS.items() if shutil.which(pair[0].split()[0])}
    mixed = {}
    if "nc.openbsd" in peers:
        theirs = peers["nc.openbsd"]
        mixed = {SENDER: (theirs[0], client), RECEIVER: (listener, theirs[1])}
    return {BOTH: (listener, client)} | peers | mixed


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
    with source.open("rb") as given, sink.open("r+b") as taken:
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
    """Measure every program, round after round; the source has just been written, so the caches are warm."""
    pairs, rounds = programs(options), options.rounds or (1 if options.quick else ROUNDS)
    seconds: dict[str, list[float]] = {name: [] for name in pairs}
    failures: dict[str, str] = {}
    for _ in range(rounds):
        for name, pair in pairs.items():
            try:
                took = transfer(pair, source, sink)
                if sink != Path(os.devnull) and not alike(source, sink):
                    failures[name] = "the file is not whole"
            except (OSError, subprocess.SubprocessError) as error:
                failures[name] = str(error)
                continue
            seconds[name].append(took)
    return [Result(name, tuple(seconds[name]), failure=failures.get(name, "")) for name in pairs]


def alike(source: Path, sink: Path) -> bool:
    """Whether one is the other's copy; then spoil a byte of every piece, so that the next copy has to be one too."""
    same = True
    with source.open("rb") as given, sink.open("r+b") as taken:
        for place in range(0, source.stat().st_size, CHUNK):
            here, there = (os.pread(file.fileno(), 1, place) for file in (given, taken))
            same = same and here == there
            os.pwrite(taken.fileno(), bytes([here[0] ^ 0xFF]), place)
    return same and source.stat().st_size == sink.stat().st_size


def question(where: str, options: Options) -> Section:
    """Send a file to a file in memory, to a file on a disk, or to /dev/null."""
    size = SMALL if options.quick else ON_DISK if where == "disk" else SIZE
    with tempfile.TemporaryDirectory(dir=None if where == "disk" else roomy(2 * size)) as directory:
        source = Path(directory) / "source"
        piece = os.urandom(CHUNK)
        with source.open("wb") as file:
            for _ in range(size // CHUNK):
                file.write(piece)
        sink = Path(os.devnull) if where == "null" else Path(directory) / "sink"
        if where != "null":
            shutil.copyfile(source, sink)
            alike(source, sink)
        results = in_turn(options, source, sink)
    to = {"null": "/dev/null", "file": "a file", "disk": "a file, both on a disk"}[where]
    return Section(
        f"netcat-{where}",
        f"{size >> 20:,} MiB from a file to {to}",
        results,
        targets(results),
        [f"{result.name}: {size / result.median / 1e9:.2f} GB/s" for result in results if result.seconds],
    )


def roomy(size: int) -> Path | None:
    """Return where files are kept in memory if there is room for so many bytes, and as many for others; else None."""
    if not MEMORY.is_dir():
        return None
    told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = min(shutil.disk_usage(MEMORY).free, int(told["MemAvailable"].split()[0]) << 10)
    return MEMORY if free > size + SIZE else None


def targets(results: list[Result]) -> list[Target]:
    """Return what was promised: as fast as the quickest of the others; beside one of them as fast as two of it."""
    found = {result.name: result for result in results if result.seconds}
    theirs = [result for name, result in found.items() if name in PEERS]
    if not theirs or BOTH not in found:
        return []
    best = min(theirs, key=lambda result: result.median)
    made = [Target(f"{BOTH} as fast as {best.name}", 1.0, ratio(best, found[BOTH]))]
    for name in (SENDER, RECEIVER):
        if name in found:
            made.append(Target(f"{name} as fast as nc.openbsd", 1.0, ratio(found["nc.openbsd"], found[name])))
    return made


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


QUESTIONS = {name: partial(question, name) for name in ("file", "null", "disk")}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the files in memory go with us
    sys.exit(run(__doc__, QUESTIONS, versions))
