"""Run inside the namespace as a script: `stage.py DIRECTORY`.  Forks the cast, stays until its standard input ends.

As a subreaper it inherits whoever loses its parent, so that at the end it can wait for every process of the world.
If the maker of the world is killed, SIGTERM comes from the kernel (PR_SET_PDEATHSIG) and the end is the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3)))

from tests.live.cast import families, holders, inet, local, tcp
from tests.live.cast.actor import Actor, die_with_parent, libc, perform

PR_SET_CHILD_SUBREAPER = 36


def main(directory: str) -> None:
    """Fork the cast, tell how many roles there are, stay until standard input ends, then end everybody."""
    signal.signal(signal.SIGTERM, lambda *_: os.dup2(os.open(os.devnull, os.O_RDONLY), 0))  # an end of input
    die_with_parent(signal.SIGTERM)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.chdir(directory)
    roles = [role for module in (inet, tcp, families, local, holders) for role in module.ROLES]
    children: list[int] = []
    try:
        for role in roles:
            children.append(start(role, directory))
        Actor("stage", directory)._tell("roles", [role.__name__ for role in roles])
        while os.read(0, 1):
            pass
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        reap()
        shutil.rmtree(directory, ignore_errors=True)


def start(role: object, directory: str) -> int:
    """Fork one role's process."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        actor = Actor(role.__name__, directory)  # type: ignore[attr-defined]
        perform(actor, role, (), actor.done)
    return child


def reap() -> None:
    """Wait for every child, and for those that were handed to us when theirs died; all have been killed."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main(sys.argv[1])
