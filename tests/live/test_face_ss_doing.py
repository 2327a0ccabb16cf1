"""The ss face where it is not a listing into a pipe: terminals, recordings, files, other namespaces, -K and -E.

Held against ss of iproute2 6.1 beside it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import io
import os
import pkgutil
import pty
import select
import shutil
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest
from tests.live.ss_makeup import Maker
from tests.support import require

import portside.faces.ss
from portside.faces.ss import main
from portside.testing import Namespace
from portside.wire import inet_diag, netlink

# Another user may not be able to read the source: what is imported late is imported here.
for _found in pkgutil.iter_modules(portside.faces.ss.__path__):
    importlib.import_module(f"portside.faces.ss.{_found.name}")
importlib.import_module("portside.system.netlink")

OURS = (sys.executable, "-m", "portside", "ss")
PATIENCE = 20.0


@pytest.fixture(autouse=True, scope="module")
def peer():
    require(shutil.which("ss"), "ss of iproute2 is not installed")
    version = subprocess.run(["ss", "-V"], capture_output=True, text=True, timeout=30, check=True).stdout
    require("iproute2-6.1.0" in version, f"ss is {version.strip()}, its texts differ")


def printed(command, **environ):
    """What a command prints, what it says without the usage, and how it ends."""
    given = environ.pop("INPUT", "").encode()
    done = subprocess.run(
        command,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environ},
        input=given,
    )
    out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    return out, err.partition("Usage: ss")[0], done.returncode


def run(*words):
    """What the face prints and says in this process, and how it ends."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words])
    return out.getvalue(), err.getvalue(), code


def the_same(*words, **environ):
    """Both print the same; return it."""
    theirs, ours = printed(["ss", *words], **environ), printed([*OURS, *words], **environ)
    assert ours == theirs
    return ours[0] + ours[1]


# -- terminals


