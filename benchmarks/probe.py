"""How fast Portside connects, beside nmap -sT, how right it is, and that memory does not grow with the targets.

    python benchmarks/probe.py [--quick] [--only NAME] [--json FILE] [--check]

Two namespaces and the link of `packets.py`; peers and we run in turn.  Needs root.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import partial

import measure
from entry import Options, run
from measure import MIB, Command, in_turn, ratio
from packets import FAR, LISTENERS, Link, versions
from report import Section, Target

DROPPED = "table inet filter {\n chain in {\n type filter hook input priority 0\n tcp dport 30000-60000 drop\n }\n}\n"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to measure with: the command, how many ports of one host, how many silent ones, how often, how wide."""

    portside: str
    ports: int = 65_535
    silent: int = 80
    rounds: int = 5
    widths: tuple[int, ...] = (22, 12)  # networks of loopback addresses: 1,024 and 1,048,576

    def small(self) -> Plan:
        """Return the same plan for a smoke test."""
        return dataclasses.replace(self, ports=2_000, silent=10, rounds=1, widths=(30, 26))


def connect(plan: Plan) -> Section:
    """Probe all ports of one host that answers for each."""
    ports = f"1-{plan.ports}"
    ours = (plan.portside, "scan", FAR, "-p", ports, "--method", "connect", "-q")
    theirs = ("nmap", "-sT", "-n", "-Pn", "-p", ports, FAR)
    commands = [
        Command("portside scan --method connect", ours, 1),
        Command("nmap -sT", theirs, 1),
        Command("nmap -sT -T5 --min-rate 100000", (*theirs, "-T5", "--min-rate", "100000"), 1),
    ]
    with Link(sink=False) as link:
        results = link.near.call(in_turn, commands, plan.rounds, timeout=600)
    mine, plain, fast = results
    promise = "portside scan --method connect, time over that of nmap -sT"
    return Section(
        "connect",
        f"Connect to {plan.ports:,} TCP ports of one host, {LISTENERS} of them open",
        results,
        [Target(promise, 1.2, ratio(mine, plain), at_least=False)],
        [f"over nmap -sT -T5 --min-rate 100000: {ratio(mine, fast):.2f} times"],
    )


def silent(plan: Plan) -> Section:
    """Probe ports that a filter keeps silent: what is waited for, and how many at once."""
    ports = f"30000-{29_999 + plan.silent}"
    ours = (plan.portside, "scan", FAR, "-p", ports, "--method", "connect", "--all")
    commands = [
        Command("portside scan --method connect", ours, 1),
        Command("nmap -sT", ("nmap", "-sT", "-n", "-Pn", "-p", ports, FAR), 1),
    ]
    with Link(sink=False) as link:
        done = link.far.run(["nft", "-f", "-"], input=DROPPED)
        if done.returncode:
            raise RuntimeError(done.stderr)
        results = link.near.call(in_turn, commands, 1, timeout=600)
    mine, theirs = results
    return Section(
        "silent",
        f"Connect to {plan.silent:,} TCP ports that a filter drops",
        results,
        [Target("portside scan --method connect, faster than nmap -sT", 1, ratio(theirs, mine))],
    )


def growth(plan: Plan) -> Section:
    """Probe one port of more and more addresses."""
    commands = [
        Command(
            f"{1 << 32 - width:,} addresses",
            (plan.portside, "scan", f"127.0.0.0/{width}", "-p", "9", "--method", "connect", "-q"),
        )
        for width in plan.widths
    ]
    with Link(sink=False) as link:
        results = link.near.call(in_turn, commands, 1, timeout=600)
        floor = link.near.call(measure.peak_floor)
    few, many = (result.peak / MIB if not result.failure else float("nan") for result in results)
    times = 1 << plan.widths[0] - plan.widths[-1]
    return Section(
        "growth",
        f"Memory of a scan while its targets grow {times:,} times",
        results,
        [
            Target(
                f"peak memory with {times:,} times the addresses, more than before",
                4,
                many - few,
                False,
                "MiB",
            )
        ],
        [f"peak memory cannot show less than {floor / MIB:.0f} MiB here: what starting any process takes"],
    )


QUESTIONS: dict[str, Callable[[Plan], Section]] = {"connect": connect, "silent": silent, "growth": growth}


def asked(question: Callable[[Plan], Section], options: Options) -> Section:
    """Answer one question with what the command line asks for."""
    plan = Plan(options.portside)
    plan = plan.small() if options.quick else plan
    return question(dataclasses.replace(plan, rounds=options.rounds) if options.rounds else plan)


if __name__ == "__main__":
    made = {name: partial(asked, question) for name, question in QUESTIONS.items()}
    sys.exit(run(__doc__ or "", made, versions))
