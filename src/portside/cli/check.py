"""`portside check HOST:PORT...`: one look at each target, one verdict for each, with the reason."""

from __future__ import annotations

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.probe.goals import Goal
    from portside.probe.look import Manner, Verdict

_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Turn `10`, `10s`, `500ms`, `1m` or `1h` into seconds."""
    number = text.rstrip("smh")
    try:
        value = float(number) * _UNITS[text[len(number) :]]
    except (ValueError, KeyError):
        raise ValueError(f"'{text}' is not a time: write 10, 10s, 500ms or 1m") from None
    if not 0 <= value <= 1e9:
        raise ValueError(f"'{text}' is not a time from 0 on")
    return value


def statuses(text: str) -> tuple[int, ...]:
    """Turn `200,204,300-399` into the statuses it names."""
    found: list[int] = []
    for item in text.split(","):
        first, dash, last = item.strip().partition("-")
        low, high = first, last if dash else first
        if not all(part.isascii() and part.isdecimal() and len(part) == 3 for part in (low, high)):
            raise ValueError(f"'{item.strip()}' is not a status: write 200, or 200-299")
        found += range(int(low), int(high) + 1)
    return tuple(found)


def looking(timeout: str) -> tuple[Argument, ...]:
    """Return what `check` and `wait` both take; `timeout` is the help of theirs for one look."""
    return (
        Argument(("targets",), "HOST:PORT, HOST PORT, udp://, tls://, http(s)://, a path, file://", "TARGET",
                 many="*"),
        Argument(("-w", "--look-timeout"), timeout, "SECONDS", default=3.0, convert=seconds),
        Argument(("--closed",), "wish for the opposite: nothing open there"),
        Argument(("-u", "--udp"), "ports without a transport are UDP's"),
        Argument(("--data",), "what UDP is asked with, with \\n, \\x00 and the like (default: by the port)", "TEXT",
                 default=None),
        Argument(("--status",), "HTTP statuses that count as open (200-399)", "CODES", default=(), convert=statuses),
        Argument(("-k", "--insecure"), "do not verify certificates"),
        Argument(("--ca",), "verify certificates by this file of authorities", "FILE", default=""),
        Argument(("--pin",), "know the server by its public key: sha256:...", "PIN", default=""),
        Argument(("-z",), "taken for nc's sake: nothing is sent to TCP anyway"),
        Argument(("-n", "--numeric"), "taken for nc's sake"),
    )  # fmt: skip


def told(arguments: SimpleNamespace, words: list[str]) -> tuple[list[Goal], Manner]:
    """Return the goals and the manner of what was typed; BadRequest where there is no goal."""
    from portside.errors import BadRequest
    from portside.ports.registry import Registry
    from portside.probe.goals import parse_goals
    from portside.probe.look import Manner
    from portside.system.services import read_services

    if not words:
        raise BadRequest("check", "", "no targets", "name some: db:5432, https://db/health, /run/db.sock")
    if arguments.ca:
        with open(arguments.ca, "rb"):  # main tells why not
            pass
    if arguments.pin:
        from portside.wire.pins import parse_pin

        parse_pin(arguments.pin)
    goals = parse_goals(words, udp=arguments.udp, registry=Registry(read_services()))
    try:
        payload = (
            None
            if arguments.data is None
            else arguments.data.encode().decode("unicode_escape").encode("latin-1")
        )
    except (UnicodeError, ValueError) as error:
        raise BadRequest(
            "read data", repr(arguments.data), "an escape in it means nothing", "write \\x00, \\n"
        ) from error
    return goals, Manner(
        max(arguments.look_timeout, 0.001),
        arguments.status,
        arguments.insecure,
        arguments.ca,
        payload,
        arguments.pin,
    )


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Look once; exit 0 when all are open (with --closed: none is), else 1."""
    from portside.probe.check import look_at

    goals, manner = told(arguments, arguments.targets)
    verdicts = look_at(goals, manner)
    if output.json:
        output.envelope("check", [item(verdict) for verdict in verdicts])
    else:
        output.table(verdicts, COLUMNS, header=len(verdicts) > 1)
    good = all(one.known and not one.open if arguments.closed else one.open for one in verdicts)
    return FOUND if good else NOTHING


def item(verdict: Verdict) -> dict[str, Any]:
    """Return an item of `kind: check`."""
    return {
        "target": verdict.target,
        "address": verdict.address or None,
        "open": verdict.open,
        "reason": verdict.reason,
        "rtt": verdict.rtt,
        "detail": verdict.detail or None,
    }


def word(verdict: Verdict) -> str:
    """Return what a verdict comes to: open, closed, or unknown where this host could not look."""
    return "open" if verdict.open else "not open" if verdict.known else "unknown"


def _rtt(verdict: Verdict) -> str:
    from portside.cli.scan_text import milliseconds

    return milliseconds(verdict.rtt)


COLUMNS = (
    Column("target", "TARGET", lambda one: one.target, shrink=4),
    Column("verdict", "VERDICT", word, style=lambda one: "green" if one.open else "red"),
    Column("reason", "REASON", lambda one: one.reason),
    Column("address", "ADDRESS", lambda one: one.address, shrink=2),
    Column("rtt", "RTT", _rtt, right=True, shrink=3),
    Column("detail", "DETAIL", lambda one: one.detail, shrink=1),
)

COMMAND = Command(
    "check",
    "is it open, now: one verdict for each target, with the reason",
    looking("longest look at one target (3)"),
    run,
    description=(
        "Look at each target once, all side by side: a TCP or UDP port, a TLS server, an HTTP status, a Unix\n"
        "socket, a file.  Exit 0 when all are open (with --closed: when none is), 1 when not, 2 on an error.\n"
        "Takes the words of nc -z too: portside check -z -w 2 db 5432-5434."
    ),
    examples=(
        "  portside check db:5432 https://www.example.org/health tls://db:5433 /run/db.sock\n"
        "  portside check --closed :8080\n"
        "  portside check -u --data 'ping\\n' 127.0.0.1:6000"
    ),
)
