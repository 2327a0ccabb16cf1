"""Streams of events as JSON Lines: one document a line, written at once."""

from __future__ import annotations

import json
import time

from portside.cli.output import FORMAT_VERSION, iso_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.cli.output import Output
    from portside.record import Record


def write_line(output: Output, kind: str, record: Record) -> None:
    """Write one record's fields, with the kind and the time."""
    document = {"portside": FORMAT_VERSION, "kind": kind, "at": iso_time(time.time())}
    output.write(
        json.dumps(document | {name: value for name, value in record.items() if name != "kind"}) + "\n"
    )
    output.out.flush()
