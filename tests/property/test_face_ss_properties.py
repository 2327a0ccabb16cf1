"""The ss face draws whatever bytes a kernel or a recording holds: lines or our error, safe for a terminal."""

from __future__ import annotations

import contextlib
import io
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ss_reading import RecordedReading, options

from portside.errors import BadReply
from portside.faces.ss import columns, condition, families, grammar, info, main, memory, replay
from portside.faces.ss.context import Stop, Subject
from portside.faces.ss.operands import Operands
from portside.faces.ss.services import Services
from portside.faces.ss.words import parse
from portside.system.host import Host
from portside.wire import (
    bytecode,
    inet_diag,
    netlink,
    sock_diag,
    tcp_info,
    tipc_diag,
    ulp_info,
    vsock_diag,
    xdp_diag,
)

MANY = settings(max_examples=80, deadline=None)
NUMBERS = (inet_diag.IPPROTO_TCP, inet_diag.IPPROTO_SCTP, inet_diag.IPPROTO_MPTCP, inet_diag.IPPROTO_UDP)
ROW = next(inet_diag.rows(netlink.message(sock_diag.SOCK_DIAG_BY_FAMILY, 0, bytes(72))))
FLAGS = ("", "n", "e", "oem", "oemiO", "bnem")

sized = st.integers(0, 300).flatmap(lambda size: st.binary(min_size=size, max_size=size))
attribute = st.builds(netlink.attribute, st.integers(0, 24), sized)
tails = st.lists(attribute, max_size=6).map(b"".join)


def clean(text):
    """Whether a terminal would act on nothing but line breaks and tabs."""
    return all(one.isprintable() or one in "\n\t" for one in text)


@given(payload=sized, flags=st.sampled_from(FLAGS), state=st.integers(0, 255))
@MANY
def test_tcp_info_of_any_length_gives_text(payload, flags, state):
    row = (ROW[0], state, *ROW[2:])
    text = info.text({"info": payload}, row, options(flags), inet_diag.IPPROTO_TCP)
    assert text == "" or text.startswith(" ")


@given(payload=sized, more=sized)
@MANY
def test_what_a_newer_kernel_appends_changes_nothing(payload, more):
    whole = payload[: tcp_info.TCP_INFO.size].ljust(tcp_info.TCP_INFO.size, b"\0")
    read = [
        info.text({"info": one}, ROW, options("oe"), 6) for one in (whole, whole + more, whole.rstrip(b"\0"))
    ]
    assert read[0] == read[1] == read[2]


@given(tail=tails, flags=st.sampled_from(FLAGS), protocol=st.sampled_from(NUMBERS))
@MANY
def test_any_attributes_give_text_that_is_safe_to_print(tail, flags, protocol):
    told = inet_diag.attributes(tail)
    assert clean(info.text(told, ROW, options(flags), protocol))


nested = st.integers(0, 3).flatmap(
    lambda depth: st.lists(attribute, max_size=4).map(lambda inner: netlink.attribute(depth, b"".join(inner)))
)


@given(payload=st.lists(nested, max_size=3).map(b"".join) | sized)
@MANY
def test_any_bytes_above_tcp_give_text_or_nothing(payload):
    assert clean(info.text({"ulp_info": payload}, ROW, options(), 6))
    with contextlib.suppress(BadReply):
        ulp_info.ulp(payload)


@given(sized)
@MANY
def test_memory_of_any_length_gives_all_words(words):
    text = memory.text(words)
    assert text.startswith(" skmem:(r")
    assert 7 <= text.count(",") + 1 <= 9


MESSAGES = {"netlink": 32, "packet": 16, "unix": 16, "vsock": 32, "tipc": 0, "xdp": 16}
answers = {
    table: st.lists(
        st.builds(
            lambda fixed, tail: netlink.message(
                sock_diag.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_MULTI, fixed + tail
            ),
            st.binary(min_size=size, max_size=size),
            tails if table != "tipc" else nested,
        ),
        max_size=4,
    ).map(b"".join)
    for table, size in MESSAGES.items()
}


