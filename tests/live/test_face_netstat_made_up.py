"""The netstat face against netstat over a made-up /proc: counters of every name, SCTP, tables that are not here.

A child with a mount namespace of its own puts a tmpfs in the place of /proc, so that both read the same text.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.live.test_face_netstat import NETSTAT
from tests.support import require

from portside.faces.netstat.phrases import phrases
from portside.testing import Namespace

CLONE_NEWNS = 0x00020000  # include/uapi/linux/sched.h
# counters that net-tools has a text for and does not find
UNFOUND = (
    "TCPDirectCopyFromPrequeue", "TCPDSACKOfoRecv", "TCPDSACKOfoSent", "TCPDSACKOldSent", "TCPDSACKRecv",
    "TCPDSackUndo", "TCPDSACKUndo", "TCPLoss", "TCPPrequeueDropped", "TCPRenoRecoveryFailed",
    "TCPRenoRecoveryFail", "TCPSackFailures", "TCPSackRecoveryFail", "TCPSackRecovery", "TCPSACKReneging",
    "TCPTimeouts", "TWKilled",
)  # fmt: skip
OF_NO_TEXT = {
    "IcmpMsg": ["InType3", "OutType3"], "UdpLite": ["InDatagrams", "InErrors"], "IpExt": ["InOctets", "InCEPkts"],
    "MPTcpExt": [], "Odd": ["A", "B"],
}  # fmt: skip
_V6 = "2001:0db8:0000:0000:0000:0000:0000:000"
_ANY = ":".join(["0000"] * 8)
_REST = "\t    7500    10    10   10    0    0        0        1        0   212992   212992"
EPS = f"""\
 ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS
ffff8881 ffff8882 2   10  28   36422     0 29411 10.0.0.1 192.0.2.1 0.0.0.0
ffff8883 ffff8884 1   7   29   0     65534 29412 {_V6}1 {_ANY}
ffff8883 ffff8884 1   99  29   7      1 29413 127.0.0.1
"""
_ADDRESSES = "*10.0.0.1 10.0.0.2 <-> *192.0.2.9 192.0.2.10 192.0.2.11"
ASSOCS = f"""\
 ASSOC     SOCK   STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS HBINT INS
ffff8885 ffff8886 2   1   3  0       1        5        7       0 29414 36422 36423  {_ADDRESSES} {_REST}
ffff8887 ffff8888 2   1   3  0       2        0        0    1000 29415 36424 36425  *{_V6}1 <-> *{_V6}2 {_REST}
"""
FILES = {"sctp/eps": EPS, "sctp/assocs": ASSOCS}
COUNTERS = ("-s", "-st", "-su", "-sw", "-sS", "-s6", "-s6t", "-s6uw", "-stuwS")
SCTP = ("-S", "-Sa", "-lS", "-Sn", "-Sae", "-Sao", "-San", "-SanW", "-an", "-ln --inet", "-Sanp")
TABLES = ("--ax25", "--x25", "--ipx", "--netrom", "--rose", "-r -A ax25", "-r -A netrom", "-r -A x25")


def snmp(groups, start):
    """Return the text of titles and values; `start` is the first counter's, 0 gives zeros alone."""
    text, value = "", start
    for group, names in groups.items():
        values = [str(value + place if start else 0) for place, _ in enumerate(names)]
        text += f"{group}: {' '.join(names)}\n{group}: {' '.join(values)}\n"
        value += len(names)
    return text


