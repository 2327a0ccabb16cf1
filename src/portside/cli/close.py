"""`portside close PORT`: let nobody new reach a port."""

from __future__ import annotations

from portside.cli.changing import COMMENT, ENDS, LOG, SAFETY, SCOPE, carry_out, take_ports, wish_of
from portside.cli.command import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

ARGUMENTS = (
    Argument(("port",), "22, https, 53/udp, 8000-8100, or a list of them", "PORT"),
    *SCOPE,
    ENDS,
    LOG,
    COMMENT,
    *SAFETY,
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Close the port."""
    return carry_out(wish_of("close", arguments, ports=take_ports(arguments.port)), arguments, output)


COMMAND = Command(
    "close",
    "let nobody new reach a port",
    ARGUMENTS,
    run,
    description=(
        "Drop new connections to the port before any other rule sees them, those to a published container port too.  "
        "Connections that are there stay, and this host itself still gets in.  What 'portside open' spares is let "
        "through: open it for some first, then close it for everybody."
    ),
    examples=(
        "  portside close 3306\n  portside close 5432 --dry-run\n"
        "  portside close 8000-8100 --on eth0 --dry-run"
    ),
)
