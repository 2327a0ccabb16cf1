"""Lsof's logic of selections: or, with -a and, `^` before all; and what is said of what was not found."""

from __future__ import annotations

import pytest

from portside.faces.lsof import selection as bits
from portside.faces.lsof.endpoints import Endpoints
from portside.faces.lsof.files import TCP, File, Holder
from portside.faces.lsof.parsing import parse
from portside.faces.lsof.selection import Selection, check_names
from portside.faces.lsof.verdict import not_found
from portside.system.resolver import AF_INET
from portside.system.tasks import Task

TASK = Task(7, 1000, "server", 1, 70, b"")


def chosen(typed):
    return Selection(parse(typed.split()))


@pytest.mark.parametrize(
    ("typed", "left_out"),
    [
        ("-i", False),
        ("-i -p ^7", True),
        ("-i -p ^8", False),
        ("-i -u ^1000", True),
        ("-i -g ^70", True),
        ("-i -c ^serv", True),
        ("-i -c ^x", False),
        ("-a -i -p 7", False),
        ("-a -i -p 8", True),
        ("-a -i -p 8,7", False),
        ("-a -i -p 7 -u 1000", False),
        ("-a -i -p 7 -u 1001", True),
        ("-a -i -g 70 -c ser", False),
        ("-a -i -c x", True),
        ("-a -i -c /^s.*r$/", False),
        ("-a -i -c /^S/", True),
        ("-a -i -c /^S/i", False),
        ("-a -i -K", True),  # no thread
        ("-a -i -p 7 -c ^serv", True),
    ],
)
def test_process_is_left_out(typed, left_out):
    assert chosen(typed).process(TASK)[0] is left_out


def test_a_process_has_the_bits_it_fits():
    assert chosen("-a -i -p 7 -u 1000 -c s").process(TASK) == (False, bits.PID | bits.USER | bits.COMMAND)
    assert chosen("-a -i -K").process(TASK.replace(thread=8)) == (False, bits.TASK)


@pytest.mark.parametrize(
    ("typed", "bit", "listed"),
    [
        ("-i", bits.NET, True),
        ("-i", 0, False),
        ("-i -U", bits.UNIX, True),
        ("-a -i -U", bits.UNIX, False),
        ("-a -i -p 7", bits.NET, False),
        ("-a -i -p 7", bits.NET | bits.PID, True),
    ],
)
def test_file_is_listed(typed, bit, listed):
    assert chosen(typed).lists(bit) is listed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("-d 3", True),
        ("-d 4", False),
        ("-d 1-5", True),
        ("-d fd", True),
        ("-d cwd", False),
        ("-d ^3", False),
        ("-d ^4", True),
        ("", False),
    ],
)
def test_descriptor_is_meant(typed, meant):
    assert chosen(f"-a -i {typed}").descriptor(3) is meant


def test_the_last_address_that_fits_is_found():
    """Lsof compares the last one given first, and notes only the one that fits."""
    selection = chosen("-i :80 -i TCP -i :81")
    assert selection.address("tcp", AF_INET, b"\1\2\3\4", 80)
    assert selection.found.addresses == {1}
    assert not selection.address("udp", AF_INET, b"\1\2\3\4", 82)


@pytest.mark.parametrize(
    ("typed", "states"),
    [("-s TCP:LISTEN", [10]), ("-s TCP:^LISTEN", [1, 7]), ("-s TCP:LISTEN,CLOSE", [7, 10])],
)
def test_states(typed, states):
    selection = chosen(f"-i {typed}")
    assert [number for number in (1, 7, 10) if selection.state(number)] == states


def test_what_was_not_found_is_said_in_lsofs_order():
    typed = "-V -a -i -i :80 -i @127.0.0.1 -c a -c ^b -c /x/ -s TCP:LISTEN -p 1,^2 -g 3 -u 5 -N -K"
    options = parse(typed.split())
    told = [*not_found(options, Selection(options).found)]
    assert told == [
        "command not located: b",
        "command not located: a",
        "no command found for regex: x",
        "Internet address not located: @127.0.0.1",
        "Internet address not located: :80",
        "no Internet files located",
        "TCP state not located: LISTEN",
        "no NFS files located",
        "process ID not located: 1",
        "no tasks located",
        "process group ID not located: 3",
        "user ID not located: 5",
    ]


def test_what_was_found_is_not_said():
    options = parse(["-a", "-i", "-p", "7", "-c", "s"])
    selection = Selection(options)
    selection.process(TASK)
    selection.found.net = True
    assert [*not_found(options, selection.found)] == []


def test_names_of_sockets(tmp_path):
    import socket

    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        options = parse([path, "/nonexistent"])
        assert check_names(options) == (["status error on /nonexistent: No such file or directory"], "")
        assert options.names == [path]
        assert check_names(parse(["-Q", "/nonexistent"])) == ([], "")
        assert check_names(parse(["+f", "--", path])) == ([f"not a file system: {path}"], "")


class Tables:
    """What was read: two ends of a connection, a Unix pair, a listener with two that wait."""

    order = (
        (TCP, (2, 1, 0, 0, 80, 90, b"a" * 16, b"b" * 16, 0, 0, 0, 0, 0, 0, 101, b"")),
        (TCP, (2, 1, 0, 0, 90, 80, b"b" * 16, b"a" * 16, 0, 0, 0, 0, 0, 0, 102, b"")),
        (TCP, (2, 10, 0, 0, 90, 0, b"b" * 16, bytes(16), 0, 0, 0, 0, 0, 0, 103, b"")),
    )
    unix = {
        201: ((1, 1, 1, 0, 201, 0), {"peer": 202}), 202: ((1, 1, 1, 0, 202, 0), {"peer": 201}),
        203: ((1, 1, 10, 0, 203, 0), {"icons": (204, 205)}), 204: ((1, 1, 1, 0, 204, 0), {}),
        205: ((1, 1, 1, 0, 205, 0), {"peer": 999}),
    }  # fmt: skip


def held(inode, descriptor, bit=bits.NET):
    row = next((row for _, row in Tables.order if row[14] == inode), None)
    return File(descriptor, "unix" if row is None else "IPv4", inode, bit, row=row)


@pytest.mark.parametrize(("typed", "followed"), [("-E -i -U", False), ("+E -i -U", True)])
def test_other_ends(typed, followed):
    options = parse(typed.split())
    ours = [held(101, 3), held(103, 4), held(201, 5), held(203, 6), held(205, 7)]
    others = [held(102, 10, 0), held(202, 12345, 0), held(204, 11, 0)]
    holders = [Holder(TASK, 0, ours), Holder(TASK.replace(pid=8, name="a long name"), 0, others)]
    selection = Selection(options)
    Endpoints(holders, Tables, options).tell(selection)
    assert [file.added for file in ours] == [
        ["8,a long na,10u"], None, ["->INO=202", "8,a long na,*345u"], ["->INO=204", "8,a long na,11u"], None,
    ]  # fmt: skip
    assert [bool(file.bits) for file in others] == [followed] * 3
    assert others[0].added == (["7,server,3u"] if followed else None)
    assert others[1].added == (["->INO=201", "7,server,5u"] if followed else None)
