"""The way in: finding the command, wrong words, help, and streams that are full, closed or gone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import portside
from portside import cli
from portside.cli import COMMANDS, main
from portside.cli.command import Command
from portside.errors import BadReply, NotPermitted, NotSupported, TimedOut, Vanished

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = [sys.executable, "-m", "portside"]


@pytest.fixture
def stub(monkeypatch):
    """Stand in for every command: `calls` says which was run with what; `does` is done."""

    class Stub:
        def __init__(self):
            self.calls = []
            self.does = lambda: 0

        def load(self, name):
            def run(arguments, output):
                self.calls.append((name, vars(arguments)))
                return self.does()

            return Command(name, COMMANDS[name], real(name).arguments, run)

    real, made = cli.load, Stub()
    monkeypatch.setattr(cli, "load", made.load)
    return made


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in which `portside` is this checkout's program."""
    values = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    values |= {"PYTHONPATH": str(SOURCE), "PYTHON": sys.executable} | environment
    script = 'portside() { "$PYTHON" -m portside "$@"; }\n' + script
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=values)


# finding the command


@pytest.mark.parametrize(
    ("words", "name", "expected"),
    [
        ([], "list", {"filter": [], "json": False}),
        (["list"], "list", {}),
        (["-a"], "list", {"all": True}),
        (["-q"], "list", {"quiet": True}),
        (["-tu", "-4"], "list", {"tcp": True, "udp": True, "ipv4": True}),
        (["--json", "list", "-a"], "list", {"json": True, "all": True}),
        (["-q", "who", "80"], "who", {"quiet": True, "port": "80"}),
        (["-v", "--json", "doctor"], "doctor", {"verbose": True, "json": True}),
        (["--color", "always", "who", "80"], "who", {"color": "always", "port": "80"}),
        (["--color=always", "who", "80"], "who", {"color": "always", "port": "80"}),
        (["who", "80", "--json"], "who", {"json": True}),
        (["who", "--json", "80", "-q"], "who", {"json": True, "quiet": True, "port": "80"}),
        (["list", "port", "=", "22", "-a", "or", "x"], "list", {"filter": ["port", "=", "22", "or", "x"]}),
        (["list", "--sort", "-port"], "list", {"sort": "-port"}),
        (["list", "--sort=-port,owner"], "list", {"sort": "-port,owner"}),
        (["list", "--sort", "-pid", "-a"], "list", {"sort": "-pid", "all": True}),
        (["list", "--watch"], "list", {"watch": 2.0}),
        (["list", "--watch", "0.5"], "list", {"watch": 0.5}),
        (["list", "--watch=3", "port = 22"], "list", {"watch": 3.0, "filter": ["port = 22"]}),
        (["list", "--", "who"], "list", {"filter": ["who"]}),
    ],
)  # fmt: skip
def test_dispatch(stub, words, name, expected):
    assert main(words) == 0
    ((called, arguments),) = stub.calls
    assert called == name
    assert expected.items() <= arguments.items()


def test_defaults_are_what_the_parser_gives(stub):
    """Nothing typed takes a short way round the parser: it has to lead to the same place."""
    main([])
    main(["-q"])
    (_, short), (_, parsed) = stub.calls
    assert short == parsed | {"quiet": False}


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_exit_code_is_the_command_s(stub, code):
    stub.does = lambda: code
    assert main(["list"]) == code


# wrong words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lits"], "run 'lits': there is no such command; did you mean 'portside list'?"),
        (["doktor"], "run 'doktor': there is no such command; did you mean 'portside doctor'?"),
        (["xyzzy"], "run 'xyzzy': there is no such command; see 'portside --help'"),
        (["8080"], "run '8080': there is no such command; did you mean 'portside who 8080'?"),
        (["53/udp"], "run '53/udp': there is no such command; did you mean 'portside who 53/udp'?"),
        (["port = 80"], "run 'port = 80': there is no such command; did you mean portside list \"port = 80\"?"),
        ([""], "run '': there is no such command; see 'portside --help'"),
        (["\x1b[31m"], "run '\\x1b[31m': there is no such command; see 'portside --help'"),
        (["--bogus"], "unrecognized arguments: --bogus; see 'portside list --help'"),
        (["list", "--js"], "unrecognized arguments: --js; see 'portside list --help'"),
        (["list", "--\x1b[2J"], "unrecognized arguments: --\\x1b[2J; see 'portside list --help'"),
        (["who"], "the following arguments are required: PORT; see 'portside who --help'"),
        (["who", "1", "2"], "unrecognized arguments: 2; see 'portside who --help'"),
        (["who", "80", "--peers", "-1"], "argument --peers: '-1' is not a number of peers"),
        (["who", "80", "--peers", "²"], "argument --peers: '²' is not a number of peers"),
        (["name"], "the following arguments are required: QUERY; see 'portside name --help'"),
        (["doctor", "now"], "unrecognized arguments: now; see 'portside doctor --help'"),
        (["list", "--color", "pink"], "argument --color: invalid choice: 'pink'"),
        (["list", "--netns", "mine"], "argument --netns: invalid choice: 'mine'"),
        (["list", "--sort"], "argument --sort: expected one argument; see 'portside list --help'"),
        (["list", "--watch", "soon"], "argument --watch: 'soon' is not a number of seconds"),
        (["list", "--watch", "0"], "argument --watch: '0' is not between 0.1 and 86400 seconds"),
        (["list", "--watch", "nan"], "argument --watch: 'nan' is not between 0.1 and 86400 seconds"),
        (["list", "--json=yes"], "argument --json: ignored explicit argument 'yes'"),
    ],
)  # fmt: skip
def test_wrong_words_end_with_2_and_a_next_step(capsys, words, said):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"portside: {said}")
    assert captured.err.count("\n") == 1
    assert "\x1b" not in captured.err


