"""How fast Portside sees ports, beside ss, netstat, lsof and psutil, under the loads that the project promises for.

    python benchmarks/see.py [--quick] [--only NAME] [--json FILE] [--check]

Peers and we run in turn in one go, in throw-away network namespaces; medians are compared.  Needs root to see owners
as root does.  Exit code 0: this is a report.  With --check, 1 when a target was missed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import partial

import library
import measure
from entry import Options, run
from load import QUIET_PORT, Load
from measure import MIB, Command, Result, in_turn, ratio
from report import Section, Target

NOTHING = 20e-9  # seconds for one more unit that cannot be told from the noise of the whole run

HOLDING = "connections held by"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to measure with: the command, the size of the load, how often."""

    portside: str
    connections: int = 50_000
    processes: int = 100
    rounds: int = 7
    quick_rounds: int = 31
    growth: tuple[int, ...] = (12_500, 25_000, 50_000, 100_000)
    fillers: tuple[int, ...] = (0, 2_500, 5_000, 10_000, 19_000)

    def small(self) -> Plan:
        """Return the same plan for a smoke test."""
        return dataclasses.replace(
            self,
            connections=200,
            processes=4,
            rounds=1,
            quick_rounds=2,
            growth=(100, 200, 400, 800),
            fillers=(0, 10, 20),
        )


def everything(plan: Plan) -> Section:
    """List every socket with its owners."""
    with Load(plan.connections, plan.processes) as load:
        lines = load.sockets
        commands = [
            Command("portside list -a", (plan.portside, "list", "-a"), lines),
            Command("ss -tanp", ("ss", "-tanp"), lines),
            Command("lsof -Pnl -i4", ("lsof", "-Pnl", "-i4"), lines),
            Command("netstat -tanp", ("netstat", "-tanp"), lines),
            Command("ss -tan (no owners)", ("ss", "-tan"), lines),
        ]
        results = load.call(in_turn, commands, plan.rounds)
        floor = load.call(measure.peak_floor)
    ours, ss, lsof = results[:3]
    return Section(
        "everything",
        f"Every socket with its owners: {load.sockets:,} TCP sockets, {plan.connections:,} {HOLDING} "
        f"{plan.processes} processes",
        results,
        [
            Target("portside list -a, faster than ss -tanp", 6, ratio(ss, ours)),
            Target("portside list -a, faster than lsof -Pnl -i4", 2, ratio(lsof, ours)),
            Target("portside list -a, peak memory", 100, peak(ours), at_least=False, unit="MiB"),
        ],
        [
            f"the load was built in {load.seconds_to_build:.1f} s; output is read through a pipe, for all alike",
            f"peak memory cannot show less than {floor / MIB:.0f} MiB here: what starting any process takes",
        ],
    )


def in_library(plan: Plan) -> Section:
    """Call the library and psutil in one process."""
    with Load(plan.connections, plan.processes) as load:
        results = load.call(library.compare, plan.rounds)
    times, times_read = float("nan"), float("nan")
    if len(results) == 4:
        theirs, ours, theirs_read, ours_read = results
        times, times_read = ratio(theirs, ours), ratio(theirs_read, ours_read)
    return Section(
        "library",
        f"The library with owners: {load.sockets:,} TCP sockets, in one process",
        results,
        [Target("portside.sockets(), faster than psutil.net_connections()", 8, times)],
        [
            f"with every record read {times_read:.1f} times: Portside makes a record when it is read, psutil before",
            "`lines` are records returned, in the last two records that have an owner",
        ],
    )


