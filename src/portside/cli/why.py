"""`portside why PORT`, `portside why HOST:PORT`: the steps in order, which one fails, and what mends it."""

from __future__ import annotations

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.output import display_width
from portside.cli.typed import typed_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.see.records import Gap
    from portside.see.why.steps import Step, Walk
    from portside.system.attempt import Target

_MARKS = {"passed": ("passed", "green"), "failed": ("FAILED", "red"), "could not tell": ("?", "yellow")}
_INDENT = 8


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 600:
        raise ValueError(f"'{text}' is not a number of seconds from 0.05 to 600")
    return seconds


ARGUMENTS = (
    Argument(
        ("target",),
        "a local port, or a host and a port to connect to ([::1]:443); with /tcp or /udp if you like",
        "PORT|HOST:PORT",
    ),
    Argument(
        ("--to",), "the question: to connect, to bind, or both (auto: both for PORT, connect for HOST:PORT)",
        default="auto", choices=("auto", "bind", "connect"),
    ),
    Argument(("--tls",), "say hello to a TLS server as well, and verify its certificate"),
    Argument(("--timeout",), "how long an attempt may take (5)", "SECONDS", default=5.0, convert=_seconds),
)  # fmt: skip


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Walk the steps and print them; exit 1 when one failed."""
    walk = _ask(arguments)
    if output.json:
        output.envelope("why", [_item(walk, step) for step in walk.steps], _gaps(walk))
    else:
        output.write("".join(f"{line}\n" for line in _lines(walk, output)))
    return NOTHING if walk.failed else FOUND


def _ask(arguments: SimpleNamespace) -> Walk:
    from portside.errors import BadRequest
    from portside.see import why

    host, port, protocol = _target(arguments.target)
    to = "" if arguments.to == "auto" else arguments.to
    if host:
        return why.why_host(
            host, port, protocol, to or why.CONNECT, timeout=arguments.timeout, tls=arguments.tls,
            firewall=_firewall,
        )  # fmt: skip
    if arguments.tls:
        raise BadRequest(
            "look into", f"'{arguments.target}'", "--tls takes a host", f"write localhost:{port}"
        )
    return why.why_port(port, protocol, to)


def _firewall(target: Target, source: str) -> Step:
    """Ask the firewall's rules, which are read only where somebody wants to know."""
    from portside.cli import why_firewall

    return why_firewall.judge(target, source)


def _target(text: str) -> tuple[str, int, str]:
    """Split `8080`, `53/udp`, `example.org:https`, `[::1]:80` into host (empty: local), port and protocol."""
    from portside.errors import BadRequest

    host, colon, port = text.rpartition(":")
    if not colon:
        return "", *typed_port(text)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        bracketed = f"write [{host}]:{port}"
        raise BadRequest("read", f"'{text}'", "an IPv6 address before a port takes brackets", bracketed)
    if not host or not port:
        raise BadRequest("read", f"'{text}'", "a host and a port are written HOST:PORT")
    return host, *typed_port(port)


def _lines(walk: Walk, output: Output) -> Iterator[str]:
    failed = len(walk.failed)
    verdict = f"{failed} of {len(walk.steps)} steps failed" if failed else "nothing failed"
    yield f"{output.clean(walk.asked)}: {verdict}"
    names = [_name(step) for step in walk.steps]
    width = max(map(display_width, map(output.clean, names)), default=0)
    room = output.width()
    for name, step in zip(names, walk.steps, strict=True):
        mark, style = _MARKS[step.outcome]
        head = f"{output.style(f'{mark:<6}', style)}  {output.clean(name):<{width}}  "
        yield from _folded(head, output.clean(step.evidence), _INDENT + width + 2, room)
        if step.mend:
            yield f"{'':{_INDENT}}{'mend it':<{width}}  {output.style(output.clean(step.mend), 'bold')}"


def _name(step: Step) -> str:
    return f"{step.name} {step.target}" if step.target else step.name


def _folded(head: str, text: str, indent: int, room: int | None) -> Iterator[str]:
    """Fold a sentence at blanks so that it stays right of its name; a command is never folded."""
    if room is None or indent + 20 > room:
        yield head + text
        return
    line, start = "", head
    for word in text.split(" "):
        if line and display_width(f"{line} {word}") > room - indent:
            yield start + line
            line, start = word, " " * indent
        else:
            line = f"{line} {word}" if line else word
    yield start + line


def _gaps(walk: Walk) -> list[Gap]:
    """Return the steps that could not be told as what is missing from the answer."""
    from portside.see.records import Gap

    unknown = (step for step in walk.steps if step.outcome == "could not tell")
    return [Gap(_name(step), step.evidence, 1, step.mend) for step in unknown]


def _item(walk: Walk, step: Step) -> dict[str, Any]:
    """An item of `kind: why`."""
    return {
        "asked": walk.asked,
        "step": step.name,
        "target": step.target or None,
        "outcome": step.outcome,
        "evidence": step.evidence,
        "mend": step.mend or None,
        "facts": dict(step.facts),
    }


COMMAND = Command(
    "why",
    "why a port cannot be bound, reached or connected to, and what mends it",
    ARGUMENTS,
    run,
    description=(
        "Walk the steps in order and tell of each whether it passed, failed, or could not be told, the evidence,\n"
        "and the command that mends it.  PORT: what is bound, does it listen, is its holder stopped, is its queue\n"
        "full, may it be bound.  HOST:PORT: the name, the route, this host's limits, the attempt, TLS.  Nothing is\n"
        "changed: a bind is let go of at once, a connection closed at once.  Exit 1 when a step failed."
    ),
    examples=(
        "  portside why 8080\n  portside why 80 --to bind\n  portside why example.org:443 --tls\n"
        "  portside why '[2001:db8::1]:22' --json"
    ),
)
