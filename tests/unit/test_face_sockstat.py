"""The sockstat face: what its options mean, which rows there are and what they tell, and what it refuses."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from tests import fakemachine

from portside.faces.bsd import Refused, ends
from portside.faces.sockstat import main
from portside.faces.sockstat.jail import sockets_in
from portside.faces.sockstat.options import parse, parse_ports
from portside.faces.sockstat.rows import lines
from portside.faces.sockstat.text import table
from portside.see.records import Container, Endpoint, Owner, Process, Socket
from portside.system.netns import NetworkNamespace

NUMBERS = {"icmp": 1, "tcp": 6}


def parsed(*words):
    return parse(list(words), NUMBERS.get)


def unix(inode, path="", peer=0, kind="stream", state="established", holder=None):
    attributes = (("peer", peer),) if peer else ()
    owners = (Owner(holder, 3, Process(holder, f"p{holder}")),) if holder else ()
    return Socket(
        "unix", kind, "unix", state, Endpoint(path), Endpoint(""), inode=inode, owners=owners,
        attributes=attributes,
    )  # fmt: skip


def inet(local, remote=("0.0.0.0", 0), family="inet6", state="established", protocol="tcp", **facts):
    kind = "stream" if protocol == "tcp" else "dgram"
    return Socket(family, kind, protocol, state, Endpoint(*local), Endpoint(*remote), **facts)


def drawn(sockets, *words):
    """Return the cells' text below the header."""
    options = parsed(*words, "-q")
    return [line.rstrip() for line in table(lines(sockets, options), options)]


# options


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("22", {22}),
        ("0", {0}),
        ("80,443", {80, 443}),
        ("22-25", {22, 23, 24, 25}),
        ("22-22", {22}),
        ("80,443,500-501,510", {80, 443, 500, 501, 510}),
        (" 22, 80", {22, 80}),
        ("22,", {22}),
        ("", set()),
    ],
)
def test_ports(text, ports):
    assert parse_ports(text) == ports


@pytest.mark.parametrize("text", ["22-21", "-1", "65536", "22-65536", "1-99999999999999999999"])
def test_port_that_is_none(text):
    with pytest.raises(Refused, match=r"^invalid port number$"):
        parse_ports(text)


@pytest.mark.parametrize("text", ["foo", "22-", "22,,23", "22x", ",22", "https"])
def test_port_list_that_is_malformed(text):
    with pytest.raises(Refused, match=r"^syntax error in port range$"):
        parse_ports(text)


def test_no_family_is_every_family_and_no_state_both():
    options = parsed()
    assert (options.v4, options.v6, options.unix) == (True, True, True)
    assert options.listening
    assert options.connected
    assert options.protocols == ("sctp", "tcp", "udp")


def test_protocols_leave_unix_sockets_out():
    options = parsed("-P", "tcp,UDP,tcp")
    assert (options.v4, options.v6, options.unix) == (True, True, False)
    assert options.protocols == ("tcp", "udp")


def test_a_protocol_that_is_not_read_is_refused_by_number():
    with pytest.raises(Refused, match=r"^protocol 1 not supported$"):
        parsed("-P", "icmp")


def test_an_unknown_protocol_is_told_and_left_out(capsys):
    assert parsed("-P", "tcp,nosuch\x1b").protocols == ("tcp",)
    assert capsys.readouterr().err == "sockstat: protocol 'nosuch\\x1b' is not known\n"


@pytest.mark.parametrize(
    ("words", "json_", "pretty"),
    [
        (["--libxo", "json"], True, False),
        (["--libxo=json,pretty"], True, True),
        (["--libxo:JP"], True, True),
        (["--libxo", "text"], False, False),
        (["--libxo=json", "--libxo=text"], False, False),
    ],
)
def test_libxo(words, json_, pretty):
    options = parsed(*words)
    assert (options.json, options.pretty) == (json_, pretty)


@pytest.mark.parametrize(
    "words", [["--libxo"], ["--libxo=xml"], ["--libxo:H"], ["--libxojson"], ["--libxo="]]
)
def test_libxo_that_is_not_written_is_refused(words):
    with pytest.raises(Refused):
        parsed(*words)


@pytest.mark.parametrize("letter", "AbfI")
def test_what_linux_does_not_tell_is_refused_with_the_reason(letter, capsys):
    assert main([f"-4{letter}"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"sockstat: -{letter} cannot be honoured here: Linux ")
    assert "\nusage: sockstat " in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-z"], "sockstat: illegal option -- z\nusage: sockstat "),
        (["--version"], "sockstat: illegal option -- -\nusage: sockstat "),
        (["-p"], "sockstat: option requires an argument -- p\nusage: sockstat "),
        (["operand"], "usage: sockstat "),
        (["-j", ""], 'sockstat: jail_getid: jail "" not found'),
        (["-p", "x"], "sockstat: syntax error in port range\n"),
    ],
)
def test_usage_errors_are_worded_as_bsds(words, said, capsys):
    assert main(words) == 1
    assert capsys.readouterr().err.startswith(said)


