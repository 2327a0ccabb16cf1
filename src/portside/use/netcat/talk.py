"""One netcat session: standard input to the connection, the connection to standard output.

How the netcats differ is data (`Talk`, with the relay's `Rules` in it).  Standard input and output are duplicated,
so that the relay can close its ends and a next session still finds them.
"""

from __future__ import annotations

import os

from portside.record import Record
from portside.use.relay.copying import Copy
from portside.use.relay.driver import Driver
from portside.use.relay.ends import End
from portside.use.relay.flow import AFTER, LOST, Flow
from portside.use.relay.flows import choose
from portside.use.relay.relay import Relay
from portside.use.relay.rules import FIRST, FORWARD, SECOND, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.netcat.dump import Dump
    from portside.use.relay.flow import Change

PIECE = 16384  # what nc(1) reads at once: the size of a datagram


class Talk(Record):
    """How a session treats its bytes.

    `reads` standard input, `writes` standard output; `crlf` translates line ends that go out, `telnet` refuses what
    comes in of telnet's negotiation; `piece` is the most that is read at once and so the size of a datagram (0: as
    much as there is); `pauses` says where those of the rules lie, outward and inward; `receives` ends the session
    after so many reads from the network (0: never).  `dump` keeps all bytes.
    """

    rules: Rules = FORWARD
    reads: bool = True
    writes: bool = True
    crlf: bool = False
    telnet: bool = False
    piece: int = 0
    pauses: tuple[str, str] = (AFTER, AFTER)
    receives: int = 0
    dump: Dump | None = None


def standard_end(*, reads: bool = True, writes: bool = True) -> End:
    """Return standard input and output as one end; what is closed is left out."""
    return End(_duplicate(0) if reads else -1, _duplicate(1) if writes else -1)


def _duplicate(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:
        return -1


def talk(connection: End, how: Talk) -> Relay:
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


def _flows(near: End, far: End, how: Talk) -> tuple[Flow, Flow]:
    stepwise = bool(how.piece or how.rules.pace or how.receives)
    if not (stepwise or how.crlf or how.telnet or how.dump):
        return choose(near, far), choose(far, near)
    size = how.piece or PIECE
    there, here = how.pauses if how.rules.pace else ("", "")
    outgoing = Copy(near, far, _outgoing(how), chunk=size, pace=there)
    back = _incoming(how, outgoing, far)
    return outgoing, Copy(far, near, back, chunk=size, reads=how.receives, pace=here)


def _outgoing(how: Talk) -> Change | None:
    """Return what is done to standard input's bytes: line ends, then the dump of what is sent."""
    if not (how.crlf or how.dump):
        return None
    from portside.wire.newlines import Crlf

    translate, dump = Crlf().translate if how.crlf else None, how.dump

    def change(data: bytes) -> bytes:
        sent = data if translate is None else translate(data)
        if dump:
            dump.write(sent, True)
        return sent

    return change


def _incoming(how: Talk, outgoing: Copy, far: End) -> Change | None:
    """Return what looks at the network's bytes and leaves them: the dump, and the answers to telnet's negotiation."""
    if not (how.telnet or how.dump):
        return None
    from portside.wire.telnet import Refuser

    refuser, dump = Refuser() if how.telnet else None, how.dump

    def look(data: bytes) -> bytes:
        if dump:
            dump.write(data, False)
        answer = refuser.answer(data) if refuser is not None else b""
        if answer and not outgoing.at_end:
            outgoing.inject(answer)
        elif answer:
            far.write(memoryview(answer))
        return data

    return look


def lost(relay: Relay) -> OSError | None:
    """Return why what came could not be kept (a full disk), None where it could."""
    return next((error for error in relay.session.failures if error.errno in LOST), None)


def failed(relay: Relay) -> OSError | None:
    """Return what broke the session, None if it ended in order."""
    return relay.session.failures[0] if relay.session.failures else None
