"""Port numbers, ranges, and a host's own ranges."""

from __future__ import annotations

import pytest

from portside.errors import BadReply, BadRequest
from portside.ports.number import (
    DYNAMIC,
    SYSTEM,
    USER,
    HostRanges,
    Range,
    merge_ranges,
    parse_host_ranges,
    parse_range,
    range_name,
)


def test_range_behaves_as_a_set_of_ports():
    ports = Range(8000, 8003)
    assert list(ports) == [8000, 8001, 8002, 8003]
    assert len(ports) == 4
    assert 8003 in ports
    assert 8004 not in ports
    assert "8000" not in ports
    assert (str(ports), str(Range(80, 80))) == ("8000-8003", "80")


def test_rfc_6335_ranges_cover_every_port_once():
    assert [*SYSTEM, *USER, *DYNAMIC] == list(range(65536))
    for port, name in ((0, "system"), (1023, "system"), (1024, "user"), (49151, "user"), (49152, "dynamic")):
        assert range_name(port) == name


def test_merge():
    merged = merge_ranges([Range(5, 9), Range(1, 2), Range(3, 3), Range(6, 7), Range(20, 20)])
    assert merged == (Range(1, 3), Range(5, 9), Range(20, 20))
    assert merge_ranges([]) == ()


def test_parse_range():
    assert parse_range("80") == Range(80, 80)
    assert parse_range("-") == Range(1, 65535)
    for text in ("", "http", "1-2-3", "--", "80x", "+80", " 80", "٣", "1_0"):
        assert parse_range(text) is None
    for text in ("65536", "1-65536", "2-1", "9" * 5000):
        with pytest.raises(BadRequest):
            parse_range(text)


def test_host_ranges_of_the_kernel():
    ranges = parse_host_ranges("32768\t60999\n", "1024\n", "8080,9000-9010,9005-9020\n")
    assert ranges == HostRanges(Range(32768, 60999), 1024, (Range(8080, 8080), Range(9000, 9020)))
    assert parse_host_ranges() == HostRanges()
    assert parse_host_ranges("1024 65535", "0\n", "\n") == HostRanges(Range(1024, 65535), 0, ())
    assert parse_host_ranges("", "65536").unprivileged_start == 65536


def test_host_ranges_judge_ports():
    ranges = HostRanges(Range(8000, 9000), 81, (Range(8080, 8080),))
    assert ranges.words(80) == ("privileged",)
    assert ranges.words(81) == ()
    assert ranges.words(8000) == ("ephemeral",)
    assert ranges.words(8080) == ("reserved",)
    assert not ranges.needs_privilege(0)


@pytest.mark.parametrize(
    "texts",
    [
        ("1",),
        ("1 2 3",),
        ("2 1",),
        ("a b",),
        ("1 65536",),
        ("", "x"),
        ("", "65537"),
        ("", "", "1-"),
        ("", "", "5-4"),
        ("", "", ","),
    ],
)
def test_host_ranges_malformed(texts):
    with pytest.raises(BadReply, match=r"net\.ipv4\.ip_"):
        parse_host_ranges(*texts)
