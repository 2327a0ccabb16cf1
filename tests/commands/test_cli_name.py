"""`portside name`, in process and as a program."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portside.cli import main

SOURCE = Path(__file__).resolve().parents[2] / "src"


def run(capsys, *words):
    code = main(["name", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_table(capsys):
    code, out, err = run(capsys, "domain")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["NAME", "PORT", "DESCRIPTION", "REFERENCE", "RANGE", "SOURCE"]
    assert lines[1].startswith("domain  53/tcp  Domain Name Server")
    assert lines[1].index("Domain") == lines[0].index("DESCRIPTION")
    assert "system" in lines[1]


def test_no_header(capsys):
    _, out, _ = run(capsys, "4/tcp", "--no-header")
    assert out.split()[:3] == ["-", "4/tcp", "Unassigned"]


def test_ranges_and_names_without_number(capsys):
    code, out, _ = run(capsys, "x11/tcp", "argus", "7ksonar/udp")
    assert code == 0
    assert "6000-6063/tcp" in out
    assert ["argus", "-", "ARGUS"] in [line.split()[:3] for line in out.splitlines()]
    assert ["7ksonar", "-/udp", "Teledyne"] in [line.split()[:3] for line in out.splitlines()]


def test_json(capsys):
    code, out, _ = run(capsys, "https/tcp", "4/udp", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["portside"], document["kind"], document["complete"]) == (1, "services", True)
    https = next(item for item in document["items"] if item["port"] == 443)
    assert https["source"] in ("iana", "iana+host")
    assert {key: https[key] for key in ("query", "name", "last_port", "transport", "reference", "range")} == {
        "query": "https/tcp", "name": "https", "last_port": 443, "transport": "tcp", "reference": "[RFC9110]",
        "range": "system",
    }  # fmt: skip
    assert document["items"][-1]["name"] is None
    assert document["items"][-1]["description"] == "Unassigned"


def test_csv(capsys):
    _, out, _ = run(capsys, "http-alt", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["port"] for row in rows} >= {"8080/tcp", "8080/udp", "591/tcp"}
    assert set(rows[0]) == {"name", "port", "description", "reference", "range", "source"}


def test_nothing_found(capsys):
    code, out, err = run(capsys, "htps")
    assert (code, out) == (1, "")
    assert err.startswith("portside: look up 'htps': in no registry; did you mean 'https'")


def test_one_of_two_found(capsys):
    code, out, err = run(capsys, "ssh", "zzzzzzzz")
    assert code == 1
    assert "22/tcp" in out
    assert err == "portside: look up 'zzzzzzzz': in no registry\n"


def test_dynamic_ports_are_never_assigned(capsys):
    code, out, err = run(capsys, "65000")
    assert (code, out) == (1, "")
    assert "never assigned" in err


def test_nothing_found_is_an_empty_list_in_json(capsys):
    code, out, _ = run(capsys, "htps", "--json", "-q")
    assert code == 1
    assert json.loads(out)["items"] == []


@pytest.mark.parametrize("query", ["65536", "100-50", "99999/tcp"])
def test_bad_numbers(capsys, query):
    code, out, err = run(capsys, query)
    assert (code, out) == (2, "")
    assert err.startswith("portside: read port")


def test_odd_queries_end_well(capsys):
    for query in ("", " ", "\x1b[31m", "\udcff", "[", "*?", "x" * 10_000, "/", "/tcp"):
        code, out, err = run(capsys, query)
        assert code in (0, 1)
        assert "\x1b" not in out + err


def test_as_a_program():
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "COLUMNS": "60"}
    command = [sys.executable, "-m", "portside", "name", "ssh*", "443"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "https" in done.stdout
    assert "The Secure Shell (SSH) Protocol" in done.stdout  # nothing is cut in a pipe


def test_a_reader_that_goes_away_is_no_error():
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = f"{sys.executable} -m portside name '*' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.stdout.startswith("NAME")
    assert (done.returncode, done.stderr) == (0, "")
