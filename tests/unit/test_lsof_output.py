"""What the lsof face draws: its table, -F, JSON, names and escapes, from files made by hand."""

from __future__ import annotations

import json

import pytest

from portside.faces.lsof import text
from portside.faces.lsof.document import document
from portside.faces.lsof.fields import fields
from portside.faces.lsof.files import TCP, UDP, File, Holder
from portside.faces.lsof.flags import flags_text
from portside.faces.lsof.names import Names
from portside.faces.lsof.parsing import parse
from portside.faces.lsof.table import table
from portside.system.tasks import Task
from portside.wire.inet_diag import AF_INET, AF_INET6, ntohs

ANY, LOOPBACK = bytes(16), b"\x7f\0\0\1" + bytes(12)
MAPPED = bytes(10) + b"\xff\xff\x7f\0\0\1"
ESTABLISHED, CLOSE, LISTEN = 1, 7, 10


def row(family, state, local, remote=(ANY, 0), queues=(0, 0)):
    """Return a row of a dump: only what is drawn is set."""
    ports = ntohs(local[1]), ntohs(remote[1])
    return (family, state, 0, 0, *ports, local[0], remote[0], 0, 1, 0, *queues, 0, 0, b"")


def internet(descriptor, inode, kind, *of_row):
    there = row(*of_row)
    name = "IPv6" if there[0] == AF_INET6 else "IPv4"
    return File(descriptor, name, inode, 1, kind, ("TCP", "UDP", "UDPLITE")[kind], there, device=str(inode))


LISTENER = internet(3, 1001, TCP, AF_INET, LISTEN, (ANY, 80), (ANY, 0), (2, 128))
CLIENT = internet(12345, 20002, TCP, AF_INET6, ESTABLISHED, (MAPPED, 4000), (MAPPED, 80), (5, 6))
DATAGRAM = internet(4, 1003, UDP, AF_INET, CLOSE, (LOOPBACK, 53))
UNIX = File(5, "unix", 1004, 1, 1, name="/run/a b type=STREAM", device="0x0000abcd", state="LISTEN")
OTHER = File(6, "sock", 1005, 1, name="protocol: TCP", device="0,9")
OTHER.number = 9
TASK = Task(77, 4242, "a server\x1b", 1, 70, b"")
THREAD = Task(77, 4242, "a server\x1b", 1, 70, b"", thread=78, thread_name="worker")


def drawn(typed, holders=None, draw=table):
    options = parse(["-i", *typed.split()])
    held = [Holder(TASK, 0, [LISTENER, CLIENT, DATAGRAM, UNIX, OTHER])] if holders is None else holders
    return "".join(draw(held, options, Names(options)))


def test_table():
    """Columns are as wide as what they hold; a command is escaped and cut, a high descriptor shortened."""
    assert drawn("-Pnl") == (
        "COMMAND   PID     USER   FD   TYPE     DEVICE SIZE/OFF NODE NAME\n"
        "a\\x20serv  77     4242    3u  IPv4       1001      0t0  TCP *:80 (LISTEN)\n"
        "a\\x20serv  77     4242 *345u  IPv6      20002      0t0  TCP 127.0.0.1:4000->127.0.0.1:80 (ESTABLISHED)\n"
        "a\\x20serv  77     4242    4u  IPv4       1003      0t0  UDP 127.0.0.1:53 \n"
        "a\\x20serv  77     4242    5u  unix 0x0000abcd      0t0 1004 /run/a b type=STREAM (LISTEN)\n"
        "a\\x20serv  77     4242    6u  sock        0,9      0t0 1005 protocol: TCP\n"
    )


def test_table_of_nothing_has_no_header():
    assert drawn("", []) == ""


