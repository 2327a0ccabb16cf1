"""The grammar: what each spelling means, and where each error points."""

import pytest

from portside.errors import BadRequest
from portside.ports.number import Range
from portside.see.filter import parse, states
from portside.see.filter.parser import MAX_DEPTH
from portside.see.filter.syntax import (
    OPEN,
    And,
    Autobound,
    Host,
    HostPattern,
    Mark,
    Not,
    Or,
    Pid,
    Port,
    State,
    Text,
)

SERVICES = {"smtp": (25,), "https": (443,), "http-alt": (591, 8008, 8080), "many": (1, 2, 3)}


def read(text):
    return parse(text, lambda name: SERVICES.get(name, ()))


def sport(*ports):
    return Port(
        "sport", tuple(Range(*each) if isinstance(each, tuple) else Range(each, each) for each in ports)
    )


A, B, C = sport(1), sport(2), sport(3)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("sport=1 or sport=2 and sport=3", Or((A, And((B, C))))),
        ("sport=1 and sport=2 or sport=3", Or((And((A, B)), C))),
        ("sport=1 or sport=2 sport=3", Or((A, And((B, C))))),
        ("not sport=1 and sport=2", And((Not(A), B))),
        ("not (sport=1 and sport=2)", Not(And((A, B)))),
        ("!sport=1|sport=2", Or((Not(A), B))),
        ("(sport=1 or sport=2) and sport=3", And((Or((A, B)), C))),
        ("sport=1 sport=2 sport=3", And((A, B, C))),
        ("((sport=1) and ((sport=2)))", And((A, B))),
        ("! ! sport=1", A),
        ("! ! ! sport=1", Not(A)),
        ("sport=1&sport=2&&sport=3", And((A, B, C))),
        ("sport=1|sport=2||sport=3", Or((A, B, C))),
        ("SPORT = 1 AND NOT Sport EQ 2", And((A, Not(B)))),
    ],
)
def test_precedence(text, meaning):
    assert read(text) == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("sport = 22", sport(22)),
        ("sport=22", sport(22)),
        ("( sport eq :22 )", sport(22)),
        ("sport 22", sport(22)),
        ("sport == 22", sport(22)),
        ("sport = 8000-8100,9000", sport((8000, 8100), 9000)),
        ("sport = 9000 , 8000-8100", sport((8000, 8100), 9000)),
        ("sport = 1-5,4-9,10", sport((1, 10))),
        ("sport = -100", sport((0, 100))),
        ("sport = 60000-", sport((60000, OPEN))),
        ("sport = *", sport((0, OPEN))),
        ("sport < 10", sport((0, 9))),
        ("sport lt 10", sport((0, 9))),
        ("sport <= 10", sport((0, 10))),
        ("sport le 10", sport((0, 10))),
        ("sport leq 10", sport((0, 10))),
        ("sport > 10", sport((11, OPEN))),
        ("sport gt 10", sport((11, OPEN))),
        ("sport >= 10", sport((10, OPEN))),
        ("sport geq :smtp", sport((25, OPEN))),
        ("sport ge 10", sport((10, OPEN))),
        ("sport < 0", sport()),
        ("sport != 22,80", Not(sport(22, 80))),
        ("sport ne 22", Not(sport(22))),
        ("sport neq 22", Not(sport(22))),
        ("dport = :smtp", Port("dport", (Range(25, 25),))),
        ("port http-alt", Port("port", (Range(591, 591), Range(8008, 8008), Range(8080, 8080)))),
        ("port = https,22", Port("port", (Range(22, 22), Range(443, 443)))),
        ("service https", Port("port", (Range(443, 443),))),
        ("service != smtp,https", Not(Port("port", (Range(25, 25), Range(443, 443))))),
        ("sport = inet:22", Host("src", (HostPattern("inet", ports=Range(22, 22)),))),
        ("dport > inet6:22", Host("dst", (HostPattern("inet6", ports=Range(23, OPEN)),))),
    ],
)
def test_ports(text, meaning):
    assert read(text) == meaning


