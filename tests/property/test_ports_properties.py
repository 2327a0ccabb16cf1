"""Any text gives a value or BadRequest; what is written reads back; addresses agree with the C library."""

from __future__ import annotations

import ipaddress
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.errors import BadReply, BadRequest
from portside.ports import number
from portside.ports.address import (
    clear_host_bits,
    format_address,
    format_ipv4,
    format_ipv6,
    parse_address,
    parse_prefix,
)
from portside.ports.etc_services import index_services, parse_services
from portside.ports.iana import shipped_table
from portside.ports.number import Range, merge_ranges, parse_host_ranges, parse_range
from portside.ports.registry import Registry
from portside.ports.scope import WORDS, scope_of
from portside.ports.spec import parse_port, parse_spec, spec_of
from portside.ports.transport import TRANSPORTS


def or_refusal(function, *arguments):
    """Return what a function returns, None where it raises BadRequest, whose text must be fit to print."""
    try:
        return function(*arguments)
    except BadRequest as error:
        said = str(error)
    assert said.isprintable()
    return None


FEW = settings(max_examples=100, deadline=None)
MANY = settings(max_examples=200, deadline=None)

texts = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too
groups = st.sampled_from([b"\0\0", b"\0\0", b"\0\0", b"\0\1", b"\xff\xff", b"\0\x0a", b"\x0a\0", b"\xab\xcd"])
ipv6 = st.one_of(
    st.lists(groups, min_size=8, max_size=8).map(b"".join),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=4, max_size=4).map(lambda raw: bytes(10) + b"\xff\xff" + raw),
)
ipv4 = st.binary(min_size=4, max_size=4)
raw_addresses = st.one_of(ipv4, ipv6)
address_like = st.one_of(
    st.text("0123456789abcdefF:.%/[]x ", max_size=30),
    st.lists(
        st.sampled_from(["0", "1", "ffff", "::", ":", "1.2.3.4", ".", "00", "01", "10000", "256"]),
        max_size=12,
    ).map("".join),
    raw_addresses.map(format_address),
)
spec_items = st.sampled_from(
    [
        "22",
        "80-90",
        "-5",
        "65530-",
        "-",
        "0",
        "https",
        "domain",
        "syslog",
        "x11",
        "/udp",
        "/sctp",
        "U:",
        "T:",
        ",",
        ", ",
        "*",
    ]
)
spec_like = st.one_of(
    texts, st.lists(spec_items, max_size=8).map("".join), st.text("0123456789-,/:TUtcpud ", max_size=20)
)
port_numbers = st.integers(0, 65535)
ranges = st.tuples(port_numbers, port_numbers).map(lambda pair: Range(min(pair), max(pair)))
parts = st.lists(st.tuples(st.sampled_from(["", *TRANSPORTS]), ranges), min_size=1, max_size=8)
services_like = st.lists(
    st.one_of(texts, st.from_regex(r"[a-z]{1,3}[ \t]+[0-9]{1,6}/(tcp|udp)( [a-z]+)*( #.*)?", fullmatch=True)),
    max_size=6,
).map("\n".join)


@MANY
@given(ipv4)
def test_ipv4_text_is_the_c_librarys(raw):
    assert format_ipv4(raw) == socket.inet_ntop(socket.AF_INET, raw)


@settings(max_examples=1000, deadline=None)
@given(ipv6)
def test_ipv6_text_is_the_c_librarys(raw):
    assert format_ipv6(raw) == socket.inet_ntop(socket.AF_INET6, raw)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(address_like, texts))
