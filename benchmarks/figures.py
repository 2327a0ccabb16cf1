"""Write docs/figures.md and the README's figures from what the benchmarks' `--json` left in benchmarks/results/."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from measure import MIB, Result, milliseconds
from report import Section, from_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SOURCE = RESULTS / "see.json"  # the README's
PAGE = ROOT / "docs" / "figures.md"
README = ROOT / "README.md"
MARKS = "<!-- figures -->\n", "<!-- /figures -->"

OPENING = """\
# Figures

Measured by the programs in `benchmarks/`, which run ours and the peers' commands in turn, in throw-away network
namespaces, and compare the medians; written by `benchmarks/figures.py` from `benchmarks/results/`: edit neither.
`make figures` measures anew (as root, many minutes).  What a command prints is read to its end, through a pipe.
"""


def reports() -> dict[str, dict[str, Any]]:
    """Return what each benchmark measured, by its name; `see` is the first."""
    files = sorted(RESULTS.glob("*.json"), key=lambda file: (file != SOURCE, file.name))
    return {file.stem: json.loads(file.read_text()) for file in files}


def page(reports: dict[str, dict[str, Any]]) -> str:
    """Return the page for the reports of all benchmarks."""
    parts = [OPENING]
    for name, report in reports.items():
        parts += [f"# {name}\n", f"`benchmarks/{name}.py`.", _facts(report)]
        parts += [_section(section) for section in from_json(report)]
    return "\n".join(parts)


def _facts(report: dict[str, Any]) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    peers = ", ".join(f"{name} {value}" for name, value in report["peers"].items())
    return f"Measured at {report['at']}.\nMachine: {machine}.\nPeers: {peers}.\n"


def _section(section: Section) -> str:
    lines = [f"## {section.title}", "", "| | median | best | worst | rounds | peak memory | lines |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    lines += [_row(result) for result in section.results]
    if section.targets:
        lines += ["", "| target | wanted | measured | |", "|---|--:|--:|---|"]
    for target in section.targets:
        wanted = f"{'>=' if target.at_least else '<'} {target.limit:g}"
        lines.append(f"| {target.what} | {wanted} | {target.got:.2f} | {'pass' if target.met else 'MISS'} |")
    lines += ["", *(f"{note[0].upper()}{note[1:]}.\n" for note in section.notes)]
    return "\n".join(lines)


def _row(result: Result) -> str:
    name = f"`{result.name}`" if "," not in result.name else f"`{result.name.replace(', ', '`, ', 1)}"
    if result.failure:
        return f"| {name} | failed: {result.failure} | | | | | |"
    times = " | ".join(milliseconds(pick(result.seconds)) for pick in (statistics.median, min, max))
    peak = f"{result.peak / MIB:.0f} MiB" if result.peak else ""
    return f"| {name} | {times} | {len(result.seconds)} | {peak} | {result.lines:,} |"


# what, section, ours, theirs: the rows of the README's table, by the names that see.py gives
_ROWS = (
    ("every socket with its owners", "everything", "portside list -a", "ss -tanp"),
    ("the same", "everything", "portside list -a", "lsof -Pnl -i4"),
    ("from Python", "library", "portside.sockets()", "psutil.net_connections()"),
    (
        "from Python, every record read",
        "library",
        "portside.sockets(), every record read",
        "psutil.net_connections(), every record read",
    ),
    (
        "who listens on one port",
        "one-port",
        "portside list 'sport = 7000', 100,101 sockets",
        "ss -tlnp sport = :7000, 100,101 sockets",
    ),
)


def summary(report: dict[str, Any]) -> str:
    """Return the few figures that the README shows."""
    took = {
        (section.name, result.name): statistics.median(result.seconds)
        for section in from_json(report)
        for result in section.results
    }
    lines = ["Beside 100,101 TCP sockets that 100 processes hold (2 cores, medians):", ""]
    lines += ["| | portside | | peer | | faster |", "|---|---|--:|---|--:|--:|"]
    for what, section, ours, theirs in _ROWS:
        one, other = took[section, ours], took[section, theirs]
        cells = (what, _command(ours), milliseconds(one), _command(theirs), milliseconds(other))
        lines.append(f"| {' | '.join(cells)} | {other / one:.1f} times |")
    names = ("portside", "python3 -c pass", "ss -tulnp")
    idle = ", ".join(f"`{name}` {milliseconds(took['idle', name])}" for name in names)
    return "\n".join([*lines, "", f"On an idle host: {idle}.", _MORE, ""])


def _command(name: str) -> str:
    return f"`{name.partition(',')[0]}`"


_MORE = "All of them, and how they were measured: [figures](docs/figures.md)."


def with_summary(readme: str, report: dict[str, Any]) -> str:
    """Return the README with the figures between its marks made anew."""
    before, rest = readme.split(MARKS[0])
    return before + MARKS[0] + summary(report) + MARKS[1] + rest.split(MARKS[1])[1]


if __name__ == "__main__":
    measured = reports()
    PAGE.write_text(page(measured))
    if SOURCE.stem in measured:
        README.write_text(with_summary(README.read_text(), measured[SOURCE.stem]))
