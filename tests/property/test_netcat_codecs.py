"""The wire codecs of the netcats: any bytes give an answer or our error; cut anywhere, the same comes out."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from portside.errors import PortsideError
from portside.wire import hex_dump, http_auth, http_connect, http_message, socks
from portside.wire.newlines import Crlf
from portside.wire.telnet import Refuser


def cut(data, places):
    """Split at each place, in order."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n"])).map(b"".join), st.lists(st.integers(0, 99)))
def test_line_ends(data, places):
    one, many = Crlf(), Crlf()
    whole = one.translate(data)
    assert b"".join(many.translate(piece) for piece in cut(data, places)) == whole
    assert whole.replace(b"\r\n", b"").count(b"\n") == 0


@given(st.lists(st.sampled_from([bytes((each,)) for each in (255, 254, 253, 252, 251, 250, 1)])).map(b"".join),
       st.lists(st.integers(0, 99)))  # fmt: skip
def test_telnet(data, places):
    one, many = Refuser(), Refuser()
    whole = one.answer(data)
    assert b"".join(many.answer(piece) for piece in cut(data, places)) == whole
    assert len(whole) % 3 == 0
    assert all(whole[place] == 255 and whole[place + 1] in (252, 254) for place in range(0, len(whole), 3))


def fed(talk, data):
    """Give a negotiation what it wants, from `data`; return what is left, or our error."""
    while talk.wants and len(data) >= talk.wants:
        wanted = talk.wants
        try:
            talk.feed(data[:wanted])
        except PortsideError as error:
            return error
        data = data[wanted:]
    return data


ANSWERS = [
    lambda: socks.Version4("host.example", 80, "me"),
    lambda: socks.Version5("host.example", 80, "me", "secret"),
    lambda: http_connect.Connect("host.example", 80),
]


@given(st.binary(max_size=400), st.sampled_from(ANSWERS))
def test_any_answer_of_a_proxy(data, make):
    assert isinstance(fed(make(), data), bytes | PortsideError)


@given(st.binary(max_size=40), st.sampled_from([b"\1" + bytes(6), b"\4" + bytes(18), b"\3\5abcde\0\0"]))
def test_socks_5_takes_its_own_bytes_alone(rest, bound):
    talk = socks.Version5(b"\x7f\0\0\1", 80)
    assert fed(talk, b"\5\0" + b"\5\0\0" + bound + rest) == rest
    assert talk.wants == 0


@given(st.binary(max_size=40))
def test_connect_takes_its_own_bytes_alone(rest):
    talk = http_connect.Connect("::1", 80)
    assert talk.first.startswith(b"CONNECT [::1]:80 HTTP/1.0\r\n")
    assert fed(talk, b"HTTP/1.1 200 Fine\r\nA: b\r\n\r\n" + rest) == rest
    assert (talk.status, talk.headers) == ("HTTP/1.1 200 Fine", ["A: b"])


@given(st.binary(max_size=300))
def test_any_request(data):
    try:
        request = http_message.parse_request(data)
        target = http_message.target_of(request)
        assert 0 < target.port < 65536
        assert http_message.forwarded(request, target).endswith(b"\r\n\r\n")
    except PortsideError:
        pass


@given(st.text(max_size=100))
def test_any_credential(text):
    guard = http_auth.Guard("user", "secret", b"key")
    assert not guard.admits(text, "GET", ("/",), 1000.0)
    assert not guard.admits(f"Digest {text}", "GET", ("/",), 1000.0)


@given(st.text(st.characters(exclude_characters='":\\', exclude_categories=["Cs"]), min_size=1, max_size=9),
       st.integers(0, 600))  # fmt: skip
def test_both_sides_of_a_login_agree(user, age):
    guard = http_auth.Guard(user, "s:e", b"key")
    told = dict(guard.challenges(1000.0)[1:])["Proxy-Authenticate"]
    scheme, challenge = http_auth.parse(told)
    assert scheme == "digest"
    credential = http_auth.digest(user, "s:e", challenge, "GET", "/x", "nonce")
    assert guard.admits(credential, "GET", ("/x",), 1000.0 + age) == (age <= 300)
    assert not guard.admits(credential, "POST", ("/x",), 1000.0)
    assert guard.admits(http_auth.basic(user, "s:e"), "GET", (), 0.0)


@given(st.binary(max_size=100))
def test_a_hex_dump_can_be_read_back(data):
    dump = hex_dump.lines(data)
    assert b"".join(bytes.fromhex(line[7:56]) for line in dump.splitlines()) == data


@given(st.lists(st.tuples(st.binary(max_size=70), st.booleans())))
def test_a_directed_hex_dump_can_be_read_back(pieces):
    dump = hex_dump.Directed()
    text = "".join(dump.lines(data, sent) for data, sent in pieces)
    for sent, mark in ((True, ">"), (False, "<")):
        lines = [line for line in text.splitlines() if line[0] == mark]
        kept = bytearray()
        for line in lines:
            assert int(line[2:10], 16) == len(kept)
            kept += bytes.fromhex(line[11:58])
        assert kept == b"".join(data for data, which in pieces if which == sent)
