"""How fast Portside sends SYNs and finds ports, beside masscan, zmap and nmap, on one veth pair.

    python benchmarks/packets.py [--quick] [--only NAME] [--json FILE] [--check]

Two namespaces, a link between them; the next hop's hardware address is known, as masscan and zmap are told it.  Peers
and we run in turn.  Needs root.  A rate is counted at the far end of the link, over a second in the middle of a run,
so that starting up costs nobody anything; `seconds` of such a result are those of a million probes.  What counts is
probes: masscan, unless told not to, sends a RST for each answer that it reads, even for a RST, which are a third of
its packets where the target answers.  Here it is told not to.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from entry import Options, run
from measure import Command, Result, in_turn, ratio
from portside.testing.namespaces import Namespace
from report import Section, Target

NEAR, FAR = "192.0.2.1", "192.0.2.2"
CROWD, CROWD_SIZE = "192.0.2.128/26", 64  # addresses of the far host's own
MILLION = 1_000_000
WARM = 20_000  # probes before the counting begins
START = 10.0  # seconds in which these must have come
LISTENERS = 50
NMAP_LINES = 8  # what nmap prints beside the ports that are open
DROP = """table netdev sink {
 chain everything {
 type filter hook ingress device right priority 0; policy drop
 }
}
"""
SERVER = """
import socket, sys
made = [socket.create_server(("0.0.0.0", 1000 + 1200 * at)) for at in range(int(sys.argv[1]))]
print("ready", flush=True)
sys.stdin.read()
"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a rate is counted (seconds), how often, how many ports of one host and of many; runs of those two."""

    portside: str
    seconds: float = 1.0
    rounds: int = 5
    ports: int = 65_535
    few_ports: int = 2_500
    runs: int = 2

    def small(self) -> Plan:
        """Return the same plan for a smoke test."""
        return dataclasses.replace(self, seconds=0.1, rounds=1, ports=2_000, few_ports=200, runs=1)


class Link:
    """The two hosts: `near` scans, `far` drops everything (`sink`) or answers for 10.0.0.0/8 as its own."""

    def __init__(self, sink: bool) -> None:
        self.near, self.far = Namespace(), Namespace()
        self._sink = sink

    def __enter__(self) -> Link:
        self.near.__enter__()
        self.far.__enter__()
        near, far = self.near, self.far
        near.add_link("left", peer="right", addresses=[f"{NEAR}/24"])
        near.ip(f"link set right netns {far.pid}")
        far.ip("link set right up", f"address add {FAR}/24 dev right", "route add local 10.0.0.0/8 dev lo")
        far.ip(f"route add local {CROWD} dev lo")
        self.gateway = json.loads(far.run(["ip", "-j", "link", "show", "right"]).stdout)[0]["address"]
        near.ip(f"route add 10.0.0.0/8 via {FAR}", f"neigh replace {FAR} lladdr {self.gateway} dev left")
        if self._sink:
            done = far.run(["nft", "-f", "-"], input=DROP)
            if done.returncode:
                raise RuntimeError(done.stderr)
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(LISTENERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=far.enter,
        )  # fmt: skip
        assert self._server.stdout is not None
        self._server.stdout.readline()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.communicate()
        self.far.close()
        self.near.close()

    def probed(self) -> int:
        """Return how many probes came to the far end: what arrived at a sink, else what was answered."""
        for line in Path(f"/proc/{self.far.pid}/net/dev").read_text().splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == "right":
                return int(counters.split()[1 if self._sink else 9])
        raise RuntimeError("the far host has no interface 'right'")

    def rate(self, command: Sequence[str], seconds: float) -> float:
        """Return probes per second that a command sends; it is ended afterwards."""
        started = self.probed()
        process = subprocess.Popen(
            command, preexec_fn=self.near.enter, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir(),  # masscan leaves a file where it is stopped
        )  # fmt: skip
        try:
            deadline = time.monotonic() + START
            while self.probed() < started + WARM:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} sent {self.probed() - started} probes and no more")
                time.sleep(0.005)
            first, then = self.probed(), time.perf_counter()
            time.sleep(seconds)
            return (self.probed() - first) / (time.perf_counter() - then)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def senders(plan: Plan, gateway: str) -> dict[str, tuple[str, ...]]:
    """Return the commands that send as fast as they can, by name."""
    return {
        "portside scan --method syn": (
            plan.portside, "scan", "10.0.0.0/8", "-p", "80", "--method", "syn", "--retries", "0",
            "--rate", "100000000", "-q",
        ),
        "masscan": (
            "masscan", "10.0.0.0/8", "-p80", "--rate", "100000000", "-e", "left", "--adapter-ip", NEAR,
            "--router-mac", gateway.replace(":", "-"), "--wait", "0", "--noreset",
        ),
        "zmap --sender-threads 1": (
            "zmap", "-i", "left", "-G", gateway, "-S", NEAR, "-p", "80", "-r", "0", "-B", "100G", "-q", "-T", "1",
            "-b", "/dev/null", "-o", "/dev/null", "10.0.0.0/8",
        ),
    }  # fmt: skip


