"""Address scopes, each boundary from both sides."""

from __future__ import annotations

import pytest

from portside.errors import BadReply
from portside.ports.address import parse_address
from portside.ports.scope import WORDS, scope_of

CASES = {
    "any": ["0.0.0.0", "::", "::ffff:0.0.0.0"],
    "loopback": ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"],
    "link": ["169.254.0.0", "169.254.255.255", "255.255.255.255", "fe80::1", "febf:ffff::"],
    "multicast": ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff::"],
    "private": [
        "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255",
        "100.64.0.0", "100.127.255.255", "198.18.0.0", "198.19.255.255", "192.0.0.1", "192.0.2.9", "198.51.100.0",
        "203.0.113.255", "240.0.0.0", "255.255.255.254", "0.0.0.1", "::ffff:10.1.2.3",
        "fc00::", "fdff:ffff::", "fec0::1", "2001:db8::1", "2001:db8:ffff::", "3fff::1", "3fff:fff::1", "5f00::1",
        "100::1", "64:ff9b:1::1", "2001:2::1", "2001:10::1", "2001:1f:ffff::",
    ],
    "public": [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.0", "169.253.255.255", "169.255.0.0",
        "198.17.255.255", "198.20.0.0", "192.0.1.0", "192.0.3.0", "198.51.99.255", "198.51.101.0", "203.0.112.255",
        "203.0.114.0", "223.255.255.255", "::ffff:8.8.8.8", "2001:4860::1", "2001:db9::", "2001:db7:ffff::",
        "3fff:1000::", "3ffe:ffff::", "fbff::", "fe00::", "2001:20::1", "64:ff9b::808:808", "::1.2.3.4", "101::",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("word", "address"), [(word, each) for word, many in CASES.items() for each in many])
def test_scope(word, address):
    assert word in WORDS
    assert scope_of(parse_address(address)) == word


def test_malformed():
    with pytest.raises(BadReply):
        scope_of(b"12345")
