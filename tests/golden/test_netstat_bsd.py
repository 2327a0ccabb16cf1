"""What `netstat --bsd` prints, byte for byte: of the made-up machine's sockets, and of recorded rtnetlink answers.

Each file of tests/golden/netstat_bsd holds the words on its first line, and below it what they print.  The texts
follow the formats of FreeBSD's usr.bin/netstat: inet.c of FreeBSD 8 for sockets (macOS draws them so to this day),
unix.c, if.c and route.c of FreeBSD 12.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from tests import fakemachine
from tests.golden import hexdump

import portside.system.host
from portside.faces.netstat.bsd import main
from portside.system.host import Host
from portside.testing.fakekernel import FakeKernel
from portside.wire import interfaces, routes, rtnetlink

HERE = Path(__file__).parent
FILES = sorted((HERE / "netstat_bsd").glob("*.txt"))
REPLIES = {
    rtnetlink.RTM_GETLINK: "interfaces",
    interfaces.RTM_GETADDR: "addresses",
    routes.RTM_GETROUTE: "routes",
}
SNMP = (
    "Ip: InReceives InDelivers OutRequests ReasmOKs\nIp: 10 9 8 0\n"
    "IcmpMsg: InType3 InType8 OutType0 OutType99\nIcmpMsg: 2 1 1 3\n"
    "Icmp: InCsumErrors\nIcmp: 0\n"
    "Tcp: ActiveOpens PassiveOpens InSegs OutSegs RetransSegs MaxConn\nTcp: 1 2 30 29 1 -1\n"
    "Udp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 5 1 0 6\n"
)
NETSTAT = "TcpExt: ListenOverflows TCPTimeouts\nTcpExt: 4 0\n"
SNMP6 = "Udp6InDatagrams                 \t3\nUdp6OutDatagrams\t2\nIp6InReceives\t7\nIcmp6OutType135\t1\n"

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the golden replies are little-endian")


def answer(request: bytes) -> list[bytes] | None:
    name = REPLIES.get(int.from_bytes(request[4:6], "little"))
    return hexdump.load(HERE / f"replies/{name}.txt").received if name else None


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The made-up machine, with the recorded interfaces and routes and a few counters."""
    host = fakemachine.make(tmp_path)
    fakemachine.install(monkeypatch, host)
    net = tmp_path / "proc" / "net"
    net.mkdir(exist_ok=True)
    for name, text in (("snmp", SNMP), ("netstat", NETSTAT), ("snmp6", SNMP6)):
        (net / name).write_text(text)
    kernel = FakeKernel(replies=answer)
    monkeypatch.setattr(
        portside.system.host, "LIVE", Host(root=str(tmp_path), netlink=kernel.open, bpf=False)
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prints_what_bsd_would(file, machine, capsys):
    words, _, expected = file.read_text().partition("\n")
    assert main(shlex.split(words)[2:]) == 0
    assert capsys.readouterr() == (expected, "")


def test_there_are_golden_texts():
    assert len(FILES) >= 14


def test_the_line_everybody_knows(machine, capsys):
    main(["-an", "-p", "tcp"])
    assert (
        "tcp4       0      0  *.80                   *.*                    LISTEN\n"
        in capsys.readouterr().out
    )
