"""Any text a person types, a file holds or a record has: a value that the setting can have, or our error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portside.errors import BadReply, BadRequest
from portside.see.tune import changes, settings
from portside.see.tune.settings import SETTINGS
from portside.wire import sysctl_conf

chosen = st.sampled_from(sorted(SETTINGS))
words = st.text() | st.text("0123456789-+, :smhd")
keys = st.text("abc.", min_size=1).filter(lambda key: key.strip("."))


@given(chosen, words)
def test_what_is_typed(name, text):
    setting = SETTINGS[name]
    try:
        value = settings.typed(setting, text, "80,9000-9010" if name == "reserved" else "")
    except BadRequest:
        return
    assert settings.typed(setting, value or "none") == value
    assert settings.canonical(setting, settings.kernel_text(setting, value)) == value
    assert settings.shown(setting, value)


@given(chosen, words)
def test_what_the_kernel_says(name, text):
    try:
        settings.canonical(SETTINGS[name], text)
    except BadReply:
        pass


fields = st.sampled_from(changes.Change.__match_args__)
plain = st.none() | st.booleans() | st.integers() | words


values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(fields, inner, max_size=3))


@given(st.dictionaries(fields, values | chosen, max_size=8))
def test_what_a_record_holds(record):
    try:
        (change,) = changes.of_journal({1: record}).values()
    except BadReply:
        return
    assert changes.of_journal({1: changes.to_json(change)}) == {1: change}


@given(st.text(), keys, st.none() | st.text("0123456789", min_size=1))
def test_a_changed_file_says_what_it_should(text, key, value):
    """And every other assignment as before."""
    before = [entry for entry in sysctl_conf.parse(text) if entry.key != key]
    new = sysctl_conf.changed(text, key, value, "ours")
    assert sysctl_conf.last(new, key) == value
    after = [entry for entry in sysctl_conf.parse(new) if entry.key != key]
    assert [(one.key, one.value) for one in after] == [(one.key, one.value) for one in before]
