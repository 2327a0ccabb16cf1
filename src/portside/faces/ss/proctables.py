"""Unix, packet and netlink sockets of ss read from the text of /proc/net, as `proctext` reads IP's.

A Unix name ends at the first blank, as in ss; the sockets are sorted by type and inode, and the peer is not told.
Reference: misc/ss.c, proc_pid_net(5), unix_seq_show in net/unix/af_unix.c.
"""

from __future__ import annotations

from portside.faces.ss import netlink, packet, unix
from portside.faces.ss.context import Subject
from portside.faces.ss.extras import signed
from portside.faces.ss.proctext import number, readable
from portside.wire import tcp_states
from portside.wire.sock_diag import AF_UNIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

    Named = tuple[int, int, int, str | None]  # type, inode, state, name

_WORD = (1 << 32) - 1
_ACCEPTS = 1 << 16  # include/linux/net.h, __SO_ACCEPTCON
_DGRAM = 2
# enum socket_state, from 1: what ss shows for it
_UNIX_STATES = (tcp_states.CLOSE, tcp_states.SYN_SENT, tcp_states.ESTABLISHED, tcp_states.CLOSING)
_REMEMBERED = 1681  # ss sorts so many at a time


def unix_rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the Unix sockets of the chosen types and states."""
    lines = _behind_heading(reading.text("PROC_NET_UNIX", "net/unix"))
    found = [one for line in lines if (one := _unix_entry(line)) is not None]
    chosen = [
        one
        for one in found
        if unix.TABLES.get(one[0], "") in ("", *options.tables)
        and options.states >> one[2] & 1
        and reading.accepts(Subject(AF_UNIX, one[3], None))
    ]
    reading.want(one[1] for one in chosen)
    return _unix_lines(chosen, reading)


def _behind_heading(text: str | None) -> list[str]:
    lines = (text or "").split("\n")[1:]
    return lines[:-1] if lines and not lines[-1] else lines


def _unix_lines(chosen: list[Named], reading: Reading) -> Iterator[Line]:
    for start in range(0, len(chosen), _REMEMBERED):
        for kind, inode, state, name in sorted(chosen[start : start + _REMEMBERED], key=_type_and_inode):
            yield unix.line(kind, state, None, name, inode, 0, reading.users(inode))


def _type_and_inode(one: Named) -> tuple[int, int]:
    return one[:2]


def _unix_entry(line: str) -> Named | None:
    """Take `address: references protocol flags type state inode name` apart."""
    fields = line.split(None, 8)
    numbers = [number(field.removesuffix(":"), 16) for field in fields[:6]]
    inode = number(fields[6], 10) if len(fields) > 6 else None
    if None in numbers or inode is None:
        return None
    address, _, _, flags, kind, state = (one or 0 for one in numbers)
    if flags & _ACCEPTS:
        state = tcp_states.LISTEN
    elif 0 < state <= len(_UNIX_STATES):
        state = _UNIX_STATES[state - 1]
        if kind == _DGRAM and state == tcp_states.CLOSE and address & _WORD:
            state = tcp_states.ESTABLISHED
    return kind, inode & _WORD, state, fields[7] if len(fields) > 7 else None


def packet_rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the packet sockets of `address references type protocol interface running memory uid inode`."""
    lines, _ = readable(reading.text("PROC_NET_PACKET", "net/packet") or "")
    bases = (16, 10, 10, 16, 10, 10, 10, 10, 10)
    found = []
    for line in lines:
        fields = [number(field, base) or 0 for field, base in zip(line.split(), bases, strict=False)]
        _, _, kind, protocol, interface, _, memory, uid, inode = fields + [0] * (len(bases) - len(fields))
        found.append(
            (kind, protocol & 0xFFFF, interface & _WORD, signed(memory), uid & _WORD, inode & _WORD, 0)
        )
    reading.want(one[5] for one in found)
    made = (packet.line(one, "", options, reading) for one in found)
    return (line for line in made if line is not None)


def netlink_rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the netlink sockets of `address protocol portid groups memory memory dump ...`."""
    lines = _behind_heading(reading.text("PROC_NET_NETLINK", "net/netlink"))
    bases = (16, 10, 10, 16, 10, 10, 16)
    found = []
    for line in lines:
        fields = [number(field, base) or 0 for field, base in zip(line.split(), bases, strict=False)]
        found.append(fields + [0] * (len(bases) - len(fields)))
    return _netlink_lines(found, options, reading)


def _netlink_lines(found: list[list[int]], options: Options, reading: Reading) -> Iterator[Line]:
    names = netlink.protocols(options, reading)
    for address, protocol, portid, groups, receive, send, dumping in found:
        made = netlink.line(
            (protocol, portid, signed(receive), signed(send)),
            None,
            (address, dumping, groups & _WORD),
            names,
            options,
            reading,
        )
        if made is not None:
            yield made
