"""The journal: what was written stays, whoever dies; what cannot be believed is told; one changes it at a time."""

from __future__ import annotations

import json
import os

import pytest

from portside.errors import BadReply, PortsideError, TimedOut
from portside.system import files, journal
from portside.system.journal import Journal


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "state" / "changes")


def test_where_it_is(monkeypatch):
    monkeypatch.delenv("PORTSIDE_STATE", raising=False)
    assert journal.place("tune") == "/var/lib/portside/tune"
    assert journal.place("tune", "/mnt") == "/mnt/var/lib/portside/tune"
    monkeypatch.setenv("PORTSIDE_STATE", "/elsewhere")
    assert journal.place("tune") == "/elsewhere/tune"
    assert journal.place("tune", "/mnt") == "/mnt/var/lib/portside/tune"


def test_records_are_kept_by_number(place):
    assert journal.read(place) == {}
    with Journal(place) as book:
        assert [book.add({"n": n}) for n in range(12)] == list(range(1, 13))
        book.write(2, {"n": "two"})
        book.remove(3)
        inside = book.records()
    assert journal.read(place) == inside
    assert list(inside) == [1, 2, *range(4, 13)]
    assert inside[2] == {"n": "two"}
    with Journal(place) as book:
        assert book.add({}) == 13


def test_its_files_are_the_makers_alone(place):
    with Journal(place) as book:
        book.add({})
    assert os.stat(place).st_mode & 0o777 == 0o700
    assert os.stat(f"{place}/1.json").st_mode & 0o777 == 0o600


def test_one_changes_it_at_a_time(place):
    with Journal(place):
        with pytest.raises(TimedOut, match=r"another change is being made for over 0\.1 s"):
            Journal(place, patience=0.1).lock()
        assert journal.read(place) == {}  # to read takes no lock
    with Journal(place, patience=0.1):
        pass


def test_who_dies_while_writing_leaves_the_old_record(place, monkeypatch):
    """The draft is there, under no name of a record, and nobody stumbles over it."""
    with Journal(place) as book:
        book.add({"n": "old"})

        def die(*_arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            book.write(1, {"n": "new"})
        monkeypatch.undo()
    assert journal.read(place) == {1: {"n": "old"}}
    assert len(os.listdir(place)) == 3  # the lock, the record, the draft
    with Journal(place) as book:
        book.write(1, {"n": "new"})
    assert journal.read(place) == {1: {"n": "new"}}


def test_the_record_is_on_the_disk_before_it_has_its_name(place, monkeypatch):
    done = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *words, name=name, real=real: (done.append(name), real(*words))[1]
        )
    files.replace(f"{place}/1.json", "text")
    assert done == ["fsync", "rename", "fsync"]  # the file; its name; the directory


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is damaged"),
        ("{", "it is damaged"),
        ("[]", "it is damaged: no record"),
        ('{"version": 1}', "it is damaged: no record"),
        (
            json.dumps({"version": 2, "record": {}}),
            "its version is '2', we read 1; use the portside that wrote it",
        ),
        (json.dumps({"record": {}}), "its version is 'None'"),
        ("\udc80", "it is damaged"),
    ],
)
def test_what_cannot_be_believed_is_told(place, text, said):
    with Journal(place) as book:
        book.add({})
    with open(f"{place}/2.json", "w", errors="surrogateescape") as file:
        file.write(text)
    os.chmod(f"{place}/2.json", 0o600)
    with pytest.raises(BadReply, match=said):
        journal.read(place)


def test_what_others_could_have_written_is_not_believed(place):
    with Journal(place) as book:
        book.add({})
    os.chmod(f"{place}/1.json", 0o660)
    with pytest.raises(BadReply, match="others than root could have written it"):
        journal.read(place)


def test_where_there_can_be_none_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PortsideError, match="not a directory"):
        Journal(str(tmp_path / "file" / "changes")).lock()
    assert journal.read(str(tmp_path / "file" / "changes")) == {}
