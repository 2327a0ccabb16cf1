"""Limits of this host that stop a new connection: own ports towards the target, open files, conntrack's table."""

from __future__ import annotations

from portside.errors import PortsideError
from portside.see.reading import Wish
from portside.see.snapshot import take
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, as_root
from portside.system import limits as machine
from portside.system.host import LIVE
from portside.system.port_ranges import read_host_ranges
from portside.wire import tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.ports.number import HostRanges
    from portside.system.attempt import Target
    from portside.system.host import Host

_CONNECTED = tcp_states.ALL & ~(1 << tcp_states.LISTEN | 1 << tcp_states.BOUND_INACTIVE)


def limits(target: Target, host: Host = LIVE) -> Iterator[Step]:
    """Yield the steps of the limits that a connection to a target meets."""
    if target.protocol == "tcp":
        yield own_ports(target, host)
    yield files(target, host)
    yield tracking(target, host)


def own_ports(target: Target, host: Host = LIVE) -> Step:
    """Return the step of the ephemeral ports: those in use towards this very address and port."""
    ranges = read_host_ranges(host.root)
    usable = len(ranges.ephemeral) - _kept(ranges)
    try:
        used = _used(target, ranges, host)
    except PortsideError as error:
        return Step("own ports", UNKNOWN, str(error), target=target.address)
    facts = (("used", used), ("usable", usable))
    evidence = f"{used} of {usable} ports of the range {ranges.ephemeral} are used towards {target}"
    if used < usable:
        return Step("own ports", PASSED, evidence, "", target.address, facts)
    mend = as_root('sysctl -w net.ipv4.ip_local_port_range="1024 65535"')
    return Step("own ports", FAILED, evidence, mend, target.address, facts)


def _kept(ranges: HostRanges) -> int:
    """Count the reserved ports inside the ephemeral range."""
    first, last = ranges.ephemeral.first, ranges.ephemeral.last
    return sum(max(0, min(one.last, last) - max(one.first, first) + 1) for one in ranges.reserved)


def _used(target: Target, ranges: HostRanges, host: Host) -> int:
    """Count the local ports that connections to the target have, closed ones in TIME_WAIT with them."""
    family = "inet6" if target.v6 else "inet"
    wish = Wish(protocols=("tcp",), families=(family,), stream_states=_CONNECTED, owners=False)
    address = target.address.partition("%")[0]
    ports = {
        socket.local.port
        for socket in take(wish, host)
        if socket.remote.port == target.port and socket.remote.address == address
    }
    return sum(ranges.is_ephemeral(port) for port in ports)


def files(target: Target, host: Host = LIVE) -> Step:
    """Return the step of open files: a process like this one, and the whole host."""
    mine, whole = machine.open_files(), machine.host_files(host)
    facts = (
        ("used", mine.used),
        ("limit", mine.limit),
        ("host_used", whole.used),
        ("host_limit", whole.limit),
    )
    told = f"{mine.used} of {mine.limit or 'any number'} files open here, {whole.used} of {whole.limit} on the host"
    if mine.limit is not None and mine.used >= mine.limit:
        more = min(max(mine.limit * 2, 1024), mine.hard or 1 << 20)
        evidence = f"{told}: a process with this limit cannot open a socket more"
        return Step("files", FAILED, evidence, f"ulimit -n {more}", target.address, facts)
    if whole.limit is not None and whole.used >= whole.limit:
        mend = as_root(f"sysctl -w fs.file-max={whole.limit * 2}")
        return Step("files", FAILED, f"{told}: nobody can open a socket more", mend, target.address, facts)
    return Step("files", PASSED, told, "", target.address, facts)


def tracking(target: Target, host: Host = LIVE) -> Step:
    """Return the step of conntrack's table: a new connection's packets are dropped when it is full."""
    use = machine.conntrack(host)
    if use.limit is None:
        return Step("conntrack", PASSED, "connections are not tracked here", target=target.address)
    facts = (("used", use.used), ("limit", use.limit))
    evidence = f"{use.used} of {use.limit} connections tracked"
    if use.used < use.limit:
        return Step("conntrack", PASSED, evidence, "", target.address, facts)
    mend = as_root(f"sysctl -w net.netfilter.nf_conntrack_max={use.limit * 2}")
    return Step("conntrack", FAILED, f"{evidence}: the table is full", mend, target.address, facts)
