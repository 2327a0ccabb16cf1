"""What sock_diag promises, held by the running kernel and by the fake one alike: who uses the fake can rely on it."""

from __future__ import annotations

import pytest
from tests.contract.kernels import SOCKETS, UNIX, V4, Fake, Live, asked, names, unix_sockets
from tests.support import require

from portside.errors import NotPermitted, NotSupported
from portside.system.netlink import Netlink
from portside.system.sockets import FAMILIES, PROTOCOLS, Reader, Request
from portside.testing.fakekernel import _PROTOCOLS, _STATES
from portside.testing.namespaces import Namespace
from portside.wire import bytecode, inet_diag, sock_diag, tcp_states
from portside.wire.bytecode import AllOf, AnyOf, NotOf, assemble, host, port

TCP = inet_diag.IPPROTO_TCP
CONNECTED_OR_LISTENING = tcp_states.ALL & ~(1 << tcp_states.BOUND_INACTIVE)


@pytest.fixture(scope="module")
def live():
    space = Namespace()
    try:
        space.__enter__()
    except NotPermitted as error:
        require(False, str(error))
    kernel = Live(space)
    yield kernel
    kernel.close()
    space.close()


@pytest.fixture(params=[pytest.param("live", marks=pytest.mark.live), "fake"])
def kernel(request):
    return Fake() if request.param == "fake" else request.getfixturevalue("live")


def chosen(test) -> list[str]:
    """Which sockets a test of the description accepts."""
    return sorted(name for name, one in SOCKETS.items() if test(one))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol", ["tcp", "udp", "udplite"])
def test_family_and_protocol_select(kernel, family, protocol):
    assert kernel.ask(asked(_PROTOCOLS[protocol], family)) == chosen(
        lambda one: one.protocol == protocol and one.family == family
    )


@pytest.mark.parametrize("state", sorted({one.state for one in SOCKETS.values() if one.protocol == "tcp"}))
def test_the_state_mask_selects(kernel, state):
    assert kernel.ask(asked(TCP, V4, 1 << _STATES[state])) == chosen(
        lambda one: one.protocol == "tcp" and one.family == V4 and one.state == state
    )


def test_no_state_or_one_that_none_is_in(kernel):
    assert kernel.ask(asked(TCP, V4, 0)) == []
    assert kernel.ask(asked(TCP, V4, 1 << tcp_states.SYN_SENT)) == []


def test_bound_sockets_are_asked_for_with_a_bit_of_their_own_and_answer_close(kernel):
    """Told apart from SOCKETS by their state alone, which `names` compares."""
    assert kernel.ask(asked(TCP, V4, 1 << tcp_states.CLOSE)) == []
    assert kernel.ask(asked(TCP, V4, 1 << tcp_states.BOUND_INACTIVE)) == ["bound"]


@pytest.mark.parametrize("sport", [0, 7001, 7004, 7101, 9])
@pytest.mark.parametrize("dport", [0, 7001, 7101, 9])
def test_ports_in_the_request_select(kernel, sport, dport):
    assert kernel.ask(asked(TCP, V4, CONNECTED_OR_LISTENING, sport=sport, dport=dport)) == chosen(
        lambda one: (
            one.protocol == "tcp"
            and one.family == V4
            and one.state != "bound-inactive"
            and sport in (0, one.local[1])
            and dport in (0, one.remote[1])
        )
    )


def test_ports_in_the_request_do_not_select_bound_sockets(kernel):
    assert kernel.ask(asked(TCP, V4, 1 << tcp_states.BOUND_INACTIVE, sport=9, dport=9)) == ["bound"]


S_EQ, D_EQ, S_GE, S_LE = (
    getattr(bytecode, f"INET_DIAG_BC_{name}") for name in ("S_EQ", "D_EQ", "S_GE", "S_LE")
)
SRC = bytecode.INET_DIAG_BC_S_COND
PROGRAMS = {
    "sport = 7001": (port(S_EQ, 7001), ["accepted", "closed by peer", "listener"]),
    "not sport = 7001": (NotOf(port(S_EQ, 7001)), ["bound", "client", "closing"]),
    "dport = 7001 or sport = 7004": (
        AnyOf((port(D_EQ, 7001), port(S_EQ, 7004))),
        ["bound", "client", "closing"],
    ),
    "7002 <= sport <= 7101": (AllOf((port(S_GE, 7002), port(S_LE, 7101))), ["bound", "client"]),
    "src 127/8": (
        host(SRC, V4, b"\x7f\0\0\1", 8),
        ["accepted", "bound", "client", "closed by peer", "closing", "listener"],
    ),
    "src 10/8": (host(SRC, V4, b"\x0a\0\0\0", 8), []),
    "nothing": (AnyOf(()), []),
}


@pytest.mark.parametrize("text", PROGRAMS)
def test_bytecode_selects(kernel, text):
    condition, wanted = PROGRAMS[text]
    assert kernel.ask(asked(TCP, V4, bytecode=assemble(condition))) == wanted


@pytest.mark.parametrize("program", [b"\1\2\3\4", b"\0\4\4\0\0", b"\xff\4\4\0"])
def test_malformed_bytecode_is_refused(kernel, program):
    with pytest.raises(NotSupported):
        kernel.ask(asked(TCP, V4, bytecode=program))


@pytest.mark.parametrize("protocol", [200, 33, 1000])
def test_a_protocol_that_there_is_not_is_not_supported(kernel, protocol):
    with pytest.raises(NotSupported) as caught:
        kernel.ask(asked(protocol, V4))
    assert caught.value.errno == 2


def test_a_family_that_there_is_not_is_not_supported(kernel):
    def question(host):
        with Netlink(opener=host.netlink) as link:
            return link.dump(sock_diag.dump_request(bytes([99]) + bytes(55)), "family 99")

    with pytest.raises(NotSupported):
        kernel.ask(question)


def test_unix_sockets(kernel):
    assert kernel.ask(unix_sockets) == sorted(
        (one.type, one.state, one.name, (0, one.limit), one.uid) for one in UNIX
    )


def test_identities(kernel):
    """Cookies are told, are not 0 and differ; whoever holds a socket finds its inode."""

    def question(host):
        with Netlink(opener=host.netlink) as link:
            return list(inet_diag.rows(link.dump(inet_diag.request(V4, TCP, tcp_states.ALL), "test")))

    rows = kernel.ask(question)
    assert len({row[9] for row in rows} - {0}) == len(rows) == 6
    assert all(row[14] for row in rows)


def test_the_reader_finds_raw_sockets(kernel):
    """By raw_diag, which is an option of the kernel's build, or from text."""

    def question(host):
        with Reader(host) as reader:
            return names(reader.inet(V4, PROTOCOLS["raw"], Request()).rows())

    assert kernel.ask(question) == ["raw"]


def by_reader(both: bool):
    """The question which TCP sockets the reader gives: by one request where the kernel takes it, or by two."""

    def question(host):
        rows = []
        with Reader(host) as reader:
            dump = reader.tcp_of_both(Request()) if both else None
            if dump is not None:
                return names(dump.rows())
            for family in FAMILIES:
                rows += reader.inet(family, PROTOCOLS["tcp"], Request()).rows()
        return names(rows)

    return question


def test_the_reader_gives_the_same_by_one_request_as_by_two(kernel):
    """The running kernel takes one for both families; the fake one refuses, and the reader falls back."""
    assert kernel.ask(by_reader(both=True)) == kernel.ask(by_reader(both=False))
    assert kernel.ask(by_reader(both=True)) == chosen(lambda one: one.protocol == "tcp")
