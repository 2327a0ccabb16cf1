"""The command line that all benchmarks share: which questions, how large, and where the figures go.

A benchmark is a table of questions: name -> a function from `Options` to the `Section` that answers it.
"""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import datetime
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import measure
from report import Section, to_json

ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Options:
    """What was asked for: the command to measure, a small load or the whole, rounds (0: as the question has them)."""

    portside: str
    quick: bool = False
    rounds: int = 0


Question = Callable[[Options], Section]


def run(
    about: str,
    questions: Mapping[str, Question],
    versions: Callable[[], dict[str, str]] = measure.versions,
    arguments: list[str] | None = None,
) -> int:
    """Measure, print, and say by the exit code what --check asks for; `versions` tells those of the peers."""
    options = parser(about, questions).parse_args(arguments)
    compileall.compile_dir(str(ROOT / "src"), quiet=1)  # as an installation leaves it
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    machine, peers = measure.machine(), versions()
    for facts in (machine, peers):
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(flush=True)
    sections = []
    for name in options.only or questions:
        sections.append(questions[name](Options(options.portside, options.quick, options.rounds)))
        print(sections[-1], flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(to_json(sections, machine, peers, at), indent=1) + "\n")
    return verdict(sections, judged=not options.quick) if options.check else 0


def verdict(sections: list[Section], judged: bool) -> int:
    """Return 1 if something could not be measured or, where targets are judged, one was missed."""
    failed = [name for section in sections for name in section.failed]
    missed = [target for section in sections for target in section.targets if judged and not target.met]
    return 1 if failed or missed else 0


def parser(about: str, questions: Mapping[str, Question]) -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description=about.partition("\n")[0])
    made.add_argument(
        "--quick", action="store_true", help="small and few: shows that it works, judges nothing"
    )
    made.add_argument(
        "--only", action="append", choices=list(questions), help="only this question (may be repeated)"
    )
    made.add_argument("--rounds", type=int, default=0, help="rounds of each command")
    made.add_argument("--json", metavar="FILE", help="write the figures, for figures.py")
    made.add_argument("--check", action="store_true", help="exit with 1 when a target was missed")
    beside = Path(sys.executable).with_name("portside")
    made.add_argument("--portside", default=str(beside), help="the command to measure (default: %(default)s)")
    return made
