"""Read the sockets of network namespaces, and keep what the kernel wrote.

A `Wish` says what to read; a `Part` is what was read in one namespace.  Records are made from it later, row by row.
"""

from __future__ import annotations

from portside.errors import NotSupported, PortsideError
from portside.record import Record
from portside.see.records import PERMISSION, Gap, Socket
from portside.see.sockets import Decoder
from portside.system import netns
from portside.system.cgroups import CgroupTree, find_root
from portside.system.privilege import how_to_see_more
from portside.system.sockets import FAMILIES, PROTOCOLS, InetDump, Reader, Request
from portside.wire import inet_diag, tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from portside.see.filter import Plan
    from portside.system.host import Host
    from portside.system.netns import NetworkNamespace
    from portside.system.sockets import Answer, Protocol

OPEN_STREAM = 1 << tcp_states.LISTEN | 1 << tcp_states.BOUND_INACTIVE
OPEN_DATAGRAM = 1 << tcp_states.CLOSE
PORT_PROTOCOLS = ("tcp", "mptcp", "sctp", "udp", "udplite")
IP_FAMILIES = ("inet", "inet6")
OTHER_FAMILIES = ("unix", "packet", "netlink")
_FEW_PORTS = 16


class Wish(Record):
    """What to read: protocols and families, states, and the filter's plan of what the kernel can decide.

    `protocols` are IP protocols (see `system.sockets.PROTOCOLS`); `families` may add unix, packet and netlink.
    The state masks are bits by kernel number.  `only_ports` narrows IP sockets to these local ports.  `extensions`
    asks for more about each IP socket (`wire.inet_diag.extension`); `everything` for all that
    can be told of the other families' sockets.
    """

    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    families: tuple[str, ...] = (*IP_FAMILIES, *OTHER_FAMILIES)
    stream_states: int = tcp_states.ALL
    datagram_states: int = tcp_states.ALL
    plan: Plan | None = None
    only_ports: tuple[int, ...] = ()
    every_netns: bool = False
    owners: bool = True
    extensions: int = 0
    everything: bool = False


class Part:
    """What was read in one network namespace, still as the kernel wrote it."""

    __slots__ = ("answers", "decoder", "dumps", "namespace", "roads")

    def __init__(self, namespace: NetworkNamespace) -> None:
        self.namespace = namespace
        self.dumps: list[InetDump] = []
        self.answers: list[tuple[Callable[[Answer], Socket], list[Answer]]] = []
        self.roads: dict[str, str] = {}
        self.decoder: Decoder

    def inodes(self) -> list[int]:
        """Return the inodes of everything read here that a process may hold, duplicates and zeros included."""
        found: list[int] = []
        for dump in self.dumps:
            found += dump.inodes()
        for _, answers in self.answers:
            found += [_inode(answer[0]) for answer in answers]
        return found

    def rows(self, dump: InetDump) -> Iterator[inet_diag.Row]:
        """Yield a dump's rows, each socket once: the dump is not atomic, and the cookie is the identity."""
        return _distinct(dump.rows()) if dump.duplicated() else dump.rows()

    def others(self) -> Iterator[Socket]:
        """Yield the sockets of other families than IP, without owners."""
        for decode, answers in self.answers:
            for numbers, told in answers:
                yield decode((numbers, dict(told)))

    def sockets(self) -> Iterator[Socket]:
        """Yield every socket read here, without owners."""
        for dump in self.dumps:
            for row in self.rows(dump):
                yield self.decoder.inet(dump, row)
        yield from self.others()

    def narrowed(self, wish: Wish, inodes: Collection[int]) -> Wish:
        """Return the wish to read these inodes once more, and little else."""
        rows = [(dump, row) for dump in self.dumps for row in dump.rows() if row[14] in inodes]
        others = {
            _FAMILIES[numbers[0]]
            for _, answers in self.answers
            for numbers, _ in answers
            if _inode(numbers) in inodes
        }
        ports = {inet_diag.ntohs(row[4]) for _, row in rows}
        return wish.replace(
            protocols=tuple({dump.protocol.name: None for dump, _ in rows}),
            families=(*(IP_FAMILIES if rows else ()), *others),
            only_ports=tuple(ports) if len(ports) <= _FEW_PORTS and 0 not in ports else wish.only_ports,
        )


_FAMILIES = {1: "unix", 16: "netlink", 17: "packet"}


def _inode(numbers: tuple[int, ...]) -> int:
    """Return the inode of a socket that is not IP; 0 for the kernel's own end of a netlink protocol."""
    family = numbers[0]
    if family == 16:
        return numbers[7] if numbers[4] else 0
    return numbers[4] if family == 1 else numbers[3]


def _distinct(rows: Iterator[inet_diag.Row]) -> Iterator[inet_diag.Row]:
    seen: set[int] = set()
    for row in rows:
        cookie = row[9]
        if not cookie or cookie not in seen:
            seen.add(cookie)
            yield row