def rates(plan: Plan, name: str, title: str, sink: bool) -> Section:
    """Count what each sender sends, in turn."""
    seen: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    with Link(sink) as link:
        commands = senders(plan, link.gateway)
        for _ in range(plan.rounds):
            for who, command in commands.items():
                if who in failed:
                    continue
                try:
                    seen.setdefault(who, []).append(link.rate(command, plan.seconds))
                except (OSError, RuntimeError) as error:
                    failed[who] = str(error)
    results = [
        Result(who, tuple(MILLION / each for each in seen.get(who, [])), failure=failed.get(who, ""))
        for who in commands
    ]
    ours, masscan, zmap = results
    return Section(
        name,
        title,
        results,
        [
            Target("probes per second, over masscan", 1.0, ratio(masscan, ours)),
            Target("probes per second, over zmap", 1.0, ratio(zmap, ours)),
        ],
        [
            "times are for a million probes; per second: "
            + ", ".join(f"{each.name} {MILLION / each.median:,.0f}" for each in results if not each.failure)
        ],
    )


def sink(plan: Plan) -> Section:
    """Send to a host that drops everything at once."""
    return rates(plan, "sink", "SYNs into a sink", sink=True)


def answering(plan: Plan) -> Section:
    """Send to a host that answers each."""
    return rates(plan, "answering", "SYNs to a host whose kernel answers each, on the same cores", sink=False)


def many_hosts(plan: Plan) -> Section:
    """Scan some ports of many hosts, from the start of the command to its end, and find all that listen."""
    ports = f"1000-{999 + plan.few_ports}"
    found = CROWD_SIZE * len(range(1000, 1000 + plan.few_ports, 1200))
    with Link(sink=False) as link:
        commands = [
            Command(
                "portside scan --method syn",
                (plan.portside, "scan", CROWD, "-p", ports, "--method", "syn", "--list", "-q"),
                found,
            ),
            Command(
                "masscan --wait 1",
                (
                    "masscan", CROWD, "-p", ports, "--rate", "100000000", "-e", "left", "--adapter-ip", NEAR,
                    "--router-mac", link.gateway.replace(":", "-"), "--wait", "1",
                ),
                1,  # it leaves out what it does not read in time
            ),
        ]  # fmt: skip
        call: Callable[..., Any] = partial(link.near.call, timeout=600)
        results: list[Result] = call(in_turn, commands, plan.runs)
    ours, masscan = results
    return Section(
        "many-hosts",
        f"{plan.few_ports:,} ports of {CROWD_SIZE} hosts, of which {found} are open",
        results,
        [
            Target("portside scan --method syn, faster than masscan", 1.0, ratio(masscan, ours)),
            Target("open ports found, over masscan", 1.0, ours.lines / max(masscan.lines, 1)),
        ],
        [f"open ports found: portside {ours.lines} of {found}, masscan {masscan.lines}"],
    )


def one_host(plan: Plan) -> Section:
    """Scan the ports of one host, from the start of the command to its end, and find all that listen."""
    found = len([port for port in range(1000, 61_000, 1200) if port <= plan.ports])
    commands = [
        Command(
            "portside scan --method syn",
            (plan.portside, "scan", FAR, "-p", f"1-{plan.ports}", "--method", "syn", "--list", "-q"),
            found,
        ),
        Command(
            "nmap -sS -T5 --min-rate 100000",
            ("nmap", "-sS", "-T5", "--min-rate", "100000", "-Pn", "-n", f"-p1-{plan.ports}", FAR),
            1,  # at this rate it leaves some out
        ),
    ]
    with Link(sink=False) as link:
        call: Callable[..., Any] = partial(link.near.call, timeout=600)
        results: list[Result] = call(in_turn, commands, plan.runs)
    ours, nmap = results
    return Section(
        "one-host",
        f"{plan.ports:,} ports of one host, of which {found} are open",
        results,
        [Target("portside scan --method syn, faster than nmap", 1.0, ratio(nmap, ours))],
        [
            f"open ports found: portside {ours.lines} of {found}, nmap {max(nmap.lines - NMAP_LINES, 0)}; "
            "where portside misses one it has failed"
        ],
    )


def versions() -> dict[str, str]:
    """Return the peers' versions, `missing` for one that is not installed."""
    found = {}
    for name, argument in (("masscan", "--version"), ("zmap", "--version"), ("nmap", "--version")):
        if not shutil.which(name):
            found[name] = "missing"
            continue
        done = subprocess.run([name, argument], capture_output=True, text=True, timeout=10)
        words = (done.stdout + done.stderr).replace("version", " ").split()
        found[name] = next((word for word in words if word[0].isdigit()), "not told")
    return found


def planned(answer: Callable[[Plan], Section], options: Options) -> Section:
    """Answer a question by the plan that the options make."""
    plan = Plan(options.portside)
    if options.quick:
        plan = plan.small()
    if options.rounds:
        plan = dataclasses.replace(plan, rounds=options.rounds, runs=options.rounds)
    return answer(plan)


SECTIONS = {"sink": sink, "answering": answering, "many-hosts": many_hosts, "one-host": one_host}


if __name__ == "__main__":
    sys.exit(
        run(__doc__ or "", {name: partial(planned, answer) for name, answer in SECTIONS.items()}, versions)
    )
