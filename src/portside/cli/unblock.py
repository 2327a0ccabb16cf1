"""`portside unblock ADDRESS...`: take addresses out of what is blocked."""

from __future__ import annotations

from portside.cli.block import FILE, addresses_of
from portside.cli.changing import SAFETY, carry_out, wish_of
from portside.cli.command import Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

ARGUMENTS = (
    Argument(("address",), "addresses or networks, as they were blocked", "ADDRESS", many="*"),
    FILE,
    *SAFETY,
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Unblock the addresses; exit 1 when none of them is blocked."""
    return carry_out(wish_of("unblock", arguments, addresses=addresses_of(arguments)), arguments, output)


COMMAND = Command(
    "unblock",
    "take addresses out of what is blocked",
    ARGUMENTS,
    run,
    description="Take addresses out of what is blocked.  Exit 1 when none of them is.",
    examples="  portside unblock 192.0.2.7",
)
