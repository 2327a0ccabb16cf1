"""Port specs as values; the grammar itself is in golden/port_specs.txt."""

from __future__ import annotations

import pickle

import pytest

from portside.errors import BadRequest
from portside.ports.number import Range
from portside.ports.registry import Registry
from portside.ports.spec import parse_port, parse_spec, spec_of


def test_spec_is_a_value():
    spec = parse_spec("80,22,53/udp")
    assert spec == parse_spec("22,80,U:53")
    assert hash(spec) == hash(parse_spec("22,80,U:53"))
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert list(spec) == [(22, ""), (80, ""), (53, "udp")]
    assert len(spec) == 3


def test_membership():
    spec = parse_spec("22,8000-8100,53/udp")
    assert 22 in spec
    assert 53 in spec
    assert (22, "tcp") in spec
    assert (22, "udp") in spec
    assert (53, "udp") in spec
    assert (53, "tcp") not in spec
    assert (53, "udplite") not in spec
    assert 23 not in spec
    assert "22" not in spec


def test_ranges_of_a_transport():
    spec = parse_spec("22,T:80,U:53,23")
    assert spec.ranges("tcp") == (Range(22, 22), Range(80, 80))
    assert spec.ranges("udp") == (Range(22, 23), Range(53, 53))
    assert spec.ranges() == (Range(22, 23), Range(53, 53), Range(80, 80))


def test_spec_of():
    assert str(spec_of([("udp", Range(5, 6)), ("", Range(1, 1)), ("udp", Range(7, 7))])) == "1,5-7/udp"
    assert len(spec_of([])) == 0
    with pytest.raises(BadRequest, match="not a transport"):
        spec_of([("icmp", Range(1, 1))])


def test_the_hosts_names_count_where_given():
    host = Registry("intranet 8123/tcp\nrtmp 1/ddp\nboth 9/tcp\nboth 9/udp\n")
    assert str(parse_spec("intranet,22", host)) == "22,8123/tcp"
    assert str(parse_spec("both", host)) == "9"
    assert str(parse_spec("intranet*", host)) == "8123/tcp"
    with pytest.raises(BadRequest):
        parse_spec("intranet")
    with pytest.raises(BadRequest):
        parse_spec("rtmp", host)


def test_parse_port():
    assert parse_port("8080") == (8080, "")
    assert parse_port(" https ") == (443, "")
    assert parse_port("53/udp") == (53, "udp")
    assert parse_port("syslog") == (514, "udp")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no port given"),
        ("22,23", "neither"),
        ("22-23", r"more than one port \(22-23\)"),
        ("http-alt", r"more than one port \(591, 8008, 8080\)"),
        ("htttps", "did you mean 'https'"),
        ("70000", "above 65535"),
        ("U:53", "neither"),
    ],
)
def test_parse_port_refuses(text, reason):
    with pytest.raises(BadRequest, match=reason) as caught:
        parse_port(text)
    assert str(caught.value).startswith(f"read port {text!r}: ")


def test_errors_stay_short_and_printable():
    for text in ("x" * 10_000, "9" * 10_000, "\x1b]0;title\x07", "\udcff", "22\n80"):
        with pytest.raises(BadRequest) as caught:
            parse_spec(text)
        said = str(caught.value)
        assert len(said) < 400
        assert said.isprintable()
