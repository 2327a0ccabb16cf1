"""ss's command line and filter taken apart: what follows from words, without a kernel."""

from __future__ import annotations

import pytest

from portside.faces.ss import columns, condition, grammar, selection, words
from portside.faces.ss.condition import Both, Device, Either, End, Mark, Not, Order, Place
from portside.faces.ss.context import Stop, Subject
from portside.faces.ss.operands import Operands, integer, prefix
from portside.faces.ss.services import Services
from portside.system.host import Host
from portside.wire.sock_diag import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX

NOWHERE = Host(root="/nowhere", netlink=None, bpf=False)
PORT = 22


def request(*typed):
    return words.parse(list(typed))


@pytest.mark.parametrize(
    ("typed", "tables", "families", "states"),
    [
        ("-t", {"tcp"}, {AF_INET, AF_INET6}, selection.CONNECTED),
        ("-tl", {"tcp"}, {AF_INET, AF_INET6}, selection.LISTENING),
        ("-ta", {"tcp"}, {AF_INET, AF_INET6}, selection.ALL),
        ("-taB", {"tcp"}, {AF_INET, AF_INET6}, selection.ALL | selection.BOUND),
        ("-tBa", {"tcp"}, {AF_INET, AF_INET6}, selection.ALL | selection.BOUND),
        ("-tB", {"tcp"}, {AF_INET, AF_INET6}, selection.BOUND),
        ("-u", {"udp"}, {AF_INET, AF_INET6}, 1 << 1),
        ("-0", {"p_raw", "p_dgr"}, {AF_PACKET}, 1 << 7),
        ("-x4", {"u_str", "u_dgr", "u_seq", "tcp", "mptcp", "udp", "dccp", "sctp", "raw"}, {AF_UNIX, AF_INET}, None),
        ("-A tcp,!tcp,udp", {"udp"}, {AF_INET, AF_INET6}, None),
        ("-t -A udp", {"udp"}, {AF_INET, AF_INET6}, selection.CONNECTED),
        ("-t state established", {"tcp"}, {AF_INET, AF_INET6}, 1 << 1),
        ("-t state established state listening", {"tcp"}, {AF_INET, AF_INET6}, 1 << 1 | 1 << 10),
        ("-t exclude established", {"tcp"}, {AF_INET, AF_INET6}, selection.ALL & ~(1 << 1)),
    ],
)  # fmt: skip
def test_what_is_shown(typed, tables, families, states):
    chosen = request(*typed.split()).selection
    assert chosen.tables == tables
    assert chosen.families == families
    if states is not None:
        assert chosen.states == states


def test_options_and_the_rest():
    made = request("-tne", "-F", "file", "--oneline", "sport", "=", "22")
    assert made.words == ("sport", "=", "22")
    assert made.filter_file == "file"
    assert made.options.numeric
    assert made.options.timers
    assert made.options.details
    assert made.options.oneline
    assert request("-s").only_summary
    assert not request("-s", "-t").only_summary


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("-k", 255, "invalid option"),
        ("--no-such", 255, "unrecognized option"),
        ("-A tcp,foo", 255, '"foo" is illegal socket table id'),
        ("-f foo", 255, '"foo" is invalid family'),
        ("state foo", 255, "wrong state name: foo"),
        ("exclude", 255, "not complete"),
        ("-F a -F b", 255, "More than one filter file"),
        ("-f \x1b[1m", 255, r"\x1b[1m"),
    ],
)
def test_what_is_wrong_ends_the_run(typed, code, said):
    with pytest.raises(Stop) as end:
        request(*typed.split(" "))
    assert end.value.code == code
    assert said in end.value.said
    assert end.value.told == ""


def test_help_before_a_mistake_is_help():
    with pytest.raises(Stop) as end:
        request("-h", "-k")
    assert end.value.code == 0
    assert end.value.told.startswith("Usage: ss")


@pytest.mark.parametrize("typed", ["-A !tcp"])
def test_nothing_left_to_show(typed):
    with pytest.raises(Stop) as end:
        words.check(request(*typed.split()).selection)
    assert end.value.code == 0
    assert "to show with such filter" in end.value.said


# -- the filter


def parsed(text, *typed):
    chosen = request(*(typed or ("-t",))).selection
    services = Services(NOWHERE, "32768 60999", numeric=True, resolve=False)
    return grammar.parse([text], iter(()), Operands(NOWHERE, chosen, services)), chosen


HERE, THERE = End(True, (), PORT), End(False, (), PORT)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", None),
        ("sport = 22", HERE),
        ("sport :22", HERE),
        ("dport eq 0x16", THERE),
        ("sport != 22", Not(HERE)),
        ("sport > 22", Not(Order(True, False, PORT))),
        ("dport lt 22", Not(Order(False, True, PORT))),
        ("dport geq 22", Order(False, True, PORT)),
        ("! sport 22", Not(HERE)),
        ("not ( sport 22 dport 22 )", Not(Both(HERE, THERE))),
        ("sport 22 or dport 22 and dport 22", Both(Either(HERE, THERE), THERE)),
        ("sport 22 and dport 22 or dport 22", Either(Both(HERE, THERE), THERE)),
        ("sport 22 | not dport 22 dport 22", Both(Either(HERE, Not(THERE)), THERE)),
        ("dst 10/8", End(False, (Place(AF_INET, bytes((10, 0, 0, 0)), 8),))),
        ("dst 10.1.2.3:22", End(False, (Place(AF_INET, bytes((10, 1, 2, 3)), 32),), PORT)),
        ("src [::1]:22", End(True, (Place(AF_INET6, bytes(15) + b"\1", 128),), PORT)),
        ("src *:22", HERE),
        ("src *", End(True)),
        ("dev 7", Device(7)),
        ("dev != 7", Not(Device(7))),
        ("fwmark 0x10/0xff", Mark(16, 255)),
        ("fwmark 1", Mark(1, 0xFFFFFFFF)),
        (r"sport = \2\2", HERE),
    ],
)
def test_filters(text, node):
    assert parsed(text)[0] == node


