"""A plan: the steps to a change and the steps back, as plain values that print and that a file can keep.

A step is one of four: a command with its input; a file with its new content (or none: it goes); lines of ours to take
out of a file, whatever else became of it; rules of ours to take out of a chain, found by their comment.
`to_plain` and `from_plain` carry a plan through JSON.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

SHOWN = 25  # lines of a step's input that people are shown


class Run(Record):
    """Run a command; `may_fail` where its failure changes nothing that was promised."""

    argv: tuple[str, ...]
    input: str = ""
    may_fail: bool = False


class Write(Record):
    """Give a file this content, by a new file that takes its name; None takes the file away."""

    path: str
    content: str | None
    mode: int = 0o644


class Drop(Record):
    """Take these lines out of a file; those that are not there are not missed."""

    path: str
    lines: tuple[str, ...]


class Pull(Record):
    """Take the rules with this comment out of a chain that nftables shows."""

    family: str
    table: str
    chain: str
    comment: str


Step = Run | Write | Drop | Pull


class Plan(Record):
    """How a change is made, in whose words, and how it is taken back.

    `manager` is who keeps the rules (`portside` for our own table), `notes` what a reader should know.
    """

    manager: str
    steps: tuple[Step, ...]
    back: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def then(self, other: Plan) -> Plan:
        """Return both, one after the other; back in the opposite order."""
        manager = ", ".join(dict.fromkeys(filter(None, (self.manager, other.manager))))
        return Plan(manager, self.steps + other.steps, other.back + self.back, self.notes + other.notes)


def describe(steps: Iterable[Step]) -> str:
    """Return the steps as a person at a shell would type them."""
    return "".join(_described(step) for step in steps)


def _described(step: Step) -> str:
    import shlex  # who only lists changes does not need it

    if isinstance(step, Run):
        line = shlex.join(step.argv)
        if not step.input:
            return line + "\n"
        return f"{line} <<'END'\n{_shortened(step.input)}END\n"
    if isinstance(step, Write):
        if step.content is None:
            return f"rm {shlex.quote(step.path)}\n"
        return f"cat >{shlex.quote(step.path)} <<'END'\n{_shortened(step.content)}END\n"
    if isinstance(step, Drop):
        return "".join(
            f"sed -i {shlex.quote(f'/^{line}$/d')} {shlex.quote(step.path)}\n" for line in step.lines
        )
    return f"nft delete rule {step.family} {step.table} {step.chain} handle …  # {step.comment}\n"


def _shortened(text: str) -> str:
    lines = [line if len(line) < 400 else line[:400] + " …" for line in text.splitlines()]
    rest = len(lines) - SHOWN
    if rest > 0:
        lines[SHOWN:] = [f"… {rest:,} lines more"]
    return "".join(f"{line}\n" for line in lines)


_KINDS: dict[str, type[Step]] = {"run": Run, "write": Write, "drop": Drop, "pull": Pull}


def without_lines(text: str, lines: Sequence[str]) -> str:
    """Return a text without these lines, each taken out once."""
    left = list(lines)
    kept = []
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        if bare in left:
            left.remove(bare)
        else:
            kept.append(line)
    return "".join(kept)


def to_plain(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return the steps as values that JSON has."""
    names = {kind: name for name, kind in _KINDS.items()}
    return [{"kind": names[type(step)], **dict(step.items())} for step in steps]


def from_plain(plain: Any) -> tuple[Step, ...]:
    """Return the steps that `to_plain` made plain; BadReply for anything else."""
    try:
        return tuple(_step(dict(one)) for one in plain)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadReply("read plan", "", f"it is not one of ours: {error}") from error


def _step(plain: dict[str, Any]) -> Step:
    kind = _KINDS[plain.pop("kind")]
    if kind is Run:
        plain["argv"] = tuple(plain["argv"])
    if kind is Drop:
        plain["lines"] = tuple(plain["lines"])
    return kind(**plain)
