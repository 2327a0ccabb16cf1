"""What `portside forward` prints of each connection, and rinetd's two kinds of log file.

A line: time, client, where it connected to, target, protocol, bytes in and out, seconds, why it is over.  rinetd's:
tab-separated, or the web servers' common log format (`logcommon`); see rinetd(8), LOGGING.  A disk that takes no more
lines stops no connection: it is told once, and the lines are lost until there is room again.
"""

from __future__ import annotations

import os
import time

from portside.cli.keeping import OUTPUT, Keeper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.cli.output import Output
    from portside.use.forward.events import Event, Statistics
    from portside.use.forward.forwarder import Forwarder
    from portside.use.forward.rules import Configuration

_CONNECTIONS = ("over", "refused", "failed")
_RESULTS = {"over": "done-local-closed", "refused": "not-allowed", "failed": "local-connect-failed"}


class Log:
    """Prints events; writes what a rinetd file asks for."""

    def __init__(self, output: Output, configuration: Configuration) -> None:
        self._output = output
        self._common = configuration.log_common
        self._path = configuration.log
        self._file = -1
        self._keep = Keeper(output.err).keep
        self._pid_file = configuration.pid_file
        if self._path:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o666)

    def begin(self, forwarder: Forwarder, every: float | None) -> None:
        """Write the pid file; print the counters at each interval."""
        if self._pid_file:
            with open(self._pid_file, "w", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n")
        if every:
            self._count(forwarder, every)

    def _count(self, forwarder: Forwarder, every: float) -> None:
        def again() -> None:
            self.statistics(forwarder)
            self._count(forwarder, every)

        forwarder.driver.after(every, again)

    def close(self) -> None:
        """Close the log, take the pid file away."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._pid_file:
            try:
                os.unlink(self._pid_file)
            except OSError:
                pass

    def tell(self, event: Event) -> None:
        """Print an event: one line, at once."""
        if self._file >= 0 and event.kind in _CONNECTIONS:
            text = common_line(event) if self._common else rinetd_line(event)
            self._keep(
                f"'{self._path}'", lambda: os.write(self._file, text.encode("utf-8", "surrogateescape"))
            )
        self._keep(OUTPUT, lambda: self._print(event))

    def _print(self, event: Event) -> None:
        output = self._output
        if output.json:
            from portside.cli.json_lines import write_line

            write_line(output, event.kind, event)
        elif event.kind in (*_CONNECTIONS, "listening"):
            if not output.quiet:
                output.write(f"{output.clean(line(event))}\n")
                output.out.flush()
        else:
            output.note(line(event))

    def statistics(self, forwarder: Forwarder) -> None:
        """Print the counters of each listener."""
        self._keep(OUTPUT, lambda: self._print_statistics(forwarder))

    def _print_statistics(self, forwarder: Forwarder) -> None:
        output = self._output
        for each in forwarder.statistics():
            if output.json:
                from portside.cli.json_lines import write_line

                write_line(output, "counters", each)
            else:
                output.write(f"{output.clean(counters_line(each))}\n")
        output.out.flush()


def line(event: Event) -> str:
    """Return the line of one event."""
    if event.kind == "listening":
        return f"Listening on {event.listen} ({event.protocol})"
    if event.kind == "over":
        path = f"{event.client} > {event.listen} > {event.target} {event.protocol}"
        return f"{_now()} {path} {event.received} in {event.sent} out {event.seconds:.3f} s {event.reason}"
    if event.kind in ("refused", "failed"):
        path = " > ".join(filter(None, (event.client, event.listen, event.target)))
        return f"{_now()} {path} {event.protocol} {event.kind}: {event.reason}"
    words = (event.kind, event.listen, event.target)
    return " ".join(filter(None, words)) + (f": {event.reason}" if event.reason else "")


def counters_line(each: Statistics) -> str:
    """Return the line of one listener's counters."""
    counts = f"{each.open} open, {each.taken} taken, {each.refused} refused, {each.failed} failed"
    return f"{each.listen}: {counts}, {each.received} bytes in, {each.sent} out"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def rinetd_line(event: Event) -> str:
    """Return rinetd's tab-separated line."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    client = event.client.rpartition(":")[0].strip("[]")
    listen, target = (_split(place) for place in (event.listen, event.target))
    fields = (when, client, *listen, *target, str(event.received), str(event.sent), _RESULTS[event.kind])
    return "\t".join(fields) + "\n"


def common_line(event: Event) -> str:
    """Return the line of the common log format, as rinetd fills it."""
    client = event.client.rpartition(":")[0].strip("[]")
    listen, target = (" ".join(_split(place)) for place in (event.listen, event.target))
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    request = (
        f"rinetd-{event.listen.rpartition(':')[2]} {listen} {target} {_RESULTS[event.kind]} {event.received}"
    )
    return f'{client} - - [{when}] "{request}" 200 {event.sent} - -\n'


def _split(place: str) -> tuple[str, str]:
    host, _, port = place.rpartition(":")
    return host.strip("[]") or "-", port or "0"
