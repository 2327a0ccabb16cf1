"""Elements put into sets in bulk: the bytes are those that nft(8) sends, and many take several messages."""

from __future__ import annotations

import sys

import pytest

from portside.wire import netlink, nft_elements

# sendmsg(2) of `nft add element inet portside hosts4 { 192.0.2.1 timeout 60s, 192.0.2.2 timeout 60s }` (1.0.6),
# but for what we leave out or do otherwise: NFTA_SET_ELEM_LIST_SET_ID, numbers of elements and of messages, the ack
NFT = """
14000000 10000100 01000000 00000000 00 00 000a                 NFNL_MSG_BATCH_BEGIN, subsystem 10
6c000000 0c0a0504 01000000 00000000 01 00 0000                 NFT_MSG_NEWSETELEM, request, create, ack; inet
0d000100 706f727473696465 00 000000                            table portside
0b000200 686f73747334 00 00                                    set hosts4
3c000380                                                       elements
1c000180 0c000400 000000000000ea60 0c000180 08000100 c0000201  60,000 ms, 192.0.2.1
1c000180 0c000400 000000000000ea60 0c000180 08000100 c0000202
14000000 11000100 01000000 00000000 00 00 000a                 NFNL_MSG_BATCH_END
"""
INET = 1


def written(text: str) -> bytes:
    return b"".join(bytes.fromhex(line[:62]) for line in text.strip().splitlines())


@pytest.mark.skipif(sys.byteorder == "big", reason="the golden bytes are little-endian")
def test_the_bytes_are_those_that_nft_sends():
    keys = [bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))]
    assert nft_elements.batch(
        nft_elements.addition(INET, "portside", "hosts4", keys, 60_000)
    ) == written(NFT)  # fmt: skip


@pytest.mark.parametrize(("size", "milliseconds"), [(4, 0), (4, 1000), (16, 0), (16, 1000)])
@pytest.mark.parametrize("count", [1, 4095, 4096, 10_000])
def test_each_key_is_in_one_message_and_no_length_overflows(size, milliseconds, count):
    keys = [number.to_bytes(size, "big") for number in range(count)]
    whole = nft_elements.batch(nft_elements.addition(INET, "portside", "set", keys, milliseconds))
    *_, last, end = messages = list(netlink.messages(whole))
    assert [one.type for one in (messages[0], end)] == [16, 17]
    assert {one.seq for one in messages} == {1}
    assert [bool(one.flags & netlink.NLM_F_ACK) for one in messages].count(True) == 1
    assert last.flags & netlink.NLM_F_ACK
    found = []
    for part in messages[1:-1]:
        lists = dict(netlink.attributes(whole, part.start + 4, part.end))
        assert lists[nft_elements.NFTA_SET_ELEM_LIST_SET] == b"set\0"
        elements = lists[nft_elements.NFTA_SET_ELEM_LIST_ELEMENTS]
        for _, element in netlink.attributes(elements, 0, len(elements)):
            told = dict(netlink.attributes(element, 0, len(element)))
            ends = int.from_bytes(told.pop(nft_elements.NFTA_SET_ELEM_TIMEOUT, b""), "big")
            assert ends == milliseconds
            (key,) = told.values()
            found.append(dict(netlink.attributes(key, 0, len(key)))[nft_elements.NFTA_DATA_VALUE])
    assert found == keys


def test_nothing_to_add_is_no_message():
    assert list(nft_elements.addition(INET, "portside", "set", [])) == []