# help


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"]])
def test_help_lists_the_commands(capsys, words):
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for name, line in COMMANDS.items():
        assert f"  {name} " in captured.out
        assert line in captured.out
    assert max(map(len, captured.out.splitlines())) < 100


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("words", [["{}", "-h"], ["{}", "--help"], ["help", "{}"], ["-q", "{}", "--help"]])
def test_help_of_a_command(capsys, name, words):
    assert main([word.format(name) for word in words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(f"usage: portside {name} ")
    for text in ("--json", "--color", "examples:", f"portside {name}"):
        assert text in captured.out


def test_help_of_no_command(capsys):
    assert main(["help", "lits"]) == 2
    assert "did you mean 'portside list'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-V"], ["--version"]])
def test_version(capsys, words):
    assert main(words) == 0
    assert capsys.readouterr().out == f"portside {portside.__version__}\n"


# what commands raise


@pytest.mark.parametrize("kind", [BadReply, NotPermitted, NotSupported, TimedOut, Vanished])
def test_our_errors_are_one_line(capsys, stub, kind):
    def fail():
        raise kind("read", "'evil\x1b[31m'", "so it is", "try this", errno=1)

    stub.does = fail
    assert main(["list"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "portside: read 'evil\\x1b[31m': so it is; try this\n"


def test_an_error_of_the_system_names_the_file(capsys, stub):
    stub.does = lambda: os.stat("/no/such\x1bfile")
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "portside: use '/no/such\\x1bfile': no such file or directory\n"


def test_interrupt_is_quiet(capsys, stub):
    def interrupt():
        raise KeyboardInterrupt

    stub.does = interrupt
    assert main(["list"]) == 130
    assert capsys.readouterr() == ("", "")


# streams

COMMAND_LINES = [
    "-q",
    "-aq",
    "--json",
    "--csv -q",
    "who 9 --json",
    "name '*'",
    "doctor",
    "--help",
    "who -h",
    "-V",
]


@pytest.mark.parametrize("words", COMMAND_LINES)
def test_full_output_is_an_error(words):
    done = shell(f"portside {words} > /dev/full")
    assert (done.returncode, done.stderr) == (2, "portside: write output: no space left on device\n")


@pytest.mark.parametrize("words", ["name '*'", "--help"])
def test_full_output_is_an_error_unbuffered(words):
    done = shell(f"portside {words} > /dev/full", PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (2, "portside: write output: no space left on device\n")


def test_full_error_stream_is_no_traceback():
    assert shell("portside lits 2> /dev/full").returncode == 2


@pytest.mark.parametrize("words", ["", "-a", "name '*'", "--help"])
def test_closed_output_is_an_error(words):
    done = shell(f"portside {words} >&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "portside: write output: bad file descriptor\n"


def test_closed_error_stream_leaves_the_answer_clean():
    done = shell("portside name https zzzzzzzz 2>&-")
    assert (done.returncode, done.stderr) == (1, "")
    assert "portside:" not in done.stdout
    assert "443/tcp" in done.stdout
    assert shell("portside name https 2>&- <&- | head -n 1").stdout.startswith("NAME")
    assert shell("portside lits >&- 2>&- <&-").returncode == 2


@pytest.mark.parametrize("words", ["name '*'", "name '*' --json", "name '*' --csv"])
def test_a_reader_that_goes_away_is_quiet(words):
    done = shell(f"portside {words} | head -c 1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == 1


@pytest.mark.parametrize("words", ["-a -q", "--help"])
def test_a_reader_that_never_reads_is_quiet(words):
    done = shell(f"portside {words} | true; exit ${{PIPESTATUS[0]}}")
    assert done.stderr == ""
    assert done.returncode in (0, 1)


# ways to start


def test_console_script_ends_as_the_module_does():
    script = Path(sys.executable).with_name("portside")
    command = str(script) if script.exists() else shutil.which("portside")
    if command is None:
        pytest.skip("the portside command is not installed")
    for words in (["-V"], ["lits"], ["name", "https", "zzzzzzzz"], ["who", "--help"]):
        ends = [
            subprocess.run([*way, *words], capture_output=True, text=True, timeout=60, env=environment())
            for way in ([command], PROGRAM)
        ]
        assert [ends[0].returncode, ends[0].stdout, ends[0].stderr] == [
            ends[1].returncode, ends[1].stdout, ends[1].stderr,
        ]  # fmt: skip
    for tail, code in ((">&-", 2), ("2>&-", 0), ("> /dev/full", 2), ("| true", 0)):
        done = shell(f'"{command}" name https {tail}; exit ${{PIPESTATUS[0]}}')
        assert "Traceback" not in done.stderr
        assert done.returncode == code, tail


def environment():
    return os.environ | {"PYTHONPATH": str(SOURCE)}


def test_interrupted_program_is_quiet():
    command = [*PROGRAM, "list", "-q", "--json", "--watch", "60"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as program:
        assert program.stdout.readline().startswith('{"portside": 1')
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=20)
    assert (program.returncode, out, err) == (130, "", "")
