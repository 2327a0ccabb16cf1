"""`netstat --bsd`: what its options mean, which sockets it shows and what it refuses."""

from __future__ import annotations

import time

import pytest

from portside.faces.bsd import Refused
from portside.faces.netstat.bsd import interfaces, main, routes, sockets, unixes
from portside.faces.netstat.bsd.names import Names
from portside.faces.netstat.bsd.options import parse
from portside.see.records import Backlog, Endpoint, Queues, Socket
from portside.system import hostnames
from portside.system.host import LIVE, Host
from portside.wire import routes as wire
from portside.wire.interfaces import Counters, Interface


def inet(local, remote=("0.0.0.0", 0), family="inet", state="established", protocol="tcp", **facts):
    kind = "stream" if protocol == "tcp" else "dgram"
    return Socket(family, kind, protocol, state, Endpoint(*local), Endpoint(*remote), **facts)


def unix(inode, path="", peer=0, kind="stream", vfs=0, **facts):
    attributes = ((("peer", peer),) if peer else ()) + ((("vfs", (vfs, 1)),) if vfs else ())
    return Socket(
        "unix", kind, "unix", "established", Endpoint(path), Endpoint(""), inode=inode,
        attributes=attributes, **facts,
    )  # fmt: skip


def drawn(found, *words):
    """Return the lines below the titles."""
    options = parse(list(words))
    return list(sockets.table(found, options, Names(options, Host(root="/nonexistent"))))[2:]


# options


@pytest.mark.parametrize(
    ("words", "what", "family", "protocol"),
    [
        ([], "sockets", "", ""),
        (["-an"], "sockets", "", ""),
        (["-p", "TCP"], "sockets", "", "tcp"),
        (["-6", "-4"], "sockets", "inet", ""),
        (["-4", "-f", "inet6"], "sockets", "inet6", ""),
        (["-u"], "sockets", "unix", ""),
        (["-f", "local"], "sockets", "unix", ""),
        (["-r"], "routes", "", ""),
        (["-ri"], "interfaces", "", ""),
        (["-I", "lo"], "interfaces", "", ""),
        (["-w", "2"], "traffic", "", ""),
        (["5"], "traffic", "", ""),
        (["-s", "-p", "udp"], "statistics", "", "udp"),
    ],
)
def test_what_is_shown(words, what, family, protocol):
    options = parse(words)
    assert (options.what, options.family, options.protocol) == (what, family, protocol)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-f", "ipx"], "ipx: unknown address family"),
        (["-p", "ddp"], "ddp: unknown or uninstrumented protocol"),
        (["-w", "0"], "0: not a number of seconds"),
        (["-w", "x"], "x: not a number of seconds"),
        (["-q", "x", "-w", "1"], "x: not a number of outputs"),
        (["-is"], "-s cannot be honoured here with -i"),
        (["-ia"], "-a cannot be honoured here with -i"),
        (["-rs"], "-s cannot be honoured here with -r"),
        (["-Z"], "illegal option -- Z"),
        (["-f"], "option requires an argument -- f"),
        (["--all"], "illegal option -- -"),
        (["kernel"], ""),
        (["5", "kernel"], ""),
    ],
)
def test_what_cannot_be_done_is_refused_with_one(words, said, capsys):
    assert main(words) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"netstat: {said}" if said else "usage: netstat --bsd ")


@pytest.mark.parametrize("letter", "ABcCgmoOPQRTxz")
def test_what_linux_does_not_tell_is_refused_with_the_reason(letter):
    with pytest.raises(Refused, match=f"^-{letter} cannot be honoured here: .{{12,}}"):
        parse([f"-{letter}"])


def test_help_names_every_option(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"-{letter}" in told or letter in "46uSlW" for letter in "aLfpnSliIbdhwqrsABcCFgjmMNoOPQRTxz")


# sockets


def test_without_a_servers_are_left_out():
    found = [
        inet(("127.0.0.1", 1), state="listen", backlog=Backlog(0, 5)),
        inet(("0.0.0.0", 2), state="unconnected", protocol="udp"),
        inet(("127.0.0.1", 3), ("127.0.0.1", 9)),
    ]
    assert len(drawn(found, "-n")) == 1
    assert len(drawn(found, "-an")) == 3


def test_nothing_is_no_title_either():
    options = parse(["-n"])
    assert list(sockets.table([], options, Names(options, LIVE))) == []


