"""The ss face against ss of iproute2 6.1 in one namespace full of sockets: the same bytes, but for what is listed.

Both are run by a child that has entered the namespace.  The peer is asked twice where they differ: what changed in
between is no difference.  Where a clock runs in every answer (timers, times since) it is left out, and with it the
widths that depend on it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest
from tests.live.beside import Beside, Difference, Told, load
from tests.support import require

import portside.faces.ss
from portside.faces import printable
from portside.faces.ss import main

load(
    portside.faces.ss, "portside.system.cgroups", "portside.system.fds", "portside.system.resolver",
    "portside.system.taskfiles", "portside.system.processes", "portside.system.tasks", "portside.system.selinux",
    "portside.system.posix_regex", "portside.wire.ulp_info", "portside.ports.etc_services",
)  # fmt: skip

# behind -p: the sockets whose holders have names that ss cuts or does not find have greater ports
TAME = "( sport le 26000 )"
# behind -x: names without control characters
PRINTABLE = r"not src '*[!\ -~]*'"

TYPED = rf"""
-tan
-tn
-t
-ta
-tar
-tl
-tln
-tlnH
-tlnO
-tlne
-tlneO
-tlnm
-tlnmO
-tlni
-tlniO
-tlno
-tlnb
-tlnemi --tos --cgroup --inet-sockopt
-tlnpe {TAME}
-tlnp {TAME}
-tlnT {TAME}
-tlnpT {TAME}
-tanp {TAME}
-tulpn {TAME}
-tlnpH {TAME}
-pl -A inet {TAME}
-tano
-tane
-tanem
-tani
-tanoiem
-taniO
-tan --tos
-tan --cgroup
-tan --inet-sockopt
-tanO --inet-sockopt
-ua
-uan
-un
-uln
-uanp {TAME}
-uane
-uanm
-uani
-w
-wa
-wan
-wane
-waH
-Ma
-Mane
-Mani
-Sa
-da
-0a
-0an
-0ane
-0anb
-0anem
-0anp
-x {PRINTABLE}
-xa {PRINTABLE}
-xln {PRINTABLE}
-xae {PRINTABLE}
-xam {PRINTABLE}
-xap {PRINTABLE}
-xaO {PRINTABLE}
-A unix_stream -a {PRINTABLE}
-A u_dgr -a {PRINTABLE}
-A u_seq -a {PRINTABLE}
-A packet_raw -a
-A p_dgr -a
-A inet -a
-A inet,unix -ln {PRINTABLE}
-A tcp -a
-A tcp -A udp -an
-A tcp,udp,raw -an
-A tcp,!tcp
-A !tcp
-A vsock -a
-A tipc -a
-A xdp -a
-A foo
-A tcp,
-f inet -a
-f inet6 -an
-f link -a
-f unix -l {PRINTABLE}
-f tipc
-f vsock
-f xdp
-f foo
-f help
-4a
-6a
-4 -6 -tan
-6 -4 -tan
-4tln
-6uln
-xtln {PRINTABLE}
--tcp --all --numeric
--udp --listening
--query=tcp --all
--socket=udp --all
--fam=inet --all --tcp
--extended --tcp --listening
--ipv4 -ta
--nume -tl
--no -tln
--n
--numeric=1
--foo
-k
-V
--version
-D
-N nonesuch -t
-N /nonesuch -t
-F /nonesuch
-F /dev/null -tln
-Z
-z
-tan dst 127.0.0.1
-tan src 127/8
-tan src 10
-tan dst [::1]
-tan src [::]
-tan dst ::1
-tan dst [2001:db8::/32]
-tan dst [2001:db8::]/32
-tan src any
-tan src default
-tan src 0.0.0.0
-tan src 0.0.0.0/0
-tan src ::/0
-tan src localhost
-tan src 192.0.2.1 or src [2001:db8::1]
-tan sport = 22
-tan sport neq :21006
-tan sport gt 1024 and sport lt 22000
-tan sport ge 99999
-tan sport = 99999
-tan sport = -1
-tan ! ( sport = 21006 or sport = 21007 )
-tan sport = 21006 or sport = 21007 and dst 10.0.0.2
-tan (sport = 22)
-tan sport=22
-tan sport = 22 )
-tan ( sport = 22
-tan ( )
-tan and
-tan sport
-tan sport =
-tan sport = :https
-ta dport = :https
-tuan sport = :domain
-tan sport = :nosuch
-tan sport = *
-tan sport = :*
-tan dport 0x16
-tan dport 026
-tan 22
-tan not
-tan autobound
-uan autobound
-xa autobound and {PRINTABLE}
-tan dev lo
-tan dev != lo
-tan dev 1
-tan dev nosuch
-tan dev > lo
-tan dev left and sport gt 20000
-tan fwmark = 0
-tan fwmark = 0/1
-tan fwmark != 0x10/0xff
-tan fwmark x
-tan cgroup nonesuch
-xa src /tmp/* and {PRINTABLE}
-xa src /TMP/* and {PRINTABLE}
-xa dst x
-an src link:*
-an src link:ip
-an src link:*:lo
-an src link:nosuch
-an src netlink:nosuch
-an src inet:127.0.0.1
-an src inet6:[::1]
-an src inet6:127.0.0.1
-an src inet:[::1]
-an sport = inet:22002
-4 src [::1]
-6 src 127.0.0.1
-tan src 127.0.0.1:22002
-tan src :21006
-tan src 127.0.0.1/33
-tan src 127.0.0.1/255.0.0.0
-tan src 127.0.0.1/255.0.255.0
-tan src 256.1.1.1
-tan src 0x7f.1
-tan src [::1
-tan src []
-tan src != 127.0.0.1
-tan src = 127.0.0.1 dst = 127.0.0.1
-tan dport != :22 || sport >= 0
-tan dport geq 1 & sport leq 65535
-tan "sport = 21006 or sport = 21007"
-tan "state established"
-tan state established
-tan state established state listening
-tan state all exclude listening
-tan exclude established
-tan excl time-wait
-tan state connected
-tan state synchronized
-tan state bucket
-tan state big
-tan state ESTABLISHED
-tan state closed
-tan state syn-rcv
-tan state unknown
-tan state bad
-tan state
-tan exclude all
-tan state established sport = 22
-tan sport = 22 state established
-o state established ( dport = :smtp or sport = :smtp )
-nt -- state established
-nt -- -x
"""
COMBINATIONS = [line for line in TYPED.splitlines() if line]


DIFFERENCES = (
    Difference("control characters", "-xa", "\x1b", r"\\x1b\[31mred"),
    Difference("a line break in a name is a line of its own", "-xa", r"^line ", r"new\\x0aline "),
    Difference("names with a parenthesis", "-tlnp", r'\("a",pid', r'\("a\) S 1 \(b",pid'),
    Difference("threads with their own descriptors", "-tlnp", r":26304 +\S+ +$", r':26304 .*"own_table"'),
    Difference(
        "processes whose first thread has ended", "-tlnp", r":26305 +\S+ +$", r':26305 .*"leader_gone"'
    ),
    Difference("DCCP", "-da", r"RTNETLINK answers: Invalid argument", r""),
    Difference("cgroup /", "-tln cgroup /", r"\AState +Recv-Q .*\n\Z", r"^LISTEN"),
    Difference("-B", "-tBa", r"invalid option", r"^UNCONN .*:21013 "),
    Difference("-Q", "-tlnQ", r"invalid option", r"\AState +Local Address:Port"),
)
CLOCKS = re.compile(
    r"(?<=timer:\()(on|keepalive|timewait|persist),[\d.a-z]+(?=,)"
    r"|(?<= )(lastsnd|lastrcv|lastack|busy|rcv_rtt|rwnd_limited|sndbuf_limited):\S+"
)
RUNNING = re.compile(r"timer:\((on|timewait|persist),|lastack:")
TWICE = re.compile(r"(RTNETLINK answers: .*\n)\1")  # ss asks TCP once more, in an older way
DCCP = "RTNETLINK answers: Invalid argument\n"


def comparable(answer):
    """Return an answer without the usage, which has two options more here, and without what changes by itself."""
    out, err, code = answer
    if RUNNING.search(out):
        out = re.sub(" +", " ", CLOCKS.sub(r"\1\2", out))
    err = TWICE.sub(r"\1", err.replace(DCCP, "").partition("Usage: ss")[0])
    return out.partition("Usage: ss")[0] if "Usage:" in out else out, err, code


SS = Beside("ss", main, comparable)


def apart(combination):
    """Return the words of a combination as a shell takes them; outside quotes a backslash is for ss."""
    return shlex.split(combination.replace("\\ ", "\\\\ ") if "'" not in combination else combination)


@pytest.fixture(scope="module")
def told(world):
    require(shutil.which("ss"), "ss of iproute2 is not installed")
    version = subprocess.run(["ss", "-V"], capture_output=True, text=True, timeout=30, check=True).stdout
    require("iproute2-6.1.0" in version, f"ss is {version.strip()}, its texts differ")
    return Told(world, SS, COMBINATIONS, apart)


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_prints_what_ss_prints(told, user, combination):
    """Standard output, standard error and exit code are the same, byte for byte."""
    theirs, ours = map(comparable, told.said(user, combination))
    assert ours == theirs


def test_the_table_shows_something(told):
    """Both of nothing would be equal too; and clocks do not run in most answers, so widths are compared."""
    said = (told.said("root", one)[1][0] for one in COMBINATIONS)
    listed = [out for out in said if len(out.splitlines()) > 3]
    assert len(listed) > 110
    assert sum(not RUNNING.search(out) for out in listed) > 80


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[one.what for one in DIFFERENCES])
def test_differs_where_it_is_said_to(told, difference):
    """Each difference of docs/comparison.md shows itself."""
    answers = told.world.space.call(SS.both, shlex.split(difference.words))
    difference.check(*(f"{out}{err}" for out, err, _ in answers))


def test_nothing_that_a_terminal_acts_on_gets_out(world):
    """Of names of processes and sockets, whoever chose them."""
    for words in (["-xap"], ["-tunap"], ["-tunapT"], ["-xa", "src", "*\x1b*"], ["-t", "state", "\x1b[31m"]):
        out, err, _ = world.space.call(SS.face, words)
        text = (out + err).replace("\n", "").replace("\t", "")
        assert text == printable(text), words
