"""Measure commands fairly: in turn, round after round, each with its whole output read through a pipe.

Time is wall clock from before the start of the command to the end of its output and of the process.  Peak memory is
the kernel's ru_maxrss of that process (getrusage(2)); what a fork of this interpreter itself needs shows up in it as
a floor, which is measured too.  One round that does not count comes first, so that caches and byte code are warm for
everybody.  Medians are compared; the best and the worst round are kept beside them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence, Sized
from pathlib import Path

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Command:
    """A command to measure; fewer than `lines` lines of output mean that it did not do the work."""

    name: str
    argv: tuple[str, ...]
    lines: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """What the rounds of one command or call gave: seconds of each, peak bytes, lines of output, why it failed."""

    name: str
    seconds: tuple[float, ...]
    peak: int = 0
    lines: int = 0
    failure: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rounds in seconds, `nan` if the command failed."""
        return statistics.median(self.seconds) if self.seconds and not self.failure else float("nan")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a command."""

    seconds: float
    peak: int
    lines: int
    status: int
    said: str


def run(argv: Sequence[str]) -> Run:
    """Run a command to its end, reading what it prints as fast as it comes."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as errors:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ]
        began = time.perf_counter()
        pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=actions)
        os.close(writer)
        lines = 0
        while chunk := os.read(reader, MIB):
            lines += chunk.count(b"\n")
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - began
        os.close(reader)
        errors.seek(0)
        said = errors.read(2000).decode(errors="replace").strip()
    return Run(seconds, usage.ru_maxrss * 1024, lines, os.waitstatus_to_exitcode(status), said)


def in_turn(commands: Sequence[Command], rounds: int) -> list[Result]:
    """Measure the commands one after the other, `rounds` times, after one round to warm up."""
    runs: dict[str, list[Run]] = {command.name: [] for command in commands}
    failures: dict[str, str] = {}
    for number in range(rounds + 1):
        for command in commands:
            if command.name in failures:
                continue
            done = attempt(command)
            if isinstance(done, str):
                failures[command.name] = done
            elif number:
                runs[command.name].append(done)
    return [_result(command.name, runs[command.name], failures.get(command.name, "")) for command in commands]


def attempt(command: Command) -> Run | str:
    """Run the command once; return why it failed where it did not do its work."""
    try:
        done = run(command.argv)
    except OSError as error:
        return f"cannot run {command.argv[0]!r}: {(error.strerror or '').lower()}"
    if done.status < 0 or done.lines < command.lines:
        last = done.said.splitlines()[-1:] or [""]
        return f"status {done.status}, {done.lines} lines of {command.lines}: {last[0]}"
    return done


def _result(name: str, runs: list[Run], failure: str) -> Result:
    return Result(
        name,
        tuple(run.seconds for run in runs),
        max((run.peak for run in runs), default=0),
        max((run.lines for run in runs), default=0),
        failure,
    )


def calls_in_turn(calls: dict[str, Callable[[], Sized | int]], rounds: int) -> list[Result]:
    """Measure calls in this process in turn, as `in_turn` does commands; counting and freeing what they return is
    not part of their time."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    found = dict.fromkeys(calls, 0)
    for number in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            returned = call()
            took = time.perf_counter() - began
            found[name] = returned if isinstance(returned, int) else len(returned)
            del returned
            if number:
                seconds[name].append(took)
    return [Result(name, tuple(seconds[name]), 0, found[name]) for name in calls]


def peak_floor() -> int:
    """Return the peak memory that any command seems to need, measured on one that needs next to nothing."""
    return run(["true"]).peak


def ratio(slower: Result, faster: Result) -> float:
    """Return how many times longer the first takes than the second; `nan` where that took no time that shows."""
    return slower.median / faster.median if faster.median else math.nan


def table(results: Sequence[Result]) -> str:
    """Return the results as aligned text."""
    rows: list[tuple[str, ...]] = [("", "median", "best", "worst", "rounds", "peak", "lines")]
    for result in results:
        if result.failure:
            rows.append((result.name, "failed", result.failure, "", "", "", ""))
            continue
        numbers = [milliseconds(pick(result.seconds)) for pick in (statistics.median, min, max)]
        peak = f"{result.peak / MIB:.0f} MiB" if result.peak else ""
        rows.append((result.name, *numbers, str(len(result.seconds)), peak, str(result.lines)))
    widths = [max(len(row[column]) for row in rows if row[1] != "failed") for column in range(7)]
    widths[0] = max(len(row[0]) for row in rows)
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    name = f"  {row[0]:<{widths[0]}}"
    if row[1] == "failed":
        return f"{name}  failed: {row[2]}"
    cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
    return "  ".join([name, *cells]).rstrip()


def milliseconds(seconds: float) -> str:
    """Return a duration as people compare them: milliseconds, with a decimal below a hundred."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"


def machine() -> dict[str, str]:
    """Return what the figures depend on: kernel, processor, cores, memory, Python, load at the start."""
    processor = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": processor or "not told",
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "not root",
        "load at the start": f"{os.getloadavg()[0]:.2f}",
        "files open at the start": Path("/proc/sys/fs/file-nr").read_text().split()[0],
    }


VERSIONS = {
    "ss": (["ss", "-V"], "iproute2-"),
    "netstat": (["netstat", "--version"], "net-tools "),
    "lsof": (["lsof", "-v"], "revision: "),
}


def versions() -> dict[str, str]:
    """Return the peers' versions, `missing` for one that is not installed."""
    found = {}
    for name, (argv, before) in VERSIONS.items():
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
        except FileNotFoundError:
            found[name] = "missing"
            continue
        words = (done.stdout + done.stderr).partition(before)[2].split()
        found[name] = words[0].rstrip(",") if words else "not told"
    try:
        import psutil

        found["psutil"] = str(psutil.__version__)
    except ImportError:
        found["psutil"] = "missing"
    return found


if __name__ == "__main__":
    print(
        machine(), versions(), table(in_turn([Command("python -c pass", (sys.executable, "-c", "pass"))], 5))
    )