def test_help_names_every_option_it_takes(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"-{letter}" in told for letter in "46ulcLpPjnqsCSiUwvAbfI")


# what a row tells


@pytest.mark.parametrize(
    ("socket", "versions", "local"),
    [
        (inet(("127.0.0.1", 1), family="inet"), "4", "127.0.0.1"),
        (inet(("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.2", 2)), "4", "192.0.2.1"),
        (inet(("::", 80, "any", "", False), ("::", 0), state="listen"), "46", "*"),
        (inet(("::", 80, "any", "", True), ("::", 0), state="listen"), "6", "*"),
        (inet(("::1", 80, "loopback", "", False), ("::", 0), state="listen"), "6", "::1"),
        (inet(("fe80::1", 80, "link", "eth0"), ("::", 0)), "6", "fe80::1%eth0"),
        (inet(("10.0.0.1", 80, "private", "eth0"), family="inet"), "4", "10.0.0.1"),
    ],
)
def test_ends_are_told_as_bsd_tells_them(socket, versions, local):
    told = ends(socket)
    assert (told.versions, told.local) == (versions, local)


def test_link_local_peer_names_the_interface_too():
    socket = inet(("fe80::1", 80, "link", "eth0"), ("fe80::2", 9, "link"))
    assert ends(socket).remote == "fe80::2%eth0"


def test_dual_stack_socket_is_shown_for_either_family():
    sockets = [inet(("::", 80, "any", "", False), ("::", 0), state="listen")]
    assert drawn(sockets, "-4") == drawn(sockets, "-6") != []


def test_unix_peers_are_told_by_path_or_by_holder():
    server = unix(1, "/run/a", state="listen", holder=10)
    accepted = unix(2, "/run/a", peer=3, holder=10)
    client = unix(3, "", peer=2, holder=20)
    left, right = unix(4, peer=5, holder=30), unix(5, peer=4, holder=30)
    log = unix(6, "/dev/log", kind="dgram", state="unconnected", holder=40)
    writers = [unix(7, peer=6, kind="dgram", holder=50), unix(8, peer=6, kind="dgram", holder=51)]
    lonely = unix(9, kind="seqpacket", state="unconnected", holder=60)
    rows = drawn([server, accepted, client, left, right, log, *writers, lonely], "-uw")
    assert [row.split(maxsplit=4)[2:] for row in rows] == [
        ["60", "3", "seqpack (not connected) ??"],
        ["51", "3", "dgram   ??              -> /dev/log"],
        ["50", "3", "dgram   ??              -> /dev/log"],
        ["40", "3", "dgram   /dev/log         <- [50 3],[51 3]"],
        ["30", "3", "stream  ??              -> [30 3]"],
        ["30", "3", "stream  ??              -> [30 3]"],
        ["20", "3", "stream  ??              -> /run/a"],
        ["10", "3", "stream  /run/a          ??"],
        ["10", "3", "stream  /run/a          -> [20 3]"],
    ]


def test_listening_unix_sockets_are_those_connected_to_none():
    sockets = [unix(1, "/run/a", state="listen"), unix(2, "/run/a", peer=3), unix(3, peer=2)]
    assert len(drawn(sockets, "-ul")) == 1
    assert len(drawn(sockets, "-uc")) == 2


def test_peer_that_cannot_be_seen_is_two_question_marks():
    assert drawn([unix(3, peer=99)], "-u")[0].endswith("-> ??")


def test_rows_are_ordered_newest_process_first_and_sockets_without_file_before_those_without_holder():
    def held(pid, ticks, fd, port):
        owner = Owner(pid, fd, Process(pid, f"p{pid}", start_ticks=ticks))
        return inet(("10.0.0.1", port), family="inet", inode=port, owners=(owner,))

    sockets = [
        inet(("10.0.0.1", 1), ("10.0.0.2", 9), family="inet", inode=77),
        inet(("10.0.0.1", 2), ("10.0.0.2", 9), family="inet", state="time-wait"),
        held(5, 900, 4, 3),
        held(5, 900, 3, 4),
        held(7, 100, 3, 5),
    ]
    assert [row.split()[5] for row in drawn(sockets, "-4")] == [
        f"10.0.0.1:{port}" for port in (4, 3, 5, 2, 1)
    ]


