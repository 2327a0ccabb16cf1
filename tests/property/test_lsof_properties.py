"""Whatever is typed to the lsof face gives a listing or an error in lsof's words, never a traceback."""

from __future__ import annotations

import contextlib
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.faces.lsof import main, text
from portside.faces.lsof.parsing import parse
from portside.faces.lsof.words import LETTERS, Words

# no NUL, as in any argv, and no `@`: a name would be looked up
CHARACTERS = st.characters(exclude_characters="\0@", exclude_categories=["Cs"])
ODD = st.text(CHARACTERS | st.sampled_from("\udcff\udc80\x1b"), max_size=8)
OPTION = st.builds(
    "{}{}{}".format,
    st.sampled_from("-+"),
    st.text(st.sampled_from(LETTERS.replace(":", "")), min_size=1, max_size=3),
    ODD
    | st.sampled_from(
        ["", "4", "6tcp:1-2", ":22,http", "tcp:^LISTEN", "1,^2", "/a(/x", "3-9", "5c1mX", "fqs"]
    ),
)
WORD = OPTION | ODD | st.sampled_from(["--", "-", "TCP:LISTEN", "1-2,^3", "pcufn", "10"])


@settings(max_examples=400)
@given(st.lists(WORD, max_size=6))
def test_any_words_are_read(words):
    """What is to be said holds nothing a terminal would act on."""
    options = parse(words)
    assert all(line.replace("\n", "").isprintable() or not line.isascii() for line in options.said)
    assert "\x1b" not in "".join(options.said)


@settings(max_examples=120, deadline=None)
@given(st.lists(WORD.filter(lambda word: "r" not in word), max_size=5))
def test_any_words_give_a_listing_or_an_error(words):
    """-r alone would not come to an end."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(words)
    assert code in (0, 1)
    assert "Traceback" not in err.getvalue()
    assert "\x1b" not in out.getvalue() + err.getvalue()


@given(st.lists(WORD, max_size=6))
def test_every_letter_is_read_once_or_given_back(words):
    """Options that keep none of their values read every character behind the sign."""
    reader, read = Words(words), 0
    while reader.next():
        read += 1
        if reader.value is not None:
            reader.give_back()
        assert read <= sum(map(len, words))


@given(st.text(), st.integers(0, 20))
def test_commands_fill_their_column(name, width):
    told = text.column(name.encode("utf-8", "replace").decode(), width)
    assert len(told) == width
    assert told.isascii()
    assert told.isprintable() or not told


@given(st.text(CHARACTERS | st.sampled_from("\udcff\udc80\x1b\\")))
def test_escaped_text_prints(name):
    told = text.safe(name)
    assert all(one.isprintable() for one in told)