def one_port(plan: Plan) -> Section:
    """Ask who listens on one port, without the load, with it, and without it again."""
    commands = [
        Command(f"portside list 'sport = {QUIET_PORT}'", (plan.portside, "list", f"sport = {QUIET_PORT}"), 1),
        Command(f"portside who {QUIET_PORT}", (plan.portside, "who", str(QUIET_PORT)), 1),
        Command(f"ss -tlnp sport = :{QUIET_PORT}", ("ss", "-tlnp", f"sport = :{QUIET_PORT}"), 2),
    ]
    half = max(plan.quick_rounds // 2, 1)
    idle = Load(0, 0)
    with idle:
        before = idle.call(in_turn, commands, half)
    with Load(plan.connections, plan.processes) as load:
        loaded = load.call(in_turn, commands, plan.quick_rounds)
    with Load(0, 0) as idle:
        after = idle.call(in_turn, commands, half)
    unloaded = [merge(*pair) for pair in zip(before, after, strict=True)]
    results = [
        dataclasses.replace(result, name=f"{result.name}, {state}")
        for pair in zip(unloaded, loaded, strict=True)
        for result, state in zip(pair, ("no load", f"{load.sockets:,} sockets"), strict=True)
    ]
    return Section(
        "one-port",
        f"Who listens on port {QUIET_PORT}: with and without {load.sockets:,} other sockets",
        results,
        [
            Target(f"{command.name}, loaded over not loaded", 1.3, ratio(with_load, without), at_least=False)
            for command, without, with_load in zip(commands[:1], unloaded, loaded, strict=False)
        ],
        [
            f"who: {ratio(loaded[1], unloaded[1]):.2f} times; it tells the port's connections too, and to find them "
            "the kernel walks all there are",
            "measured before the load, under it, and after it; the first and the last make the figure without load",
        ],
    )


def idle_host(plan: Plan) -> Section:
    """Start to end on a host with a few open ports, beside an interpreter that does nothing."""
    commands = [
        Command("python3 -c pass", (sys.executable, "-c", "pass")),
        Command("portside", (plan.portside,), 8),
        Command("portside list -a", (plan.portside, "list", "-a"), 8),
        Command("ss -tulnp", ("ss", "-tulnp"), 8),
        Command("netstat -tulnp", ("netstat", "-tulnp"), 8),
        Command("lsof -Pnl -i4", ("lsof", "-Pnl", "-i4"), 8),
    ]
    with Load(0, 7) as idle:
        results = idle.call(in_turn, commands, plan.quick_rounds)
    return Section(
        "idle",
        "An idle host: 8 listening sockets held by 8 processes",
        results,
        [Target("portside, over python3 -c pass", 3, ratio(results[1], results[0]), at_least=False)],
        [
            "the same interpreter in both; all processes of the machine are looked at, whatever their namespace"
        ],
    )


def growth_sockets(plan: Plan) -> Section:
    """Double the number of sockets, again and again."""
    loads = [Load(sockets // 2, plan.processes) for sockets in plan.growth]
    sizes = [load.sockets for load in loads]
    return grow(plan, "growth-sockets", "Growth with the number of sockets", "socket", loads, sizes)


def growth_descriptors(plan: Plan) -> Section:
    """Keep the sockets, and open more and more descriptors that are none."""
    loads = [Load(plan.growth[0] // 2, plan.processes, fillers) for fillers in plan.fillers]
    sizes = [load.descriptors for load in loads]
    title = f"Growth with the number of open descriptors, of which {loads[0].sockets:,} are sockets"
    return grow(plan, "growth-descriptors", title, "descriptor", loads, sizes)


def grow(plan: Plan, name: str, title: str, unit: str, loads: list[Load], sizes: list[int]) -> Section:
    """Measure under loads of growing size; linear growth has the same cost per unit at both ends."""
    ours: list[Result] = []
    theirs: list[Result] = []
    for load, size in zip(loads, sizes, strict=True):
        commands = [
            Command(f"portside list -a, {size:,} {unit}s", (plan.portside, "list", "-a"), load.sockets),
            Command(f"ss -tanp, {size:,} {unit}s", ("ss", "-tanp"), load.sockets),
        ]
        with load:
            mine, peer = load.call(in_turn, commands, max(plan.rounds - 2, 1))
        ours.append(mine)
        theirs.append(peer)
    middle = len(sizes) // 2
    low, high = slope(ours, sizes, 0, middle), slope(ours, sizes, middle, -1)
    growth = max(high, NOTHING) / max(low, NOTHING)
    return Section(
        name,
        title,
        ours + theirs,
        [Target(f"cost of one more {unit}, upper half over lower half", 1.5, growth, at_least=False)],
        [
            f"one more {unit} costs portside {low * 1e6:.2f} us in the lower half, {high * 1e6:.2f} us in the upper;"
            f" ss {slope(theirs, sizes, 0, middle) * 1e6:.2f} us and {slope(theirs, sizes, middle, -1) * 1e6:.2f} us;"
            f" less than {NOTHING * 1e6:.2f} us is noise and counts as that"
        ],
    )


def slope(results: list[Result], sizes: list[int], start: int, end: int) -> float:
    """Return the seconds that one more unit costs between two of the sizes."""
    return (results[end].median - results[start].median) / (sizes[end] - sizes[start])


def merge(first: Result, second: Result) -> Result:
    """Return one result with the rounds of both."""
    return Result(
        first.name,
        first.seconds + second.seconds,
        max(first.peak, second.peak),
        max(first.lines, second.lines),
        first.failure or second.failure,
    )


def peak(result: Result) -> float:
    """Return the peak memory in MiB, `nan` if the command failed."""
    return float("nan") if result.failure else result.peak / MIB


def planned(answer: Callable[[Plan], Section], options: Options) -> Section:
    """Answer a question by the plan that the options make."""
    plan = Plan(options.portside)
    if options.quick:
        plan = plan.small()
    if options.rounds:
        plan = dataclasses.replace(plan, rounds=options.rounds, quick_rounds=4 * options.rounds)
    return answer(plan)


SECTIONS = {
    "everything": everything,
    "library": in_library,
    "one-port": one_port,
    "idle": idle_host,
    "growth-sockets": growth_sockets,
    "growth-descriptors": growth_descriptors,
}


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", {name: partial(planned, answer) for name, answer in SECTIONS.items()}))
