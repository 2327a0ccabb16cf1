"""The record of a step: a question with an answer, its evidence, and the one command that mends it."""

from __future__ import annotations

import os

from portside.record import Record

PASSED, FAILED, UNKNOWN = "passed", "failed", "could not tell"


class Step(Record):
    """One step of a walk.

    `name` is what is looked at, `target` what it is looked at for (an address; empty: the port itself).  `outcome` is
    `passed`, `failed` or `could not tell`.  `evidence` is one sentence, `mend` a command as a shell takes it, empty
    where no command mends it.  `facts` are numbers and names for programs.
    """

    name: str
    outcome: str
    evidence: str
    mend: str = ""
    target: str = ""
    facts: tuple[tuple[str, object], ...] = ()


class Walk(Record):
    """The steps in order, and what was asked (`8080`, `example.org:443`)."""

    asked: str
    steps: tuple[Step, ...]

    @property
    def failed(self) -> tuple[Step, ...]:
        """The steps that failed."""
        return tuple(step for step in self.steps if step.outcome == FAILED)


def as_root(command: str) -> str:
    """Return a command that takes root as this user must type it."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def all_as_root(commands: str) -> str:
    """Return the same of several commands in a row."""
    return commands if os.geteuid() == 0 else f"sudo sh -c '{commands}'"


def plural(count: int, word: str) -> str:
    """Return `1 connection`, `2 connections`."""
    return f"{count} {word}{'' if count == 1 else 's'}"