def test_a_family_in_the_filter_becomes_the_only_one():
    node, chosen = parsed("src unix:/run/x* or sport = y", "-a")
    assert node == Either(End(True, (), -1, AF_UNIX, "/run/x*"), End(True, (), -1, AF_UNIX, "y"))
    assert chosen.families == {AF_UNIX}
    node, chosen = parsed("src netlink:rtnl:kernel", "-a")
    assert node == End(True, (Place(AF_NETLINK, bytes(4), 32),), 0, AF_NETLINK)
    assert chosen.families == {AF_NETLINK}


@pytest.mark.parametrize(
    "text",
    [
        "sport",
        "sport = ",
        "( sport 22",
        "sport 22 )",
        "and",
        "not",
        "( )",
        "src != 10/8",
        "sport 22 or",
        "= 22",
    ],
)
def test_what_is_no_filter(text):
    with pytest.raises(Stop) as end:
        parsed(text)
    assert end.value.code == 255
    assert "syntax error!" in end.value.said


@pytest.mark.parametrize(
    "text", ["sport foo", "dst 1.2.3.4/33", "src [::1", "dev no-such", "fwmark x", "22x"]
)
def test_values_that_mean_nothing(text):
    with pytest.raises(Stop) as end:
        parsed(text)
    assert end.value.code == 1
    assert "annot parse" in end.value.said


def test_a_filter_is_told_to_the_kernel_as_far_as_it_understands():
    assert condition.program(parsed("sport = 22 or dev 7")[0])
    assert condition.program(parsed("src unix:x", "-a")[0]) == b""
    assert condition.program(parsed("not src link:*", "-a")[0]) == b""
    assert condition.program(None) == b""


@pytest.mark.parametrize(
    ("text", "number"),
    [("22", 22), ("0x1F", 31), ("017", 15), ("-1", -1), ("+5", 5), ("0", 0), ("08", None), ("", None), ("1_0", None),
     ("0x", None), ("2x", None), (" 7", 7), ("٣", None)],
)  # fmt: skip
def test_numbers_are_cs(text, number):
    assert integer(text) == number


def test_prefixes():
    assert prefix("10.8", 0) == Place(AF_INET, bytes((10, 8, 0, 0)), 32)
    assert prefix("10/255.0.0.0", 0) == Place(AF_INET, bytes((10, 0, 0, 0)), 8)
    assert prefix("any", AF_INET) == Place(AF_INET, bytes(16), 0)
    for wrong in ("10/255.0.255.0", "1.2.3.4.5", "256", "::1/129", "::g", "any/3", "10/", "1.2.3."):
        assert prefix(wrong, 0) is None
    assert prefix("::1", AF_INET) is None
    assert prefix("127.0.0.1", AF_INET6) is None


# -- columns


def drawn(lines, hidden=(), screen=0, header=True):
    written = []
    made = columns.Columns(written.append, frozenset(hidden), screen)
    if header:
        made.header()
    made.add(iter(lines))
    made.draw()
    return "".join(written)


LINE = (
    "tcp",
    "ESTAB",
    "0     ",
    "0     ",
    "127.0.0.1:",
    "22",
    "10.0.0.1:",
    "443",
    ' users:(("x",pid=1,fd=3))',
)


def test_columns_are_as_wide_as_they_must_be():
    assert drawn([LINE, LINE], hidden=[columns.NETID]) == (
        "State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess                  \n"
        'ESTAB 0      0          127.0.0.1:22       10.0.0.1:443  users:(("x",pid=1,fd=3))\n'
        'ESTAB 0      0          127.0.0.1:22       10.0.0.1:443  users:(("x",pid=1,fd=3))\n'
    )


def test_a_width_is_counted_in_bytes():
    wide = (*LINE[:8], ' users:(("é",pid=1,fd=3))')
    first, second = drawn([wide, LINE, LINE], header=False).splitlines()[:2]
    assert len(first.encode()) == len(second.encode())
    assert second.endswith(" ")


def test_nothing_is_drawn_of_nothing():
    assert drawn([], header=False) == ""
    assert drawn([], header=False, screen=80) == ""


@pytest.mark.parametrize("screen", [1, 7, 20, 79, 80, 120, 300])
def test_lines_fill_whole_screens(screen):
    plain = (*LINE[:8], "")
    for line in drawn([plain, plain], screen=screen).splitlines():
        assert len(line) % screen == 0 or screen < 14


def test_a_filter_of_thousands_of_parts_is_no_deep_recursion():
    text = "sport = 1 or dport = 2 and " * 3000 + "sport = 22"
    node, _ = parsed(text)
    here = Subject(AF_INET, bytes(4), bytes(4), 22, 0)
    assert not condition.holds(node, here, lambda port: False)
    assert condition.holds(node, here.replace(remote_port=2), lambda port: False)
    assert condition.program(node) == b""
    with pytest.raises(Stop):
        parsed("( " * 5000)
