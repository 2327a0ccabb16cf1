"""Any words end with an exit code and without a traceback; any record becomes a line, and JSON that reads back."""

from __future__ import annotations

import io
import json
import random
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import fakemachine

from portside.cli import COMMANDS, json_form, load, main, port_table, socket_table
from portside.cli.output import Output, clean, cut, display_width, fit
from portside.cli.parsing import parse
from portside.errors import PortsideError
from portside.faces import FACES
from portside.see.ports import Holder, OpenPort
from portside.see.reach import ANYONE, NOBODY, NOT_LISTENING, SOME, UNKNOWN
from portside.see.records import Backlog, Container, Endpoint, Owner, Process, Queues, Socket, Timer

UNDECODABLE = st.integers(0xDC80, 0xDCFF).map(chr)  # bytes that are not UTF-8 (PEP 383)
ANY_TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), UNDECODABLE), max_size=12)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Have the commands read a made-up machine."""
    with pytest.MonkeyPatch.context() as patch:
        fakemachine.install(patch, fakemachine.make(tmp_path_factory.mktemp("machine")))
        yield


# words

OPTIONS = [
    "-a", "-t", "-u", "-w", "-x", "-4", "-6", "-n", "-q", "-v", "--json", "--csv", "--strict",
    "--no-header", "--columns", "--sort", "--color", "--color=never", "--netns", "own", "--peers", "3",
    "--", "-", "--help", "-h", "-V", "", "port,owner", "-port", "help", "--packet", "--netlink", "-atu",
    "--bogus", "--json=1", "-=", "--=", "@file", "%s",
]  # fmt: skip
FILTERS = [
    "port", "=", "80", "and", "or", "not", "(", ")", "state", "listen", "established", "user", "www-data",
    "proc", "web", "src", "127.0.0.1", "8000-8100,9", "sport=80|dport=9", "'", '"a', "\\", "dst", "::1",
    "10/8", "!=", ">", "{", "!",
]  # fmt: skip
# Only these are run with any words: the others change the machine, make files, listen, or talk to hosts.
READING = ["list", "who", "name", "doctor", "changes", "rules"]
ACTING = {*COMMANDS, *FACES} - {*READING}
WORD = st.one_of(st.sampled_from([*READING, *OPTIONS, *FILTERS]), ANY_TEXT)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORD, max_size=7))
def test_any_words_end_well(machine, words):
    run_words([word for word in words if word not in ACTING and not word.startswith("--watch")])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(COMMANDS)), st.lists(WORD, max_size=5))
def test_any_words_are_values_or_a_usage_error(name, words):
    """Of every command, that reads or changes: its words alone, nothing is done."""
    code, said = parsed(name, words)
    assert code in (None, 0, 2)
    assert code != 2 or said.startswith("portside: ")


def parsed(name, words):
    """Return the exit code that the words of a command end with (None: they are values), and what is said."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            parse(load(name), words)
        except SystemExit as end:
            return end.code, err.getvalue()
        except PortsideError as error:
            return 2, f"portside: {error}"
    return None, ""


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["list", "who", "name"]), st.lists(ANY_TEXT, max_size=3))
def test_any_values_end_well(machine, name, words):
    run_words([name, "--", *words])


def run_words(words):
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = main(words)
    assert code in (0, 1, 2, 3)
    for text in (out.getvalue(), err.getvalue()):
        assert "Traceback" not in text
        assert unprintable(text) == set()
    if code == 2:
        assert err.getvalue().startswith("portside: ")
        assert out.getvalue() == ""


def unprintable(text):
    """What a terminal should not get; tables end their lines, CSV ends them with a return."""
    return {character for character in text.replace("\x1b[", "") if not character.isprintable()} - {
        "\n",
        "\r",
    }


# records


