"""Any bytes give a result or our error: the BTF parser and the eBPF disassembler."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bpf_text import decode, disassemble
from tests.btf_blobs import small_kernel

from portside.errors import BadReply, NotSupported
from portside.wire.bpf import assemble
from portside.wire.btf import Btf

GOOD = small_kernel().build()
QUESTIONS = (
    "size:outer",
    "size:inner_t",
    "outer.right.b",
    "outer.absent",
    "flags.high",
    "func:do_it",
    "type:inode",
)


def ask_everything(blob):
    with contextlib.suppress(BadReply, NotSupported):
        btf = Btf(blob)
        for question in QUESTIONS:
            with contextlib.suppress(BadReply, NotSupported):
                assert btf.resolve(question) >= 0
        for name in ("RED", "HUGE"):
            with contextlib.suppress(BadReply, NotSupported):
                btf.enum_value(name)


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_bytes(blob):
    ask_everything(blob)
    ask_everything(GOOD[:24] + blob)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_blob_with_some_bytes_changed(changes):
    blob = bytearray(GOOD)
    for at, value in changes:
        blob[at] = value
    ask_everything(bytes(blob))


@settings(max_examples=100)
@given(st.integers(0, len(GOOD)))
def test_a_blob_cut_short(length):
    ask_everything(GOOD[:length])


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.binary(max_size=25).map(lambda some: some * 8))
def test_any_program_has_a_text_and_survives_a_round_trip(code):
    try:
        text = disassemble(code)
    except BadReply:
        return
    assert len(text.splitlines()) == len(decode(code))
    assert assemble(decode(code)) == code
