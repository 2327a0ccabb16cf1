"""`portside free PORT`: end what holds a port, after showing it, and look whether it is free then."""

from __future__ import annotations

import sys

from portside.cli.command import FAILED, FOUND, NOTHING, Argument, Command
from portside.cli.output import cut
from portside.cli.typed import typed_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.see.free import Choice, Close, Plan, Signal, Stop
    from portside.see.freeing import Outcome, Result


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ValueError(f"'{text}' is not a number of seconds from 0 to 3600")
    return seconds


ARGUMENTS = (
    Argument(("port",), "a number or a service name, with /tcp or /udp if you like", "PORT"),
    Argument(("-y", "--yes"), "do not ask"),
    Argument(("--dry-run",), "show what would be done, and do nothing"),
    Argument(
        ("--grace",),
        "how long a process may take after TERM before KILL (5)",
        "SECONDS",
        default=5.0,
        convert=_seconds,
    ),
    Argument(("--socket",), "close the sockets in the kernel and leave their processes alone"),
    Argument(("--process",), "signal the processes even where a unit or a container would start them again"),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Plan, show, ask, do, and tell what came of it; exit 0 when the port is free."""
    from portside.see import freeing
    from portside.see.free import Choice

    choice = Choice(arguments.socket, arguments.process, arguments.grace)
    port, transport = typed_port(arguments.port)
    plan = freeing.make_plan(port, transport, choice)
    if not output.json:
        output.write("".join(f"{line}\n" for line in _fitted(_plan_lines(plan, choice), output)))
    if plan.left:
        output.note(f"free {plan.name}: nothing was done, because the port would stay taken")
        return _conclude(plan, None, FAILED if _refused(plan) else NOTHING, output)
    if not plan.steps:
        result = freeing.verify(plan)
        return _conclude(plan, result, FOUND if result.free else NOTHING, output)
    if arguments.dry_run:
        return _conclude(plan, None, FOUND, output)
    if not arguments.yes and not _asked(plan, output):
        output.note("nothing was done")
        return _conclude(plan, None, NOTHING, output)
    result = freeing.carry_out(plan, choice)
    return _conclude(plan, result, FOUND if result.free else NOTHING, output)


def _refused(plan: Plan) -> bool:
    """Whether a right is missing: then it is an error, with the sudo line."""
    return any("sudo" in left.next_step for left in plan.left)


def _asked(plan: Plan, output: Output) -> bool:
    """Ask on the terminal; raises BadRequest where there is nobody to ask."""
    from portside.errors import BadRequest

    if not sys.stdin or not sys.stdin.isatty() or output.json:
        raise BadRequest(
            "free", plan.name, "there is no terminal to ask on", "add --yes, or look with --dry-run"
        )
    print(f"free {plan.name}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _plan_lines(plan: Plan, choice: Choice) -> Iterator[str]:
    from portside.cli.port_table import address_text
    from portside.see.free import Close, Signal

    if plan.sockets:
        places = sorted({f"{one.protocol} {address_text(one.local)} ({one.state})" for one in plan.sockets})
        yield f"{plan.name} is taken: {', '.join(places)}"
    elif plan.steps:
        yield f"nothing holds {plan.name}, but there are shadows of its connections"
    if plan.connections and (plan.steps or plan.left):
        count = len(plan.connections)
        yield f"  {count} connection{'s' if count > 1 else ''} on it: not signalled"
    closes = [step for step in plan.steps if isinstance(step, Close)]
    if closes:
        yield f"  close {len(closes)} socket{'s' if len(closes) > 1 else ''} in the kernel; no process is ended"
    for step in plan.steps:
        if not isinstance(step, Close):
            yield from _step_lines(step)
    if any(isinstance(step, Signal) for step in plan.steps):
        yield f"  by TERM, and KILL to what has the port after {choice.grace:g} s"
    for left in plan.left:
        yield f"  {left.what}: {left.why}" + (f"; {left.next_step}" if left.next_step else "")


def _step_lines(step: Signal | Stop) -> Iterator[str]:
    from portside.cli.port_table import shortened, since_text
    from portside.see.free import Stop
    from portside.system.systemctl import command

    if isinstance(step, Stop):
        yield f"  run '{' '.join(command(('stop', *step.units), step.user))}', because systemd would start it again"
        return
    process = step.process
    user = process.user or ("?" if process.uid is None else str(process.uid))
    since, line = since_text(process.started), shortened(" ".join(process.cmdline))
    yield f"  end {process.name or '?'} {process.pid}, {user}'s since {since}: {line}"
    if step.ours:
        yield "    this very command runs below it: its end may be the end of your session"


def _conclude(plan: Plan, result: Result | None, code: int, output: Output) -> int:
    """Tell the outcome as text or JSON and return the exit code."""
    if output.json:
        output.envelope("free", [_item(plan, result)])
        return code
    if result is None:
        return code
    lines = [_outcome_text(outcome) for outcome in result.outcomes if not _silent(outcome)]
    output.write("".join(f"{line}\n" for line in _fitted(iter([*lines, _verdict(plan, result)]), output)))
    return code


def _silent(outcome: Outcome) -> bool:
    """Whether an outcome is one of many that only say that a socket was closed."""
    from portside.see.free import Close

    return isinstance(outcome.step, Close) and outcome.done


def _outcome_text(outcome: Outcome) -> str:
    from portside.see.free import Close, Stop

    step = outcome.step
    if isinstance(step, Stop):
        what = " ".join(step.units)
    elif isinstance(step, Close):
        what = f"{step.socket.protocol} {step.socket.local.address}:{step.socket.local.port}"
    else:
        what = f"{step.process.name or '?'} {step.process.pid}"
    when = f" ({outcome.seconds:.1f} s)" if outcome.seconds >= 0.05 else ""
    return f"{what}: {outcome.how}{when}"


def _verdict(plan: Plan, result: Result) -> str:
    from portside.see.freeing import WITH_REUSEADDR

    if not result.free:
        text = f"{plan.name} is not free"
    elif result.bindable == WITH_REUSEADDR:
        text = f"{plan.name} is free for a server that sets SO_REUSEADDR"
    else:
        text = f"{plan.name} is free"
    return (
        text
        + (f": {result.why}" if result.why else "")
        + (f"; {result.next_step}" if result.next_step else "")
    )


def _fitted(lines: Iterator[str], output: Output) -> Iterator[str]:
    width = output.width()
    for line in lines:
        clean = output.clean(line)
        yield cut(clean, width) if width is not None and line.startswith("  end ") else clean


def _item(plan: Plan, result: Result | None) -> dict[str, Any]:
    """The one item of `kind: free`; `free` is null where nothing was tried."""
    from portside.cli import json_form

    outcomes = {id(one.step): one for one in result.outcomes} if result else {}
    return {
        "port": plan.port,
        "protocol": plan.protocol or None,
        "free": result.free if result else None,
        "bindable": result.bindable if result else None,
        "why": (result.why or None) if result else None,
        "next_step": (result.next_step or None) if result else None,
        "sockets": [json_form.socket(one) for one in plan.sockets],
        "connections": len(plan.connections),
        "steps": [_step_item(step) | _done(outcomes.get(id(step))) for step in plan.steps],
        "left": [{"what": one.what, "why": one.why, "next_step": one.next_step or None} for one in plan.left],
    }


def _step_item(step: Signal | Stop | Close) -> dict[str, Any]:
    from portside.cli import json_form
    from portside.see.free import Close, Stop
    from portside.system.systemctl import command

    if isinstance(step, Stop):
        return {
            "action": "stop-unit",
            "units": list(step.units),
            "command": " ".join(command(("stop", *step.units), step.user)),
        }
    if isinstance(step, Close):
        return {"action": "close-socket", "cookie": step.socket.cookie, "state": step.socket.state}
    return {
        "action": "signal",
        "process": json_form.process(step.process),
        "fds": [number for number, _ in step.held],
    }


def _done(outcome: Outcome | None) -> dict[str, Any]:
    return {"done": outcome.done if outcome else None, "how": outcome.how if outcome else None}


COMMAND = Command(
    "free",
    "end what holds a port, after showing it",
    ARGUMENTS,
    run,
    description=(
        "Show what holds a local port, ask, and end it: TERM, then KILL.  A systemd unit is stopped by systemctl,\n"
        "because systemd would start it again; of a container the line that stops it is told.  Who merely has a\n"
        "connection is never signalled.  Exit 0 when the port is free afterwards (or was before), 1 when it is not."
    ),
    examples="  portside free 8080\n  portside free 53/udp --dry-run\n  portside free 8080 --yes --grace 1",
)
