"""`portside list` over a made-up machine: rows, columns, order, forms, filters, exit codes."""

from __future__ import annotations

import csv
import io
import json
import shlex

import pytest
from tests import fakemachine
from tests.fakemachine import COMMAND, Run

from portside.cli import load, port_table, socket_table
from portside.see.snapshot import Snapshot

PORTS = ["53/udp", "80/tcp", "8080/tcp", "9000/tcp", "10000/tcp"]


@pytest.fixture
def portside(tmp_path, monkeypatch, capsys):
    """Run the command line on the made-up machine."""
    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    return lambda *words: Run(capsys, *words)


def column(run, at=0):
    return [line.split()[at] for line in run.lines]


def cells(run):
    return [row[0] for row in csv.reader(io.StringIO(run.out))]


# rows and columns


def test_default_table(portside):
    run = portside()
    assert (run.code, run.err) == (0, "")
    assert run.lines[0].split("  ")[0] == "PORT"
    assert " ".join(run.lines[0].split()) == "PORT SERVICE BOUND TO REACH OWNER USER UNIT SINCE COMMAND"
    assert column(run)[1:] == PORTS
    assert run.lines[2].split("  ")[0] == "80/tcp"
    assert "0.0.0.0,[::]" in run.lines[2]  # both families, one row
    assert "web 90,91" in run.lines[2]
    assert "www-data" in run.lines[2]
    assert "two\\nlines" in run.lines[2]
    assert "api?" in run.lines[4]  # the host's own /etc/services counts
    assert "not listening" in run.lines[5]


def test_list_is_the_default_and_hostile_names_are_escaped(portside):
    plain = portside()
    assert portside("list").out == plain.out
    assert "a) b\\x1b[31m 100" in plain.out
    assert "\x1b" not in plain.out


def test_no_header(portside):
    assert portside("--no-header").lines == portside().lines[1:]
    assert portside("-a", "--no-header").lines == portside("-a").lines[1:]


@pytest.mark.parametrize("name", port_table.COLUMNS)
def test_every_column_alone_and_sorted(portside, name):
    run = portside("--columns", name, "--sort", name)
    assert run.code == 0
    assert run.lines[0].strip() == port_table.COLUMNS[name].header
    assert len(run.lines) == 6
    assert portside("--columns", name, "--sort", f"-{name}").code == 0


@pytest.mark.parametrize("name", socket_table.COLUMNS)
def test_every_column_of_sockets_alone_and_sorted(portside, name):
    run = portside("-a", "--columns", name, "--sort", name)
    assert run.code == 0
    assert run.lines[0].strip() == socket_table.COLUMNS[name].header
    assert len(run.lines) == 14
    assert portside("-a", "--columns", name, "--sort", f"-{name}").code == 0


def test_columns_in_the_order_asked_for(portside):
    run = portside("--columns", "owner, port ,state", "--csv")
    assert run.lines[0] == "owner,port,state"
    assert "api 1200,10000/tcp,bound-inactive" in run.lines


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("port", PORTS),  # by number: 9000 before 10000
        ("-port", PORTS[::-1]),
        ("pid", ["53/udp", "80/tcp", "8080/tcp", "9000/tcp", "10000/tcp"]),  # 13, 90, 100, 1200: by number
        ("protocol,-port", ["10000/tcp", "9000/tcp", "8080/tcp", "80/tcp", "53/udp"]),
        ("-protocol,port", ["53/udp", "80/tcp", "8080/tcp", "9000/tcp", "10000/tcp"]),
        ("state,-port", ["10000/tcp", "9000/tcp", "8080/tcp", "80/tcp", "53/udp"]),
        ("-backlog,port", ["8080/tcp", "80/tcp", "9000/tcp", "53/udp", "10000/tcp"]),
        ("-since,-port", PORTS[::-1]),  # all are of one age
    ],
)
def test_sort(portside, order, expected):
    run = portside("--sort", order, "--columns", "port", "--no-header")
    assert run.lines == expected


def test_sort_sockets_by_number(portside):
    run = portside("-a", "-t", "--columns", "recv-q,local", "--sort", "-recv-q,local", "--no-header")
    assert column(run) == ["7", "5", "2", "0", "0", "0", "0", "0", "0"]
    assert column(run, 1)[3:] == sorted(column(run, 1)[3:], key=lambda end: int(end.rpartition(":")[2]))


@pytest.mark.parametrize(
    "words",
    [("--columns", "foo"), ("--columns", "port,"), ("--columns", ""), ("--sort", "-"), ("--sort", "x")],
)
def test_wrong_columns_say_which_there_are(portside, words):
    for more in ((), ("-a",), ("--json",), ("--csv",)):
        run = portside(*words, *more)
        assert (run.code, run.out) == (2, "")
        assert "there is no such column; choose from p" in run.err


# forms


def test_csv_is_rfc_4180(portside):
    run = portside("--csv", "--columns", "port,command")
    assert run.out.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(run.out, newline=""), strict=True))
    assert [row["port"] for row in rows] == PORTS
    assert rows[1]["command"] == " ".join(COMMAND).replace(
        "\n", "\\n"
    )  # comma and quotes kept, line kept whole
    assert run.out.count("\n") == 6


def test_numeric_has_no_names(portside):
    run = portside("-n", "--columns", "port,service,user", "--csv")
    assert "80/tcp,-,33\r" in run.out.replace("\n", "") + "\r"
    assert portside("--numeric", "--json").out.count('"service": null') == 5


