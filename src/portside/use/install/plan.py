"""What is to be done to a host, as a value: files, lines of files that others share, commands; and the way back."""

from __future__ import annotations

from portside.record import Record

Command = tuple[str, ...]


class File(Record):
    """A file of ours: its path, text and mode."""

    path: str
    text: str
    mode: int = 0o644


class Line(Record):
    """A line of ours in a file that others have lines in (/etc/inetd.conf)."""

    path: str
    text: str


class Plan(Record):
    """How a service is installed by one manager.

    `checks` run on the files before anything is switched on; `enable` switches on, `disable` off before the files go;
    `forget` runs after they are gone.  `service` is what the manager calls it; `warnings` are for who reads the plan.
    """

    kind: str
    service: str
    files: tuple[File, ...] = ()
    lines: tuple[Line, ...] = ()
    checks: tuple[Command, ...] = ()
    enable: tuple[Command, ...] = ()
    disable: tuple[Command, ...] = ()
    forget: tuple[Command, ...] = ()
    warnings: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the whole plan as people read it."""
        parts = [f"# {file.path}\n{file.text}" for file in self.files]
        parts += [f"# one line in {line.path}\n{line.text}\n" for line in self.lines]
        parts.append("".join(f"$ {' '.join(map(sh_word, command))}\n" for command in self.enable))
        return "\n".join(part for part in parts if part)


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")


def sh_word(word: str) -> str:
    """Return a word as sh(1) reads it back."""
    return word if word and _PLAIN.issuperset(word) else "'" + word.replace("'", "'\\''") + "'"


def sh_line(words: Command) -> str:
    """Return a command as sh(1) reads it back."""
    return " ".join(map(sh_word, words))
