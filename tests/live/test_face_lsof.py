"""The lsof face against lsof 4.95 in one namespace full of sockets: the same bytes, but for what is listed here.

Both are run by a child that has entered the namespace.  The peer is asked twice where they differ: what changed in
between is no difference.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys

import pytest
from tests.live import beside
from tests.live.beside import PATIENCE, Beside, Difference, load, written_until
from tests.live.cast.actor import set_name
from tests.support import require

import portside.faces.lsof
from portside.faces.lsof import main

load(
    portside.faces.lsof, "json", "pwd", "portside.system.fds", "portside.system.locale", "portside.system.mounts",
    "portside.system.posix_regex", "portside.system.resolver", "portside.see.filter", "portside.system.taskfiles",
    "portside.system.services", "portside.wire.unix_diag", "portside.ports.etc_services",
)  # fmt: skip

COMBINATIONS = """
-Pnl +M -i4
-i
-i4
-i6 -P
-Pni
-U
-Pn -i -U -Tqs
-iTCP -sTCP:LISTEN -P -n
-iTCP -s TCP:LISTEN,CLOSE_WAIT -Pn -V
-i -s TCP:^LISTEN -Pn
-i -s tcp:syn_sent -Pn
-U -s TCP:LISTEN
-i -s TCP:TIME_WAIT -V
-iUDP -Pn
-i6UDP -Pn
-i UDPLITE -Pn
-i :21001
-i :21001-21012 -P
-i :21001,21005-21010,23001 -P
-i :443 -n
-i :https -n
-i @127.0.0.1 -Pn
-i @[::1] -Pn
-i @[fe80::1]:21107 -Pn
-i TCP@localhost:21002 -Pn
-i 4TCP@localhost:21002,21101 -Pn
-i TCP@127.0.0.1:21103 -Pn -V
-i 4@[::ffff:127.0.0.1]:21103 -Pn
-i :21001 -i UDP -Pn -V
-i4 -i :21005 -Pn
-i4 -i6 -Pn
-i :1 -V
-i :1
-Q -i :1
-t -i
-t -i :21001
-t -U
-F -i
-F0 -i
-i -Fpcn
-i -F0pcnT
-F -U
-i -U -F pcuftdiGPnTRgkKLMoDaslmSz
-Pni -R
-Pni -g
-Pni -R -g -U
-Pni +c 15
-Pni +c 3
-Pni -T
-Pni +T
-Pni -Tq
-Pni -Tf
-Pn -i -U -Tfq
-Pni -o
-Pni -o4
-Pni -s
-Pni +fg
-Pni +fG
-Pni +L
-Pni -L
-Pni -l
-Pni +fg -R -g +L -o -l
-E -Pn -i
-E -Pn -U
+E -Pn -i -U
+E -Pn -a -i -c connections
+E -Pn -a -U -c connected
-Pn -a -i -c list
-Pn -a -i -c ^list
-Pn -i -c ^list -V
-Pn -a -i -c /^.o/
-Pn -a -i -c /^CON/i
-Pn -a -i -c /o\\{2\\}/b
-Pn -a -i -c /[[:digit:]]/
-Pn -a -i -c /nosuch/ -V
-Pn -a -i -u nobody
-Pn -a -i -u ^root
-Pn -i -u ^root
-Pn -a -i -u root,4242
-Pn -a -i -p 1 -V
-Pn -a -i -p 999999 -V
-Pn -a -i -g 999999 -V
-Pn -a -i -d 3
-Pn -a -i -d 3-5,9
-Pn -a -i -d ^3
-Pn -a -i -d cwd -V
-Pn -a -i -d fd
-Pn -a -d 3 -c packet
-Pn -a -d 3-99 -c packet
-Pn -a -d 3-99 -c netlink
-Pn -a -d 3-99 -c raw -F
-Pn -a -d 3-99 -c ping
-Pn -a -d 3-99 -c listeners
-Pn -a -d 3-99 -c listeners -X
-Pn -a -d 3-99 -c listeners -F
-Pn -a -d 3-99 -c connected +E
-Pn -a -K -i
-Pn -a -K -i -R -g +c0
-Pn -a -K -i -F
-Pn -i -Ki
-Pni -N
-N -V
-Pni -w
-Pni -V
-U -X
-a -i -U
-Pni -O -S 5
-Pni -S 1
-X -i
-a
-q -i
-i nosuch:1
-i@nosuch.invalid
-F -t -i
-p ^1,1 -i
-c /(/ -i
-s TCP:foo -i
-F? -i
+r1 -i :1
+r1m==%% -i :1
+r 1 -F -i :1
""".strip().splitlines()


# what hides in a namespace: the first has threads, the others names that lsof reads wrongly
ONLY_THREADS = ("tcp listen, thread with its own table", "tcp listen, leader gone")
# names of Unix sockets -> what lsof cuts them to
CUT_NAMES = {"/new\\nline": "/new", "/a  b\\tc": "/a", "@^Aodd\\n \\xff*": "@^Aodd"}


DIFFERENCES = (
    Difference("names end at a ) that none opened", "-Pni :26100", r"^a +\d", r"^a\)\\x20b +\d"),
    Difference("a name that is empty", "-Pni :26104", r"^(?!COMMAND|\(unknown\)).+26104", r"^\(unknown\) "),
    Difference("threads with their own descriptors", "-Pni :26304", r"exit 1", r"own_table +\d+ .*:26304"),
    Difference("processes whose first thread has ended", "-Pni :26305", r"exit 1", r"^leader_go .*:26305"),
    Difference("Unix names end at a blank", "-U", r"/a type=STREAM", r"/a  b\\tc type=STREAM"),
    Difference("Unix names end at a line break", "-U", r"/new type=STREAM", r"/new\\nline type=STREAM"),
    Difference("a count of rounds is a command too", "-r1c1 -Pni :21001", r"exit 1", r"exit 0"),
    Difference("-b warns of file systems", "-b -a -i -p 1", r"avoiding stat\(/proc\)", ""),
    Difference("other files", "-p {self}", r" cwd +DIR ", r"would list every kind of open file"),
    Difference("files of a directory", "+d / -Q", r"exit 0", r"\+d asks for the files of a directory"),
    Difference(
        "a descriptor that is no socket", "-a -p {self} -d 0", r"  0[rwu] ", r"is no socket, and this face"
    ),
    Difference("JSON", "-J -i :21001", r"illegal option character: J", r'^\{"lsof_version"'),
    Difference("help", "-h", r"Defaults in parentheses", r"The network half of lsof"),
    Difference("version", "-v", r"compiler flags", r"as a face of Portside"),
)


LSOF = Beside("lsof", main)


class Told(beside.Told):
    """What both said, but of processes that have tests of their own."""

    def __init__(self, world):
        odd = [entry for entry in world.entries if is_odd(entry)]
        self.pids = {str(pid) for entry in odd for pid, _ in entry.holders}
        left_out = ["-p", ",".join(f"^{pid}" for pid in sorted(self.pids))]
        super().__init__(world, LSOF, COMBINATIONS, lambda one: [*left_out, *one.split()])

    def comparable(self, answer):
        """Return an answer with names as lsof cuts them, without the processes that -E shows in spite of -p ^."""
        out, err, code = answer
        for whole, cut in CUT_NAMES.items():
            out = out.replace(f"{whole} type=", f"{cut} type=")
        lines = out.split("\n")
        return (
            "\n".join(line for line in lines if line[:1] == "p" or not self.pids & {*line.split()[1:2]}),
            err,
            code,
        )


def is_odd(entry):
    """Whether lsof reads the name of this entry's process wrongly, or does not find it."""
    return entry.what in ONLY_THREADS or (entry.comm is not None and (b")" in entry.comm or not entry.comm))


@pytest.fixture(scope="module")
def told(world):
    require(shutil.which("lsof"), "lsof is not installed")
    return Told(world)


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_prints_what_lsof_prints(told, user, combination):
    """Standard output, standard error and exit code are the same, byte for byte."""
    theirs, ours = map(told.comparable, told.said(user, combination))
    assert ours == theirs


def test_the_table_shows_something(told):
    """Both of nothing would be equal too."""
    listed = [one for one in COMBINATIONS if len(told.said("root", one)[1][0].splitlines()) > 3]
    assert len(listed) > 75


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[one.what for one in DIFFERENCES])
def test_differs_where_it_is_said_to(told, difference):
    """Each difference of docs/comparison.md shows itself."""
    words = difference.words.replace("{self}", str(os.getpid())).split()
    answers = told.world.space.call(LSOF.both, words)
    difference.check(*(f"{out}{err}exit {code}" for out, err, code in answers))