def test_hostile_names_and_paths_are_escaped():
    owner = Owner(5, 3, Process(5, "a\x1b[2J\nb", user="x"))
    socket = unix(1, "/tmp/\x1b]0;x\x07\udcff", state="listen").replace(owners=(owner,))
    text = "\n".join(drawn([socket], "-uw"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 1
    assert r"/tmp/\x1b]0;x\x07\xff" in text


def test_long_cells_are_cut_and_wide_shows_them_whole():
    owner = Owner(5, 3, Process(5, "longer-than-ten", uid=1000))
    socket = inet(("2001:db8:1111:2222:3333:4444:5555:6666", 50000), ("::", 0), owners=(owner,))
    assert drawn([socket], "-6") == ["1000 longer-tha   5  3 tcp6  2001:db8:1111:2222:33 *:*"]
    assert "2001:db8:1111:2222:3333:4444:5555:6666:50000 *:*" in drawn([socket], "-6w")[0]


def test_congestion_control_is_what_the_kernel_tells():
    socket = inet(("10.0.0.1", 1), family="inet", state="listen", attributes=(("cong", "bbr"),))
    assert drawn([socket], "-4C")[0].endswith(" bbr")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("syn-recv", "SYN_RCVD"),
        ("fin-wait-2", "FIN_WAIT_2"),
        ("bound-inactive", "CLOSED"),
        ("state-77", "77"),
    ],
)
def test_states_have_freebsds_names(state, told):
    socket = inet(("10.0.0.1", 1), ("10.0.0.2", 2), family="inet", state=state)
    assert drawn([socket], "-4s")[0].split()[-1] == told


# -j


def machine():
    here, other = NetworkNamespace(1, "", ""), NetworkNamespace(4026532001, "blue", "")
    docker = Container("docker", "0123456789abcdef", "web")

    def socket(port, netns, container=None, pid=5):
        owner = Owner(pid, 3, Process(pid, "p", container=container))
        return inet(("10.0.0.1", port), family="inet", netns=str(netns), owners=(owner,))

    unheld = inet(("10.0.0.1", 4), family="inet", netns="blue")
    shared = socket(3, here, docker)
    shared = shared.replace(owners=(*shared.owners, Owner(9, 4, Process(9, "outside"))))
    sockets = [socket(1, here), socket(2, other), shared, unheld]

    class Fake(list):
        parts = (SimpleNamespace(namespace=here), SimpleNamespace(namespace=other))

    return Fake(sockets)


@pytest.mark.parametrize(
    ("jail", "ports"),
    [
        ("blue", [2, 4]),
        ("4026532001", [2, 4]),
        ("web", [3]),
        ("docker:web", [3]),
        ("0123456", [3]),
        ("012", None),
        ("nosuch", None),
    ],
)
def test_jail_is_a_network_namespace_or_a_container(jail, ports):
    found = sockets_in(machine(), jail)
    assert (None if found is None else [socket.local.port for socket in found]) == ports


def test_holders_outside_the_container_are_left_out():
    (socket,) = sockets_in(machine(), "web")
    assert [owner.pid for owner in socket.owners] == [5]


def test_unknown_jail_ends_with_one(monkeypatch, tmp_path, capsys):
    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    run = fakemachine.Run(capsys, "sockstat", "-j", "no\x1bsuch")
    assert run.code == 1
    assert run.err.startswith('sockstat: jail_getid: jail "no\\x1bsuch" not found')


# the whole


def test_json_leaves_out_what_a_socket_does_not_have(monkeypatch, tmp_path, capsys):
    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    run = fakemachine.Run(capsys, "sockstat", "--libxo", "json", "-s", "-i", "-n")
    rows = json.loads(run.out)["sockstat"]["socket"]
    unheld = [row for row in rows if "pid" not in row]
    assert [row["conn-state"] for row in unheld] == ["ESTABLISHED", "TIME_WAIT"]
    assert not any("user" in row or "command" in row for row in unheld)
    assert {row["local"]["path"] for row in rows if "path" in row["local"]} == {"/run/web.sock", "@abstract"}
    assert all("foreign" not in row for row in rows if "path" in row["local"])
    assert {row["user"] for row in rows if "user" in row} == {0, 33}


def test_verbose_tells_the_roads_on_standard_error(monkeypatch, tmp_path, capsys):
    fakemachine.install(monkeypatch, fakemachine.make(tmp_path))
    run = fakemachine.Run(capsys, "sockstat", "-4lv")
    assert "tcp by sock_diag" in run.err
    assert "owners by proc" in run.err
