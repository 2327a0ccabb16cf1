"""What the faces of BSD tools share: getopt's words, names of states, and how they write an address.

BSD's getopt stops at the first operand and knows no long options; where `--libxo` is understood it is taken out
before (xo_parse_args).  Reference: getopt(3), libxo(3) and xo_options(7) of FreeBSD.
"""

from __future__ import annotations

import sys

from portside.faces import printable
from portside.faces.getopt import Unknown, getopt
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.records import Endpoint, Socket

# netinet/tcp_fsm.h, tcpstates
TCP_STATES = {
    "bound-inactive": "CLOSED", "close": "CLOSED", "listen": "LISTEN", "syn-sent": "SYN_SENT",
    "syn-recv": "SYN_RCVD", "established": "ESTABLISHED", "close-wait": "CLOSE_WAIT",
    "fin-wait-1": "FIN_WAIT_1", "closing": "CLOSING", "last-ack": "LAST_ACK", "fin-wait-2": "FIN_WAIT_2",
    "time-wait": "TIME_WAIT",
}  # fmt: skip
MAPPED = "::ffff:"


class Refused(Exception):
    """The end of the run: what is said on standard error, whether the usage follows, and the exit code."""

    def __init__(self, said: str, usage: bool = False, code: int = 1) -> None:
        super().__init__(said)
        self.said, self.usage, self.code = said, usage, code

    def tell(self, tool: str, usage: str) -> int:
        """Write it as `tool` would, and return the exit code."""
        lines = [f"{tool}: {line}" for line in printable_lines(self.said)] + ([usage] if self.usage else [])
        print("\n".join(lines), file=sys.stderr)
        return self.code


def printable_lines(text: str) -> list[str]:
    """Return the lines of a text with what they quote escaped."""
    return [printable(line) for line in text.split("\n")] if text else []


def options(words: list[str], short: str, refused: dict[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (letter, argument) of each option in order, and the operands.

    `refused` tells of letters that the tool knows and that cannot be honoured here why.  Raises Refused.
    """
    try:
        found, operands = getopt(words, short, permute=False)
    except Unknown as error:
        said = str(error).replace("invalid option", "illegal option").replace("'", "")
        known = said.startswith(("illegal option", "option requires"))
        raise Refused(said if known else "illegal option -- -", usage=True) from None
    for letter, _ in found:
        if letter in refused:
            raise Refused(f"-{letter} cannot be honoured here: {refused[letter]}", usage=True)
    return [(letter, argument or "") for letter, argument in found], operands


class Ends(Record):
    """The two ends of an IP socket as BSD tells them: families (`4`, `6`, `46`), addresses (`*` for any), ports."""

    versions: str
    local: str
    remote: str


def ends(socket: Socket) -> Ends:
    """Return the ends of an IP socket.

    A socket of both families is `46`, an IPv6 socket whose peer came by IPv4 is IPv4's, and only a link-local
    address names its interface.
    """
    local, remote, v4 = socket.local, socket.remote, socket.family == "inet"
    if v4 or local.address.startswith(MAPPED):
        return Ends("4", _address(local, ""), _address(remote, ""))
    versions = "46" if local.v6only is False and local.address == "::" and not remote.port else "6"
    return Ends(versions, _address(local, local.device), _address(remote, local.device))


def _address(end: Endpoint, device: str) -> str:
    text = end.address.removeprefix(MAPPED)
    if text in ("0.0.0.0", "::", ""):
        return "*"
    return f"{text}%{device}" if device and end.scope == "link" else text
