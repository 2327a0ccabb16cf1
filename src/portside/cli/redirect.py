"""`portside redirect PORT TARGET`: send what comes for a port to another, by the kernel's address translation."""

from __future__ import annotations

from portside.cli.changing import COMMENT, ENDS, LOG, SAFETY, SCOPE, carry_out, take_ports, wish_of
from portside.cli.command import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

ARGUMENTS = (
    Argument(("port",), "the port that people come to: 80, 53/udp", "PORT"),
    Argument(("target",), "a port of this host (8080), or of another (10.0.0.5:80)", "TARGET"),
    *SCOPE,
    ENDS,
    LOG,
    COMMENT,
    *SAFETY,
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Redirect the port."""
    from portside.guard.changes.wish import parse_target

    wish = wish_of(
        "redirect", arguments, ports=take_ports(arguments.port), target=parse_target(arguments.target)
    )
    return carry_out(wish, arguments, output)


COMMAND = Command(
    "redirect",
    "send what comes for a port to another one",
    ARGUMENTS,
    run,
    description=(
        "Translate addresses in the kernel: to a port of this host, or to another host, which then sees this one as "
        "the client.  For a target on loopback, a name, or TLS, 'portside forward' is the right tool."
    ),
    examples="  portside redirect 80 8080\n  portside redirect 2222 10.0.0.5:22 --from 192.0.2.0/24",
)
