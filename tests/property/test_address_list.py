"""Lists of addresses in files: canonical, each once, and an error that names the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import BadRequest, PortsideError
from portside.system import address_list


def test_a_block_list_is_read(tmp_path):
    file = tmp_path / "list"
    file.write_text(
        "# bad ones\n192.0.2.1\n\n192.0.2.1 ; again\n203.0.113.7/24 # a network\n2001:0DB8::1\n10.0.0.1/32\n"
    )
    assert address_list.read(str(file)) == ["192.0.2.1", "203.0.113.0/24", "2001:db8::1", "10.0.0.1"]


def test_a_plain_list_is_each_once():
    assert address_list.canonical(["192.0.2.2", "192.0.2.1", "192.0.2.2"]) == ["192.0.2.2", "192.0.2.1"]


@pytest.mark.parametrize("line", ["localhost", "010.0.0.1", "10.1", "1.2.3.4/33", "::1::2"])
def test_the_line_is_named(tmp_path, line):
    file = tmp_path / "list"
    file.write_text(f"192.0.2.1\n{line}\n")
    with pytest.raises(BadRequest, match="in line 2"):
        address_list.read(str(file))


def test_nobody_blocks_everybody():
    for text in ("0.0.0.0/0", "::/0"):
        with pytest.raises(BadRequest, match="that is every address"):
            address_list.canonical([text])


def test_a_file_that_is_not_there():
    with pytest.raises(PortsideError, match="read '/nonexistent': no such file or directory"):
        address_list.read("/nonexistent")


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_addresses_or_our_error(lines):
    try:
        found = address_list.canonical(lines)
    except PortsideError:
        return
    assert address_list.canonical(found) == found
