"""The port-spec grammar, held by a table that people can read: port_specs.txt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portside.errors import BadRequest
from portside.ports.spec import parse_spec

TABLE = Path(__file__).with_name("port_specs.txt")


def cases():
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            text, sign, expected = re.fullmatch(r"(.*?) *(=>|!) (.*)", line).groups()
            yield pytest.param(text, sign, expected, id=f"{text}")


@pytest.mark.parametrize(("text", "sign", "expected"), list(cases()))
def test_spec(text, sign, expected):
    if sign == "!":
        with pytest.raises(BadRequest) as caught:
            parse_spec(text)
        assert expected in str(caught.value)
        assert str(caught.value).startswith(f"read port spec {text!r}: ")
    else:
        spec = parse_spec(text)
        assert str(spec) == expected
        assert parse_spec(str(spec)) == spec