def test_a_missing_user_is_said_to_be_missing(told):
    """Lsof reads memory that it did not set: at times it says nothing, and exits 0."""
    out, _, code = told.world.space.call(LSOF.face, ["-V", "-a", "-i", "-u", "4243"])
    assert (out, code) == ("lsof: no Internet files located\nlsof: user ID not located: 4243\n", 1)


def test_a_path_stands_for_its_socket(told):
    """Lsof adds a socket whose path it cut if the one before was wanted: it looks at what a failed stat left.

    Which one that is hangs on the order of the kernel's table: rows of other paths are not compared.
    """

    def of_path(answer):
        out, *rest = answer
        return [line for line in out.splitlines() if " type=" not in line or f"{path} type=" in line], rest

    path = os.path.join(told.world._directory, "dgram")
    for words in (
        [path],
        ["-t", path],
        ["-a", "-U", path],
        ["-V", path],
        [path, "/nonexistent"],
        ["+E", path],
    ):
        theirs, ours = map(of_path, told.world.space.call(LSOF.both, words))
        if "-t" in words:  # process numbers alone: that of another path cannot be told
            assert set(ours[0]) & set(theirs[0])
        else:
            assert ours == theirs
    out, _, _ = told.world.space.call(LSOF.face, [os.path.join(told.world._directory, "plain")])
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize("chosen", [["LC_ALL=C"], ["LC_ALL=C.UTF-8"], ["LANG=C"], []])
def test_escapes_as_the_locale_wants_it(told, chosen):
    """Python makes UTF-8 of the C locale; lsof does not."""
    clean = ["env", "-u", "LC_ALL", "-u", "LANG", "-u", "LC_CTYPE", *chosen]
    answers = [
        told.world.space.run([*clean, *command, "-U", "-a", "-c", "names"])
        for command in (["lsof"], [sys.executable, "-m", "portside", "lsof"])
    ]
    theirs, ours = (told.comparable((done.stdout, done.stderr, done.returncode)) for done in answers)
    assert ours == theirs
    assert ("端口" in ours[0]) is (chosen == ["LC_ALL=C.UTF-8"])