def namespaces(
    host: Host, every: bool, container_of: Callable[[int], str]
) -> tuple[list[NetworkNamespace], list[Gap]]:
    """Return the namespaces to read, the caller's own first, and a gap for processes that would not say theirs.

    One that has no name of its own is called after the container of a process in it (`container_of` a pid).
    """
    if not every:
        return [netns.own(host)], []
    found, denied = netns.every(host)
    named = [one if one.name or not one.pid else one.replace(name=container_of(one.pid)) for one in found]
    named = _told_apart(named)
    if not denied:
        return named, []
    return named, [Gap("network namespaces of processes", PERMISSION, denied, how_to_see_more())]


def _told_apart(spaces: list[NetworkNamespace]) -> list[NetworkNamespace]:
    """Add the inode to names that several namespaces have: a name is anybody's choice, the inode the identity."""
    names = [space.name for space in spaces]
    return [
        space.replace(name=f"{space.name} net:[{space.inode}]")
        if space.name and names.count(space.name) > 1
        else space
        for space in spaces
    ]


def read_parts(host: Host, wish: Wish, spaces: list[NetworkNamespace]) -> tuple[list[Part], list[Gap]]:
    """Read every namespace; the first is the caller's own, the others are entered.

    Raises what reading the first one raises; others that cannot be read are a gap.
    """
    paths = CgroupTree(find_root() if host.live else "")
    first, gaps = _read(spaces[0], host, wish, paths)
    parts = [first]
    refused: dict[tuple[str, str], list[str]] = {}
    for namespace in spaces[1:]:
        try:
            part, unread = _read_inside(namespace, host, wish, paths)
        except PortsideError as error:
            refused.setdefault((error.reason, error.next_step), []).append(str(namespace))
            continue
        parts.append(part)
        gaps += unread
    for (reason, next_step), names in refused.items():
        what = f"network namespace {names[0]}" if len(names) == 1 else "network namespaces"
        gaps.append(Gap(what, reason, len(names), next_step))
    return parts, gaps


def read_again(host: Host, wish: Wish, part: Part, inodes: Collection[int]) -> Part:
    """Read those sockets of a part once more, and little else; raises where its namespace cannot be entered."""
    return _read_inside(part.namespace, host, part.narrowed(wish, inodes), CgroupTree())[0]


def _read_inside(
    namespace: NetworkNamespace, host: Host, wish: Wish, paths: CgroupTree
) -> tuple[Part, list[Gap]]:
    return netns.run_inside_or_here(namespace, lambda: _read(namespace, host, wish, paths), host)


def _read(namespace: NetworkNamespace, host: Host, wish: Wish, paths: CgroupTree) -> tuple[Part, list[Gap]]:
    """Read one namespace, from inside it; return what this kernel would not tell with it."""
    part = Part(namespace)
    gaps: list[Gap] = []
    with Reader(host) as reader:
        reader.check_sighted()
        part.decoder = Decoder(str(namespace), reader.interfaces(), paths.path_of)
        for name in wish.protocols:
            gaps += _read_protocol(part, reader, wish, PROTOCOLS[name])
        for word in OTHER_FAMILIES:
            if word in wish.families and (wish.plan is None or wish.plan.wants(word)):
                part.answers.append((getattr(part.decoder, word), getattr(reader, word)(wish.everything)))
        part.roads = reader.roads
    return part, gaps


def _read_protocol(part: Part, reader: Reader, wish: Wish, protocol: Protocol) -> list[Gap]:
    """Read one IP protocol: TCP of both families at once where the same is asked of both."""
    asked = {word: _requests(wish, word, protocol) for word in IP_FAMILIES if word in wish.families}
    both = asked.get("inet", ())
    if protocol.name == "tcp" and len(both) == 1 and both == asked.get("inet6"):
        dump = reader.tcp_of_both(both[0])
        if dump is not None:
            part.dumps.append(dump)
            return []
    gaps = []
    for family, word in zip(FAMILIES, IP_FAMILIES, strict=True):
        for request in asked.get(word, ()):
            try:
                dump = reader.inet(family, protocol, request)
            except NotSupported as error:
                gaps.append(Gap(f"{protocol.name} sockets ({word})", error.reason, 1))
                break
            if dump is not None:
                part.dumps.append(dump)
                if dump.text and request.states >> tcp_states.BOUND_INACTIVE & 1 and protocol.name == "tcp":
                    gaps.append(
                        Gap(
                            f"bound tcp sockets that do not listen ({word})",
                            "the text of /proc/net has none",
                            1,
                        )
                    )
    return gaps


def _requests(wish: Wish, family: str, protocol: Protocol) -> tuple[Request, ...]:
    """Return what to ask for one family and protocol: nothing where the filter excludes it as a whole."""
    states = wish.stream_states if protocol.type == "stream" else wish.datagram_states
    request = Request(states, extensions=wish.extensions)
    if wish.plan is not None:
        part = wish.plan.request(family, protocol.name, states)
        if part is None:
            return ()
        request = Request(part.states, part.sport, part.dport, part.bytecode or b"", wish.extensions)
    if request.sport or not wish.only_ports:
        return (request,)
    return tuple(request.replace(sport=port) for port in wish.only_ports)
