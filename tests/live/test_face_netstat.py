"""The netstat face against netstat of net-tools 2.10 in one namespace full of sockets: the same bytes, but for what
is listed here.

Both are run by a child that has entered the namespace.  The peer is asked twice where they differ: what changed in
between (timers, counters) is no difference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from tests.live.beside import Beside, Difference, Told, load, written_until
from tests.support import require

import portside.faces.netstat
from portside.faces import printable
from portside.faces.netstat import main

load(
    portside.faces.netstat, "pwd", "portside.system.fds", "portside.system.hostnames", "portside.system.interfaces",
    "portside.system.taskfiles", "portside.system.processes", "portside.see.owners", "portside.wire.interfaces",
    "portside.ports.etc_services",
)  # fmt: skip

TYPED = """\
-n
-a
-an
-tulpn
-tulpen
-nat
-natp
-ant
-antp
-au
-aun
-l
-ln
-lt
-lu
-lx
-xl
-x
-xa
-xap
-xpn
-xW
-anp
-anpe
-anpee
-anW
-aW
-ane
-anee
-ae
-a --numeric-hosts
-a --numeric-ports
-ae --numeric-users
-ae --numeric-users --numeric-ports
-ano
-anot
-tno
-uno
-wano
-to
-aw
-wn
-U
-Ua
-lU
-anU
-S
-lS
-tS
-anp --inet
-an --inet6
-4an
-6an
-46an
-4tln
-6tln
-6uln
-4xan
-x -4
-A inet
-A inet6 -a
-A inet,inet6 -an
-A unix -a
-A foo
-A inet,foo
-A ip6 -an
--protocol=inet -tn
--ip -tn
--tcp --numeric --listening
--lis --num
--unix --all
--raw -a
--udplite -an
-g
-gn
-g4n
-g6n
-g -n -x
-tgn
-s
-st
-su
-sw
-stu
-s -6
-s6t
-s6u
-s6w
-s -4
-sS
-s -A unix
-s -A inet,inet6
-r
-rn
-rne
-rnee
-rneee
-rneeee
-re
-rN
-rv
-rF
-rC
-rCn
-rCee
-rFC
-r6
-rn6
-r6C
-r6CF
-rn -A inet,inet6
-r --inet
-r -A unix
-r -A ax25
-r -A ddp
-r -A ipx
-r -A rose
-r -A x25
-r -A ash
-r -A econet
-r -A bluetooth
-i
-ie
-iee
-ia
-iae
-in
-i6
-ian
-M
-Mn
-Me
-2
-f
-f -t
--bluetooth
--ax25
--x25
--ipx
--netrom
--rose
-v
-vt
-vn
-vS
-N
-d
-C
-F
-Z
-V
--version
-h
--help
-T
-q
-k
--foo
--num
--listening=1
-A
-is
-rs
-ir
-ss
-rr
foo
-n foo bar
-- -n
"""
COMBINATIONS = ["", *TYPED.splitlines()]


DIFFERENCES = (
    Difference("Unix names end at a blank", "-xa", r"/a$", r"/a  b\\x09c$"),
    Difference("Unix names end at a line break", "-xa", r"/new$", r"/new\\x0aline$"),
    Difference("a line break in a name is a line of its own", "-xa", r"got bogus unix line", ""),
    Difference("threads with their own descriptors", "-tlnp", r":26304 .* - ", r":26304 .*\d+/"),
    Difference("processes whose first thread has ended", "-tlnp", r":26305 .* - ", r":26305 .*\d+/"),
    Difference("control characters", "-xa", r"\x1b\[31mred", r"/\\x1b\[31mred"),
    Difference("--tcpip", "-rn --tcpip -A inet6", r"Internal Error", r"(?s)IP routing.*IPv6 routing"),
    Difference("/proc/net/nr_neigh", "-r --netrom", r"nr_neigh: Invalid argument", r"nr_neigh: No such file"),
)
# names of Unix sockets as we show them -> as netstat does
CUT_NAMES = {r"/a  b\x09c": "/a", r"/new\x0aline": "/new", r"@\x01odd\x0a \xff*": r"@\x01odd"}
BOGUS = "warning, got bogus unix line.\n"
# holders that netstat does not find: threads with descriptors of their own, processes whose first thread has ended
UNSEEN = re.compile(r"(:2630[45] .* )\d+/.{14,16}(?= *$)", re.M)
SECONDS = re.compile(r"(?<= )((?:on|keepalive|timewait|probe) )\((\d+\.\d\d)/")


def comparable(answer):
    """Return an answer without the differences: both escaped, names cut, seconds of timers left out."""
    out, err, code = answer
    out = "\n".join(map(printable, out.split("\n")))
    for whole, cut in CUT_NAMES.items():
        out = out.replace(whole, cut)
    out = UNSEEN.sub(lambda found: f"{found[1]}{'-':<20}"[: len(found[0])].ljust(len(found[0])), out)
    return SECONDS.sub(r"\1(T/", out), err.replace(BOGUS, ""), code


NETSTAT = Beside("netstat", main, comparable, LC_ALL="C")


@pytest.fixture(scope="module")
def told(world):
    require(shutil.which("netstat"), "netstat of net-tools is not installed")
    return Told(world, NETSTAT, COMBINATIONS)


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_prints_what_netstat_prints(told, user, combination):
    """Standard output, standard error and exit code are the same, byte for byte."""
    theirs, ours = map(comparable, told.said(user, combination))
    assert ours == theirs


def test_the_table_shows_something(told):
    """Both of nothing would be equal too."""
    listed = [one for one in COMBINATIONS if len(told.said("root", one)[1][0].splitlines()) > 3]
    assert len(listed) > 90


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[one.what for one in DIFFERENCES])
def test_differs_where_it_is_said_to(told, difference):
    """Each difference of docs/comparison.md shows itself."""
    answers = told.world.space.call(NETSTAT.both, difference.words.split())
    difference.check(*(f"{out}{err}" for out, err, _ in answers))


def test_timers_run_as_netstats_do(told):
    """The seconds lie between those that netstat tells just before and just after, where a timer was not set anew."""
    before, ours, after = told.world.space.call(timers)
    same = before.keys() & ours.keys() & after.keys()
    running = [key for key in same if before[key] >= after[key]]
    assert len(running) > 5
    assert all(after[key] <= ours[key] <= before[key] for key in running)


def timers():
    """Return end points -> seconds of the timer: netstat's, ours, netstat's."""
    found = []
    for program in (NETSTAT.tool, NETSTAT.face, NETSTAT.tool):
        lines = program(["-tano"])[0].splitlines()
        rows = [re.match(r"(tcp6? +\d+ +\d+ +\S+ +\S+ +\S+) +(\w+) \((\d+\.\d\d)/", line) for line in lines]
        found.append({(row[1], row[2]): float(row[3]) for row in rows if row and float(row[3])})
    return found


@pytest.mark.parametrize("words", ["-tlnc", "-cin", "-rnc", "-gnc4"])
def test_goes_on_as_netstat_does(told, words):
    """Two rounds and what is between them are the same, as they are written to a pipe."""
    answers = [
        two_rounds(told.world.space, [*program, words])
        for program in (["netstat"], [sys.executable, "-m", "portside", "netstat"])
    ]
    assert answers[1] == answers[0]


def two_rounds(space, command):
    """Return what a command has written when it has written its second round, counters left out; end it."""

    def enough(written):
        title = written.partition(b"\n")[0] if b"Kernel Int" not in written else b"Iface "
        return written.endswith(b"\n") and written.count(title) > 1

    return re.sub(rb" +\d+", b" N", written_until(space, command, enough))


def test_groups_stay_ipv4s_in_every_round(told):
    """Netstat takes IPv4's groups for IPv6's from the second round on."""
    script = 'timeout 1.5 "$@" 2>&1 | grep -c bogus'
    answers = [
        told.world.space.run(["sh", "-c", script, "sh", *program, "-gnc"]).stdout.strip()
        for program in (["netstat"], [sys.executable, "-m", "portside", "netstat"])
    ]
    assert int(answers[0]) > 0
    assert answers[1] == "0"


HOSTILE = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as made:
    print(made.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    "word",
    [
        "\x1b[31mred",
        "/usr/bin/\x1b]0;owned\x07",
        "/opt/\u7aef\u53e3\u7aef\u53e3\u7aef\u53e3",
        "no/path",
        "/a b/c d",
    ],
)
def test_a_hostile_command_line_is_escaped(told, word):
    """The name is cut to nineteen bytes, as netstat cuts it, and then made safe; other columns stay."""
    server = subprocess.Popen(
        [word, "-c", HOSTILE], executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=told.world.space.enter, env=os.environ | {"PYTHONHOME": sys.base_prefix},
    )  # fmt: skip
    try:
        port = server.stdout.readline().decode().strip()
        theirs, ours = told.world.space.call(NETSTAT.both, ["-tlnpo"])
    finally:
        server.kill()
        server.communicate()
    theirs, ours = (
        [line for line in out.splitlines() if f":{port} " in line] for out, _, _ in (theirs, ours)
    )
    assert len(ours) == 1
    assert ours[0].isprintable()
    assert ours[0] == printable(theirs[0])