class Maker(random.Random):
    """Makes records of anything; hypothesis gives the seed: strategies for so many fields would take too long."""

    def text(self):
        length = self.choice((0, 1, 3, 12))
        return "".join(chr(self.choice((*CODES, self.randrange(0xD800)))) for _ in range(length))

    def number(self):
        return self.choice((0, 1, 22, 65535, self.getrandbits(32)))

    def perhaps(self, make):
        return make() if self.random() < 0.5 else None

    def several(self, make):
        return tuple(make() for _ in range(self.randrange(4)))

    def value(self):
        return self.choice(
            (self.number, self.text, lambda: self.randbytes(4), lambda: self.several(self.value))
        )()

    def container(self):
        return Container(self.text(), self.text(), self.text(), self.text())

    def endpoint(self):
        address = self.choice(("", "0.0.0.0", "::", "::1", "fe80::1", self.text()))
        v6only = self.choice((None, True, False))
        return Endpoint(address, self.randrange(65536), self.choice(("", "any", "link")), self.text(), v6only)

    def process(self):
        return Process(
            self.randrange(1, 2**22), self.text(), self.number(), self.number(),
            self.perhaps(lambda: self.uniform(0, 4e9)), self.perhaps(self.number), self.text(), self.text(),
            self.several(self.text), self.text(), self.text(), self.perhaps(self.container),
        )  # fmt: skip

    def owner(self):
        process = self.process()
        return Owner(process.pid, self.number(), process)

    def backlog(self):
        return Backlog(self.number(), self.perhaps(self.number))

    def socket(self):
        return Socket(
            self.choice(("inet", "inet6", "unix", "packet", "netlink", "vsock")),
            self.choice(("stream", "77")), self.choice(("tcp", "unix", "netlink")), self.choice(STATES),
            self.endpoint(), self.endpoint(), Queues(self.number(), self.number()), self.perhaps(self.backlog),
            self.perhaps(self.number), self.text(), self.number(), self.getrandbits(64), self.text(), self.text(),
            self.text(), self.perhaps(self.container),
            self.perhaps(lambda: Timer(self.text(), self.uniform(0, 1e6), self.number())),
            self.several(self.owner), self.choice(GAPS), self.text(), self.text(),
            self.several(lambda: (self.text(), self.value())),
        )  # fmt: skip

    def port(self):
        reach = self.choice((NOBODY, SOME, ANYONE, NOT_LISTENING, UNKNOWN))
        holders = self.several(lambda: Holder(self.process(), self.several(self.number)))
        return OpenPort(
            self.choice(("tcp", "udp")), self.randrange(1, 65536), self.text(),
            (self.endpoint(), *self.several(self.endpoint)), self.choice(STATES), self.perhaps(self.backlog), holders,
            self.choice(GAPS), self.text(), reach, self.perhaps(self.number), self.text(), self.text(),
            self.perhaps(self.container), self.text(), self.text(), self.perhaps(lambda: self.uniform(0, 4e9)),
            self.choice((True, False)), self.several(self.socket),
        )  # fmt: skip


CODES = [ord(c) for c in "a,\"'\\ \n\r\t\0\x1b\x7f\x9b\u202e\u200b\u0301端🦊"] + [0xDC80, 0xDCFF]
STATES = ("listen", "established", "unconnected", "bound-inactive", "state-99")
GAPS = ("", "permission", "kernel", "accept-queue", "a word of tomorrow")
SEEDS = st.integers(0, 2**32)


def drawn(rows, columns):
    """Draw rows with every column; check what comes out and that every sort key compares."""
    arguments = SimpleNamespace(json=False, quiet=False, verbose=False, color="never")
    output = Output(arguments, io.StringIO(), io.StringIO())
    output.table(rows, list(columns.values()))
    output.csv(rows, list(columns.values()))
    text = output.out.getvalue()
    assert unprintable(text) == set()
    assert text.count("\n") == 2 * (len(rows) + 1)
    for column in columns.values():
        sorted(rows, key=column.key or column.cell)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_any_socket_is_a_line_and_a_json_item(seed):
    maker = Maker(seed)
    rows = [maker.socket() for _ in range(3)]
    drawn(rows, socket_table.COLUMNS)
    for row in rows:
        item = json_form.socket(row)
        assert json.loads(json.dumps(item)) == item


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_any_port_is_a_line_and_a_json_item(seed):
    maker = Maker(seed)
    rows = [maker.port() for _ in range(3)]
    drawn(rows, port_table.COLUMNS)
    for row in rows:
        item = json_form.port(row)
        assert json.loads(json.dumps(item)) == item


# the pieces


@given(ANY_TEXT)
def test_clean_text_is_printable_and_stays_so(text):
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)


@given(ANY_TEXT, st.integers(0, 30))
def test_cut_fits(text, width):
    short = cut(clean(text), width)
    assert display_width(short) <= width
    assert short == clean(text) or width == 0 or short.endswith("…")


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), min_size=1, max_size=8), st.integers(1, 200)
)
def test_fit_uses_no_more_than_there_is(shape, limit):
    widths = [width for width, _ in shape]
    columns = [SimpleNamespace(shrink=rank) for _, rank in shape]
    fit(widths, columns, limit)
    total = sum(width + 2 for width in widths if width) - 2
    for (before, rank), after in zip(shape, widths, strict=True):
        assert after <= before
        assert after == before or rank
    kept = [after for (before, rank), after in zip(shape, widths, strict=True) if after]
    least = [before if not rank else min(before, 8) for before, rank in shape if rank in (0, 4)]
    assert total <= limit or sorted(kept) == sorted(least)
