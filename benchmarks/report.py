"""What a benchmark found, judged against its targets: as text for people, as JSON for `figures.py`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from measure import Result, table

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Target:
    """A figure that was promised: at least (or less than) `limit`; `got` is `nan` where it was not measured."""

    what: str
    limit: float
    got: float
    at_least: bool = True
    unit: str = "times"

    @property
    def met(self) -> bool:
        """Say whether the promise is kept; what was not measured is a miss."""
        return self.got >= self.limit if self.at_least else self.got < self.limit

    def __str__(self) -> str:
        got = "not measured" if math.isnan(self.got) else f"{self.got:.2f} {self.unit}"
        sign = ">=" if self.at_least else "<"
        return f"{'pass' if self.met else 'MISS'}  {self.what}: {got} (target {sign} {self.limit:g})"


@dataclasses.dataclass(frozen=True)
class Section:
    """One question: what was measured for it, the targets it decides, and what a reader should know."""

    name: str
    title: str
    results: Sequence[Result]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [f"{self.title}", table(self.results)]
        lines += [f"  {target}" for target in self.targets]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    @property
    def failed(self) -> list[str]:
        """Return the names of what could not be measured."""
        return [result.name for result in self.results if result.failure]


def to_json(
    sections: Sequence[Section], machine: dict[str, str], peers: dict[str, str], at: str
) -> dict[str, Any]:
    """Return the report as plain values; `from_json` reads its sections back."""
    return {
        "format": FORMAT,
        "at": at,
        "machine": machine,
        "peers": peers,
        "sections": [_section_to_json(section) for section in sections],
    }


def _section_to_json(section: Section) -> dict[str, Any]:
    plain = dataclasses.asdict(section)
    for result in plain["results"]:
        result["seconds"] = [round(seconds, 6) for seconds in result["seconds"]]
    for target in plain["targets"]:
        target["got"] = None if math.isnan(target["got"]) else round(target["got"], 4)
    return plain


def from_json(report: dict[str, Any]) -> list[Section]:
    """Return the sections of a report that `to_json` made."""
    if report.get("format") != FORMAT:
        raise ValueError(f"read report: format {report.get('format')!r} is not {FORMAT}")
    return [_section_from_json(section) for section in report["sections"]]


def _section_from_json(plain: dict[str, Any]) -> Section:
    results = [Result(**(result | {"seconds": tuple(result["seconds"])})) for result in plain["results"]]
    targets = [
        Target(**(target | {"got": math.nan if target["got"] is None else target["got"]}))
        for target in plain["targets"]
    ]
    return Section(plain["name"], plain["title"], results, targets, plain["notes"])