def on_terminal(command, columns):
    """Return what a command writes to a terminal so wide."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("=4H", 24, columns, 0, 0))
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    written = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 1 << 16):
            written += chunk
    os.close(master)
    process.wait(PATIENCE)
    return written.replace(b"\r\n", b"\n")


def staged_terminals(widths):
    """Return (words, width) -> (ss's, ours), with connections of short and long addresses."""
    told = {}
    with contextlib.ExitStack() as stack:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            server = stack.enter_context(socket.create_server((address, 0), family=family))
            stack.enter_context(socket.create_connection(server.getsockname()[:2]))
            stack.enter_context(server.accept()[0])
        stack.enter_context(socket.socket(socket.AF_UNIX)).bind("\0" + "a long name of a socket " * 4)
        for words in (
            ("-tan",),
            ("-tanp",),
            ("-tlnH",),
            ("-aun",),
            ("-tane", "state", "listening"),
            ("-xa",),
        ):
            for width in widths:
                told[words, width] = (
                    on_terminal(["ss", *words], width),
                    on_terminal([*OURS, *words], width),
                )
    return told


def test_a_terminal_is_filled_as_ss_fills_it():
    with Namespace() as scratch:
        told = scratch.call(staged_terminals, (10, 33, 80, 132, 250), timeout=120)
    for (words, width), (theirs, ours) in told.items():
        assert ours == theirs, (words, width)
    wide = told[("-tan",), 132][1].splitlines()
    assert len(wide) > 5
    assert all(len(line) == 132 for line in wide)
    assert told[("-tan",), 132] != told[("-tan",), 250]


# -- recordings


def answer(number, source):
    """One TCP socket of a recording."""
    where = inet_diag.SOCKID.write(
        idiag_sport=(number % 60000 + 1).to_bytes(2, "big"), idiag_dport=(443).to_bytes(2, "big"),
        idiag_src=source.ljust(16, b"\0"), idiag_dst=bytes((10, 0, 0, 1)).ljust(16, b"\0"), idiag_cookie=number,
    )  # fmt: skip
    family = inet_diag.AF_INET if len(source) == 4 else inet_diag.AF_INET6
    body = inet_diag.MESSAGE.write(
        idiag_family=family, idiag_state=1, id=where, idiag_rqueue=number, idiag_inode=number
    )
    body += netlink.attribute(inet_diag.INET_DIAG_INFO, b"\1" * 232)  # every piece of -i, in all its length
    return netlink.message(20, netlink.NLM_F_MULTI, body)


END = netlink.message(netlink.NLMSG_DONE, netlink.NLM_F_MULTI, bytes(4))


@pytest.mark.parametrize("words", ["-tni", "-tniH", "-tniO"])
def test_widths_change_where_ss_changes_them(words, tmp_path):
    """ss draws what fills four mebibytes, and measures anew: a long listing has several widths."""
    sources = [b"\x0a\0\0\7", b"\xc0\xa8\x64\x64", socket.inet_pton(socket.AF_INET6, "2001:db8::1:2")]
    count = 9_000
    with open(tmp_path / "recorded", "wb") as file:
        for number in range(1, count + 1):
            file.write(answer(number, sources[(number > count * 0.85) + (number > count * 0.95)]))
        file.write(END)
    printed = the_same(words, TCPDIAG_FILE=str(tmp_path / "recorded"))
    assert len(printed) > 1 << 22
    ends = {line.index(":443") for line in printed.splitlines() if ":443" in line}
    assert len(ends) > 1


MADE_UP = ("-ta", "-tan", "-tanH", "-tanoie", "-tanmO", "-tanemiO --tos --inet-sockopt", "-ti")


@pytest.mark.parametrize("words", MADE_UP)
def test_whatever_is_recorded_is_drawn_as_ss_draws_it(words, tmp_path):
    """Every state, SCTP's associations among them, odd attributes, addresses of both families."""
    maker = Maker(words)
    # an association of SCTP has the inode of its endpoint, which stands before it
    made = b"".join(maker.answer(port) * (1 + port % 2) for port in range(1, 301))
    (tmp_path / "recorded").write_bytes(made + END)
    for filter_words in ((), ("sport", "gt", "150"), ("src", "127/8"), ("not", "autobound")):
        listed = the_same(*words.split(), *filter_words, TCPDIAG_FILE=str(tmp_path / "recorded"))
        assert len(listed.splitlines()) > 20


def test_recordings_of_one_are_read_by_the_other(tmp_path):
    def stage():
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            stack.enter_context(server.accept()[0])
            for name, command in (("theirs", ["ss"]), ("ours", OURS)):
                assert printed([*command, "-tam", "-D", str(tmp_path / name)]) == ("", "", 0)
            return printed(["ss", "-tanm"])[0]

    with Namespace() as scratch:
        live = scratch.call(stage)
    for name in ("theirs", "ours"):
        for words in ("-tanm", "-tane", "-tan"):
            read = the_same(words, TCPDIAG_FILE=str(tmp_path / name))
            assert len(read.splitlines()) >= 4
    assert the_same("-tanm", TCPDIAG_FILE=str(tmp_path / "ours")) == live


STAT = "{} ({}) S 1 {} {} 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 100" + " 0" * 30 + "\n"
TCP_HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
)
TCP_LINE = (
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {} 1 0000 100 0 0"
    " 10 0\n"
)


def test_a_recorded_proc_has_holders_too(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP_HEAD + TCP_LINE.format(4711) + TCP_LINE.format(4712))
    for pid, name, fds in ((77, "server", {3: 4711, 10: 4711}), (78, "child", {3: 4711})):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "stat").write_text(STAT.format(pid, name, pid, pid))
        for fd, inode in fds.items():
            (tmp_path / str(pid) / "fd" / str(fd)).symlink_to(f"socket:[{inode}]")
    read = the_same("-tlnp", PROC_ROOT=str(tmp_path))
    assert 'users:(("child",pid=78,fd=3),("server",pid=77,fd=10),("server",pid=77,fd=3))' in read
    assert the_same("-tln", PROC_NET_TCP=str(tmp_path / "net" / "tcp")).count("8080") == 2


