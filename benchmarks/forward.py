"""How fast Portside relays and serves, beside HAProxy, socat, ncat and uvloop, over loopback.

    python benchmarks/forward.py [--quick] [--only NAME] [--json FILE] [--check]

Everything runs in one throw-away namespace, the servers side by side, the load through one after the other.  Of small
work the client, which is Python too, takes as much time as the server: so beside the seconds that passed stands the
processor time of the server's process group, which is what a core can do.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from entry import Options, run
from measure import Result, ratio
from portside.testing.namespaces import Namespace
from report import Section, Target

LOAD = str(Path(__file__).with_name("relay_load.py"))
SINK, ECHO, FIRST = 6001, 6002, 6010  # ports: the targets, then one for each server
READY = 15.0
HAPROXY = """
global
    maxconn 5000
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen relay
    bind 127.0.0.1:{port}
    server target 127.0.0.1:{target}
"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much: megabytes through each relay, connections, round trips; how often."""

    portside: str
    megabytes: int = 2048
    connections: int = 3000
    forked: int = 300  # connections through what starts a process for each
    trips: int = 100_000
    rounds: int = 5

    def small(self) -> Plan:
        """Return the same plan for a smoke test."""
        return dataclasses.replace(self, megabytes=16, connections=50, forked=10, trips=500, rounds=1)


@dataclasses.dataclass(frozen=True)
class Server:
    """One server: its name and command; `forks`: it starts a process for each connection."""

    name: str
    argv: tuple[str, ...]
    port: int
    forks: bool = False


Load = Callable[[Server], Sequence[object]]  # from a server to the words of relay_load.py


