"""What every listing does with its rows: choose columns, sort, print as a table, CSV or JSON, tell the gaps."""

from __future__ import annotations

from portside.cli.command import FOUND, INCOMPLETE, NOTHING
from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Column, Output
    from portside.see.records import Gap
    from portside.see.snapshot import Snapshot


class Listing(Record):
    """One kind of listing: its JSON kind and item, its columns by name, and those shown by default."""

    kind: str
    item: Callable[[Any], dict[str, Any]]
    columns: dict[str, Column]
    default: tuple[str, ...]

    def choose(self, names: str | None) -> list[Column]:
        """Return the columns named in a comma-separated list, the default ones for None."""
        wanted = self.default if names is None else [name.strip() for name in names.split(",")]
        for name in wanted:
            if name not in self.columns:
                known = ", ".join(self.columns)
                raise BadRequest(
                    "show", f"column '{name}'", "there is no such column", f"choose from {known}"
                )
        return [self.columns[name] for name in wanted]

    def sort(self, rows: Sequence[Any], names: str | None) -> Sequence[Any]:
        """Return the rows sorted by a comma-separated list of columns, the first counting most."""
        for name in reversed([] if names is None else names.split(",")):
            column = self.choose(name.strip().removeprefix("-"))[0]
            rows = sorted(rows, key=column.key or column.cell, reverse=name.strip().startswith("-"))
        return rows

    def show(
        self, rows: Sequence[Any], snapshot: Snapshot, arguments: SimpleNamespace, output: Output
    ) -> int:
        """Print the rows in the form asked for and return the exit code."""
        if output.json and arguments.csv:
            raise BadRequest(
                "print", "'--json --csv'", "they are two forms of one answer", "choose one of them"
            )
        columns = self.choose(arguments.columns)
        rows = self.sort(rows, arguments.sort)
        gaps = snapshot.gaps
        if output.json:
            items = [self.item(row) for row in rows]
            output.envelope(self.kind, items, gaps, at=snapshot.at, host=snapshot.host.name())
        elif arguments.csv:
            output.csv(rows, columns, header=not arguments.no_header)
        else:
            output.table(rows, columns, header=not arguments.no_header)
        return conclude(len(rows), gaps, arguments, output)


def conclude(count: int, gaps: Sequence[Gap], arguments: SimpleNamespace, output: Output) -> int:
    """Tell the gaps, unless JSON did, and return the exit code of a listing with so many rows."""
    if not output.json:
        output.gaps(gaps)
    if arguments.strict and gaps:
        return INCOMPLETE
    return FOUND if count else NOTHING
