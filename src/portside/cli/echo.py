"""`portside echo`: the client of RFC 862, with round-trip times."""

from __future__ import annotations

import sys

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.typed import count, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.use.small.client import Echo


def _times(text: str) -> int:
    return 0 if text == "0" else count(text)  # 0: only connects


_ARGUMENTS = (
    Argument(("host",), "where the echo service is", "HOST"),
    Argument(("port",), "its port, or the port's name", "PORT"),
    Argument(("text",), "what to send; without it each line of standard input", "TEXT", many="?"),
    Argument(("-u", "--udp"), "over UDP"),
    Argument(("-c", "--count"), "send the text so many times (1)", "N", default=1, convert=_times),
    Argument(
        ("-w", "--timeout"), "seconds to wait for an answer (5)", "SECONDS", default=5.0, convert=seconds
    ),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Send and print; exit 1 when something came back that was not sent."""
    from portside.use.small.client import EchoClient

    answers: list[Echo] = []
    port = int(arguments.port) if arguments.port.isdecimal() else arguments.port
    with EchoClient(arguments.host, port, udp=arguments.udp, timeout=arguments.timeout) as client:
        if not (output.json or output.quiet):
            output.write(f"Connected to {client.peer}\n")
        for data in _texts(arguments):
            answers.append(client.ask(data))
            if not output.json:
                output.write(_line(answers[-1], output))
                output.out.flush()
    if output.json:
        output.envelope("echo", [_item(answer, client.peer) for answer in answers])
    elif len(answers) > 1 and not output.quiet:
        output.write(_summary([answer.seconds for answer in answers]))
    return FOUND if all(answer.same for answer in answers) else NOTHING


def _texts(arguments: SimpleNamespace) -> Iterator[bytes]:
    if arguments.text is not None:
        for _ in range(arguments.count):
            yield arguments.text.encode("utf-8", "surrogateescape")
        return
    yield from sys.stdin.buffer


def _line(answer: Echo, output: Output) -> str:
    text = answer.data.decode("utf-8", "surrogateescape")
    if output.quiet:
        return output.clean(text.removesuffix("\n")) + "\n"
    other = "" if answer.same else " (not what was sent)"
    return f"Received '{output.clean(text.removesuffix(chr(10)))}' in {answer.seconds * 1000:.3f} ms{other}\n"


def _summary(took: list[float]) -> str:
    least, mean, most = min(took), sum(took) / len(took), max(took)
    figures = "/".join(f"{each * 1000:.3f}" for each in (least, mean, most))
    return f"{len(took)} round trips, min/avg/max {figures} ms\n"


def _item(answer: Echo, peer: str) -> dict[str, Any]:
    text = answer.data.decode("utf-8", "backslashreplace")
    return {"peer": peer, "data": text, "same": answer.same, "seconds": answer.seconds}


COMMAND = Command(
    "echo",
    "the echo client: sends, prints what came back, and how long it took",
    _ARGUMENTS,
    run,
    description="Send a text, or each line of standard input, to an echo service; print what comes back and the\n"
    "round-trip time.  Exit code 0 when all of it came back unchanged, 1 when not, 2 when there was no answer.",
    examples='  portside echo localhost 8888 "Hello, world"\n  portside echo -u -c 5 localhost 8888 ping',
)
