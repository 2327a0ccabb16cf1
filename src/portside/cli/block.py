"""`portside block ADDRESS...`: nothing from these addresses comes in any more."""

from __future__ import annotations

from portside.cli.changing import COMMENT, ENDS, LOG, SAFETY, carry_out, wish_of
from portside.cli.command import Argument, Command
from portside.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

FILE = Argument(("--file",), "take the addresses from a file, one on each line (-: standard input)", "FILE")
ARGUMENTS = (
    Argument(("address",), "addresses or networks", "ADDRESS", many="*"),
    FILE,
    ENDS,
    LOG,
    COMMENT,
    *SAFETY,
)


def addresses_of(arguments: SimpleNamespace) -> tuple[str, ...]:
    """Return the addresses that were typed, and those in the file; BadRequest where there are none."""
    from portside.system import address_list

    typed = address_list.canonical(arguments.address)
    listed = address_list.read(arguments.file) if arguments.file else []
    found = tuple(dict.fromkeys([*typed, *listed]) if typed else listed)
    if not found:
        raise BadRequest("read addresses", "", "there are none", "name some, or a --file of them")
    return found


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Block the addresses."""
    return carry_out(wish_of("block", arguments, addresses=addresses_of(arguments)), arguments, output)


COMMAND = Command(
    "block",
    "let nothing from an address come in",
    ARGUMENTS,
    run,
    description=(
        "Drop everything from the addresses before any other rule sees it: new and established connections, to this "
        "host and through it.  One set holds them all, however many."
    ),
    examples=(
        "  portside block 192.0.2.7\n  portside block 203.0.113.0/24 2001:db8::/32 --for 1d\n"
        "  portside block 198.51.100.9 --log --comment 'who still tries?'\n"
        "  portside block --file bad-addresses.txt"
    ),
)
