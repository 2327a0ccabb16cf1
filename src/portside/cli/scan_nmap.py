"""A scan in the forms that nmap's readers load: its XML (nmap.dtd) and its grepable lines (nmap(1), -oX, -oG).

Both are ordered by host, so results are kept until the end: the open ports, and of each host how many others there
were in which state and for which reason; what no host said (`no-response`) is worked out at the end.  So what is held
grows with the hosts that answered, not with the probes.  More than MOST_OF_A_STATE ports of one state are counted
instead of listed, as nmap does.

The DTD wants `scanner="nmap"`; what made the document is in `args`.
"""

from __future__ import annotations

import time

from portside.cli.output import clean
from portside.cli.scan_text import address_key
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from portside.probe.plan import Plan
    from portside.probe.records import Result
    from portside.probe.scan import Progress

    Names = Callable[[int, str], str]

MOST_OF_A_STATE = 25
_SILENT = "no-response"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\t": "&#9;"}


class Run(Record):
    """What both forms tell of the whole: plan, progress, start (seconds since 1970), command line, service names."""

    plan: Plan
    now: Progress
    started: float
    words: str
    names: Names


class HostResults:
    """What one host said: results that may be listed, and counts of (protocol, state, reason)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.name = ""
        self.kept: dict[str, list[Result]] = {}
        self.counts: dict[tuple[str, str, str], int] = {}

    def add(self, one: Result) -> None:
        """Take one result."""
        self.name = self.name or one.target
        key = (one.protocol, one.state, one.reason)
        self.counts[key] = self.counts.get(key, 0) + 1
        kept = self.kept.setdefault(one.state, [])
        if one.state == "open" or len(kept) <= MOST_OF_A_STATE:
            kept.append(one)

    def of_state(self, state: str) -> int:
        """Return how many ports are in a state."""
        return sum(times for (_, own, _), times in self.counts.items() if own == state)

    def listed(self) -> list[Result]:
        """Return the ports that are listed one by one, sorted."""
        rows = [
            one for state, kept in self.kept.items() for one in kept
            if state == "open" or self.of_state(state) <= MOST_OF_A_STATE
        ]  # fmt: skip
        return sorted(rows, key=lambda one: (one.protocol, one.port))

    def ignored(self) -> list[str]:
        """Return the states that are counted only."""
        states = dict.fromkeys(state for _, state, _ in self.counts)
        return [state for state in states if state != "open" and self.of_state(state) > MOST_OF_A_STATE]


class Hosts:
    """The hosts of a scan, those that answered."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.whole = plan.shard.count == 1
        self._hosts: dict[str, HostResults] = {}
        self._few = sum(plan.space(part).port_count for part in plan.parts) <= MOST_OF_A_STATE

    def add(self, batch: Iterable[Result]) -> None:
        """Take results; a silent port is kept only where all of a host's would be listed."""
        for one in batch:
            if one.reason == _SILENT and not self._few:
                continue
            host = self._hosts.get(one.address)
            if host is None:
                host = self._hosts[one.address] = HostResults(one.address)
            host.add(one)

    def finished(self, complete: bool) -> list[HostResults]:
        """Return the hosts that answered, sorted; what they left unsaid is added where the scan was whole."""
        found = [
            host for _, host in sorted(self._hosts.items(), key=lambda pair: address_key(pair[0]))
            if any(reason not in (_SILENT, "local-error") for _, _, reason in host.counts)
        ]  # fmt: skip
        if complete and self.whole and not self._few:
            for host in found:
                self._add_silent(host)
        return found

    def _add_silent(self, host: HostResults) -> None:
        for part in self.plan.parts:
            said = sum(times for (protocol, _, _), times in host.counts.items() if protocol == part.protocol)
            unsaid = self.plan.space(part).port_count - said
            if unsaid:
                state = "open|filtered" if part.protocol == "udp" else "filtered"
                host.counts[part.protocol, state, _SILENT] = unsaid


