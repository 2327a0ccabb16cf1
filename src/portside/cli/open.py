"""`portside open PORT`: let a port be reached, through whoever keeps it closed."""

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
    Argument(("--rate",), "at most so many new connections from one address (10/minute)", "N/TIME"),
    LOG,
    COMMENT,
    *SAFETY,
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Open the port, or say why that is not ours to do."""
    from portside.guard.changes.wish import parse_rate

    rate = parse_rate(arguments.rate) if arguments.rate else None
    return carry_out(
        wish_of("open", arguments, ports=take_ports(arguments.port), rate=rate), arguments, output
    )


COMMAND = Command(
    "open",
    "let a port be reached, through whoever keeps it closed",
    ARGUMENTS,
    run,
    description=(
        "Find the rule that keeps the port closed and open it there, by the tool that made it: ufw, firewalld, "
        "iptables or an nftables chain.  Exit 1 when it is open already."
    ),
    examples=(
        "  portside open https --dry-run\n  portside open 5432 --from 10.0.0.0/8 --comment 'app servers'\n"
        "  portside open 8080 --for 1h\n  portside open ssh --rate 10/minute --confirm 60"
    ),
)
