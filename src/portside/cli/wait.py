"""`portside wait HOST:PORT... [-- COMMAND]`: return when all targets are open, then become the command."""

from __future__ import annotations

import os

from portside.cli.check import item, looking, seconds, told
from portside.cli.command import FOUND, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.probe.look import Verdict

TIMED_OUT = 124  # as timeout(1)
CANNOT_RUN, NOT_FOUND = 126, 127  # as env(1)
_DEFAULT = 60.0

ARGUMENTS = (
    *looking("longest single look at one target (3)"),
    Argument(("-t", "--timeout", "-timeout"), "give up after this time (60; 0: never)", "SECONDS", default=_DEFAULT,
             convert=seconds),
    Argument(("--interval", "-wait-retry-interval"), "longest pause between two looks at a target (1)", "SECONDS",
             default=1.0, convert=seconds),
    Argument(("--any",), "one target is enough"),
    Argument(("-wait",), "a target, as dockerize has it (may be repeated)", "TARGET", default=None, many="append"),
    Argument(("-s", "--strict"), "taken for wait-for-it's sake: the command never runs after a time out"),
)  # fmt: skip


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Wait, say what came, run the command; exit 124 when the time is over."""
    from portside.probe.check import Waiting, missing

    goals, manner = told(arguments, [*arguments.targets, *(arguments.wait or [])])
    waiting = Waiting(goals, manner, closed=arguments.closed, pause=max(arguments.interval, 0.01))
    began = _now()

    def tell(verdict: Verdict) -> None:
        state = "closed" if arguments.closed else "open"
        output.note(f"{verdict.target} is {state} after {_now() - began:.1f} s ({verdict.reason})")

    done = waiting.run(arguments.timeout or None, not arguments.any, tell)
    if output.json:
        output.envelope("check", [item(verdict) for verdict in waiting.verdicts if verdict is not None])
    if not done:
        state = "closed" if arguments.closed else "open"
        for text in missing(waiting):
            output.note(f"not {state} in {arguments.timeout:g} s: {text}")
        return TIMED_OUT
    return _become(arguments.command, output) if arguments.command else FOUND


def _now() -> float:
    import time

    return time.monotonic()


def _become(command: list[str], output: Output) -> int:
    """Become the command (execvp(3)); return only where that fails."""
    output.out.flush()
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        output.note(f"run '{command[0]}': no such program")
        return NOT_FOUND
    except OSError as error:
        output.note(f"run '{command[0]}': {os.strerror(error.errno or 0).lower()}")
        return CANNOT_RUN


COMMAND = Command(
    "wait",
    "until all targets are open (or closed), then run a command",
    ARGUMENTS,
    run,
    description=(
        "Wait until all targets are open, or with --closed until none is; then become COMMAND, if there is one.\n"
        "Targets are those of 'portside check'.  Exit 124 when the time is over, and then COMMAND does not run.\n"
        "Takes the words of wait-for-it (HOST:PORT -t 15 -s -- COMMAND) and of dockerize (-wait tcp://db:5432\n"
        "-timeout 10s) too."
    ),
    examples=(
        "  portside wait db:5432 https://www.example.org/health -- ./server --port 8080\n"
        "  portside wait --closed :8080 -t 30 -- ./server\n"
        "  portside wait -wait tcp://db:5432 -wait unix:///run/db.sock -timeout 10s"
    ),
    tail="command",
)