def test_families_and_protocols_choose():
    found = [
        inet(("::", 80, "any", "", False), family="inet6", state="listen", backlog=Backlog(0, 5)),
        inet(("::1", 81), family="inet6"),
        inet(("10.0.0.1", 82)),
        inet(("10.0.0.1", 83), protocol="udp"),
    ]

    def ports(*words):
        return [line.split()[3].rpartition(".")[2] for line in drawn(found, "-an", *words)]

    assert ports("-4") == ["80", "82", "83"]
    assert ports("-6") == ["80", "81"]
    assert ports("-p", "udp") == ["83"]


def test_raw_sockets_are_told_by_their_protocol():
    found = [
        inet(("0.0.0.0", number), state="unconnected", protocol="raw").replace(type="raw")
        for number in (1, 2, 89, 255)
    ]
    assert [line[:5] for line in drawn(found, "-an")] == ["ip4  ", "ip4  ", "icm4 ", "igm4 "]
    assert all("*.*                    *.*" in line for line in drawn(found, "-an"))


def test_udplite_is_not_taken_for_udp():
    found = [inet(("10.0.0.1", 7), protocol="udplite", state="unconnected")]
    assert drawn(found, "-an")[0].startswith("udplite4      0      0  10.0.0.1.7")


def test_long_addresses_are_cut_before_the_port_and_whole_with_w():
    found = [inet(("2001:db8:1111:2222:3333:4444:5555:6666", 50000), family="inet6")]
    assert drawn(found, "-an")[0].split()[3] == "2001:db8:1111:22.50000"
    for wide in ("-W", "-l"):
        assert drawn(found, "-an", wide)[0].split()[3] == "2001:db8:1111:2222:3333:4444:5555:6666.50000"


def test_queues_count_the_handshakes_that_are_under_way():
    found = [
        inet(("0.0.0.0", 80), state="listen", backlog=Backlog(3, 128)),
        inet(("10.0.0.1", 81), state="listen", backlog=Backlog(0, 5)),
        inet(("10.0.0.1", 80), ("10.0.0.2", 5000), state="syn-recv"),
        inet(("10.0.0.1", 80), ("10.0.0.2", 5001), state="syn-recv"),
        inet(("10.0.0.3", 81), ("10.0.0.2", 5001), state="syn-recv"),
    ]
    lines = drawn(found, "-Ln")
    assert [line.split()[1] for line in lines] == ["3/2/128", "0/0/5"]
    assert lines[0] == "tcp4  3/2/128        *.80                   "


def test_queues_of_a_listener_are_no_bytes():
    found = [inet(("10.0.0.1", 80), state="listen", backlog=Backlog(3, 128), queues=Queues(3, 128))]
    assert drawn(found, "-an")[0].split()[1:3] == ["0", "0"]


def test_ports_are_named_where_a_name_can_be_meant(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "services").write_text("http 80/tcp\nhigh 40000/tcp\nevil\x1b 81/tcp\n")
    options = parse(["-a"])
    names = Names(options, Host(root=str(tmp_path)))
    found = [
        inet(("10.0.0.1", 80), ("10.0.0.2", 40000)),
        inet(("10.0.0.1", 40000), ("10.0.0.2", 80)),
        inet(("10.0.0.1", 80), ("10.0.0.2", 80)),
        inet(("10.0.0.1", 81), ("10.0.0.2", 9)),
    ]
    lines = [line.split()[3:5] for line in list(sockets.table(found, options, names))[2:]]
    assert lines == [
        ["10.0.0.1.http", "10.0.0.2.40000"],
        ["10.0.0.1.40000", "10.0.0.2.http"],
        ["10.0.0.1.http", "10.0.0.2.http"],
        [r"10.0.0.1.evil\x1b", "10.0.0.2.9"],
    ]


def test_hosts_are_named_and_the_own_domain_is_left_out(monkeypatch):
    known = {"192.0.2.1": "web.example.org", "192.0.2.2": "web.example.net", "192.0.2.3": "a\x1bb"}
    monkeypatch.setattr(hostnames, "host_name", lambda address: known.get(address, ""))
    monkeypatch.setattr(hostnames, "own_domain", lambda: "example.org")
    names = Names(parse([]), LIVE)
    assert names.host("192.0.2.1") == "web"
    assert names.host("192.0.2.2") == "web.example.net"
    assert names.host("192.0.2.3") == r"a\x1bb"
    assert names.host("192.0.2.4") == "192.0.2.4"
    assert names.host("*") == "*"
    assert Names(parse(["-n"]), LIVE).host("192.0.2.1") == "192.0.2.1"
    assert Names(parse(["-S"]), LIVE).host("192.0.2.1") == "192.0.2.1"


# Unix domain sockets