@pytest.mark.parametrize("words", [["-r1"], ["-r", "1", "-F"], ["-r1m--%%--"], ["-r1", "-t"]])
def test_repeats(told, words):
    """Two rounds and the lines behind them are the same."""
    command = [*words, "-Pni", ":21001-21012"]
    mark = {"-r1m--%%--": b"--%--\n", "-F": b"m\n"}.get(words[-1], b"=======\n")
    answers = [
        written_until(told.world.space, [*program, *command], lambda text: text.count(mark) >= 2)
        for program in (["lsof"], [sys.executable, "-m", "portside", "lsof"])
    ]
    assert answers[1] == answers[0]
    assert answers[0].count(mark) == 2


REGISTERED = ((100003, 3, 6, 2049), (100003, 3, 17, 2049), (100000, 2, 6, 111), (390113, 1, 6, 7937))


def port_mapper(ready):
    """Answer as rpcbind does, a connection after the other, until killed."""
    with socket.create_server(("127.0.0.1", 111)) as listener:
        os.write(ready, b"x")
        while True:
            link, _ = listener.accept()
            with link, contextlib.suppress(OSError):
                while call := link.recv(1024):
                    xid, _, _, _, version, procedure = struct.unpack_from(">6I", call, 4)
                    link.sendall(answer(xid, version, procedure))


def answer(xid, version, procedure):
    told = struct.pack(">6I", xid, 1, 0, 0, 0, 0)
    if version > 2:  # RPCBPROC_GETADDR: where version 2 is
        told += struct.pack(">I", 15) + b"127.0.0.1.0.111\0"
    elif procedure == 4:
        told += b"".join(struct.pack(">5I", 1, *entry) for entry in REGISTERED) + struct.pack(">I", 0)
    return struct.pack(">I", 1 << 31 | len(told)) + told