def xml(hosts: list[HostResults], run: Run) -> Iterator[str]:
    """Yield the document, piece by piece."""
    from portside import __version__

    plan, now, started = run.plan, run.now, run.started
    ended = started + now.seconds
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE nmaprun>\n'
    yield _tag(
        "nmaprun", scanner="nmap", args=run.words, start=int(started), startstr=_moment(started), version=__version__,
        xmloutputversion="1.05",
    )  # fmt: skip
    for part, method in zip(plan.parts, now.methods, strict=False):
        services = ",".join(map(str, part.ports))
        yield _tag(
            "scaninfo", "/", type=method, protocol=part.protocol,
            numservices=plan.space(part).port_count, services=services,
        )  # fmt: skip
    yield '<verbose level="0"/>\n<debugging level="0"/>\n'
    for host in hosts:
        yield from _host(host, run)
    up, total = len(hosts), plan.addresses.size
    summary = (
        f"Portside done at {_moment(ended)}; {total} IP addresses ({up} that answered) in {now.seconds:.2f} s"
    )
    yield "<runstats>" + _tag(
        "finished", "/", time=int(ended), timestr=_moment(ended), elapsed=f"{now.seconds:.2f}", summary=summary,
        exit="success" if not now.left else "error",
    )  # fmt: skip
    yield _tag("hosts", "/", up=up, down=total - up, total=total) + "</runstats>\n</nmaprun>\n"


def _host(host: HostResults, run: Run) -> Iterator[str]:
    yield _tag("host", starttime=int(run.started), endtime=int(run.started + run.now.seconds))
    yield _tag("status", "/", state="up", reason="user-set", reason_ttl=0)
    bare = host.address.partition("%")[0]
    yield _tag("address", "/", addr=bare, addrtype="ipv6" if ":" in bare else "ipv4")
    named = _tag("hostname", "/", name=host.name, type="user") if host.name else ""
    yield f"<hostnames>\n{named}</hostnames>\n<ports>\n"
    for state in host.ignored():
        yield _tag("extraports", state=state, count=host.of_state(state))
        for (protocol, own, reason), times in sorted(host.counts.items()):
            if own == state:
                yield _tag("extrareasons", "/", reason=reason, count=times, proto=protocol)
        yield "</extraports>\n"
    for one in host.listed():
        yield _port(one, run.names)
    yield "</ports>\n</host>\n"


def _port(one: Result, names: Names) -> str:
    told = {"state": one.state, "reason": one.reason, "reason_ttl": one.ttl or 0}
    if one.source:
        told["reason_ip"] = one.source
    inner = _tag("state", "/", **told).rstrip("\n")
    if one.service:
        told = {key: value for key, value in (("product", product(one)), ("version", version(one))) if value}
        inner += _tag("service", "/", name=one.service, **told, method="probed", conf=10).rstrip("\n")
    elif guess := names(one.port, one.protocol):
        inner += _tag("service", "/", name=guess, method="table", conf=3).rstrip("\n")
    return _tag("port", protocol=one.protocol, portid=one.port).rstrip("\n") + inner + "</port>\n"


def product(one: Result) -> str:
    """Return what answered by the name of its maker's product, empty where it does not say."""
    told = dict(one.details)
    return told.get("product") or told.get("server", "")


def version(one: Result) -> str:
    """Return the version that the service told."""
    return dict(one.details).get("version", "")


def _tag(element: str, end: str = "", /, **attributes: object) -> str:
    told = "".join(f' {key}="{_escaped(str(value))}"' for key, value in attributes.items())
    return f"<{element}{told}{end}>\n"


def _escaped(text: str) -> str:
    """Return text as XML 1.0 may hold it in an attribute; what it may not hold becomes `?`."""
    signs = text.encode("utf-8", "replace").decode()
    return "".join(_ENTITIES.get(sign) or (sign if sign.isprintable() else "?") for sign in signs)


def _moment(seconds: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(seconds))


def grepable(hosts: list[HostResults], run: Run) -> Iterator[str]:
    """Yield the lines of nmap's -oG: one for each host that answered, fields by tabs, ports by commas."""
    yield f"# Portside scan initiated {_moment(run.started)} as: {clean(run.words)}\n"
    for host in hosts:
        who = f"Host: {host.address} ({clean(host.name)})"
        yield f"{who}\tStatus: Up\n"
        ports = ", ".join(_grepable_port(one, run.names) for one in host.listed())
        fields = [who, f"Ports: {ports}"] if ports else [who]
        fields += [f"Ignored State: {state} ({host.of_state(state)})" for state in host.ignored()[:1]]
        yield "\t".join(fields) + "\n"
    yield (
        f"# Portside done at {_moment(run.started + run.now.seconds)} -- {run.plan.addresses.size} IP addresses "
        f"({len(hosts)} hosts up) scanned in {run.now.seconds:.2f} seconds\n"
    )


def _grepable_port(one: Result, names: Names) -> str:
    """Return port/state/protocol/owner/service/rpc/version/; a slash or comma inside a field would end it."""
    guess = names(one.port, one.protocol)
    service = one.service or (f"{guess}?" if guess else "")
    fields = (str(one.port), one.state, one.protocol, "", service, "", one.banner, "")
    return "/".join(clean(field).replace("/", "|").replace(",", " ") for field in fields)