def test_unix_sockets_point_at_each_other():
    log = unix(10, "/dev/log", kind="dgram", vfs=99)
    writers = [unix(11, peer=10, kind="dgram"), unix(12, peer=10, kind="dgram")]
    left, right = unix(20, peer=21), unix(21, peer=20)
    lines = [line.split() for line in list(unixes.table([log, *writers, left, right], queues=False))[2:]]
    told = {line[0]: line[4:] for line in lines}
    assert told["a"] == ["63", "0", "b", "0", "/dev/log"]
    assert told["b"] == ["0", "a", "0", "c"]
    assert told["c"] == ["0", "a", "0", "0"]
    assert told["14"] == ["0", "15", "0", "0"]
    assert [line[1] for line in lines] == ["stream", "stream", "dgram", "dgram", "dgram"]


def test_many_sockets_of_one_peer_take_no_time():
    found = [unix(1, "/dev/log", kind="dgram"), *(unix(n, peer=1, kind="dgram") for n in range(2, 20_002))]
    assert sum(1 for _ in unixes.table(found, queues=False)) == 20_003


def test_unix_paths_are_escaped():
    assert r"/tmp/\x1b" in list(unixes.table([unix(1, "/tmp/\x1b")], queues=False))[2]


# interfaces and routes


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0, 1000, "0"), (999, 1000, "999"), (1000, 1000, "1.0k"), (1234, 1000, "1.2k"), (9949, 1000, "9.9k"),
        (9950, 1000, "10k"), (848_000, 1000, "848k"), (999_600, 1000, "1.0M"), (1024, 1024, "1.0K"),
        (5 << 30, 1024, "5.0G"), (1 << 63, 1024, "8.0E"),
    ],
)  # fmt: skip
def test_short_numbers(value, step, text):
    assert interfaces.humanize(value, step) == text
    assert len(text) <= 4


def test_traffic_is_what_passed_between_two_looks(monkeypatch, capsys):
    looks = iter(range(10))

    def read(_host):
        n = next(looks)
        return [
            Interface(1, "lo", True, 65536, b"", Counters(10 * n, 20 * n, 100 * n, 200 * n, n, 0, 0, 2 * n))
        ]

    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr("portside.system.interfaces.read_interfaces", read)
    assert main(["-w", "3", "-q", "2", "-d"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert slept == [3, 3]
    assert lines[0].split() == ["input", "(Total)", "output"]
    assert " ".join(lines[1].split()) == "packets errs idrops bytes packets errs bytes colls drops"
    assert [line.split() for line in lines[2:]] == [["10", "1", "0", "100", "20", "0", "200", "0", "2"]] * 2


def test_traffic_of_an_unknown_interface_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("portside.system.interfaces.read_interfaces", lambda _host: [])
    assert main(["-w", "1", "-I", "no\x1bsuch"]) == 1
    assert capsys.readouterr().err == "netstat: interface no\\x1bsuch not found\n"


@pytest.mark.parametrize(
    ("facts", "flags"),
    [
        ({"protocol": wire.RTPROT_KERNEL}, "U"),
        ({"gateway": b"\1\2\3\4", "protocol": wire.RTPROT_STATIC}, "UGS"),
        ({"prefix": 32, "protocol": wire.RTPROT_KERNEL}, "UH"),
        ({"type": wire.RTN_UNREACHABLE, "protocol": wire.RTPROT_BOOT}, "URS"),
        ({"type": wire.RTN_BLACKHOLE, "protocol": wire.RTPROT_BOOT}, "USB"),
        ({"gateway": b"\1\2\3\4", "protocol": wire.RTPROT_REDIRECT, "prefix": 32}, "UGHD"),
    ],
)
def test_flags_of_a_route(facts, flags):
    usual = {"prefix": 8, "gateway": b"", "type": wire.RTN_UNICAST} | facts
    route = wire.Route(
        2, usual["prefix"], b"\x0a\0\0\0", usual["gateway"], 1, usual["type"], usual["protocol"], 254
    )
    assert routes._flags(route) == flags


def test_a_long_destination_pushes_into_the_next_column():
    options = parse(["-rn"])
    route = wire.Route(10, 128, bytes(range(0x20, 0x30)), b"", 1, wire.RTN_UNICAST, wire.RTPROT_KERNEL, 254)
    line = routes._line(route, {1: "eth0"}, {1: 1500}, options, Names(options, LIVE))
    assert line.index("UH") == len("2021:2223:2425:2627:2829:2a2b:2c2d:2e2f ") + 29 - 6 + 1
    assert line.split() == ["2021:2223:2425:2627:2829:2a2b:2c2d:2e2f", "link#1", "UH", "eth0"]