def test_counters_of_a_recorded_machine(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "sockstat").write_text(
        "sockets: used 290\nTCP: inuse 5 orphan 1 tw 2 alloc 17 mem 3\nUDP: inuse 4 mem 1\nUDPLITE: inuse 0\n"
        "RAW: inuse 3\nFRAG: inuse 6 memory 7\n"
    )
    (tmp_path / "net" / "sockstat6").write_text(
        "TCP6: inuse 8\nUDP6: inuse 2\nUDPLITE6: inuse 0\nRAW6: inuse 1\nFRAG6: inuse 9 memory 0\n"
    )
    (tmp_path / "net" / "snmp").write_text(
        "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm RtoMin CurrEstab InSegs\nTcp: 1 200 44 5\n"
    )
    assert "estab 44, closed 6, orphaned 1, timewait 2" in the_same("-s", PROC_ROOT=str(tmp_path))
    (tmp_path / "net" / "sockstat6").unlink()
    (tmp_path / "net" / "snmp").unlink()
    assert "get_snmpstat" in the_same("-s", PROC_ROOT=str(tmp_path))
    (tmp_path / "net" / "sockstat").unlink()
    assert "get_sockstat" in the_same("-s", PROC_ROOT=str(tmp_path))


@pytest.mark.parametrize("name", ["sockets", "empty"])
def test_filter_files(name, tmp_path):
    text = "# a comment\n\n0 another\nsport = 8080\n  or sport = 9090\n" if name == "sockets" else ""
    (tmp_path / "filter").write_text(text)
    (tmp_path / "tcp").write_text(TCP_HEAD + TCP_LINE.format(4711))
    for words in (("-F", str(tmp_path / "filter")), ("-F", "-"), ("not", "-F", str(tmp_path / "filter"))):
        the_same("-tln", *words, PROC_NET_TCP=str(tmp_path / "tcp"), INPUT=text)
    (tmp_path / "filter").write_text("sport = 1 or " * 100)
    assert "Too long" in the_same("-tln", "-F", str(tmp_path / "filter"))


# -- other namespaces


def test_another_namespace():
    name = f"portside-ss-{os.getpid()}"
    with Namespace() as scratch, Namespace(name):

        def stage():
            with socket.create_server(("127.0.0.1", 8080)):
                return [
                    printed([*command, "-tln", *more])
                    for more in ((), ("-N", name))
                    for command in (["ss"], OURS)
                ]

        theirs, ours, its_other, our_other = scratch.call(stage)
        denied = scratch.call(printed, ["ss", "-tlN", name], uid=65534)
        our_denied = scratch.call(run, "-tlN", name, uid=65534)
    assert (ours, our_other) == (theirs, its_other)
    assert "8080" in ours[0]
    assert "8080" not in our_other[0]
    assert our_other[2] == 0
    assert our_denied == denied
    assert denied[2] == 1


# -- -K and -E


def test_kills_what_ss_kills():
    """Both close one of two like connections, and print its line."""

    def stage():
        said = []
        for command in (["ss"], OURS):
            with socket.create_server(("127.0.0.1", 8080), reuse_port=True) as server:
                client = socket.socket()
                client.bind(("127.0.0.1", 40000))
                client.connect(server.getsockname())
                accepted = server.accept()[0]
                said.append(printed([*command, "-tnK", "sport", "=", "40000"]))
                try:
                    client.recv(1)
                    said.append("alive")
                except ConnectionAbortedError as error:
                    said.append(error.errno)
                with contextlib.suppress(OSError):
                    accepted.recv(1)
                client.close()
                accepted.close()
            said.append(printed([*command, "-tnK", "sport", "=", "40000"]))
        return said

    with Namespace() as scratch:
        theirs, ended, after, ours, ours_ended, ours_after = scratch.call(stage)
    assert (ours, ours_ended, ours_after) == (theirs, ended, after)
    assert "127.0.0.1:40000" in ours[0]


