"""Properties of the filter language: every text is answered, printing loses nothing, the kernel's part is sound."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.errors import BadRequest
from portside.ports.address import format_address, parse_address
from portside.see.filter import parse, plan, predicate, syntax
from portside.see.filter.parser import CHOICES, NAMES, TEXT_NAMES
from portside.see.filter.states import NUMBERS, WORDS
from portside.see.filter.syntax import OPERATORS
from portside.see.records import Endpoint, Owner, Process, Socket
from portside.wire import bytecode, tcp_states

SERVICES = {"smtp": (25,), "web": (80, 8080)}


def read(text):
    return parse(text, lambda name: SERVICES.get(name, ()))


PIECES = (*NAMES, *WORDS, *OPERATORS, "and", "or", "not", "(", ")", "!", "|", "&", ",", "'", '"', "\\", ":", "[", "]",
          "*", "22", "80-90", "web", "::1", "10/8", "inet:", "unix:", "x", " ")  # fmt: skip
anything = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
)


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_text_is_a_filter_or_our_error(text):
    try:
        expression = read(text)
    except BadRequest as error:
        said = str(error)
        expression = None
    if expression is None:
        assert len(said.splitlines()) == 3
        return
    assert read(str(expression)) == expression
    assert str(read(str(expression))) == str(expression)
    plan(expression).describe()


# Few values, so that random filters and random sockets meet.
PORTS = (0, 1, 22, 25, 80, 443, 8080, 65535)
HOSTS = (
    "0.0.0.0",
    "127.0.0.1",
    "10.0.0.1",
    "10.1.0.1",
    "::",
    "::1",
    "fe80::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
)
PREFIXES = ("*", "0/0", "10/8", "10.0.0.1", "127.0.0.0/7", "::/0", "::1", "fe80::/10", "::ffff:0:0/96")
PREFIXES += ("inet:*", "inet6:*")
STATES = tuple(word for word in tcp_states.NAMES if word)

ports = st.lists(st.sampled_from(PORTS), min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
port_values = st.one_of(
    ports,
    st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda pair: "{}-{}".format(*sorted(pair))),
)
sides = st.sampled_from(("sport", "dport", "port"))
comparisons = st.sampled_from(("<", "<=", ">", ">="))
pushable = st.one_of(
    st.tuples(sides, st.sampled_from(("=", "!=")), port_values).map(" ".join),
    st.tuples(sides, comparisons, st.sampled_from(PORTS).map(str)).map(" ".join),
    st.tuples(st.sampled_from(("src", "dst")), st.sampled_from(("=", "!=")), st.sampled_from(PREFIXES)).map(
        " ".join
    ),
    st.tuples(st.sampled_from(("src", "dst")), st.sampled_from(("10.0.0.1", "[::1]", "*")), ports).map(
        lambda parts: f"{parts[0]} {parts[1]}:{parts[2].split(',')[0]}"
    ),
    st.tuples(st.sampled_from(("state", "exclude")), st.sampled_from(WORDS)).map(" ".join),
)
other = st.one_of(
    st.tuples(st.sampled_from(tuple(TEXT_NAMES)), st.sampled_from(("root", "web", "1*", "''", "'a b'"))).map(
        " ".join
    ),
    st.sampled_from(tuple(CHOICES)).flatmap(
        lambda name: st.sampled_from(CHOICES[name]).map(lambda word: f"{name} = {word}")
    ),
    st.sampled_from(("pid 1", "pid > 5", "fwmark 1", "src unix:*", "src /run/*", "dst netlink:*")),
)


def combined(tests):
    return st.recursive(
        tests,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: "({}) and ({})".format(*pair)),
            st.tuples(inner, inner).map(lambda pair: "({}) or ({})".format(*pair)),
            inner.map("not ({})".format),
        ),
        max_leaves=8,
    )


processes = st.builds(
    Process, pid=st.integers(0, 10), name=st.sampled_from(("web", "root", "a b", "")),
    uid=st.sampled_from((None, 0, 1)), user=st.sampled_from(("", "root")), unit=st.sampled_from(("", "web.service")),
)  # fmt: skip


@st.composite
def sockets(draw):
    family = draw(st.sampled_from(("inet", "inet6")))
    hosts = [host for host in HOSTS if (":" in host) == (family == "inet6")]
    ends = [
        Endpoint(
            draw(st.sampled_from(hosts)), draw(st.sampled_from(PORTS)), draw(st.sampled_from(("any", "link")))
        )
        for _ in range(2)
    ]
    protocol = draw(st.sampled_from(("tcp", "udp")))
    state = draw(st.sampled_from(STATES if protocol == "tcp" else ("established", "unconnected")))
    if state == "listen":
        ends[1] = ends[1].replace(port=0)
    owners = tuple(Owner(process.pid, 3, process) for process in draw(st.lists(processes, max_size=2)))
    return Socket(
        family, "stream", protocol, state, *ends, uid=draw(st.sampled_from((None, 0, 1))), owners=owners, cookie=1,
        netns=draw(st.sampled_from(("", "web"))), cgroup=draw(st.sampled_from(("", "/web"))),
        attributes=draw(st.sampled_from(((), (("mark", 1),)))),
    )  # fmt: skip


def told_by_the_kernel(socket, part):
    """What a dump with this request would do with the socket (net/ipv4/inet_diag.c, udp_diag.c)."""
    bound = socket.state == "bound-inactive"
    number = tcp_states.BOUND_INACTIVE if bound else NUMBERS[socket.state]
    if not part.states >> number & 1:
        return False
    if not bound and (part.sport not in (0, socket.local.port) or part.dport not in (0, socket.remote.port)):
        return False
    if socket.state == "listen" and part.dport:
        return False
    entry = bytecode.Entry(
        bytecode.AF_INET if socket.family == "inet" else bytecode.AF_INET6,
        parse_address(socket.local.address),
        parse_address(socket.remote.address),
        socket.local.port,
        socket.remote.port,
        mark=dict(socket.attributes).get("mark", 0),
    )
    assert part.bytecode is None or bytecode.audit(part.bytecode) == 0
    return bytecode.run(part.bytecode or b"", entry)


@settings(max_examples=200, deadline=None)
@given(combined(pushable), st.lists(sockets(), min_size=1, max_size=8))
def test_the_kernel_and_python_agree(text, found):
    expression = read(text)
    keep, asking = predicate(expression), plan(expression)
    for socket in found:
        part = asking.request(socket.family, socket.protocol)
        told = part is not None and told_by_the_kernel(socket, part)
        if keep(socket):
            assert told
        elif part is not None and part.exact:
            assert not told


@settings(max_examples=150, deadline=None)
@given(combined(st.one_of(pushable, other)), st.lists(sockets(), min_size=1, max_size=8), st.booleans())
def test_the_kernel_never_drops_a_match(text, found, marks):
    expression = read(text)
    keep, asking = predicate(expression), plan(expression, marks=marks)
    for socket in filter(keep, found):
        assert asking.wants(socket.family, socket.protocol, netns=socket.netns)
        assert told_by_the_kernel(socket, asking.request(socket.family, socket.protocol))


@settings(max_examples=200, deadline=None)
@given(combined(st.one_of(pushable, other)))
def test_printing_loses_nothing(text):
    expression = read(text)
    assert read(str(expression)) == expression


glyphs = st.text(st.sampled_from("ab*?\\ '\"," + string.punctuation), max_size=8)


@settings(max_examples=150, deadline=None)
@given(glyphs, glyphs)
def test_quoting_keeps_any_value(value, text):
    quoted = "".join("\\" + each if each in '\\"*?' else each for each in value)
    expression = read(f'proc "{quoted}"')
    assert read(str(expression)) == expression
    keep = predicate(expression)
    assert keep(
        Socket("unix", "", "", "", Endpoint(""), Endpoint(""), owners=(Owner(1, 1, Process(1, value)),))
    )
    other_name = Socket(
        "unix", "", "", "", Endpoint(""), Endpoint(""), owners=(Owner(1, 1, Process(1, text)),)
    )
    assert keep(other_name) == (value == text)


raw_addresses = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
port_numbers = st.integers(0, 65535)


@settings(max_examples=150, deadline=None)
@given(raw_addresses, st.data())
def test_prefixes_agree_with_the_kernel(raw, data):
    bits = data.draw(st.integers(0, 8 * len(raw)))
    other_raw = data.draw(st.one_of(raw_addresses, st.just(raw), st.just(bytes(10) + b"\xff\xff" + raw[:4])))
    family = "inet" if len(other_raw) == 4 else "inet6"
    expression = syntax.Host("src", read(f"src {format_address(raw)}/{bits}").patterns)
    socket = Socket(
        family, "dgram", "udp", "unconnected", Endpoint(format_address(other_raw), 1), Endpoint("")
    )
    part = plan(expression).request(family, "udp")
    socket = socket.replace(remote=Endpoint("0.0.0.0" if family == "inet" else "::"))
    assert predicate(expression)(socket) == (part is not None and told_by_the_kernel(socket, part))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_audited_and_what_passes_runs(program):
    assert bytecode.audit(program) in (0, bytecode.EINVAL)
    if bytecode.audit(program) == 0:
        bytecode.run(program, bytecode.Entry(bytecode.AF_INET, bytes(4), bytes(4)))
    list(bytecode.listing(program))