@pytest.mark.parametrize("table", MESSAGES)
@given(data=st.data())
@MANY
def test_any_answers_of_a_family_give_lines(table, data):
    buffer = data.draw(answers[table] | sized)
    chosen = options(data.draw(st.sampled_from(FLAGS)), tipcinfo=True)
    reading = RecordedReading(buffer)
    try:
        lines = list(families.rows(table, chosen, reading))
    except BadReply:
        return
    for line in lines:
        assert [type(cell) for cell in line] == [str] * 9
        assert all(clean(cell) for cell in line), line


@pytest.mark.parametrize("decode", [vsock_diag.answers, xdp_diag.answers, tipc_diag.answers])
@given(data=sized | answers["vsock"] | answers["xdp"] | answers["tipc"])
@MANY
def test_any_bytes_give_values_or_bad_reply(decode, data):
    with contextlib.suppress(BadReply):
        list(decode(data))


words = st.sampled_from(
    ("0", "1", "2", "3", "7", "0A", "01", "00010000", "0100007F:1F90", "00000000:00000000", "\x1b[31m", "x",
     "0100007F:0050", "ffff8880045c3f40:", "4294967295", "-1", "99999999999999999999", "/run/x", "@abs", ":",
     "::", "")
)  # fmt: skip
line = st.lists(words, max_size=20).map(" ".join) | st.text(max_size=300)
several = st.lists(line, max_size=6)
texts = several.map("\n".join) | several.map(lambda lines: "\n".join([*lines, ""]))


@pytest.mark.parametrize("table", ["tcp", "udp", "raw", "unix", "packet", "netlink"])
@given(data=st.data())
@MANY
def test_any_text_of_a_table_gives_lines(table, data):
    reading = RecordedReading(texts={f"net/{table}": data.draw(texts), f"net/{table}6": data.draw(texts)})
    for told in replay.text_rows(table, options(data.draw(st.sampled_from(FLAGS))), reading):
        assert len(told) == 9
        assert all(clean(cell) for cell in told), told


@given(st.lists(st.builds(netlink.message, st.integers(0, 21), st.just(0), sized), max_size=4), sized)
@MANY
def test_any_recording_gives_whole_answers(tmp_path_factory, parts, rest):
    path = tmp_path_factory.getbasetemp() / "recording"
    path.write_bytes(b"".join(parts) + rest)
    with contextlib.redirect_stderr(io.StringIO()):
        recorded = replay.recorded(str(path))
    rows = list(inet_diag.rows(recorded))
    ends = itertools.takewhile(lambda part: part[4] not in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE), parts)
    assert len(rows) <= len(list(ends)) + bool(rest)


# -- the command line and the filter

PIECES = (
    "sport", "dport", "src", "dst", "dev", "fwmark", "cgroup", "autobound", "and", "or", "not", "(", ")", "=", "!=",
    ">", "<=", "22", ":22", "-1", "10/8", "[::1]", "127.0.0.1:80", "*", "any", "unix:/x*", "link:ip", "netlink:rtnl",
    "vsock:2:3", "lo", "0x10/0xff", "\\", "inet6:[::]", "1.2.3.4/0",
)  # fmt: skip
OPTIONS = (
    "-t",
    "-a",
    "-n",
    "-l",
    "-x",
    "-4",
    "-A",
    "tcp",
    "-f",
    "unix",
    "state",
    "established",
    "exclude",
    "--",
    "-s",
)
words_of_filters = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=10)
typed = st.lists(st.sampled_from(OPTIONS + PIECES) | st.text(max_size=4), max_size=8)


def ended(function, *arguments):
    """Return (what a function returns, None), or (None, the end that it raised)."""
    try:
        return function(*arguments), None
    except Stop as end:
        return None, end


def filter_of(words, chosen):
    nowhere = Host(root="/nowhere", netlink=None, bpf=False)
    services = Services(nowhere, None, numeric=True, resolve=False)
    return grammar.parse(words, iter(()), Operands(nowhere, chosen, services))


@pytest.fixture
def no_resolver(monkeypatch):
    monkeypatch.setattr("portside.system.resolver.addresses", lambda name, family: [])


