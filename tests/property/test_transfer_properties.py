"""What `send` and `receive` say: written is read back, any bytes are a value or our error, no link leads out."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.errors import BadReply
from portside.wire import transfer as wire
from portside.wire.transfer import Entry

NAMES = st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=12).filter(wire.is_name)
ENTRIES = st.builds(
    Entry,
    st.lists(NAMES, min_size=1, max_size=5).map(tuple),
    st.sampled_from([wire.FILE, wire.DIRECTORY]),
    st.integers(0, 1 << 62),
    st.integers(0, 0o7777),
    st.integers(-(1 << 62), 1 << 62),
)
PARTS = st.sampled_from(["..", ".", "", "a", "b", "..."])


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(ENTRIES)
def test_entry_round_trip(entry):
    assert wire.parse_entry(wire.encode_entry(entry)) == entry


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_any_bytes_are_an_entry_or_an_error(data):
    for parse in (wire.parse_entry, wire.parse_point, wire.parse_number):
        try:
            parse(data)
        except BadReply:
            pass


@given(st.binary(min_size=5, max_size=5))
def test_any_head_is_bounded(data):
    try:
        kind, length = wire.parse_head(data)
    except BadReply:
        return
    assert kind in wire.KINDS
    assert length <= wire.LARGEST + wire.OVERHEAD


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4), st.lists(PARTS, max_size=6))
def test_a_link_that_is_taken_stays_below_the_root(below, parts):
    path, target = ("root", *below), "/".join(parts)
    if not wire.leads_out(path, target):
        place = os.path.normpath(os.path.join("/", *path[:-1], target))
        assert place == "/root" or place.startswith("/root/")


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        (("r", "l"), "x", False),
        (("r", "l"), "../x", True),
        (("r", "d", "l"), "../x", False),
        (("r", "d", "l"), "../../x", True),
        (("r", "d", "l"), "x/../y", True),
        (("r", "l"), "/x", True),
        (("r", "l"), "", True),
        (("r",), "x", True),
    ],
)
def test_where_links_lead(path, target, out):
    assert wire.leads_out(path, target) is out