def counters(start):
    """Return /proc/net's files with every counter that netstat knows, and some that it does not."""
    known = {group: [*names] for group, names in phrases().items()}
    first = {group: known[group] for group in ("Ip", "Icmp", "Tcp", "Udp")}
    first["Ip"] = ["Forwarding", *first["Ip"], "Unheard"]
    first = {**first, "IcmpMsg": OF_NO_TEXT["IcmpMsg"], "UdpLite": OF_NO_TEXT["UdpLite"]}
    second = {"TcpExt": [*known["TcpExt"], *UNFOUND, "TCPUnheard"]}
    second |= {group: OF_NO_TEXT[group] for group in ("IpExt", "MPTcpExt", "Odd")}
    single = {
        "snmp6": [*known["Ip6"], "Ip6InOctets", *known["Icmp6"], "Icmp6OutType133", "Icmp6OutRouterAdvertisements",
                  *known["Udp6"], "Udp6MemErrors", "UdpLite6InDatagrams", "UdpLite6Odd"],
        "sctp/snmp": [*known["Sctp"], "SctpUnheard"],
    }  # fmt: skip
    files = {"snmp": snmp(first, start), "netstat": snmp(second, start and start + 5000)}
    for file, names in single.items():
        files[file] = "".join(f"{name:<32}\t{start and start + place}\n" for place, name in enumerate(names))
    return files


def over(files, combinations):
    """Put the files below /proc/net, and return combination -> (netstat's, ours)."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    for words in (["--make-rprivate", "/"], ["-t", "tmpfs", "made-up", "/proc"]):
        subprocess.run(["mount", *words], check=True)
    os.makedirs("/proc/thread-self")
    os.symlink("../net", "/proc/thread-self/net")
    for name, text in files.items():
        path = Path("/proc/net", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return NETSTAT.every(combinations)


@pytest.fixture(scope="module")
def made_up():
    require(shutil.which("netstat"), "netstat of net-tools is not installed")
    require(not os.geteuid(), "needs root, to mount over /proc")
    with Namespace() as scratch:
        yield lambda files, combinations: scratch.call(over, files, combinations)


@pytest.mark.parametrize("start", [0, 1, 10**12, (1 << 64) - 9000])
def test_counters_have_netstats_words(made_up, start):
    for theirs, ours in made_up(counters(start), COUNTERS).values():
        assert ours == theirs
        assert (len(ours[0].splitlines()) > 8) or not start


def test_every_counter_is_told(made_up):
    text = made_up(counters(10**12), ["-s"])["-s"][1][0]
    assert len(re.findall(r"\b10{7,}\d+\b", text)) > 150


def test_sctp_has_a_line_for_each_address(made_up):
    for words, (theirs, ours) in made_up(FILES, SCTP).items():
        assert ours == theirs, words
        assert "sctp" in ours[0]


@pytest.mark.parametrize("words", TABLES)
def test_a_table_that_is_there_and_not_drawn_is_refused(made_up, words):
    files = dict.fromkeys(
        ("ax25", "x25", "ipx/socket", "nr", "rose", "ax25_route", "nr_nodes", "x25_routes"), "x\n"
    )
    _, (_, said, code) = made_up(files, [words])[words]
    assert "cannot be honoured here" in said
    assert code == 1


def test_without_proc_the_counters_are_an_error(made_up):
    _, (out, said, code) = made_up({"other": ""}, ["-s"])["-s"]
    assert (out, code) == ("", 1)
    assert said.startswith("netstat: ")


def test_hostile_text_is_escaped_wherever_it_comes_from(made_up):
    odd = "\x1b[31m"
    files = {
        "snmp": f"{odd}: {odd}a\n{odd}: 7\n",
        "netstat": "",
        "igmp": f"Idx\n1\t{odd}        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n",
        "igmp6": f"1    {odd} ff020000000000000000000000000001     1 0000000C 0\n",
        "unix": f"Num\n0: 00000002 00000000 00010000 0001 01 7 {odd}\n",
        "route": f"Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        f"{odd} 0 0 0001 0 0 0 0 0 0 0\n",
        "ipv6_route": f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} 00000400 1 0 00000001 {odd}\n",
    }
    for _, (out, said, code) in made_up(files, ["-s", "-gn", "-xa", "-rn", "-r6n"]).values():
        assert "\x1b" not in out + said
        assert "\\x1b[31m" in out
        assert not code
    assert NETSTAT.face(["-A", odd]) == ("", "Unknown address family `\\x1b[31m'.\n", 1)
