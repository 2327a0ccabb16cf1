"""The registry's generator: a small registry with every kind of record goes in and comes back."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from portside.ports.iana import CHUNK_ROWS, Table

TOOL = Path(__file__).resolve().parents[2] / "tools/make_registry.py"

HEADER = (
    "Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,Registration Date,"
    "Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes\n"
)
SAMPLE = HEADER + (
    ",0,tcp,Reserved,,,,2024-12-20,[RFC6335],,,\n"
    "discard,9,tcp,Discard,,,,,,,,\n"
    "discard,9,udp,Discard,,,,,,,,\n"
    "discard,9,sctp,Discard,,,,2022-02-07,[RFC9260],,,\n"
    "discard,9,dccp,Discard,,,,,[RFC4340],1145656131,,\n"
    "http,80,tcp,World Wide Web HTTP,,,,,[RFC9110],,,Defined TXT keys\n"
    "www,80,tcp,World Wide Web HTTP,,,,,[RFC9110],,,\n"
    'multi,81,tcp,"Two\n      lines, one text",,,,,"[TR-352][with a\n note]",,,\n'
    "same,82,udp,same,,,,,,,,\n"
    "nothing,83,udp,,,,,,,,,\n"
    "any,84,,Whatever,,,,,,,,\n"
    ",100-102,,Unassigned,,,,,,,,\n"
    ",103-103,,Unassigned,,,,,,,,\n"
    "x11,6000-6063,tcp,X Window System,,,,,,,,\n"
    "x11,6000-6063,udp,X Window System,,,,,,,,\n"
    "Ünï,7000,tcp,Größe 日本,,,,,,,,\n"
    "argus,,,ARGUS Protocol,,,,,,,,\n"
    "sonar,,udp,,,,,,,,,\n"
)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_registry", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def records(tool, tmp_path):
    source = tmp_path / "registry.csv"
    source.write_text(SAMPLE, encoding="utf-8")
    return tool.read_csv(source)


def test_every_record_comes_back(tool, records):
    data = tool.encode(records, "2001-01")
    tool.verify(records, data)
    table = Table(data)
    assert sorted(tool.decode(table)) == sorted(records)
    assert len(records) == int(table.header["records"]) == 18
    assert table.header["source"].endswith("copy of 2001-01")


def test_what_is_kept(tool, records):
    assert ("multi", "81", "tcp", "Two lines, one text", "[TR-352][with a note]") in records
    assert ("", "103", "", "Unassigned", "") in records
    table = Table(tool.encode(records, "2001-01"))
    assert [table.name(row) for row in table.rows_of_port(80)] == ["http", "www"]
    assert [table.transports(row) for row in table.rows_of_port(9)] == [("tcp", "udp"), ("sctp",), ("dccp",)]
    assert table.ports(table.rows_of_port(6050)[0]) == (6000, 6063)
    assert table.description(table.rows_of_name("same")[0]) == "same"
    assert table.description(table.rows_of_name("nothing")[0]) == ""


def test_chunks_of_names(tool):
    records = [(f"name{port}", str(port), "tcp", "", "") for port in range(1, 2 * CHUNK_ROWS + 2)]
    table = Table(tool.encode(records, "2001-01"))
    for row in (0, CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS):
        assert table.name(row) == f"name{row + 1}"
        assert table.rows_of_name(f"name{row + 1}") == [row]
    assert table.others() == []


def test_same_input_same_file(tool, records):
    assert tool.encode(records, "2001-01") == tool.encode(list(records), "2001-01")


def test_program_writes_the_file(tool, tmp_path, monkeypatch, capsys):
    source, target = tmp_path / "in.csv", tmp_path / "out.bin"
    source.write_text(SAMPLE, encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["make_registry.py", str(source), str(target), "--published", "2001-01"])
    assert tool.main() == 0
    assert Table(target.read_bytes()).rows == 11
    assert "18 records" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.bin"]


@pytest.mark.parametrize("record", [("a", "1", "quic", "", ""), ("a", "1", "tcp", "=", "")])
def test_what_has_no_room_stops_it(tool, record):
    with pytest.raises(SystemExit, match="no room"):
        tool.encode([record], "2001-01")


def test_verify_notices(tool, records):
    data = tool.encode(records, "2001-01")
    with pytest.raises(SystemExit, match="not the same records"):
        tool.verify(records[:-1], data)
    swapped = [*records]
    first, second = (place for place, record in enumerate(records) if record[1] == "80")
    swapped[first], swapped[second] = swapped[second], swapped[first]
    with pytest.raises(SystemExit, match="not in the registry's order"):
        tool.verify(swapped, data)
