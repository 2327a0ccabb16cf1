"""The command line: `portside [COMMAND] ...`; with no command it is `portside list`.

`main` looks the command up by name and imports that one file alone: starting fast is a promise a test keeps.
"""

from __future__ import annotations

import errno
import os
import sys

from portside.errors import PortsideError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from portside.cli.command import Command

# name -> one line of help, in the order of `portside --help`; each is a module of this package
COMMANDS = {
    "list": "one row per open port: who holds it, where it is bound, since when",
    "who": "everything about one port: holders, listeners, connections by peer",
    "why": "why a port cannot be bound, reached or connected to, and what mends it",
    "free": "end what holds a port, after showing it",
    "pick": "free ports that nobody else is given for a minute",
    "tune": "the kernel's settings about ports: what they do here, and set them",
    "open": "let a port be reached, through whoever keeps it closed",
    "close": "let nobody new reach a port",
    "block": "let nothing from an address come in",
    "unblock": "take addresses out of what is blocked",
    "redirect": "send what comes for a port to another one",
    "confirm": "keep the changes that were made with --confirm",
    "undo": "take a change back: exactly ours, nothing else",
    "changes": "the changes we made to the firewall, and what became of them",
    "install": "a program on a port that survives a reboot",
    "uninstall": "take away what 'portside install' made, and only that",
    "scan": "which ports of which hosts answer, and why the others do not",
    "check": "is it open, now: one verdict for each target, with the reason",
    "wait": "until all targets are open (or closed), then run a command",
    "name": "what the registries say about a service name or port number",
    "serve": "echo, discard, chargen, qotd, users, daytime, time: small servers over TCP and UDP",
    "echo": "the echo client: sends, prints what came back, and how long it took",
    "send": "a file or a directory to 'portside receive', checked by SHA-256, resumed if it broke",
    "receive": "one file or directory from 'portside send', whole or not at all",
    "forward": "relay TCP, UDP and Unix sockets from listeners to targets, half-close kept",
    "reach": "who can get to each open port, and which rule of the firewall decides",
    "rules": "the port rules in force, whoever made them, as one table",
    "doctor": "what this kernel and this user can do, and what is missing for more",
    "faces": "run as ss, netstat, lsof, sockstat: list the faces, or make links of their names",
}
_BEFORE_COMMAND = ("-q", "--quiet", "-v", "--verbose", "--json", "--color", "auto", "always", "never")

# what writing to a file, a full disk or a closed descriptor fails with
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG)


def entry() -> NoReturn:
    """Run as the installed command: `main`, without what only a long-running program needs.

    One answer leaves nothing that is worth collecting (--watch switches it on again), and the process ends without
    taking the interpreter apart: together 2 ms of each run.
    """
    import gc

    gc.disable()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:  # main has told what can be told
            pass
    os._exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are told on standard error, never as a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    if sys.stderr is None:  # closed (2>&-): print would put the notes on standard output instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (to the end)
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "closed")
        face = _called_as() if arguments is None else ""
        code = _face(face, words) if face else _dispatch(words)
        sys.stdout.flush()
    except PortsideError as error:
        return _failed(str(error))
    except BrokenPipeError:  # the reader went away: nothing to say
        _abandon_output()
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        if error.filename or error.errno not in _OUTPUT_ERRORS:
            return _failed(f"use '{error.filename}': {reason}" if error.filename else f"run: {reason}")
        _abandon_output()
        return _failed(f"write output: {reason}")
    return code


def _abandon_output() -> None:
    """Let what is left unwritten go nowhere: Python would complain when it flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AttributeError, OSError):  # closed, or not a file
        pass


def _failed(text: str) -> int:
    """Tell an error; what it quotes may be hostile, but its lines are ours (a filter's error points with one)."""
    from portside.cli.output import clean

    try:
        print("portside: " + "\n".join(map(clean, text.split("\n"))), file=sys.stderr)
    except OSError:  # then there is nowhere left to say it
        pass
    return 2


def _dispatch(words: list[str]) -> int:
    name = words[0] if words else "list"
    if name == "help" and words[1:]:
        name, words = words[1], [words[1], "--help"]
    if name in ("-h", "--help", "help"):
        return _help()
    if name in ("-V", "--version"):
        from portside import __version__

        print(f"portside {__version__}")
        return 0
    if name.startswith("-"):
        return _run(*_after_options(words))
    if name not in COMMANDS:
        from portside.faces import FACES

        if name in FACES:
            return _face(name, words[1:])
        raise _unknown(name)
    return _run(name, words[1:])


def _called_as() -> str:
    """Return the face whose name the command was started by (through a link), empty if by its own."""
    name = os.path.basename(sys.argv[0])
    if name in ("portside", "__main__.py"):
        return ""
    from portside.faces import FACES

    return name if name in FACES else ""


def _face(name: str, words: list[str]) -> int:
    """Import the face's module alone and run it."""
    module = __import__(f"portside.faces.{name}", fromlist=["main"])
    code: int = module.main(words)
    return code


def _after_options(words: list[str]) -> tuple[str, list[str]]:
    """Find the command behind common options (`portside -q who 80`); without one it is `list`."""
    for place, word in enumerate(words):
        if word in COMMANDS:
            return word, words[:place] + words[place + 1 :]
        if word not in _BEFORE_COMMAND and not word.startswith("--color="):
            break
    return "list", words


def load(name: str) -> Command:
    """Import one command's file and return its COMMAND."""
    module = __import__(f"portside.cli.{name}", fromlist=["COMMAND"])
    command: Command = module.COMMAND
    return command


def _run(name: str, words: list[str]) -> int:
    from portside.cli.command import defaults
    from portside.cli.output import Output

    command = load(name)
    arguments = None if words else defaults(command)
    if arguments is None:
        from portside.cli.parsing import parse

        try:
            arguments = parse(command, words)
        except SystemExit as stop:  # argparse has said what it had to say
            return stop.code if isinstance(stop.code, int) else 2
    return command.run(arguments, Output(arguments))


def _help() -> int:
    from portside.faces import FACES

    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    faces = [f"  {name:<{width}}  {text}" for name, text in FACES.items()]
    print(
        "usage: portside [COMMAND] [OPTION...]\n\n"
        "See the network ports of this host: which are open, who holds them, who could reach them.\n"
        "Without a command: portside list.\n\ncommands:\n" + "\n".join(lines) + "\n\n"
        "the tools you know, flag for flag:\n" + "\n".join(faces) + "\n\n"
        "portside COMMAND --help tells more; portside --version the version."
    )
    return 0


def _unknown(name: str) -> PortsideError:
    from difflib import get_close_matches

    from portside.errors import BadRequest

    close = get_close_matches(name, COMMANDS, 1)
    if close:
        meant = f"'portside {close[0]}'"
    elif name.partition("/")[0].isdecimal():
        meant = f"'portside who {name}'"
    else:
        meant = f'portside list "{name}"' if " " in name or "=" in name else ""
    hint = f"did you mean {meant}?" if meant else "see 'portside --help'"
    return BadRequest("run", f"'{name}'", "there is no such command", hint)
