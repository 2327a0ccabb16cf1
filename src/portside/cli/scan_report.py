"""What becomes of a scan's results: lines as they come (JSON, list), or a table, XML, grepable lines at the end."""

from __future__ import annotations

import time

from portside.cli import scan_text
from portside.cli.output import iso_time
from portside.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.probe.records import Result
    from portside.probe.scan import Progress, Scan

FORMAT_VERSION = 1


class Report:
    """Takes results as they come and writes them in the forms that were asked for."""

    def __init__(self, arguments: SimpleNamespace, output: Output, scan: Scan, shown: frozenset[str]) -> None:
        asked = [name for name in ("json", "xml", "grepable", "list") if getattr(arguments, name)]
        if len(asked) > 1:
            named = " ".join(f"--{name}" for name in asked)
            raise BadRequest(
                "print", f"'{named}'", "they are several forms of one answer", "choose one of them"
            )
        self.form = asked[0] if asked else "text"
        self.output = output
        self.scan = scan
        self.shown = shown
        self.files = {
            name: path for name, path in (("xml", arguments.oX), ("grepable", arguments.oG)) if path
        }
        # what cannot be written is told before the scan; what is there stays till then
        for path in self.files.values():
            open(path, "a").close()
        self._names = _no_name if arguments.numeric else _names()
        self._kept: list[Result] = []
        self._told: dict[tuple[str, str], int] = {}
        self._hosts: Any = None
        self._line = scan_text.Line(output, scan)
        self._started = time.time()
        if self.files or self.form in ("xml", "grepable"):
            from portside.cli.scan_nmap import Hosts

            self._hosts = Hosts(scan.plan)

    def add(self, batch: list[Result]) -> None:
        """Take results: stream them, or keep them for the end."""
        if self._hosts is not None:
            self._hosts.add(batch)
            batch = [one for one in batch if one.state in self.shown]
        for one in batch:
            self._told[one.state, one.reason] = self._told.get((one.state, one.reason), 0) + 1
        if batch and self.form == "json":
            self._line.erase()
            self._stream(batch)
        elif batch and self.form == "list":
            self._line.erase()
            self.output.write("".join(f"{place(one)}\n" for one in batch if one.state == "open"))
        elif self.form == "text":
            self._kept += batch
        if self.form in ("json", "list"):
            self.flush()
        self._line.draw()

    def flush(self) -> None:
        """Let what was written be seen."""
        self.output.out.flush()

    def _stream(self, batch: list[Result]) -> None:
        import json

        at = iso_time(time.time())
        self.output.write("".join(json.dumps(item(one, at, self._names)) + "\n" for one in batch))

    def end(self) -> None:
        """Write what was kept, and how sure it is."""
        self._line.erase()
        now = self.scan.progress()
        if self.form == "json":
            import json

            self.output.write(json.dumps(summary_item(now, iso_time(time.time()))) + "\n")
        elif self.form == "text":
            rows = sorted(self._kept, key=scan_text.sort_key)
            if rows:
                self.output.table(rows, scan_text.columns(self._names, self.scan.ask))
        else:
            self.output.write("".join(self._pieces(self.form, now)))
        for form, path in self.files.items():
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(self._pieces(form, now))
        self._conclude(now)

    def _pieces(self, form: str, now: Progress) -> Iterator[str]:
        if form == "list":
            return
        from portside.cli import scan_nmap

        hosts = self._hosts.finished(not now.left)
        make = scan_nmap.xml if form == "xml" else scan_nmap.grepable
        yield from make(hosts, scan_nmap.Run(self.scan.plan, now, self._started, self._words(), self._names))

    def _words(self) -> str:
        import sys

        return " ".join(["portside", *sys.argv[1:]])

    def _conclude(self, now: Progress) -> None:
        plan = self.scan.plan
        for line in scan_text.summary(now, self._told, plan.addresses.size, plan.options.retries + 1):
            self.output.note(line)
        for road in self.scan.roads:
            self.output.detail(road)


def place(one: Result) -> str:
    """Return ADDRESS:PORT, as other programs take it."""
    host = f"[{one.address}]" if ":" in one.address else one.address
    return f"{host}:{one.port}"


def item(one: Result, at: str, names: Any) -> dict[str, Any]:
    """Return a line of `kind: scan`; `service` is what answered, `guess` what the number stands for."""
    return {
        "portside": FORMAT_VERSION,
        "kind": "scan",
        "at": at,
        "target": one.target or one.address,
        "address": one.address,
        "protocol": one.protocol,
        "port": one.port,
        "state": one.state,
        "reason": one.reason,
        "source": one.source or None,
        "rtt": one.rtt,
        "ttl": one.ttl,
        "service": one.service or None,
        "guess": names(one.port, one.protocol) or None,
        "banner": one.banner or None,
        "details": dict(one.details),
    }


def summary_item(now: Progress, at: str) -> dict[str, Any]:
    """Return the last line: what was done, `complete` if nothing is left."""
    return {
        "portside": FORMAT_VERSION,
        "kind": "scan-summary",
        "at": at,
        "complete": not now.left,
        "probes": now.total,
        "decided": now.decided,
        "sent": now.sent,
        "answered": now.answered,
        "late": now.late,
        "dropped": now.dropped,
        "states": [{"state": state, "reason": reason, "count": times} for state, reason, times in now.states],
        "seconds": round(now.seconds, 3),
        "methods": list(now.methods),
        "notes": list(now.notes),
    }


def _names() -> Any:
    from portside.see.services import service_names

    return service_names()


def _no_name(_port: int, _transport: str) -> str:
    return ""