@given(words=typed)
@MANY
def test_any_words_are_taken_or_refused_with_an_end(words):
    request, end = ended(parse, words)
    if end is not None:
        assert clean(end.said + end.told)
        assert end.code in (0, 1, 255)
    else:
        assert request.selection.tables or not request.selection.default or request.only_summary


@given(words=words_of_filters)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_filter_is_a_tree_or_an_end(no_resolver, words):
    chosen = parse(["-a"]).selection
    node, end = ended(filter_of, words, chosen)
    if end is not None:
        assert clean(end.said)
        assert end.code in (1, 255)
        return
    program = condition.program(node)
    assert bytecode.audit(program) == 0 or not program


ADDRESSES = (bytes(4), bytes((127, 0, 0, 1)), bytes((10, 1, 2, 3)))
subjects = st.builds(
    Subject,
    st.just(2),
    st.sampled_from(ADDRESSES),
    st.sampled_from(ADDRESSES),
    st.sampled_from((0, 22, 80, 65535)),
    st.sampled_from((0, 22, 80, 65535)),
    st.integers(0, 2),
    st.sampled_from((0, 1, 0x10)),
)
TESTS = (
    "sport = 22", "dport != 80", "sport > 22", "dport <= 22", "src 10/8", "dst 127.0.0.1:80", "src *:22", "dev 1",
    "fwmark 0x10/0xf0", "dst 0.0.0.0", "src any", "dst 1.2.3.4/0",
)  # fmt: skip
filters = st.recursive(
    st.sampled_from(TESTS),
    lambda inner: st.one_of(
        st.builds("( {} or {} )".format, inner, inner),
        st.builds("( {} and {} )".format, inner, inner),
        st.builds("not ( {} )".format, inner),
    ),
    max_leaves=8,
)


@given(text=filters, subject=subjects)
@settings(max_examples=300, deadline=None)
def test_the_kernel_decides_as_we_do(text, subject):
    """The program that is sent and the tree that is looked at here select the same IPv4 sockets."""
    node = filter_of([text], parse(["-t"]).selection)
    entry = bytecode.Entry(
        subject.family, subject.local, subject.remote, subject.local_port, subject.remote_port, subject.interface,
        subject.mark,
    )  # fmt: skip
    program = condition.program(node)
    if program:
        assert bytecode.run(program, entry) == condition.holds(node, subject, lambda port: False)


@given(
    lines=st.lists(st.tuples(*[st.text(alphabet="ab:é*", max_size=9)] * 9), max_size=12),
    hidden=st.sets(st.sampled_from((0, 1, 2, 3))),
    screen=st.sampled_from((0, 0, 1, 20, 80)),
)
@MANY
def test_any_cells_are_drawn_in_columns(lines, hidden, screen):
    written = []
    made = columns.Columns(written.append, frozenset(hidden), screen)
    made.header()
    made.add(iter(lines))
    made.draw()
    text = "".join(written)
    assert text.count("\n") == len(lines) + 1
    for line, row in zip(text.splitlines()[1:], lines, strict=True):
        shown = "".join(cell for column, cell in enumerate(row) if column not in hidden)
        assert line.replace(" ", "") == shown
    if not screen:
        assert len({len(line.encode()) for line in text.splitlines()[:-1]}) <= 1


recordings = st.lists(
    st.builds(
        lambda kind, body, tail: netlink.message(kind, 2, body + tail),
        st.sampled_from((18, 20, 20, 20, 2, 3)),
        st.one_of(st.binary(min_size=72, max_size=72), st.binary(max_size=80)),
        tails,
    ),
    max_size=5,
).map(b"".join)


@given(
    recorded=st.one_of(recordings, sized),
    flags=st.sampled_from(("-tan", "-taemiO", "-tan --tos --inet-sockopt", "-tr")),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_recording_is_listed(recorded, flags, tmp_path, monkeypatch):
    monkeypatch.setattr("portside.system.resolver.host_of", lambda raw: "a\x1bname")
    (tmp_path / "recorded").write_bytes(recorded)
    monkeypatch.setenv("TCPDIAG_FILE", str(tmp_path / "recorded"))
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        assert main([*flags.split(), "not", "sport", "=", "1"]) == 0
    assert clean(out.getvalue() + err.getvalue())
    assert out.getvalue().startswith("State")