def with_port_mapper(combinations):
    """Hold sockets on registered ports and ask both about them."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            port_mapper(writing)
        finally:
            os._exit(0)
    try:
        assert select.select([reading], [], [], PATIENCE)[0]
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 2049)))
            stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(socket.create_server(("", 7937)))
            datagram = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            datagram.bind(("", 2049))
            left_out = ["-p", f"^{child}"]  # its connections come and go
            return {one: LSOF.both([*left_out, *one.split()]) for one in combinations}
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_port_mappers_programs_are_named_as_lsof_names_them(space):
    require(shutil.which("lsof"), "lsof is not installed")
    require(os.path.exists("/etc/netconfig"), "without /etc/netconfig lsof asks no port mapper")
    said = space.call(with_port_mapper, ["+M -i -n", "+M -Pnl -i4", "+M -i -F"])
    for theirs, ours in said.values():
        assert ours == theirs
    assert "127.0.0.1:2049[nfs]" in said["+M -Pnl -i4"][0][0]
    assert "*:7937[390113]" in said["+M -Pnl -i4"][0][0]


def with_names(tftp, words):
    """Hold one port with TCP and UDP, and one of each family with another, and ask both."""
    with contextlib.ExitStack() as stack:
        for port in (tftp, 40001, 40002):
            stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        datagram = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        datagram.bind(("", tftp))
        return LSOF.both(words)


def test_services_of_udp_have_their_names(space):
    """Lsof asks for TCP's name first, and remembers for both that there was none."""
    require(shutil.which("lsof"), "lsof is not installed")
    require(named_for_udp_alone("tftp"), "tftp is a service of TCP too, or of neither")
    theirs, ours = space.call(with_names, 69, ["-n", "-i", ":69"])
    assert "UDP *:69 \n" in theirs[0]
    assert "UDP *:tftp \n" in ours[0]
    assert theirs[0].replace("UDP *:69 ", "UDP *:tftp ") == ours[0]


def named_for_udp_alone(name):
    found = []
    for transport in ("tcp", "udp"):
        with contextlib.suppress(OSError):
            socket.getservbyname(name, transport)
            found.append(transport)
    return found == ["udp"]


def test_every_port_of_a_host_is_sought_in_both_families(space, tmp_path):
    """Lsof forgets IPv6 behind the first port."""
    require(shutil.which("lsof") and shutil.which("unshare"), "lsof or unshare is not installed")
    require(not os.geteuid(), "needs root, to mount another /etc/hosts")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 double\n::1 double\n")
    script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh"]
    listed = space.call(with_double, command)
    assert [("40001" in text, "40002" in text) for text in listed] == [(True, False), (True, True)]


def with_double(command):
    with contextlib.ExitStack() as stack:
        for port in (40001, 40002):
            stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        programs = (["lsof"], [sys.executable, "-m", "portside", "lsof"])
        return [
            subprocess.run(
                [*command, *program, "-Pn", "-i", "@double:40001,40002"],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            ).stdout
            for program in programs
        ]


def with_odd_names(directory):
    """Hold a listener in a process named `a(b`, and a socket on a path with a colon; ask both."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 40001)))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(os.path.join(directory, "a:b"))
        set_name(b"a(b")
        try:
            return LSOF.both(["-Pni", f":{listener.getsockname()[1]}"]), LSOF.both(
                ["-U", "-a", "-d", str(unix.fileno())]
            )
        finally:
            set_name(b"pytest")


def test_a_lone_parenthesis_hides_no_process(space, tmp_path):
    """Lsof reads on for the other one, to the end of the file; and it cuts a path at a colon."""
    require(shutil.which("lsof"), "lsof is not installed")
    listed, named = space.call(with_odd_names, str(tmp_path))
    assert listed[0] == ("", "", 1)
    assert re.search(r"^a\(b +\d+ .* TCP 127\.0\.0\.1:40001 \(LISTEN\)$", listed[1][0], re.MULTILINE)
    assert f"{tmp_path}/a:b type=STREAM" in named[1][0]
    assert f"{tmp_path}/a:b" not in named[0][0]