def test_address_is_read_as_the_c_library_does(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        expected = socket.inet_pton(family, text)
    except (OSError, UnicodeError, ValueError):
        expected = None
    try:
        assert parse_address(text) == expected
    except BadRequest:
        assert expected is None


@MANY
@given(raw_addresses)
def test_address_round_trip(raw):
    assert parse_address(format_address(raw)) == raw


@FEW
@given(st.binary(max_size=20))
def test_any_bytes_are_an_address_or_our_error(raw):
    if len(raw) in (4, 16):
        assert format_address(raw)
        assert scope_of(raw) in WORDS
    else:
        for function in (format_address, scope_of):
            with pytest.raises(BadReply):
                function(raw)


@MANY
@given(raw_addresses, st.data())
def test_prefix_is_the_networks(raw, data):
    bits = data.draw(st.integers(0, len(raw) * 8))
    text = f"{format_address(raw)}/{bits}"
    network = ipaddress.ip_network((raw, bits), strict=False).network_address.packed
    assert parse_prefix(text) == (network, bits)
    assert clear_host_bits(raw, bits) == network


@MANY
@given(st.one_of(texts, address_like, st.tuples(address_like, texts).map("/".join)))
def test_any_text_is_a_prefix_or_our_error(text):
    or_refusal(parse_prefix, text)


@MANY
@given(ipv4)
def test_scope_agrees_with_ipaddress(raw):
    """Where the standard library's judgement can be told in our words, it is the same."""
    address = ipaddress.ip_address(raw)
    word = scope_of(raw)
    assert (word == "loopback") == address.is_loopback
    assert (word == "multicast") == address.is_multicast
    assert (word == "any") == address.is_unspecified
    if address.is_global and not address.is_multicast:
        assert word == "public" or raw[:3] == b"\xc0\0\0"  # 192.0.0.9 and .10 are global in newer versions
    assert scope_of(bytes(10) + b"\xff\xff" + raw) == word


@MANY
@given(spec_like)
def test_any_text_is_a_spec_or_our_error(text):
    spec = or_refusal(parse_spec, text)
    if spec is not None:
        assert len(spec) > 0
        assert parse_spec(str(spec)) == spec


@MANY
@given(spec_like)
def test_any_text_is_a_port_or_our_error(text):
    found = or_refusal(parse_port, text)
    if found is not None:
        port, transport = found
        assert 0 <= port <= 65535
        assert transport in ("", *TRANSPORTS)
        assert (port, transport) in parse_spec(text)


@MANY
@given(parts)
def test_spec_text_round_trip(pairs):
    spec = spec_of(pairs)
    assert parse_spec(str(spec)) == spec
    assert spec_of(reversed(pairs)) == spec
    assert hash(spec_of(reversed(pairs))) == hash(spec)


@FEW
@given(st.lists(ranges, max_size=6))
def test_merged_ranges_hold_the_same_ports(many):
    merged = merge_ranges(many)
    assert {port for each in merged for port in each} == {port for each in many for port in each}
    assert all(before.last + 1 < after.first for before, after in pairwise(merged))


@MANY
@given(st.one_of(texts, st.text("0123456789-", max_size=12)))
def test_any_text_is_a_range_or_none_or_our_error(text):
    try:
        found = parse_range(text)
    except BadRequest:
        return
    if found is not None:
        assert 0 <= found.first <= found.last <= number.LAST_PORT
        assert parse_range(str(found)) == found


@MANY
@given(st.tuples(*[st.one_of(texts, st.text("0123456789-, \t\n", max_size=15))] * 3))
def test_any_sysctl_text_is_a_record_or_our_error(sysctls):
    try:
        found = parse_host_ranges(*sysctls)
    except BadReply:
        return
    assert 0 <= found.ephemeral.first <= found.ephemeral.last <= 65535


@MANY
@given(services_like)
def test_any_services_file_is_read(text):
    index = index_services(text)
    for name, port, transport, aliases, _ in parse_services(text):
        assert {name, *aliases} <= set(index[f"{port}/{transport}"])
        assert Registry(text).host_names(port, transport)[0] in Registry(text).names_of(port, transport)


@settings(max_examples=30, deadline=None)
@given(texts, services_like)
def test_any_query_is_answered(query, text):
    registry = Registry(text)
    try:
        found = registry.find(query)
    except BadRequest:
        return
    assert all(service.source in ("iana", "host", "iana+host") for service in found)


@FEW
@given(st.integers(1, 49151), st.sampled_from(["", *TRANSPORTS]))
def test_every_name_of_a_port_leads_back_to_it(port, transport):
    registry = Registry()
    for name in registry.names_of(port, transport):
        assert port in registry.ports_of(name, transport)


def test_rows_of_each_port_are_those_a_plain_search_finds():
    table = shipped_table()
    expected: dict[int, set[int]] = {}
    for row in range(table.rows):
        first, last = table.ports(row)
        for port in range(first, last + 1):
            expected.setdefault(port, set()).add(row)
    assert all(set(table.rows_of_port(port)) == expected.get(port, set()) for port in range(65536))