V4, V6 = bytes([10, 0, 0, 1]), bytes(15) + b"\1"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("10.0.0.1", HostPattern("", V4, 32)),
        ("10.0.0.1:80", HostPattern("", V4, 32, Range(80, 80))),
        ("10.0.0.1:smtp", HostPattern("", V4, 32, Range(25, 25))),
        ("10.0.0.1:80-90", HostPattern("", V4, 32, Range(80, 90))),
        ("10.0.0.1:*", HostPattern("", V4, 32)),
        ("10/8", HostPattern("", bytes([10, 0, 0, 0]), 8)),
        ("10.1.2.3/8:443", HostPattern("", bytes([10, 0, 0, 0]), 8, Range(443, 443))),
        ("0/0", HostPattern("", bytes(4), 0)),
        ("::1", HostPattern("", V6, 128)),
        ("[::1]", HostPattern("", V6, 128)),
        ("[::1]:80", HostPattern("", V6, 128, Range(80, 80))),
        ("inet6:[::1]:80", HostPattern("", V6, 128, Range(80, 80))),
        ("inet6:::1", HostPattern("", V6, 128)),
        ("fe80::/10", HostPattern("", b"\xfe\x80" + bytes(14), 10)),
        ("[fe80::/10]:22", HostPattern("", b"\xfe\x80" + bytes(14), 10, Range(22, 22))),
        ("[fe80::]/10:22", HostPattern("", b"\xfe\x80" + bytes(14), 10, Range(22, 22))),
        ("127.0.0.1%lo:80", HostPattern("", bytes([127, 0, 0, 1]), 32, Range(80, 80), "lo")),
        ("[fe80::1]%eth0:80", HostPattern("", b"\xfe\x80" + bytes(13) + b"\1", 128, Range(80, 80), "eth0")),
        ("*", HostPattern()),
        ("*:80", HostPattern(ports=Range(80, 80))),
        (":80", HostPattern(ports=Range(80, 80))),
        ("inet:*", HostPattern("inet")),
        ("INET:*:80", HostPattern("inet", ports=Range(80, 80))),
        ("unix:/run/x*", HostPattern("unix", text="/run/x*")),
        ("/run/x", HostPattern("unix", text="/run/x")),
        ("@abstract", HostPattern("unix", text="@abstract")),
        ("link:ip:eth0", HostPattern("link", text="ip", device="eth0")),
        ("packet:*", HostPattern("link", text="*")),
        ("netlink:route:kernel", HostPattern("netlink", text="route", ports=Range(0, 0))),
        ("netlink:route", HostPattern("netlink", text="route")),
        ("vsock:2:70000", HostPattern("vsock", text="2", ports=Range(70000, 70000))),
    ],
)
def test_hosts(text, pattern):
    assert read(f"src {text}") == Host("src", (pattern,))
    assert read(f"dst={text}") == Host("dst", (pattern,))


def test_a_service_with_several_ports_is_several_patterns():
    assert len(read("dst = *:http-alt").patterns) == 3


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("proc nginx", Text("proc", ("nginx",))),
        ("proc = nginx,apache2", Text("proc", ("nginx", "apache2"))),
        ("proc != 'my app'", Not(Text("proc", ("my app",)))),
        ('proc "it\'s, (so)"', Text("proc", ("it's, (so)",))),
        ("proc my\\ app", Text("proc", ("my app",))),
        (r"proc a\*b", Text("proc", (r"a\*b",))),
        ("proc 'and'", Text("proc", ("and",))),
        ("unit ssh.service", Text("unit", ("ssh.service",))),
        ("scope = ANY,loopback", Text("scope", ("any", "loopback"))),
        ("reach anyone", Text("reach", ("anyone",))),
        ("gap permission", Text("gap", ("permission",))),
        ("pid 1,100-200", Pid((Range(1, 1), Range(100, 200)))),
        ("pid > 1", Pid((Range(2, OPEN),))),
        ("fwmark 0x10/0xff", Mark(16, 255)),
        ("fwmark = 010", Mark(8, 0xFFFFFFFF)),
        ("fwmark != 1,2", Not(Or((Mark(1, 0xFFFFFFFF), Mark(2, 0xFFFFFFFF))))),
        ("autobound", Autobound()),
        ("not autobound", Not(Autobound())),
        ("", And(())),
        (" \t\n", And(())),
    ],
)
def test_other_tests(text, meaning):
    assert read(text) == meaning


@pytest.mark.parametrize("word", states.WORDS)
def test_every_state_word(word):
    mask = states.mask_of(word)
    assert mask
    for spelling in (word, word.upper(), word.replace("-", "_")):
        assert read(f"state {spelling}") == State(mask)
    assert read(f"exclude {word}") == read(f"excl = {word}") == read(f"not state {word}")
    assert read(f"state != {word}") == State(states.ALL & ~mask)


def test_state_sets_are_those_of_ss():
    listen, close, bound = (states.mask_of(word) for word in ("listen", "close", "bound-inactive"))
    assert states.mask_of("all") == states.ALL
    assert states.mask_of("connected") == states.ALL & ~(listen | close | bound | states.OTHER)
    assert states.mask_of("synchronized") == states.mask_of("connected") & ~states.mask_of("syn-sent")
    assert states.mask_of("bucket") == states.mask_of("syn-recv") | states.mask_of("time-wait")
    assert states.mask_of("big") == states.ALL & ~states.mask_of("bucket")


