"""Golden bytes: what kernel 6.18 answered is read as it was meant, and what we ask is what was asked then.

The files in replies/ and procnet/ are for people to read: each says what it holds.  `record.py` makes them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.golden import hexdump
from tests.golden.exchanges import EXCHANGES, readings

from portside.errors import PortsideError
from portside.system.host import Host
from portside.system.netlink import Netlink
from portside.testing.fakekernel import FakeKernel
from portside.testing.fakeproc import FakeProc
from portside.wire import netlink

HERE = Path(__file__).parent
TEXTS = sorted(path.stem for path in (HERE / "procnet").glob("*.txt"))
EACH = pytest.mark.parametrize("name", EXCHANGES)

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the golden bytes are little-endian")


def load(name: str) -> hexdump.Golden:
    return hexdump.load(HERE / f"replies/{name}.txt")


def same(got: bytes, wanted: bytes) -> None:
    assert got == wanted, "\n" + hexdump.side_by_side(got, wanted)


def test_every_file_belongs_to_an_exchange():
    assert sorted(path.stem for path in (HERE / "replies").glob("*.txt")) == sorted(EXCHANGES)


@EACH
def test_we_ask_what_was_asked(name):
    same(EXCHANGES[name].request, b"".join(load(name).sent))


@EACH
def test_the_answer_is_read_as_meant(name):
    """Through the socket as well: the recorded datagrams are a fake kernel's."""
    golden = load(name)
    kernel = FakeKernel(replies=lambda request: list(golden.received))
    with Netlink(EXCHANGES[name].protocol, kernel.open) as link:
        try:
            values = EXCHANGES[name].read(link.dump(EXCHANGES[name].request, name))
        except PortsideError as error:
            values = [(error.errno, error.extack)]
    assert values == golden.values
    assert kernel.requests == golden.sent


@EACH
def test_the_bytes_are_the_fields(name):
    """Each message, taken apart into header, struct and attributes and put together again, is itself."""
    exchange = EXCHANGES[name]
    for datagram in load(name).received:
        again = b""
        for part in netlink.messages(datagram):
            payload = datagram[part.start : part.end]
            if part.type > netlink.NLMSG_DONE:
                start = netlink.align(exchange.layout.size)
                values = dict(zip(exchange.layout.fields, exchange.layout.read(payload), strict=True))
                payload = exchange.layout.write(**values) + payload[exchange.layout.size : start]
                for kind, value in whole_attributes(datagram[part.start + start : part.end]):
                    payload += netlink.attribute(kind, value)
            again += netlink.message(part.type, part.flags, payload, seq=part.seq, pid=part.pid)
        same(again, datagram)


def whole_attributes(data: bytes):
    """Attributes with their flags, which `netlink.attributes` masks off."""
    at = 0
    for _, value in netlink.attributes(data, 0, len(data)):
        yield netlink.ATTRIBUTE.read(data, at)[1], value
        at += netlink.align(netlink.ATTRIBUTE.size + len(value))


def test_a_file_is_read_byte_for_byte(tmp_path):
    """A path may hold a carriage return, a newline and bytes that are no text."""
    text, _ = hexdump.load_text(HERE / "procnet/unix.txt")
    assert "\r" in text
    assert "\udcff" in text
    FakeProc(tmp_path / "proc").net("unix", text)
    assert Host(root=str(tmp_path), netlink=None).net("unix") == text


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_read_as_meant(name):
    text, values = hexdump.load_text(HERE / f"procnet/{name}.txt")
    assert readings(name, text) == values
