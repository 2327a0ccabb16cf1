"""`portside pick`: free ports that nobody else is given for a minute, one on each line."""

from __future__ import annotations

from portside.cli.command import FOUND, NOTHING, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
        raise ValueError(f"'{text}' is not a number of ports")
    return int(text)


ARGUMENTS = (
    Argument(("-n", "--count"), "how many (1)", "N", default=1, convert=_count),
    Argument(
        ("--range",), "look in these ports instead of those outside the ephemeral range", "A-B", default=""
    ),
    Argument(("-t", "--tcp"), "free in TCP is enough (default: TCP and UDP)"),
    Argument(("-u", "--udp"), "free in UDP is enough"),
    Argument(("--address",), "free on this address is enough (default: on every one)", "ADDRESS", default=""),
    Argument(
        ("--hold",),
        "have the kernel hold the TCP port too (it gives it to nobody); who binds it must set SO_REUSEADDR",
    ),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Print the ports; exit 1 when there are not so many."""
    from portside.see import pick

    protocols = tuple(word for word in pick.PROTOCOLS if getattr(arguments, word)) or pick.PROTOCOLS
    found = pick.find(
        arguments.count,
        range=arguments.range,
        protocols=protocols,
        address=arguments.address,
        hold=arguments.hold,
    )
    if not found.ports:
        output.note(str(pick.shortage(found, arguments.count, arguments.range)))
        if output.json:
            output.envelope("pick", [])
        return NOTHING
    if output.json:
        items = [
            {
                "port": port,
                "protocols": list(protocols),
                "seconds": found.seconds,
                "held": arguments.hold,
                "ephemeral": port in found.ephemeral,
            }
            for port in found.ports
        ]
        output.envelope("pick", items)
    else:
        output.write("".join(f"{port}\n" for port in found.ports))
    if found.ephemeral and not arguments.hold:
        output.note(
            f"{found.ephemeral[0]} is in the ephemeral range: the kernel may give it to any program; see --hold"
        )
    return FOUND


COMMAND = Command(
    "pick",
    "free ports that nobody else is given for a minute",
    ARGUMENTS,
    run,
    description=(
        "Print free ports, one on each line: free in TCP and UDP on every address.  For 60 seconds no other\n"
        "'portside pick' in this network namespace is given them, whoever runs it; the kernel does not hand them\n"
        "out either, because they are outside its ephemeral range.  Exit 1 when there are not so many."
    ),
    examples=(
        "  portside pick\n  portside pick -n 3 --range 20000-20999\n  PORT=$(portside pick) && ./server --port $PORT"
    ),
)
