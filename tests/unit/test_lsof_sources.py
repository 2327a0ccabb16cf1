"""Where the lsof face takes its facts from: processes and threads, /proc/net, the port mapper, POSIX expressions."""

from __future__ import annotations

import _socket
import os
import struct
import threading

import pytest

from portside.errors import BadReply, BadRequest
from portside.faces.lsof import others
from portside.system import locale, mounts, portmap, tasks
from portside.system.posix_regex import Expression
from portside.testing import FakeProc
from portside.wire import portmap as wire


def test_tasks_of_a_made_up_tree(tmp_path):
    proc = FakeProc(tmp_path / "proc")
    proc.process(7, "a) b", ppid=3, uid=os.geteuid(), sockets={4: 1001, 12: 1002})
    proc.process(9, "plain")
    root = str(tmp_path / "proc")
    assert tasks.pids(root) == [7, 9]
    task = tasks.process(7, root)
    assert (task.pid, task.name, task.parent, task.ended) == (7, "a) b", 3, False)
    assert tasks.descriptors(task) == [(4, 1001), (12, 1002)]
    assert tasks.process(8, root) is None
    assert tasks.descriptors(task.replace(path=b"/nonexistent")) == []


def test_own_descriptors():
    task = tasks.process(os.getpid())
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        inode = os.fstat(sock.fileno()).st_ino
        assert (sock.fileno(), inode) in tasks.descriptors(task)
        assert tasks.protocol_name(task, sock.fileno()) == "TCP"
        assert tasks.flags(task, sock.fileno()) & os.O_RDWR
        assert tasks.device(task, sock.fileno()) == os.fstat(sock.fileno()).st_dev
    finally:
        sock.close()
    assert tasks.flags(task, 99999) is None
    assert tasks.protocol_name(task, 99999) == ""
    assert tasks.device(task, 99999) == 0


def test_own_threads():
    running, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (running.set(), end.wait(10)))
    thread.start()
    try:
        assert running.wait(10)
        found = {one.thread: one for one in tasks.threads(tasks.process(os.getpid()))}
        assert thread.native_id in found
        assert os.getpid() not in found
        assert found[thread.native_id].pid == os.getpid()
    finally:
        end.set()
        thread.join()


NET = {
    "netlink": "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n0 0 12 00000000 0 0 0 2 0 501\n"
    "0 99 12 00000000 0 0 0 2 0 502\n",
    "packet": "sk RefCnt Type Proto  Iface R Rmem   User   Inode\n0 3 3 0003 0 1 0 0 503\n0 3 9 1234 0 1 0 0 504\n",
    "raw": "  sl  local_address rem_address st tx rx tr tm retrnsmt uid timeout inode ref\n"
    "   1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 505 2 0 0\n",
    "icmp": "  sl  local_address rem_address st tx rx tr tm retrnsmt uid timeout inode ref\n"
    "   1: 0100007F:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 506 2 0 0\n",
    "sctp/eps": " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n"
    "e1 s1 2   10  29   8080     0 507 127.0.0.1 10.0.0.1\ne2 s2 2   10  29   8081     0 508 127.0.0.1\n",
    "sctp/assocs": " ASSOC SOCK STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS\n"
    "a1 s2 2 1 3 0 17 0 0 0 508 8081 9000 127.0.0.1 <-> *10.0.0.2 10.0.0.3 7500 10 10\n",
}  # fmt: skip


class FakeHost:
    """A host whose /proc/net is a table."""

    @staticmethod
    def net(name):
        if name not in NET:
            raise FileNotFoundError(name)
        return NET[name]


def test_rarer_families(monkeypatch):
    monkeypatch.setattr(others, "LIVE", FakeHost)
    known, task = others.Others(not_tcp=False), tasks.process(os.getpid())
    told = {
        number: (file.type, file.device, file.protocol, file.name)
        for number in range(501, 509)
        for file in [known.file(task, 3, number, 0)]
    }
    assert told == {
        501: ("netlink", "", "", "ROUTE"),
        502: ("netlink", "", "", "unknown protocol: 99"),
        503: ("pack", "503", "ALL", "type=SOCK_RAW"),
        504: ("pack", "504", "4660", "type=unknown"),
        505: ("raw", "", "", "00000000:0001->00000000:0000 st=07"),
        506: ("icmp", "", "", "0100007F:0001->00000000:0000"),
        507: ("sock", "507", "SCTP", "ENDPT: e1 127.0.0.1,10.0.0.1[8080]"),
        508: ("sock", "508", "SCTP", "ASSOC+ENDPT: a1,e2,17 127.0.0.1[8081]<->*10.0.0.2,10.0.0.3[9000]"),
    }


