"""What a verdict costs: reading rules and judging ports, on the hosts that the project promises figures for.

    python benchmarks/guard.py [--quick] [--only NAME] [--json FILE] [--check]

No other tool answers the question, so the peers are the programs that print the rules: what they take is told beside
our own time, which is everything from their text to the verdicts.  A block list is measured beside `nft -f` of the
same set.  In throw-away network namespaces.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measure
from entry import ROOT, Options, run
from measure import Command, Result, in_turn
from portside.guard import iptables, nft, reading
from portside.guard.reach import Judge, Listener
from portside.system import commands, firewall
from portside.testing.namespaces import Namespace
from report import Section, Target

PORTS = (
    22,
    80,
    443,
    53,
    2222,
    25,
    110,
    143,
    465,
    587,
    993,
    995,
    3306,
    5432,
    6379,
    8080,
    8443,
    9090,
    9100,
    11211,
)
BLOCKED = """table inet other {{
	set hosts4 {{ type ipv4_addr; flags timeout; elements = {{ {elements} }} }}
	chain block {{ type filter hook prerouting priority raw; ip saddr @hosts4 counter drop; }}
}}
"""
WITHOUT = (
    "import sys; sys.argv = ['portside', 'list']; import portside.guard.seam as seam; "
    "from portside.see.reach import by_scope; seam.judge = lambda *host: by_scope; "
    "from portside.cli import entry; entry()"
)


def build(space: Namespace) -> None:
    """Give a namespace two interfaces and a way to everywhere."""
    space.add_link("eth0", peer="far0", addresses=["192.0.2.10/24", "2001:db8:1::10/64"])
    space.add_link("eth1", peer="far1", addresses=["10.0.0.1/24"])
    space.ip("route add default via 192.0.2.1", "route add ::/0 via 2001:db8:1::1")


def load_save(space: Namespace, family: str, text: str) -> None:
    """Load the text of iptables-save."""
    done = space.run([f"{'iptables' if family == 'ip' else 'ip6tables'}-nft-restore"], input=text)
    assert done.returncode == 0, done.stderr


def texts() -> tuple[str, str, str]:
    """Return what the programs print: nft's JSON, iptables-save, ip6tables-save."""
    return firewall.nft_json(), firewall.iptables_save("ip"), firewall.iptables_save("ip6")


def judged(printed: tuple[str, str, str], ports: tuple[int, ...]) -> int:
    """Return how many verdicts came of the programs' texts: our own part of the work."""
    json, four, six = printed
    instead = iptables.saved_rules(four, "ip") | iptables.saved_rules(six, "ip6")
    judge = Judge(nft.from_json(json, instead), reading.read_environment())
    return len([judge.reach(Listener("tcp", port)).verdict for port in ports])


def timed(name: str, rounds: int, call: Callable[[], int]) -> Result:
    """Return the rounds of one call; one that does not count comes first."""
    call()
    seconds, lines = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        lines = call()
        seconds.append(time.perf_counter() - began)
    return Result(name, tuple(seconds), lines=lines)


def inside(rounds: int, ports: tuple[int, ...]) -> list[Result]:
    """Measure in the namespace: the programs, our part for all ports, for one."""
    printed = texts()
    return [
        timed("nft -j, iptables-save, ip6tables-save", rounds, lambda: len(texts())),
        timed(f"our part, {len(ports)} ports", rounds, lambda: judged(printed, ports)),
        timed("our part, 1 port", rounds, lambda: judged(printed, ports[:1])),
    ]


def ufw_host(options: Options) -> Section:
    """Judge 20 listeners on a host with ufw's default rules and four of its user's."""
    data = ROOT / "tests" / "data" / "guard"
    with Namespace() as space:
        build(space)
        for family, name in (("ip", "ufw.v4"), ("ip6", "ufw.v6")):
            load_save(space, family, (data / name).read_text())
        results = space.call(inside, options.rounds or (3 if options.quick else 15), PORTS, timeout=300)
    return Section(
        "ufw",
        "A default ufw host: 181 rules, 20 listeners",
        results,
        [
            Target(
                "reach of 20 listeners, our own part, ms",
                150,
                results[1].median * 1e3,
                at_least=False,
                unit="ms",
            )
        ],
    )