@pytest.mark.parametrize(
    ("typed", "header"),
    [
        ("-R", "COMMAND   PID PPID     USER   FD   TYPE     DEVICE SIZE/OFF NODE NAME"),
        ("-g -R", "COMMAND   PID PPID PGID     USER   FD   TYPE     DEVICE SIZE/OFF NODE NAME"),
        ("-o", "COMMAND   PID     USER   FD   TYPE     DEVICE OFFSET NODE NAME"),
        ("-s", "COMMAND   PID     USER   FD   TYPE     DEVICE SIZE NODE NAME"),
        ("+L", "COMMAND   PID     USER   FD   TYPE     DEVICE SIZE/OFF NLINK NODE NAME"),
        ("+fg", "COMMAND   PID     USER   FD   TYPE FILE-FLAG     DEVICE SIZE/OFF NODE NAME"),
        ("+c0", "COMMAND       PID     USER   FD   TYPE     DEVICE SIZE/OFF NODE NAME"),
        ("+c3", "COMMAND PID     USER   FD   TYPE     DEVICE SIZE/OFF NODE NAME"),
    ],
)
def test_header(typed, header):
    assert drawn(f"-Pnl {typed}").splitlines()[0] == header


def test_threads_have_columns():
    told = drawn("-Pnl", [Holder(TASK, 0, [LISTENER]), Holder(THREAD, 0, [LISTENER])]).splitlines()
    assert told[0] == "COMMAND   PID TID TASKCMD     USER   FD   TYPE DEVICE SIZE/OFF NODE NAME"
    assert told[1] == "a\\x20serv  77                 4242    3u  IPv4   1001      0t0  TCP *:80 (LISTEN)"
    assert told[2] == "a\\x20serv  77  78 worker      4242    3u  IPv4   1001      0t0  TCP *:80 (LISTEN)"


@pytest.mark.parametrize(
    ("tell", "listener", "datagram", "unix"),
    [
        ("-Tqs", " (LISTEN QR=2 QS=0)", " (QR=0 QS=0)", " (LISTEN)"),
        ("-Tq", " (QR=2 QS=0)", " (QR=0 QS=0)", " "),
        ("-Tf", " ", " ", " "),
        ("-T", "", "", ""),
    ],
)
def test_connections(tell, listener, datagram, unix):
    """A queue's limit is not told of a listener: /proc/net has none."""
    names = Names(parse(["-i", "-Pn", tell]))
    assert names.full(LISTENER) == f"*:80{listener}"
    assert names.full(DATAGRAM) == f"127.0.0.1:53{datagram}"
    assert names.full(UNIX) == f"/run/a b type=STREAM{unix}"
    assert names.full(OTHER) == "protocol: TCP"


def test_a_user_without_login_is_warned_of_as_often_as_written(capsys):
    drawn("-Pn", [Holder(TASK, 0, [LISTENER, CLIENT])])
    assert capsys.readouterr().err == "lsof: no pwd entry for UID 4242\n" * 4
    drawn("-Pnw", [Holder(TASK, 0, [LISTENER, CLIENT])])
    assert not capsys.readouterr().err


def test_fields():
    told = drawn("-PnlF", [Holder(TASK, 0, [CLIENT])], fields)
    assert told.split("\n") == [
        "p77", "g70", "R1", "ca server^[", "u4242", "f*345", "au", "l ", "tIPv6", "d20002", "o0t0", "PTCP",
        "n127.0.0.1:4000->127.0.0.1:80", "TST=ESTABLISHED", "TQR=5", "TQS=6", "",
    ]  # fmt: skip


def test_fields_that_a_file_does_not_have():
    assert (
        drawn("-PnlFfdDiPnT", [Holder(TASK, 0, [OTHER])], fields) == "p77\nf6\nD0x9\ni1005\nnprotocol: TCP\n"
    )
    assert drawn("-Pnl -FfT", [Holder(TASK, 0, [DATAGRAM])], fields) == "p77\nf4\nTQR=0\nTQS=0\n"


def test_fields_of_a_thread():
    assert drawn("-l -FKM", [Holder(THREAD, 0, [OTHER])], fields) == "p77\nK78\nMworker\n"