class Running:
    """Servers in a namespace, each in a process group of its own, from `with` to the end of the block."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.space = Namespace()
        self.servers = [server for server in servers if shutil.which(server.argv[0])]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Running:
        self.space.__enter__()
        try:
            for server in self.servers:
                self._processes[server.name] = subprocess.Popen(
                    server.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=self.space.enter,
                    start_new_session=True,
                )
            for server in self.servers:
                self._await(server.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.space.close()

    def _await(self, port: int) -> None:
        deadline = time.monotonic() + READY
        while f":{port:04X} 00000000:0000 0A" not in self.space.run(["cat", "/proc/self/net/tcp"]).stdout:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on port {port} after {READY:.0f} s")
            time.sleep(0.05)

    def load(self, *words: object) -> float:
        """Run the load and return the seconds that it took."""
        done = self.space.run([sys.executable, "-I", LOAD, *map(str, words)], timeout=600)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return float(done.stdout)

    def processor_time(self, server: Server) -> float:
        """Return the seconds that a server and the children that it has waited for have computed."""
        fields = Path(f"/proc/{self._processes[server.name].pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def measure(self, load: Load, servers: Sequence[Server], rounds: int) -> list[Result]:
        """Put the load through those servers that are there, in turn: seconds, and processor time beside them."""
        wanted = [server for server in servers if server in self.servers]
        passed: dict[str, list[float]] = {server.name: [] for server in wanted}
        computed: dict[str, list[float]] = {server.name: [] for server in wanted}
        failures = dict.fromkeys(passed, "")
        for number in range(rounds + 1):
            for server in wanted:
                if failures[server.name]:
                    continue
                before = self.processor_time(server)
                try:
                    seconds = self.load(*load(server))
                except (RuntimeError, OSError) as error:
                    failures[server.name] = str(error)
                    continue
                if number:
                    passed[server.name].append(seconds)
                    computed[server.name].append(self.processor_time(server) - before)
        results = []
        for name, failure in failures.items():
            results.append(Result(name, tuple(passed[name]), failure=failure))
            results.append(Result(f"{name}, processor", tuple(computed[name]), failure=failure))
        return results


def churn(plan: Plan) -> Load:
    """Return the load of opening and closing: fewer times where each starts a process."""
    return lambda server: ("connections", server.port, plan.forked if server.forks else plan.connections, 20)


def per_thousand(results: list[Result], servers: Sequence[Server], plan: Plan) -> list[Result]:
    """Return what `churn` took as the seconds of a thousand connections."""
    scale = {each.name: (plan.forked if each.forks else plan.connections) / 1000 for each in servers}
    return [
        dataclasses.replace(
            each, seconds=tuple(s / scale[each.name.partition(", ")[0]] for s in each.seconds)
        )
        for each in results
    ]


def helpers(*roles: str) -> list[Server]:
    """Return the targets behind the relays."""
    ports = {"sink": SINK, "uvloop": ECHO}
    return [
        Server(f"target {role}", (sys.executable, LOAD, role, str(ports[role])), ports[role])
        for role in roles
    ]


def relays(plan: Plan, target: int, directory: str) -> list[Server]:
    """Return the relays to one target."""
    ours, haproxy, socat, big = range(FIRST, FIRST + 4)
    config = Path(directory, "haproxy.cfg")
    config.write_text(HAPROXY.format(port=haproxy, target=target))
    place = f"127.0.0.1:{target}"
    to = f"TCP4:{place}"
    return [
        Server("portside forward", (plan.portside, "forward", "-q", f"127.0.0.1:{ours}", place), ours),
        Server("haproxy", ("haproxy", "-db", "-f", str(config)), haproxy),
        Server("socat", ("socat", f"TCP4-LISTEN:{socat},bind=127.0.0.1,reuseaddr,fork", to), socat, forks=True),
        Server(
            "socat -b 1M", ("socat", "-b", "1048576", f"TCP4-LISTEN:{big},bind=127.0.0.1,reuseaddr,fork", to), big,
            forks=True,
        ),
    ]  # fmt: skip


def throughput(plan: Plan) -> Section:
    """Move much through one connection."""
    with tempfile.TemporaryDirectory() as directory:
        servers = relays(plan, SINK, directory)
        with Running([*helpers("sink"), *servers]) as running:
            results = running.measure(lambda each: ("bulk", each.port, plan.megabytes), servers, plan.rounds)
    found = {each.name: each for each in results}
    return Section(
        "throughput",
        f"Relaying {plan.megabytes:,} MiB from one client to a target that discards",
        results,
        _targets(found, "portside forward", {"haproxy": 1.0, "socat": 2.0}),
        ["haproxy in TCP mode with splice-auto; the target discards in the kernel (MSG_TRUNC)"],
    )


def _targets(found: dict[str, Result], ours: str, wanted: dict[str, float], kind: str = "") -> list[Target]:
    """Return a target for each peer that was there."""
    return [
        Target(f"{ours}, faster than {peer}{kind}", limit, ratio(found[peer + kind], found[ours + kind]))
        for peer, limit in wanted.items()
        if peer in found
    ]


def relayed_connections(plan: Plan) -> Section:
    """Open and close through the relays."""
    with tempfile.TemporaryDirectory() as directory:
        servers = relays(plan, ECHO, directory)[:3]
        with Running([*helpers("uvloop"), *servers]) as running:
            results = per_thousand(running.measure(churn(plan), servers, plan.rounds), servers, plan)
    found = {each.name: each for each in results}
    return Section(
        "connections",
        "1,000 connections through a relay: connect, ten bytes there and back, close; 20 at once",
        results,
        _targets(found, "portside forward", {"socat": 5.0}),
        ["the target behind all of them is uvloop's echo protocol; haproxy is shown for comparison"],
    )


def echo_servers(plan: Plan) -> list[Server]:
    """Return the echo servers."""
    ours, socat, ncat, uvloop = range(FIRST, FIRST + 4)
    return [
        Server("portside serve echo", (plan.portside, "serve", "-q", f"echo:{ours}/tcp"), ours),
        Server(
            "socat",
            ("socat", f"TCP4-LISTEN:{socat},bind=127.0.0.1,reuseaddr,fork", "PIPE"),
            socat,
            forks=True,
        ),
        Server("ncat -k", ("ncat", "-lk", "--exec", "/bin/cat", "127.0.0.1", str(ncat)), ncat, forks=True),
        *[Server("uvloop", (sys.executable, LOAD, "uvloop", str(uvloop)), uvloop)][: has_uvloop()],
    ]


def has_uvloop() -> bool:
    """Return whether this peer is installed."""
    return importlib.util.find_spec("uvloop") is not None


def served_connections(plan: Plan) -> Section:
    """Open and close at the echo servers."""
    servers = echo_servers(plan)
    with Running(servers) as running:
        results = per_thousand(running.measure(churn(plan), servers, plan.rounds), servers, plan)
    found = {each.name: each for each in results}
    return Section(
        "served",
        "1,000 connections to an echo server: connect, ten bytes there and back, close; 20 at once",
        results,
        _targets(found, "portside serve echo", {"socat": 5.0, "ncat -k": 1.0}),
    )


def round_trips(plan: Plan) -> Section:
    """Ask the echo servers that keep their connections."""
    servers = [each for each in echo_servers(plan) if not each.forks]
    with Running(servers) as running:
        load: Load = lambda each: ("echo", each.port, plan.trips, 50, 1024)  # noqa: E731
        results = running.measure(load, servers, plan.rounds)
    found = {each.name: each for each in results}
    return Section(
        "echo",
        f"{plan.trips:,} round trips of 1 KiB over 50 connections",
        results,
        [
            *_targets(found, "portside serve echo", {"uvloop": 1.0}),
            *_targets(found, "portside serve echo", {"uvloop": 1.0}, ", processor"),
        ],
    )


def versions() -> dict[str, str]:
    """Return the peers' versions."""
    asked = {
        "haproxy": (["haproxy", "-v"], 0, 2),
        "socat": (["socat", "-V"], 1, 2),
        "ncat": (["ncat", "--version"], 0, 2),
    }
    found = {}
    for name, (argv, line, word) in asked.items():
        if shutil.which(name):
            done = subprocess.run(argv, capture_output=True, text=True)
            found[name] = (done.stdout or done.stderr).splitlines()[line].split()[word]
    try:
        found["uvloop"] = version("uvloop")
    except PackageNotFoundError:
        pass
    return found


QUESTIONS = {
    "throughput": throughput,
    "connections": relayed_connections,
    "served": served_connections,
    "echo": round_trips,
}


def question(answer: Callable[[Plan], Section]) -> Callable[[Options], Section]:
    """Return a question as the command line asks it."""

    def ask(options: Options) -> Section:
        plan = Plan(options.portside)
        plan = plan.small() if options.quick else plan
        return answer(dataclasses.replace(plan, rounds=options.rounds or plan.rounds))

    return ask


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", {name: question(each) for name, each in QUESTIONS.items()}, versions))
