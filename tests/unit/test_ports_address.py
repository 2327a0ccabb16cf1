"""Addresses as text: the cases with a rule of their own; the rest is compared with the C library in property/."""

from __future__ import annotations

import pytest

from portside.errors import BadReply, BadRequest
from portside.ports.address import (
    clear_host_bits,
    format_address,
    format_ipv4,
    format_ipv6,
    parse_address,
    parse_prefix,
)

V6 = [
    ("::", "00" * 16),
    ("::1", "00" * 15 + "01"),
    ("::2", "00" * 15 + "02"),
    ("::ffff", "00" * 14 + "ffff"),
    ("::0.1.0.0", "00" * 12 + "00010000"),  # IPv4-compatible as glibc has it
    ("::1.2.3.4", "00" * 12 + "01020304"),
    ("::ffff:0.0.0.0", "00" * 10 + "ffff" + "00" * 4),
    ("::ffff:127.0.0.1", "00" * 10 + "ffff7f000001"),
    ("2001:db8::1", "20010db8" + "00" * 11 + "01"),
    ("2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"),  # one zero group is not shortened
    ("2001:0:0:1::1", "20010000000000010000000000000001"),  # the longest run
    ("2001:db8::1:0:0:1", "20010db8000000000001000000000001"),  # of two alike, the first
    ("1:2:3:4:5:6::", "000100020003000400050006" + "00" * 4),
    ("::3:4:5:6:7:8", "0000000000030004000500060007" + "0008"),
    ("fe80::1234:5678:9abc:def0", "fe80000000000000123456789abcdef0"),
]


@pytest.mark.parametrize(("text", "raw"), V6)
def test_ipv6_both_ways(text, raw):
    assert format_ipv6(bytes.fromhex(raw)) == text
    assert format_address(bytes.fromhex(raw)) == text
    assert parse_address(text) == bytes.fromhex(raw)


def test_ipv4_both_ways():
    for raw, text in (
        (b"\x7f\0\0\1", "127.0.0.1"),
        (b"\0\0\0\0", "0.0.0.0"),
        (b"\xff\xff\xff\xff", "255.255.255.255"),
    ):
        assert format_ipv4(raw) == format_address(raw) == text
        assert parse_address(text) == raw


@pytest.mark.parametrize("raw", [b"", b"123", b"12345", b"1" * 15, b"1" * 17])
def test_wrong_length(raw):
    for function in (format_ipv4, format_ipv6, format_address):
        with pytest.raises(BadReply, match="bytes instead of"):
            function(raw)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an IPv4 address"),
        ("10.1", "not an IPv4 address"),
        ("1.2.3.256", "not an IPv4 address"),
        ("1.2.3.4.5", "not an IPv4 address"),
        ("010.0.0.1", "octal"),
        ("1.2.3.٣", "not an IPv4 address"),
        ("localhost", "not an IPv4 address"),
        ("fe80::1%eth0", "zone"),
        ("[::1]", "brackets"),
        ("10.0.0.0/8", "prefix"),
        ("1::2::3", "not an IPv6 address"),
        (":1:2:3:4:5:6:7", "not an IPv6 address"),
        ("1:2:3:4:5:6:7", "not an IPv6 address"),
        ("1:2:3:4::5:6:7:8", "not an IPv6 address"),
        ("12345::", "not an IPv6 address"),
        ("::1.2.3", "not an IPv6 address"),
        ("1.2.3.4::", "not an IPv6 address"),
        (":::", "not an IPv6 address"),
    ],
)
def test_refused(text, reason):
    with pytest.raises(BadRequest, match=reason) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "address", "bits"),
    [
        ("10/8", "10.0.0.0", 8),
        ("10.0.0.0/8", "10.0.0.0", 8),
        ("192.168/16", "192.168.0.0", 16),
        ("10.1.2.3/8", "10.0.0.0", 8),
        ("0/0", "0.0.0.0", 0),
        ("10.1.2.3/32", "10.1.2.3", 32),
        ("10.1.2.3", "10.1.2.3", 32),
        ("fe80::/10", "fe80::", 10),
        ("febf::1/10", "fe80::", 10),
        ("::1", "::1", 128),
        ("::/0", "::", 0),
    ],
)
def test_prefix(text, address, bits):
    assert parse_prefix(text) == (parse_address(address), bits)


@pytest.mark.parametrize(
    "text", ["10/33", "::/129", "10/", "10/x", "10/-1", "10/٣", "/8", "10", "1.2.3.4.5/8", "10/0008"]
)
def test_prefix_refused(text):
    with pytest.raises(BadRequest):
        parse_prefix(text)


def test_clear_host_bits():
    assert clear_host_bits(b"\xff\xff\xff\xff", 9) == b"\xff\x80\0\0"
