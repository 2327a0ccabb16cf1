"""`portside scan TARGETS -p PORTS`: which ports answer from here, and why the others do not."""

from __future__ import annotations

import os
import sys
import time

from portside.cli.command import FOUND, NOTHING, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.cli.scan_report import Report
    from portside.probe.checkpoint import Checkpoint
    from portside.probe.plan import Plan
    from portside.probe.scan import Scan

_FEW = 25  # probes of which every one is shown
_SAVE_EVERY = 1.0  # seconds
INTERRUPTED = 130


def _number(low: float, high: float, what: str, kind: type = float):  # type: ignore[no-untyped-def]
    """Return a converter of text to a number in bounds."""

    def convert(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:
            raise ValueError(f"'{text}' is not {what}") from None
        if not low <= value <= high:
            raise ValueError(f"'{text}' is not between {low:g} and {high:g}")
        return value

    return convert


ARGUMENTS = (
    Argument(("targets",), "addresses, networks, octet ranges (10.0.0-3.1,7), names; - is standard input", "TARGET",
             many="*"),
    Argument(("-p", "--ports"), "ports: 22,80,8000-8100,U:53,http* (default: the first 1000 of our order)", "PORTS",
             default=""),
    Argument(("--top",), "the first N ports of our order", "N", default=0, convert=_number(1, 65535, "a count", int)),
    Argument(("--ranking",), "order for --top, a file in nmap-services' syntax", "FILE", default=""),
    Argument(("--exclude-ports",), "ports to leave out", "PORTS", default=""),
    Argument(("-iL", "--input"), "read targets from a file (- is standard input)", "FILE", default=""),
    Argument(("--exclude",), "targets to leave out, separated by commas", "TARGETS", default=""),
    Argument(("--exclude-file",), "a file of targets to leave out", "FILE", default=""),
    Argument(("-4", "--ipv4"), "IPv4 alone"),
    Argument(("-6", "--ipv6"), "IPv6 alone"),
    Argument(("--resolve-all",), "every address of a name, not the first alone"),
    Argument(("--method",), "how to probe: connect needs no privilege", default="auto",
             choices=("auto", "connect", "syn", "udp"), group="how"),
    Argument(("--identify",), "ask open ports what they are: TLS, HTTP, SSH, mail, databases, ...", group="how"),
    Argument(("--banner",), "show what open TCP ports say unasked", group="how"),
    Argument(("--rate",), "probes a second (default: what the way bears; 1000 beyond the local networks)", "N",
             default=0.0, convert=_number(0.01, 1e9, "a rate"), group="how"),
    Argument(("--timeout",), "longest wait for one answer in seconds (1)", "SECONDS", default=1.0,
             convert=_number(0.01, 3600, "a number of seconds"), group="how"),
    Argument(("--retries",), "further tries where nothing answers (2)", "N", default=2,
             convert=_number(0, 20, "a count", int), group="how"),
    Argument(("--concurrency",), "most probes at once (default: adapts)", "N", default=0,
             convert=_number(1, 1 << 20, "a count", int), group="how"),
    Argument(("-S", "--source"), "send from this address", "ADDRESS", default="", group="how"),
    Argument(("-e", "--device"), "send through this interface", "NAME", default="", group="how"),
    Argument(("--i-may-scan-this",), "yes, more than a /16 of public addresses", group="how"),
    Argument(("--seed",), "the order of the probes (default: another each time)", "N", default=None,
             convert=_number(0, (1 << 64) - 1, "a number", int), group="parts of a scan"),
    Argument(("--shard",), "the part A of B alone; the same --seed on every host", "A/B", default="1/1",
             group="parts of a scan"),
    Argument(("--checkpoint",), "keep here, every second, what is left to do", "FILE", default="",
             group="parts of a scan"),
    Argument(("--resume",), "go on with the scan that a checkpoint tells of", "FILE", default="",
             group="parts of a scan"),
    Argument(("--dry-run",), "say what would be probed, send nothing", group="parts of a scan"),
    Argument(("--all",), "show every port (default: open ones; all where there are 25 or fewer)", group="output"),
    Argument(("--state",), "show these states: open, closed, filtered, open|filtered, unknown", "A,B", default="",
             group="output"),
    Argument(("--xml",), "print nmap's XML", group="output"),
    Argument(("--grepable",), "print nmap's grepable lines", group="output"),
    Argument(("--list",), "print ADDRESS:PORT of open ports, as they are found", group="output"),
    Argument(("-oX",), "write nmap's XML to a file too", "FILE", default="", group="output"),
    Argument(("-oG",), "write nmap's grepable lines to a file too", "FILE", default="", group="output"),
    Argument(("-n", "--numeric"), "no service names", group="output"),
)  # fmt: skip


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Scan, print, and say by the exit code whether a port is open."""
    from portside.cli.scan_report import Report
    from portside.probe import checkpoint
    from portside.probe.scan import Scan

    plan, since = _plan(arguments)
    for note in plan.notes:
        output.note(note)
    if arguments.dry_run:
        output.write("".join(f"{line}\n" for line in _described(plan)))
        return FOUND
    scan = Scan(plan, since, "identify" if arguments.identify else "banner" if arguments.banner else "")
    report = Report(arguments, output, scan, _shown(arguments, plan))
    path = arguments.checkpoint or arguments.resume
    if path:
        checkpoint.write(path, scan.checkpoint())  # where that fails, it is told before the scan
    interrupted = _work(scan, report, path)
    report.end()
    _keep(scan, path, output)
    if interrupted:
        return INTERRUPTED
    return FOUND if scan.progress().open else NOTHING


def _work(scan: Scan, report: Report, path: str) -> bool:
    """Scan to the end, or to an interrupt, of which it tells.

    The interrupt is taken between two batches: anywhere else a probe might be neither told nor left.
    """
    import signal

    from portside.probe import checkpoint

    interrupted = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal interrupted
        if interrupted:  # a second one is meant: at once
            raise KeyboardInterrupt
        interrupted = True

    saved = time.monotonic()
    batches = scan.batches()
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        for batch in batches:
            report.add(batch)
            if interrupted:
                break
            if path and time.monotonic() >= saved + _SAVE_EVERY:
                report.flush()
                checkpoint.write(path, scan.checkpoint())
                saved = time.monotonic()
    finally:
        batches.close()  # type: ignore[attr-defined]
        signal.signal(signal.SIGINT, before)
    return interrupted


def _keep(scan: Scan, path: str, output: Output) -> None:
    """Leave a checkpoint if something is left to do, none if nothing is."""
    from portside.probe import checkpoint

    if not scan.progress().left:
        if path:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        return
    path = path or _own_file(scan.plan.seed)
    checkpoint.write(path, scan.checkpoint())
    output.note(
        f"stopped: {scan.progress().left:,} probes are left; go on with: portside scan --resume {path}"
    )


def _own_file(seed: int) -> str:
    """Return where the checkpoint of an interrupted scan goes (XDG Base Directory Specification)."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    directory = os.path.join(state, "portside")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return os.path.join(directory, f"scan-{seed:016x}.json")


# from what was typed to a plan


def _plan(arguments: SimpleNamespace) -> tuple[Plan, Checkpoint | None]:
    from portside.errors import BadRequest
    from portside.probe import checkpoint
    from portside.probe.records import STATES

    if arguments.resume:
        if arguments.targets or arguments.ports or arguments.input:
            raise BadRequest(
                "resume", f"'{arguments.resume}'", "the checkpoint holds targets and ports", "name none"
            )
        since = checkpoint.read(arguments.resume)
        return since.plan, since
    plan = _new_plan(arguments)
    by_host = arguments.xml or arguments.grepable or arguments.oX or arguments.oG
    wanted = frozenset(STATES) if by_host else _shown(arguments, plan)
    return plan.replace(options=plan.options.replace(wanted=wanted)), None


def _shown(arguments: SimpleNamespace, plan: Plan) -> frozenset[str]:
    """Return the states that are shown: what was asked for, all of few ports, else the open ones."""
    from portside.errors import BadRequest
    from portside.probe.records import OPEN, STATES

    asked = frozenset(filter(None, arguments.state.split(",")))
    if not asked <= set(STATES):
        unknown = ", ".join(sorted(asked - set(STATES)))
        raise BadRequest("show", f"state '{unknown}'", "there is no such state", f"use {', '.join(STATES)}")
    few = sum(plan.space(part).size for part in plan.parts) <= _FEW and not arguments.list
    return asked or frozenset(STATES if arguments.all or few else (OPEN,))


def _new_plan(arguments: SimpleNamespace) -> Plan:
    from portside.errors import BadRequest
    from portside.ports.registry import Registry
    from portside.ports.spec import parse_spec
    from portside.probe.method import Options
    from portside.probe.naming import resolve
    from portside.probe.order import parse_shard
    from portside.probe.plan import make_plan
    from portside.probe.scan import fresh_seed
    from portside.probe.targets import parse_targets
    from portside.system.services import read_services

    if arguments.ports and arguments.top:
        raise BadRequest("scan", "'-p --top'", "both name the ports", "give one of them")
    shard = parse_shard(arguments.shard)
    if shard.count > 1 and arguments.seed is None:
        raise BadRequest(
            "scan", f"shard {arguments.shard}", "the shards need one order", "give all the same --seed"
        )
    registry = Registry(read_services())
    family = "" if arguments.ipv4 == arguments.ipv6 else "4" if arguments.ipv4 else "6"
    return make_plan(
        parse_targets(
            _targets(arguments), resolve, exclude=_excluded(arguments), family=family,
            every_address=arguments.resolve_all,
        ),
        parse_spec(arguments.ports, registry) if arguments.ports else None,
        method=arguments.method,
        top=int(arguments.top),
        ranking=_read(arguments.ranking) if arguments.ranking else "",
        exclude=parse_spec(arguments.exclude_ports, registry) if arguments.exclude_ports else None,
        options=Options(
            timeout=arguments.timeout, retries=int(arguments.retries), rate=arguments.rate,
            concurrency=int(arguments.concurrency), source=arguments.source, device=arguments.device,
        ),
        seed=fresh_seed() if arguments.seed is None else int(arguments.seed),
        shard=shard,
        allowed=arguments.i_may_scan_this,
    )  # fmt: skip


def _targets(arguments: SimpleNamespace) -> Iterator[str]:
    from portside.errors import BadRequest
    from portside.probe.targets import words_of

    if not arguments.targets and not arguments.input:
        raise BadRequest(
            "scan", "", "no targets", "name addresses, networks or hosts: portside scan 192.0.2.0/24"
        )
    for word in arguments.targets:
        if word == "-":
            yield from words_of(_read("-"))
        else:
            yield word
    if arguments.input:
        yield from words_of(_read(arguments.input))


def _excluded(arguments: SimpleNamespace) -> Iterator[str]:
    """Yield the words to leave out; a comma before a digit that has its dots ends a word, as nmap has it."""
    from portside.probe.targets import words_of

    yield from filter(None, (word.strip() for word in arguments.exclude.split(",")))
    if arguments.exclude_file:
        yield from words_of(_read(arguments.exclude_file))


def _read(path: str) -> str:
    """Return a file's text, standard input's for `-`; main tells what cannot be read."""
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _described(plan: Plan) -> Iterator[str]:
    """Yield what a plan comes to."""
    yield f"addresses: {plan.addresses.size:,}"
    for part in plan.parts:
        ports = ",".join(map(str, part.ports))
        yield f"{part.protocol} ports: {plan.space(part).port_count:,} ({ports})"
        yield f"{part.protocol} methods: {', else '.join(part.methods)}"
    total = sum(plan.space(part).size for part in plan.parts)
    yield f"probes: {total:,}, seed {plan.seed}, shard {plan.shard}"
    rate = plan.options.rate or plan.options.limit
    yield f"rate: {rate:,.0f} a second at most" if rate else "rate: what the way bears"


COMMAND = Command(
    "scan",
    "which ports of which hosts answer, and why the others do not",
    ARGUMENTS,
    run,
    description=(
        "Probe ports of other hosts, or of this one as others see it, and say of each: open, closed, filtered, and\n"
        "how that is known.  Targets and ports in nmap's grammar, IPv4 and IPv6 in one run.  Scan only what is\n"
        "yours or what you may scan.  Exit 0 when a port is open, 1 when none is."
    ),
    examples=(
        "  portside scan 192.0.2.7 -p 22,80,443\n"
        "  portside scan 192.0.2.0/24 2001:db8::/120 --top 100 --json\n"
        "  portside scan 10.0.0-3.1,7 -p- --exclude 10.0.2.7 --checkpoint scan.json\n"
        "  portside scan localhost -p- --method connect -oX scan.xml"
    ),
)