def test_an_unknown_socket_names_its_protocol(monkeypatch):
    monkeypatch.setattr(others, "LIVE", FakeHost)
    task = tasks.process(os.getpid())
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        file = others.Others(not_tcp=False).file(task, sock.fileno(), 1, 0)
        assert (file.type, file.name, file.number) == (
            "sock",
            "protocol: TCP",
            os.fstat(sock.fileno()).st_dev,
        )
        assert others.Others(not_tcp=True).file(task, sock.fileno(), 1, 0).name.endswith("(-X specified)")
    finally:
        sock.close()
    assert others.Others(not_tcp=False).file(task, 99999, 1, 0).name == "can't identify protocol"


ENTRIES = [(100003, 3, 6, 2049), (100003, 3, 17, 2049), (390113, 1, 6, 7937)]


def reply(entries, pieces=1):
    """Return an accepting reply with these entries, in so many fragments."""
    body = struct.pack(">6I", wire.XID, 1, 0, 0, 0, 0)
    body += b"".join(struct.pack(">5I", 1, *entry) for entry in entries) + struct.pack(">I", 0)
    step = -(-len(body) // pieces)
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    last = len(parts) - 1
    return b"".join(
        struct.pack(">I", len(part) | (1 << 31) * (at == last)) + part for at, part in enumerate(parts)
    )


@pytest.mark.parametrize("pieces", [1, 3])
def test_port_mappers_reply(pieces):
    data = reply(ENTRIES, pieces)
    assert [*wire.entries(wire.whole(data))] == ENTRIES
    assert all(wire.whole(data[:at]) is None for at in range(len(data)))


@pytest.mark.parametrize("at", [0, 8, 20, 30])
def test_port_mappers_reply_cut_off(at):
    with pytest.raises(BadReply):
        list(wire.entries(wire.whole(reply(ENTRIES))[:at]))


def test_names_of_programs():
    assert wire.program_names("# x\nnfs 100003 nfsprog # y\nbad\nmountd\t100005 mount\n") == {
        100003: "nfs", 100005: "mountd",
    }  # fmt: skip


def test_port_mapper_is_asked(monkeypatch, tmp_path):
    programs = tmp_path / "rpc"
    programs.write_text("nfs 100003\n")
    monkeypatch.setattr(portmap, "PROGRAMS", str(programs))
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)

    def answer():
        number, _ = listener._accept()
        link = _socket.socket(fileno=number)
        link.recv(100)
        link.send(reply(ENTRIES, 2))
        link.close()

    server = threading.Thread(target=answer)
    server.start()
    try:
        assert portmap.registered(port=listener.getsockname()[1]) == [
            (6, 2049, "nfs"), (17, 2049, "nfs"), (6, 7937, "390113"),
        ]  # fmt: skip
    finally:
        server.join()
        listener.close()


def test_no_port_mapper_is_nothing_registered():
    bound = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    bound.bind(("127.0.0.1", 0))  # and does not listen: refused
    try:
        assert portmap.registered(port=bound.getsockname()[1]) == []
    finally:
        bound.close()


@pytest.mark.parametrize(
    ("pattern", "how", "text", "found"),
    [
        (b"^ng", {}, b"nginx", True),
        (b"^NG", {"ignore_case": True}, b"nginx", True),
        (b"o\\{2\\}", {"extended": False}, b"foo", True),
        (b"o{2}", {}, b"fo", False),
        (b"[[:digit:]]", {}, b"a1", True),
        (b"", {}, b"x", True),
        (b"\xff", {}, b"x", False),
    ],
)
def test_posix_expressions(pattern, how, text, found):
    assert Expression(pattern, **how).found_in(text) is found


def test_posix_expression_that_is_none():
    with pytest.raises(BadRequest) as error:
        Expression(b"(")
    assert error.value.reason == "Unmatched ( or \\("


def test_mounted_kinds(tmp_path):
    path = tmp_path / "mounts"
    path.write_text("proc /proc proc rw 0 0\nhost:/x /mnt nfs4 rw 0 0\nshort\n")
    assert mounts.kinds(str(path)) == {"proc", "nfs4"}
    assert mounts.kinds(str(tmp_path / "none")) == frozenset()


@pytest.mark.parametrize(
    ("environment", "utf8"),
    [
        (b"", False), (b"LANG=C", False), (b"LC_ALL=POSIX\0LANG=C.UTF-8", False), (b"LANG=de_DE.UTF-8", True),
        (b"LC_CTYPE=C.utf8", True), (b"LC_ALL=\0LC_CTYPE=\0LANG=C.UTF-8", True), (b"LANG=de_DE", False),
    ],
)  # fmt: skip
def test_locale_that_was_chosen(environment, utf8, monkeypatch, tmp_path):
    """Python sets LC_CTYPE for the C locale: what we were started with tells."""
    path = tmp_path / "environ"
    path.write_bytes(environment + b"\0")
    monkeypatch.setattr(locale, "ENVIRONMENT", str(path))
    assert locale._chosen() is utf8
