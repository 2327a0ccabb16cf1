"""`portside send`: a file or a directory to where `portside receive` or a plain netcat listens."""

from __future__ import annotations

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.tls_options import CERTIFICATE, tls_of
from portside.cli.typed import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

_ARGUMENTS = (
    Argument(("file",), "a file, or a directory with all below it", "FILE"),
    Argument(
        ("target",), "where it is received: HOST:PORT, [ADDRESS]:PORT, a Unix socket's path", "HOST:PORT"
    ),
    Argument(
        ("--code",), "the receiver's one-time code: proves who is there, and encrypts", "CODE", default=""
    ),
    Argument(("--tls",), "over TLS, once the receiver has proven who it is"),
    Argument(("--pin",), "by its public key: sha256:..., as the receiver printed it", "PIN", default=""),
    Argument(
        ("--ca",), "by a certificate of these authorities for its name (the host's own)", "FILE", default=""
    ),
    *CERTIFICATE,
    Argument(
        ("--plain",),
        "the other side is a plain netcat: what it gets cannot be confirmed, and exit 0 is for sent",
    ),
    Argument(
        ("-w", "--timeout"), "seconds to wait for a connection (10)", "SECONDS", default=10.0, convert=seconds
    ),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Send; exit 0 when the other side has confirmed all of it, 1 when there was nobody to confirm."""
    from portside.cli.progress import Bar, tell
    from portside.use.transfer.sending import send

    with Bar(wanted=not (output.quiet or output.json)) as bar:
        sent = send(
            arguments.file, arguments.target, code=arguments.code, tls=tls_of(arguments),
            plain=arguments.plain, timeout=arguments.timeout, on_progress=bar.show,
        )  # fmt: skip
    tell(output, sent, "sent")
    for what in sent.skipped:
        output.note(f"not sent: {what}")
    if not sent.confirmed:
        output.note("the other side is a plain netcat: nothing is confirmed; compare the SHA-256")
    return FOUND if (sent.confirmed and not sent.skipped) or arguments.plain else NOTHING


COMMAND = Command(
    "send",
    "a file or a directory to 'portside receive', checked by SHA-256, resumed if it broke",
    _ARGUMENTS,
    run,
    description="Send a file, or a directory with all below it.  The receiver makes the SHA-256 of what it gets and\n"
    "compares it before it gives the file its name; a transfer that broke is gone on with by sending again.  Exit\n"
    "code 0 when the other side has confirmed everything, 1 when something was skipped or nobody could confirm, 2\n"
    "when it failed.",
    examples="  portside send film.mkv 10.0.0.5:5000\n"
    "  portside send --code k3fq-9wmz Documents 10.0.0.5:5000\n"
    "  portside send --pin sha256:5f0c...e1 Documents 10.0.0.5:5000\n"
    "  portside send --plain notes.txt 10.0.0.5:5000",
)
