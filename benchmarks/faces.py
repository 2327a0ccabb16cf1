"""How fast the faces are beside the tools whose command lines they take, under the load of benchmarks/see.py.

    python benchmarks/faces.py [--quick] [--only NAME] [--json FILE] [--check]

The tool and its face run in turn in one go, in throw-away network namespaces; medians are compared.  Needs root to
see owners as root does.  Exit code 0: this is a report.  With --check, 1 when a target was missed.
"""

from __future__ import annotations

import sys

from entry import Options, run
from load import Load
from measure import Command, in_turn, ratio
from report import Section, Target

CONNECTIONS, PROCESSES = 50_000, 100
FEW = (200, 4)  # with --quick
ROUNDS = 7


def ss(options: Options) -> Section:
    """List every TCP socket, with holders and without, and count them."""
    connections, processes = FEW if options.quick else (CONNECTIONS, PROCESSES)
    with Load(connections, processes) as load:
        commands = [
            command
            for words, lines in ((["-tanp"], load.sockets), (["-tan"], load.sockets), (["-s"], 8))
            for command in (
                Command(f"portside ss {words[0]}", (options.portside, "ss", *words), lines),
                Command(f"ss {words[0]}", ("ss", *words), lines),
            )
        ]
        commands.append(Command("python3 -c pass", (sys.executable, "-c", "pass")))
        results = load.call(in_turn, commands, options.rounds or (1 if options.quick else ROUNDS))
    holders, its_holders, plain, its_plain, count, _, nothing = results
    return Section(
        "ss",
        f"The ss face: {load.sockets:,} TCP sockets, {connections:,} connections held by {processes} processes",
        results,
        [
            Target("portside ss -tanp, faster than ss -tanp", 5, ratio(its_holders, holders)),
            Target("portside ss -tan, over ss -tan", 2.5, ratio(plain, its_plain), at_least=False),
            Target("portside ss -s, over python3 -c pass", 3, ratio(count, nothing), at_least=False),
        ],
        ["output is read through a pipe, for all alike"],
    )


SECTIONS = {"ss": ss}


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", SECTIONS))