def long_rules(count: int) -> str:
    """Return a block list and port rules, as long-lived hosts have them, for iptables-restore."""
    choose = random.Random(1)
    lines = ["*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines.append("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    for number in range(count):
        source = ".".join(str(choose.randrange(1, 255)) for _ in range(4))
        port = choose.choice((22, 80, 443, *range(1000, 1400)))
        if number % 2:
            lines.append(f"-A INPUT -s {source}/32 -j DROP")
        else:
            lines.append(
                f"-A INPUT -s {source}/{choose.choice((16, 24, 32))} -p tcp -m tcp --dport {port} -j ACCEPT"
            )
    lines += ["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "COMMIT"]
    return "\n".join(lines) + "\n"


def long_list(options: Options) -> Section:
    """Judge ports under a long ruleset of iptables."""
    count = 500 if options.quick else 5000
    with Namespace() as space:
        build(space)
        load_save(space, "ip", long_rules(count))
        results = space.call(inside, options.rounds or (1 if options.quick else 5), PORTS, timeout=300)
    return Section(
        "long",
        f"{count:,} rules of iptables, half a block list, half by source and port",
        results,
        [
            Target("reach of one port, our own part", 1, results[2].median, at_least=False, unit="s"),
            Target("reach of 20 ports, our own part", 3, results[1].median, at_least=False, unit="s"),
        ],
    )


def no_rules(options: Options) -> Section:
    """List ports on a host without rules: with the firewall's word, and with it left out."""
    rounds = options.rounds or (3 if options.quick else 41)
    commands = [
        Command("portside list", (options.portside, "list"), 1),
        Command("the same without REACH asked of the firewall", (sys.executable, "-c", WITHOUT), 1),
    ]
    with Namespace() as space:
        build(space)
        listener = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import socket, time; s = socket.create_server(('', 8080)); time.sleep(600)",
            ],
            preexec_fn=space.enter,
        )
        try:
            time.sleep(0.5)
            results = space.call(in_turn, commands, rounds, timeout=300)
        finally:
            listener.kill()
            listener.wait()
    more = (results[0].median - results[1].median) * 1e3
    return Section(
        "no-rules",
        "portside list on a host without rules",
        results,
        [Target("the firewall's word, ms more", 10, more, at_least=False, unit="ms")],
    )


def block_list(options: Options) -> Section:
    """Load a block list: the whole command, with its journal and its checks, beside nft(8) alone."""
    count = 2_000 if options.quick else 100_000
    choose = random.Random(2)
    addresses: set[str] = set()
    while len(addresses) < count:
        addresses.add(".".join(str(choose.randrange(1, 223)) for _ in range(4)))
    with Namespace() as space, tempfile.TemporaryDirectory() as directory:
        build(space)
        listed, script = Path(directory, "list"), Path(directory, "set.nft")
        listed.write_text("".join(f"{one}\n" for one in sorted(addresses)))
        elements = ",".join(sorted(addresses))
        script.write_text(BLOCKED.format(elements=elements))
        argvs = {
            "nft -f of the same set": ("nft", "-f", str(script)),
            "portside block --file": (options.portside, "block", "--file", str(listed)),
        }
        rounds = options.rounds or (1 if options.quick else 9)
        results = space.call(loaded, argvs, directory, rounds, timeout=280)
    ratio = results[1].median / results[0].median
    return Section(
        "block",
        f"A block list of {count:,} addresses, loaded",
        results,
        [Target("portside block over nft -f", 1.5, ratio, at_least=False, unit="times")],
    )


def loaded(argvs: dict[str, tuple[str, ...]], directory: str, rounds: int) -> list[Result]:
    """Measure commands in turn, each into an empty ruleset, with a journal that knows nothing."""
    found: dict[str, list[float]] = {name: [] for name in argvs}
    for number in range(rounds + 1):  # the first does not count
        for name, argv in argvs.items():
            subprocess.run(("nft", "flush", "ruleset"), check=True)
            os.environ["PORTSIDE_STATE"] = f"{directory}/state{number}"
            took = measure.run(argv)
            if took.status:
                return [Result(one, (), failure=took.said or f"{name} failed") for one in argvs]
            found[name].append(took.seconds)
    return [Result(name, tuple(seconds[1:])) for name, seconds in found.items()]


QUESTIONS = {"ufw": ufw_host, "long": long_list, "no-rules": no_rules, "block": block_list}


def versions() -> dict[str, str]:
    """Return the versions of the programs that print rules."""
    return {name: commands.run((name, "--version")).strip() for name in ("nft", "iptables")}


if __name__ == "__main__":
    assert Path(measure.__file__).parent == Path(__file__).parent
    sys.exit(run(__doc__ or "", QUESTIONS, versions))