def test_a_recording_kills_nothing(tmp_path):
    """Its sockets may live on this machine."""

    def stage():
        with (
            socket.create_server(("127.0.0.1", 8080)) as server,
            socket.create_connection(server.getsockname()) as client,
        ):
            assert run("-tan", "-D", str(tmp_path / "recorded"))[2] == 0
            os.environ["TCPDIAG_FILE"] = str(tmp_path / "recorded")
            said = printed(["ss", "-tanK"]), run("-tanK")
            client.send(b"still there")
            return said

    with Namespace() as scratch:
        theirs, ours = scratch.call(stage)
    assert ours == theirs
    assert "8080" in ours[0]


def test_datagram_sockets_are_killed_too():
    def stage():
        said = []
        for command in (["ss"], OURS):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
                datagram.bind(("127.0.0.1", 5000))
                datagram.connect(("127.0.0.1", 5001))
                said.append(
                    (printed([*command, "-uaK"]), datagram.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                )
        return said

    with Namespace() as scratch:
        theirs, ours = scratch.call(stage)
    assert ours == theirs
    assert ours[1] == errno.ECONNABORTED


def test_what_cannot_be_killed_is_not_told_as_killed():
    """Raw sockets, where the kernel has no raw_diag: ss prints them from the text of /proc/net/raw, and they live."""

    def stage():
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) as raw:
            raw.connect(("127.0.0.1", 0))
            ours = printed([*OURS, "-wanK"])
            try:
                return ours, bool(raw.send(b"x"))
            except OSError:
                return ours, False

    with Namespace() as scratch:
        (out, _, code), lives = scratch.call(stage)
    assert code == 0
    assert ("127.0.0.1:253" in out) == (not lives)


def test_without_the_right_nothing_is_killed():
    def stage():
        with socket.create_server(("127.0.0.1", 8080)):
            return run("-tlnK")

    def peers():
        with socket.create_server(("127.0.0.1", 8080)):
            done = subprocess.run(
                ["ss", "-tlnK"], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            return done.stdout, done.stderr.splitlines()[-1] + "\n", done.returncode

    with Namespace() as scratch:
        ours, theirs = scratch.call(stage, uid=65534), scratch.call(peers, uid=65534)
    assert ours == theirs
    assert "not permitted" in ours[1]


def follow():
    """Close connections while both look at a terminal; return what each wrote, a line each."""
    watchers = [Watcher([*command, "-tnE", "dport", "=", "8080"]) for command in (["ss"], OURS)]
    try:
        with socket.create_server(("127.0.0.1", 8080)) as server:
            for _ in range(20):
                time.sleep(0.3)
                with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
                    for end in (client, accepted):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
                if all(b":8080" in watcher.look() for watcher in watchers):
                    break
            return [watcher.look().decode().splitlines() for watcher in watchers]
    finally:
        for watcher in watchers:
            watcher.end()


class Watcher:
    """A command on a terminal of its own."""

    def __init__(self, command):
        self.written = b""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
        os.close(slave)

    def look(self):
        while select.select([self.master], [], [], 0.2)[0]:
            self.written += os.read(self.master, 1 << 16)
        return self.written

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_tells_of_destroyed_sockets():
    with Namespace() as scratch:
        theirs, ours = scratch.call(follow, timeout=60)
    assert ours[0] == theirs[0]
    assert ours[-1] == theirs[-1]
    assert ":8080" in ours[-1]


def test_events_of_what_is_not_announced_end_at_once():
    theirs, ours = printed(["ss", "-xE"]), printed([*OURS, "-xE"])
    assert ours[2] == theirs[2] == 255
