"""The ss face draws whatever bytes a kernel or a recording holds: lines or our error, safe for a terminal."""

from __future__ import annotations

import contextlib
import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss_reading import RecordedReading, options

from portside.errors import BadReply
from portside.faces.ss import families, info, memory, replay
from portside.wire import inet_diag, netlink, sock_diag, tcp_info, tipc_diag, ulp_info, vsock_diag, xdp_diag

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
