"""One netcat session: standard input to the connection, the connection to standard output.

How the netcats differ is data (`Talk`, with the relay's `Rules` in it).  Standard input and output are duplicated,
so that the relay can close its ends and a next session still finds them.
"""

from __future__ import annotations

import os

from portside.record import Record
from portside.use.relay.driver import Driver
from portside.use.relay.ends import End, SocketEnd
from portside.use.relay.flows import Copy, Flow, choose
from portside.use.relay.relay import Relay
from portside.use.relay.rules import FIRST, FORWARD, SECOND, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 16384  # what nc(1) reads at once


class Talk(Record):
    """How a session treats its bytes.

    `reads` standard input, `writes` standard output; `crlf` translates line ends that go out, `telnet` refuses what
    comes in of telnet's negotiation; `piece` is the most that is read at once and so the size of a datagram (0: as
    much as there is); `receives` ends the session after so many reads from the network (0: never).
    """

    rules: Rules = FORWARD
    reads: bool = True
    writes: bool = True
    crlf: bool = False
    telnet: bool = False
    piece: int = 0
    receives: int = 0


def standard_end(*, reads: bool = True, writes: bool = True) -> End:
    """Return standard input and output as one end; what is closed is left out."""
    return End(_duplicate(0) if reads else -1, _duplicate(1) if writes else -1)


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:
        return -1


def talk(connection: SocketEnd, how: Talk) -> Relay:
    """Run the session to its end and return the relay: why it is over, what failed, how much went each way."""
    near = standard_end(reads=how.reads, writes=how.writes)
    rules = how.rules.replace(
        carries=(how.rules.carries[FIRST] and near.source >= 0, how.rules.carries[SECOND] and near.sink >= 0)
    )
    if not how.reads and how.rules.at_eof[FIRST].tell:
        connection.shut()
    with Driver() as driver:
        relay = Relay(driver, near, connection, rules, flows=_flows(near, connection, how))
        relay.start()
        driver.run()
    return relay


def _flows(near: End, far: SocketEnd, how: Talk) -> tuple[Flow, Flow]:
    out = _outgoing(how)
    stepwise = bool(how.piece or how.rules.pace or how.receives)
    if out is None and not how.telnet and not stepwise:
        return choose(near, far), choose(far, near)
    size, steady = how.piece or _PIECE, bool(how.rules.pace)
    outgoing = Copy(near, far, out, chunk=size, steady=steady)
    look = _refusing(outgoing, far) if how.telnet else None
    return outgoing, Copy(far, near, look, chunk=size, reads=how.receives, steady=steady)


def _outgoing(how: Talk) -> Callable[[bytes], bytes] | None:
    if not how.crlf:
        return None
    from portside.wire.newlines import Crlf

    return Crlf().translate


def _refusing(outgoing: Flow, far: SocketEnd) -> Callable[[bytes], bytes]:
    """Return a change that changes nothing and answers telnet's negotiation on the way."""
    from portside.wire.telnet import Refuser

    refuser = Refuser()

    def look(data: bytes) -> bytes:
        answer = refuser.answer(data)
        if answer and isinstance(outgoing, Copy) and not outgoing.at_end:
            outgoing.inject(answer)
        elif answer:
            far.connection.send(answer)
        return data

    return look


def failed(relay: Relay) -> OSError | None:
    """Return what broke the session, None if it ended in order."""
    return relay.session.failures[0] if relay.session.failures else None
