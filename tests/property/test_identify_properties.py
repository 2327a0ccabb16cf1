"""Answers of strangers: any bytes into each reader give a service or None, in bounded room, and nothing else."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import test_identify as known

from portside.errors import BadReply, BadRequest
from portside.probe import payloads
from portside.probe.identify import greetings
from portside.probe.identify.asking import QUESTIONS
from portside.probe.identify.certificate import read_certificate
from portside.wire import asn1
from portside.wire.pins import parse_pin, pin_of

MANY = settings(max_examples=150, deadline=None)
READERS = [each.read for each in (*greetings.GREETINGS, *greetings.TCP, *QUESTIONS, *payloads.QUESTIONS)]
SAMPLES = [data for data, *_ in known.TCP] + [data for _, data, *_ in known.UDP]


@st.composite
def damaged(draw):
    """A real answer, cut, with some bytes changed and others behind."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=64))


@MANY
@given(st.one_of(st.binary(max_size=300), damaged()))
def test_any_answer(data):
    for read in READERS:
        found = read(data)
        if found is not None:
            assert found.name
            for what, said in found.details:
                assert what
                assert 0 < len(said) <= 200
                assert "\n" not in said


@MANY
@given(st.binary(max_size=400))
def test_any_certificate(data):
    for der in (data, asn1.element(0x30, asn1.element(0x30, data)), asn1.element(0x30, data)):
        assert set(read_certificate(der)) <= {"subject", "issuer", "names", "expires"}
        with contextlib.suppress(BadReply):
            assert parse_pin(pin_of(der)) == pin_of(der)
    asn1.dotted(data)


@MANY
@given(st.lists(st.tuples(st.sampled_from([2, 4, 0x30, 0xA0]), st.binary(max_size=300)), max_size=5))
def test_der_there_and_back(pairs):
    data = b"".join(asn1.element(tag, value) for tag, value in pairs)
    assert list(asn1.elements(data)) == pairs


@MANY
@given(st.one_of(st.text(max_size=80), st.from_regex(r"(?i)sha256(:|//)[0-9a-f:+/=]{0,70}", fullmatch=True)))
def test_any_pin(text):
    with contextlib.suppress(BadRequest):
        pin = parse_pin(text)
        assert len(pin) == len("sha256:") + 64
        assert parse_pin(pin) == pin