def test_fields_between_nuls():
    """Each field ends with a NUL, each process and each file with a line break."""
    assert drawn("-PnlF0fn", [Holder(TASK, 0, [OTHER])], fields) == "p77\0\nf6\0nprotocol: TCP\0\n"


def test_document():
    told = json.loads(drawn("-Pnl -J", [Holder(TASK, 0, [LISTENER, UNIX, OTHER])], document))
    assert told["lsof_version"]
    (process,) = told["processes"]
    files = process.pop("files")
    assert process == {"pid": 77, "pgid": 70, "ppid": 1, "command": "a server\x1b", "uid": 4242}
    assert files[0] == {
        "fd": "3", "access": "u", "type": "IPv4", "device": "1001", "offset": "0", "protocol": "TCP",
        "name": "*:80", "tcp_info": {"state": "LISTEN", "recv_queue": 2, "send_queue": 0},
    }  # fmt: skip
    assert files[1]["tcp_info"] == {"state": "LISTEN"}
    assert files[2]["device_number"] == "0x9"
    assert "tcp_info" not in files[2]


def test_document_keeps_to_the_chosen_fields():
    told = json.loads(drawn("-Pn -J -Fpcfn", [Holder(TASK, 0, [LISTENER])], document))
    assert told["processes"] == [
        {"pid": 77, "command": "a server\x1b", "files": [{"fd": "3", "name": "*:80"}]}
    ]


def test_document_in_lines():
    lines = drawn("-Pn -j -Ffn", [Holder(TASK, 0, [LISTENER, OTHER])], document).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"pid": 77, "fd": "3", "name": "*:80"},
        {"pid": 77, "fd": "6", "name": "protocol: TCP"},
    ]


def test_document_of_nothing():
    assert json.loads(drawn("-J", [], document))["processes"] == []
    assert drawn("-j", [], document) == ""


@pytest.mark.parametrize(
    ("flags", "names", "hexadecimal"),
    [
        (0o2, "RW", "0x2;0x0"), (0o2004002, "RW,ND,CX", "0x80802;0x0"), (0, "", "0x0;0x0"),
        (1 << 30 | 1, "W,0x40000000", "0x40000001;0x0"),
    ],
)  # fmt: skip
def test_flags(flags, names, hexadecimal):
    assert flags_text(flags, in_hex=False) == names
    assert flags_text(flags, in_hex=True) == hexadecimal
    assert flags_text(None, in_hex=True) == ""


@pytest.fixture(params=[True, False], ids=["utf-8", "c"])
def wide(request, monkeypatch):
    """The user's locale."""
    monkeypatch.setattr(text, "_locale", [request.param])
    return request.param


def test_escapes(wide):
    assert text.safe("plain text") == "plain text"
    assert text.safe("a\\b\x1b[m\n\t\r\b\f\x7f") == "a\\\\b^[[m\\n\\t\\r\\b\\f\\x7f"
    assert text.safe("\udcff\udc80") == "\\xff\\x80"
    assert text.safe("dö-端\u202e") == (
        "dö-端\\xe2\\x80\\xae" if wide else "d\\xc3\\xb6-\\xe7\\xab\\xaf\\xe2\\x80\\xae"
    )


def test_column_of_commands(wide):
    """A command's name is cut between escapes, never in one, and filled up; a byte beyond ASCII counts two."""
    assert text.column("nginx", 9) == "nginx    "
    assert text.column("kworker/0:1", 9) == "kworker/0"
    assert text.column("a b", 9) == "a\\x20b   "
    assert text.column("tab\there", 6) == "tab\\th"
    assert text.column("é", 4) == "\\xc3"
    assert text.column("é", 3) == "   "
    assert [text.length(name) for name in ("nginx", "a b", "\x1b[", "é", "\x7f")] == [5, 6, 3, 4, 4]
