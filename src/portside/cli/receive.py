"""`portside receive`: takes one file or directory from `portside send`, or a file from a plain netcat."""

from __future__ import annotations

import sys

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.tls_options import CERTIFICATE, tls_of
from portside.cli.typed import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

_ARGUMENTS = (
    Argument(
        ("listen",),
        "where to listen: 5000 on this host alone, *:5000 on every address, 10.0.0.1:5000, a Unix socket's path",
        "PORT",
    ),
    Argument(
        ("path",),
        "the name to give it, or a directory to put it into (the sender's name, here)",
        "PATH",
        many="?",
    ),
    Argument(("--code",), "only from who knows this one-time code, and encrypted", "CODE", default=""),
    Argument(("-c", "--new-code"), "the same with a code that is made now, and printed for the sender"),
    Argument(
        ("--tls",), "over TLS; without --cert by a certificate made for this once, whose pin is printed"
    ),
    *CERTIFICATE,
    Argument(("--ca",), "only from who has a certificate of these authorities", "FILE", default=""),
    Argument(("--overwrite",), "replace a file that is there"),
    Argument(("--plain",), "a plain netcat sends: exit 0 without a checksum"),
    Argument(("-w", "--timeout"), "seconds to wait for a sender (for ever)", "SECONDS", convert=seconds),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Receive; exit 0 when all is there and its checksums are right, 1 when there was none to compare."""
    from portside.cli.progress import Bar, tell
    from portside.use.transfer.receiving import receive

    code = arguments.code
    if arguments.new_code:
        from portside.use.transfer.sealing import new_code, require_packages

        require_packages()
        code = new_code()
    with Bar(wanted=not (output.quiet or output.json)) as bar:
        got = receive(
            arguments.listen, arguments.path, code=code, tls=tls_of(arguments), overwrite=arguments.overwrite,
            plain=arguments.plain, timeout=arguments.timeout,
            on_listening=lambda places: _listening(places, code if arguments.new_code else ""),
            on_pin=lambda pin: _say(f"Pin: {pin}"), on_progress=bar.show,
            on_refused=lambda address, reason: output.note(f"not taken: {address}: {reason}"),
        )  # fmt: skip
    tell(output, got, "received")
    if not got.confirmed:
        output.note(
            "the sender is a plain netcat: whether this is all of it nobody knows; compare the SHA-256"
        )
    if got.truncated:
        output.note("its TLS ended without close_notify: Ncat's does, and so does one that was cut off")
    return FOUND if got.confirmed or (arguments.plain and not got.truncated) else NOTHING


def _listening(places: list[str], code: str) -> None:
    """Say where, and the code that was made."""
    _say(f"Listening on {', '.join(places)}")
    if code:
        _say(f"Code: {code}")


def _say(line: str) -> None:
    """Say what the sender has to know: on standard error, also with --quiet, for it is needed."""
    print(line, file=sys.stderr, flush=True)


COMMAND = Command(
    "receive",
    "one file or directory from 'portside send', whole or not at all",
    _ARGUMENTS,
    run,
    description="Receive one file or directory.  It is written under a temporary name and renamed when all of it is\n"
    "there and its SHA-256 is the sender's; what a broken transfer has brought is kept for the next.  Nothing that\n"
    "is there already is replaced unless told so, and no name that a sender gives leads out of the directory.",
    examples="  portside receive '*:5000'\n"
    "  portside receive --new-code '*:5000' incoming/\n"
    "  portside receive --tls '*:5000' incoming/\n"
    "  portside receive --plain 5000 notes.txt",
)