def test_adjacent_states_are_one_set():
    listen, established = states.mask_of("listen"), states.mask_of("established")
    assert read("state listen state established") == State(listen | established)
    assert read("state listen,established") == State(listen | established)
    assert read("exclude listen exclude established") == State(states.ALL & ~listen & ~established)
    assert read("state connected exclude established sport=1") == And(
        (State(states.mask_of("connected") & ~established), A)
    )
    assert read("state listen and state established") == And((State(listen), State(established)))
    assert read("(sport=1 state listen) or exclude listen") == Or(
        (And((A, State(listen))), State(~listen & states.ALL))
    )


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("sprot = 22", "sprot", "did you mean 'sport'?"),
        ("sport = 22 and usr root", "usr", "did you mean 'user'?"),
        ("xyzzy = 22", "xyzzy", "known: autobound, cgroup"),
        ("listening", "listening", "write 'state listening'"),
        ("sport = 22 80", "80", "lists take commas: 22,80"),
        ("sport = 22 -80", "-80", "expected a test"),
        ("sport = nosuch", "nosuch", "there is no service named 'nosuch'"),
        ("sport = 65536", "65536", "ports go from 0 to 65535"),
        ("sport = 9-2", "9-2", "write 2-9"),
        ("sport < 2-9", "2-9", "takes one number, not a range"),
        ("sport < many", "many", "takes one number, not a range"),
        ("sport < 2,9", "9", "takes one number, not a list"),
        ("port = 53/udp", "53/udp", "choose -t or -u"),
        ("service 22", "22", "write 'port = 22'"),
        ("state lisening", "lisening", "did you mean 'listening'?"),
        ("state =", "", "expected a state, found the end"),
        ("state = and", "and", "expected a state, found 'and'"),
        ("proc and x", "and", "put it in quotes"),
        ("proc > x", ">", "use = or !="),
        ("src > ::1", ">", "use = or !="),
        ("src example.com", "example.com", "names are not looked up"),
        ("src 443", "443", "for a port write :443"),
        ("src 300.1.1.1", "300.1.1.1", "is not an address"),
        ("src [::1", "[::1", "the bracket is not closed"),
        ("src [::1]80", "[::1]80", "write [ADDRESS]:PORT"),
        ("src 10.0.0.1:", "10.0.0.1:", "the port is missing"),
        ("src 10/33", "10/33", "0 to 32"),
        ("src */8", "*/8", "0.0.0.0/0"),
        ("src inet6:10.0.0.1", "inet6:10.0.0.1", "is not an address of inet6"),
        ("src inet:", "inet:", "the address is missing"),
        ("src unix:", "unix:", "write * for any"),
        ("src ''", "''", "the address is missing"),
        ("src 1.1.1.1%/x", "1.1.1.1%/x", "is not an address"),
        ("src netlink:x:y", "netlink:x:y", "kernel"),
        ("pid nginx", "nginx", "write 'proc = nginx'"),
        ("fwmark x", "x", "0x10"),
        ("gap permision", "permision", "did you mean 'permission'?"),
        ("reach = everyone", "everyone", "anyone"),
        ("(sport = 22", "(", "this '(' is not closed"),
        ("sport = 22)", ")", "this ')' closes nothing"),
        (") sport = 22", ")", "this ')' closes nothing"),
        ("()", ")", "expected a test"),
        ("sport = 22 or", "", "found the end"),
        ("sport = 22 and and sport = 23", "and sport = 23", "found 'and'"),
        ("sport = 22 = 3", "= 3", "found '='"),
        ("sport = 22,", "", "expected a port"),
        ("proc 'abc", "'", "not closed"),
        ("'sport' = 22", "'sport'", "expected a test"),
        ("sport = 99999999999999999999999", "99999999999999999999999", "0 to 65535"),
    ],
)
def test_errors_point_at_the_place(text, place, words):
    with pytest.raises(BadRequest) as caught:
        read(text)
    first, shown, carets = str(caught.value).splitlines()
    assert first.startswith("parse filter: ")
    assert words in first
    assert shown == "  " + text
    column = text.rindex(place) + 2 if place else len(text) + 2
    assert carets.index("^") == column
    if place and not place.startswith(("and ", "= ")):
        assert carets.count("^") == len(place)


def test_a_long_filter_is_cut_around_the_place():
    with pytest.raises(BadRequest) as caught:
        read(" or ".join(["sport = 22"] * 1000) + " or sprot = 22 or sport = 22" * 100)
    _, shown, carets = str(caught.value).splitlines()
    assert len(shown) <= 102
    assert shown[carets.index("^") :].startswith("sprot")


def test_control_characters_do_not_reach_the_terminal():
    with pytest.raises(BadRequest) as caught:
        read("proc = a\x1b[31m\nsprot = 1")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_depth_is_bounded():
    assert read("(" * MAX_DEPTH + "sport=1" + ")" * MAX_DEPTH) == A
    with pytest.raises(BadRequest, match="nest deeper"):
        read("(" * 100_000)
    assert read("!" * 100_001 + "sport=1") == Not(A)
    assert len(read("sport=1 or " * 5000 + "sport=1").parts) == 5001


def test_resolver_errors_become_filter_errors():
    def near(name):
        raise BadRequest("look up", "service", next_step="did you mean 'https'?")

    with pytest.raises(BadRequest, match="did you mean 'https'"):
        parse("port httsp", near)
    with pytest.raises(BadRequest, match="no service named 'x'"):
        parse("port x", {}.__getitem__)


def test_the_registry_answers_by_default():
    assert parse("sport = https") == sport(443)
    assert parse("service ssh*") == parse("service SSH*")
    with pytest.raises(BadRequest, match="did you mean 'https'"):
        parse("port = htpps")
