"""The benchmarks cannot rot: they import, their load builds, measures and leaves nothing, their report reads back."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import require

from portside.errors import PortsideError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def small_load():
    import load

    try:
        with load.Load(connections=10, processes=2, fillers=3) as made:
            yield made
    except PortsideError as error:
        require(None, str(error))


@pytest.mark.live
def test_load_holds_what_it_says(small_load):
    assert small_load.sockets == 2 * 10 + 2 + 1
    assert small_load.descriptors == small_load.sockets + 2 * 3
    assert small_load.call(count_tcp) == small_load.sockets


@pytest.mark.live
def test_load_leaves_nothing(small_load):
    holders = small_load._holders
    group = holders.pid
    small_load.__exit__()
    assert holders.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def count_tcp():
    with open("/proc/self/net/tcp") as table:
        return len(table.readlines()) - 1


def test_commands_are_measured_in_turn():
    import measure

    good = measure.Command("hello", (sys.executable, "-S", "-c", "print('hello')"), lines=1)
    silent = measure.Command("silent", ("true",), lines=1)
    missing = measure.Command("missing", ("portside-has-no-such-program",))
    hello, nothing, none = measure.in_turn([good, silent, missing], 2)
    assert len(hello.seconds) == 2
    assert hello.lines == 1
    assert hello.peak > 1 << 20
    assert "0 lines of 1" in nothing.failure
    assert "cannot run" in none.failure
    text = measure.table([hello, nothing, none])
    assert "hello" in text
    assert "failed: status 0" in text


def test_report_judges_and_reads_back():
    import figures
    import measure
    import report

    result = measure.Result("ss -tanp, 10 sockets", (0.2, 0.1, 0.4), 5 << 20, 11)
    kept = report.Target("faster", 2, 2.0)
    missed = report.Target("smaller", 100, 100.0, at_least=False, unit="MiB")
    unknown = report.Target("unknown", 1, math.nan)
    section = report.Section("x", "A title", [result], [kept, missed, unknown], ["a note"])
    assert [target.met for target in section.targets] == [True, False, False]
    made = report.to_json([section], {"kernel": "6"}, {"ss": "6.1.0"}, "2026-01-01T00:00:00+00:00")
    (again,) = report.from_json(json.loads(json.dumps(made)))
    assert str(again) == str(section)
    assert "| `ss -tanp`, 10 sockets | 200 ms | 100 ms | 400 ms | 3 | 5 MiB | 11 |" in figures.page(
        {"see": made}
    )


def test_figures_page_is_the_measured_one():
    import figures

    assert figures.SOURCE.exists()
    assert figures.PAGE.read_text() == figures.page(figures.reports())


def offered(name):
    """What `benchmarks/NAME.py --help` prints."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS.parent / "src")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def benchmarks():
    """The names that `make bench` runs."""
    makefile = (BENCHMARKS.parent / "Makefile").read_text()
    return re.search(r"^BENCHMARKS := (.+)$", makefile, re.M)[1].split()


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_takes_the_same_options(name):
    text = offered(name)
    for option in ("--quick", "--only", "--rounds", "--json", "--check", "--portside"):
        assert option in text


def test_every_question_is_offered():
    text = offered("see")
    for name in ("everything", "library", "one-port", "idle", "growth-sockets", "growth-descriptors"):
        assert name in text


@pytest.mark.live
@pytest.mark.slow
def test_relays_are_measured():
    """Our own servers and uvloop's, if it is there, under a load that is over at once."""
    import entry
    import forward

    beside = Path(sys.executable).with_name("portside")
    try:
        section = forward.question(forward.round_trips)(entry.Options(str(beside), quick=True))
    except PortsideError as error:
        require(None, str(error))
    assert [result.name for result in section.results][:2] == [
        "portside serve echo",
        "portside serve echo, processor",
    ]
    assert section.results[0].median > 0
