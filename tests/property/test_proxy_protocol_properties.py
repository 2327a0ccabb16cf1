"""The PROXY protocol: what is written is read back, also in pieces; any bytes are a header, its start, an error."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import BadReply
from portside.wire.proxy_protocol import V2_SIGNATURE, Origin, encode_v1, encode_v2, parse

PORTS = st.integers(0, 65535)
V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None).map(str)
ORIGINS = st.one_of(st.builds(Origin, V4, PORTS, V4, PORTS), st.builds(Origin, V6, PORTS, V6, PORTS))


def canonical(origin):
    return origin.replace(
        source=str(ipaddress.ip_address(origin.source)),
        destination=str(ipaddress.ip_address(origin.destination)),
    )


@given(ORIGINS, st.binary(max_size=20), st.sampled_from([encode_v1, encode_v2]))
def test_round_trip(origin, after, encode):
    data = encode(origin)
    parsed = parse(data + after)
    assert (canonical(parsed.origin), parsed.size) == (canonical(origin), len(data))
    assert all(parse(data[:cut]) is None for cut in range(len(data)))


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda tail: V2_SIGNATURE + tail),
                 st.binary(max_size=120).map(lambda tail: b"PROXY " + tail)))  # fmt: skip
def test_any_bytes(data):
    try:
        parsed = parse(data)
    except BadReply:
        return
    assert parsed is None or 0 < parsed.size <= len(data)


def test_as_the_document_writes_them():
    line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET"
    assert parse(line).origin == Origin("192.168.0.1", 56324, "192.168.0.11", 443)
    assert parse(b"PROXY UNKNOWN ffff:f...f:ffff 65535\r\n").origin is None
    local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
    assert (parse(local).origin, parse(local).size) == (None, 16)
    assert encode_v1(None) == b"PROXY UNKNOWN\r\n"
    assert encode_v2(None) == local
    assert parse(encode_v2(Origin("/run/a", 0, "@b", 0))).origin == Origin("/run/a", 0, "@b", 0)
    assert encode_v1(Origin("::1", 1, "127.0.0.1", 2)) == b"PROXY UNKNOWN\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY " + bytes(200),
        V2_SIGNATURE + b"\x31\x11\0\0",
        V2_SIGNATURE + b"\x21\x11\0\4\1\2\3\4",
    ],
)
def test_what_is_none(data):
    with pytest.raises(BadReply):
        parse(data)