# what is selected


@pytest.mark.parametrize(
    ("words", "kind", "count"),
    [
        ([], "ports", 5),
        (["-t"], "ports", 4),
        (["-u"], "ports", 1),
        (["-tu"], "ports", 5),
        (["-4"], "ports", 4),
        (["-6"], "ports", 2),
        (["-46"], "ports", 5),
        (["-t6"], "ports", 1),
        (["-w"], "sockets", 0),
        (["-x"], "sockets", 2),
        (["--packet"], "sockets", 0),
        (["--netlink"], "sockets", 0),
        (["-a"], "sockets", 13),
        (["-at"], "sockets", 9),
        (["-au"], "sockets", 2),
        (["-ax"], "sockets", 2),
        (["-aux"], "sockets", 4),
        (["-a4"], "sockets", 9),
        (["port = 80"], "ports", 1),
        (["port", "=", "80", "or", "port", "=", "53"], "ports", 2),
        (["port = 80 or state listen"], "sockets", 5),
        (["state established"], "sockets", 4),
        (["state time-wait"], "sockets", 1),
        (["state bound-inactive"], "sockets", 1),
        (["dport = 53"], "sockets", 1),
        (["-u", "dst 127.0.0.1"], "sockets", 1),
        (["proc web"], "ports", 1),
        (["user www-data"], "ports", 1),
        (["unit app"], "ports", 1),
        (["pid = 1200"], "ports", 2),
        (["sport = 8000-8100 and user www-data"], "ports", 0),
        (["service domain"], "ports", 1),
        (["port = 1"], "ports", 0),
    ],
)  # fmt: skip
def test_selection(portside, words, kind, count):
    run = (
        portside(*words, "--json")
        if words[:1] and words[0].startswith("-")
        else portside("list", "--json", *words)
    )
    document = json.loads(run.out)
    assert (document["kind"], len(document["items"])) == (kind, count)
    assert run.code == (0 if count else 1)


@pytest.mark.parametrize("name", ["list", "who"])
def test_examples_of_the_help_run(portside, name):
    for line in load(name).examples.splitlines():
        run = portside(*shlex.split(line)[1:])
        assert run.code in (0, 1), (line, run.err)
        assert run.err == ""


def test_a_wrong_filter_is_pointed_at(portside):
    run = portside("list", "port = 80 andd proc x")
    assert (run.code, run.out) == (2, "")
    first, text, caret = run.err.splitlines()
    assert first.startswith("portside: parse filter: ")
    assert text.strip() == "port = 80 andd proc x"
    assert text[caret.index("^") :].startswith("andd")


# what is said beside


def test_verbose_tells_roads_and_what_the_kernel_decides(portside):
    run = portside("list", "-v", "port = 80 and proc web")
    assert "portside: kernel: port = 80\n" in run.err
    assert "portside: tcp read by sock_diag\n" in run.err
    assert "portside: owners read by proc\n" in run.err
    assert "proc" in run.err
    assert run.code == 0


def test_gaps_are_noted_counted_and_strict(portside, monkeypatch):
    from portside.see.records import Gap

    monkeypatch.setattr(
        Snapshot, "count_gaps", lambda self, counts: [Gap("owners", "permission", 7, "run it with sudo")]
    )
    for words in ([], ["-a"], ["--csv"], ["-x"]):
        run = portside(*words)
        assert (run.code, run.err) == (0, "portside: not seen: owners (7): permission; run it with sudo\n")
        assert portside(*words, "-q").err == ""
        assert portside(*words, "--strict").code == 3
    run = portside("--json", "--strict")
    document = json.loads(run.out)
    assert (run.code, run.err, document["complete"]) == (3, "", False)
    assert document["gaps"] == [
        {"what": "owners", "why": "permission", "count": 7, "next_step": "run it with sudo"}
    ]


def test_strict_is_content_with_a_whole_view(portside):
    assert portside("--strict").code == 0
    assert portside("list", "--strict", "port = 1").code == 1


# again and again


@pytest.mark.parametrize("form", ["--json", "--csv", "-q", "-a"])
def test_watch_repeats_until_interrupted(portside, monkeypatch, form):
    rounds = []

    def sleep(seconds):
        rounds.append(seconds)
        if len(rounds) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    run = portside("--watch", "0.5", form)
    assert (run.code, run.err, rounds) == (130, "", [0.5] * 3)
    assert "\x1b" not in run.out
    if form == "--json":
        assert [json.loads(line)["kind"] for line in run.lines] == ["ports"] * 3
    else:
        once = portside(form).out
        assert run.out == "\n".join([once] * 3)


@pytest.mark.parametrize("form", ["--json", "--csv", ""])
def test_watch_clears_a_terminal_only_for_a_table(monkeypatch, tmp_path, form):
    import sys

    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("time.sleep", lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
    assert fakemachine.main(["--watch", *filter(None, [form]), "--color", "never"]) == 130
    assert stream.getvalue().startswith("\x1b[H\x1b[2J") == (form == "")


def test_numbers_shown_do_not_change_what_a_filter_finds(portside):
    named, numbered = portside("list", "user www-data"), portside("list", "-n", "user www-data")
    assert (named.code, numbered.code) == (0, 0)
    assert len(named.out.splitlines()) == len(numbered.out.splitlines())
