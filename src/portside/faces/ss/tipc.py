"""ss --tipc: sockets of TIPC.  An end is a node and a port; the filter does not apply.  Reference: misc/ss.c."""

from __future__ import annotations

from portside.faces.ss import extras
from portside.faces.ss.context import STATES
from portside.wire import tipc_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portside.faces.ss.context import Line, Options, Reading

    Told = Mapping[str, object]

# include/linux/net.h, enum sock_type -> table, word of --tipcinfo
_TABLES = {1: "ti_st", 2: "ti_dg", 4: "ti_rd", 5: "ti_sq"}
_TYPES = {1: "STREAM", 2: "DGRAM", 4: "RDM", 5: "SEQPACKET"}


def rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the TIPC sockets of the chosen states."""
    answers = list(tipc_diag.answers(reading.dump(tipc_diag.request(options.states), "tipc sockets")))
    reading.want(_number(told, "ino") for told in answers)
    return (_line(told, options, reading) for told in answers)


def _line(told: Told, options: Options, reading: Reading) -> Line:
    stat, state = _nested(told, "stat"), _number(told, "tipc_state")
    inode = _number(told, "ino")
    details = extras.details(_number(told, "uid"), inode, _number(told, "cookie")) if options.details else ""
    return (
        _TABLES.get(_number(told, "type"), "???"),
        STATES[state] if state < len(STATES) else STATES[0],
        f"{_number(stat, 'rcvq'):<6}",
        f"{_number(stat, 'sendq'):<6}",
        f"{_number(told, 'addr')}:",
        str(_number(told, "ref")),
        *_peer(told),
        details + reading.users(inode) + (_info(told, stat, options.oneline) if options.tipcinfo else ""),
    )


def _peer(told: Told) -> tuple[str, str]:
    connection = _nested(told, "con")
    if "con" not in told:
        return "-", ""
    return f"{_number(connection, 'node')}:", str(_number(connection, "sock"))


def _info(told: Told, stat: Told, oneline: bool) -> str:
    """Return what --tipcinfo adds: type, congestion, drops, publication, and the name that was connected to."""
    connection = _nested(told, "con")
    congested = "link" if "link_cong" in stat else "conn" if "conn_cong" in stat else "none"
    via = _number(connection, "type"), _number(connection, "inst")
    return (
        ("" if oneline else "\n") + f" type:{_TYPES.get(_number(told, 'type'), 'UNKNOWN')}"
        f" cong:{congested}  drop:{_number(stat, 'drop')} "
        + (" publ" if "has_publ" in told else "")
        + (" via {{{},{}}} ".format(*via) if "flag" in connection else "")
    )


def _number(told: Told, name: str) -> int:
    found = told.get(name)
    return found if isinstance(found, int) else 0


def _nested(told: Told, name: str) -> Told:
    found = told.get(name)
    return found if isinstance(found, dict) else {}
