"""What of a filter is asked of the kernel, and what is known before anything is read."""

import pytest

from portside.see.filter import parse, plan, states
from portside.see.records import Endpoint, Owner, Process, Socket
from portside.wire import bytecode, tcp_states

LISTEN = 1 << tcp_states.LISTEN
BOUND = 1 << tcp_states.BOUND_INACTIVE
CLOSE = 1 << tcp_states.CLOSE
ESTABLISHED = 1 << tcp_states.ESTABLISHED


def ask(text, family="inet", protocol="tcp", states=tcp_states.ALL, **how):
    return plan(parse(text), **how).request(family, protocol, states)


def test_without_a_filter_everything_is_asked_for():
    part = ask("", states=LISTEN)
    assert (part.states, part.sport, part.dport, part.bytecode, part.exact) == (LISTEN, 0, 0, None, True)


def test_states_become_the_mask():
    assert ask("state listen").states == LISTEN
    assert ask("state listen or state established").states == LISTEN | ESTABLISHED
    assert ask("state listen and sport = 1 or state established and dport = 2").states == LISTEN | ESTABLISHED
    assert ask("exclude listen", states=LISTEN | ESTABLISHED).states == ESTABLISHED
    assert ask("state bound-inactive").states == BOUND
    assert ask("state bound-inactive", protocol="mptcp").states == BOUND | CLOSE
    recv = 1 << tcp_states.SYN_RECV | 1 << tcp_states.NEW_SYN_RECV
    assert ask("state syn-recv").states == recv
    assert ask("state listen").exact


def test_one_port_goes_into_the_header():
    part = ask("sport = 22", states=LISTEN)
    assert (part.sport, part.bytecode, part.exact) == (22, None, True)
    part = ask("dport = 22", states=ESTABLISHED)
    assert (part.dport, part.bytecode, part.exact) == (22, None, True)
    assert ask("src 10.0.0.1:22 or sport = 22 and state listen").sport == 22
    assert ask("sport = 20-30 and sport = 10-20", states=LISTEN).sport == 20
    assert ask("sport = 22 and proc x", states=LISTEN).sport == 22
    assert ask("port = 22").sport == 0
    assert ask("sport = 0", states=LISTEN).sport == 0


def test_bound_inactive_sockets_need_the_port_as_bytecode_too():
    part = ask("sport = 22", states=LISTEN | BOUND)
    assert part.sport == 22
    assert bytecode.audit(part.bytecode) == 0
    assert part.exact


@pytest.mark.parametrize(
    "text",
    [
        "sport = 22 and sport = 23",
        "sport = 22 and not port = 22",
        "sport < 0",
        "sport > 65535",
        "state listen and dport = 80",
        "state listen and state established",
        "exclude all",
        "src unix:*",
        "src inet6:*",
        "src ::1 or dst [::]:80",
        "state listen and exclude listen or sport = 1 and sport != 1",
    ],
)
def test_what_cannot_match_is_not_asked(text):
    assert ask(text) is None


def test_families_and_protocols():
    wanted = {
        "sport = 22": {"inet", "inet6", "vsock"},
        "src unix:*": {"unix"},
        "src /run/x or src link:*": {"unix", "packet"},
        "src 10/8": {"inet", "inet6"},
        "src ::1": {"inet6"},
        "autobound": {"inet", "inet6"},
        "proc x": {"inet", "inet6", "unix", "packet", "netlink", "vsock"},
        "not sport = 22": {"inet", "inet6", "unix", "packet", "netlink", "vsock"},
        "exclude all": set(),
    }
    for text, families in wanted.items():
        known = plan(parse(text))
        assert {
            f for f in ("inet", "inet6", "unix", "packet", "netlink", "vsock") if known.wants(f)
        } == families
    assert not plan(parse("state listen")).wants("inet", "udp")
    assert plan(parse("state listen")).wants("inet", "tcp")
    assert not plan(parse("netns web and sport = 1")).wants("inet", netns="db")
    assert plan(parse("netns w*")).wants("inet", netns="web")


@pytest.mark.parametrize("protocol", ["raw", "sctp", "icmp"])
def test_protocols_that_count_otherwise_are_asked_in_full(protocol):
    part = ask("state listen and sport = 22 and src 10/8", protocol=protocol)
    assert (part.states, part.sport, part.bytecode, part.exact) == (tcp_states.ALL, 0, None, False)


def test_udp_knows_two_states():
    assert ask("state unconnected", protocol="udp").states == CLOSE
    assert ask("state listen", protocol="udp") is None


def test_autobound_is_left_to_the_kernel_where_it_can_decide():
    both = plan(parse("autobound and proc = x"))
    assert str(both.residual) == "proc = x"
    assert ask("autobound and proc x").bytecode == bytecode.assemble(bytecode.AUTOBOUND)
    process = Process(1, "x")
    socket = Socket(
        "inet",
        "stream",
        "tcp",
        "listen",
        Endpoint("", 22),
        Endpoint(""),
        cookie=5,
        owners=(Owner(1, 1, process),),
    )
    assert both.predicate()(socket)
    assert not both.predicate()(socket.replace(cookie=0))
    assert both.predicate()(socket.replace(cookie=0, local=Endpoint("", 40000)))
    mixed = plan(parse("autobound or proc = x"))
    assert mixed.residual == mixed.expression
    assert plan(parse("not autobound")).residual == parse("")


def test_devices_marks_and_cgroups_need_the_callers_word():
    assert ask("dev eth0").bytecode is None
    assert ask("dev eth0", device_index={"eth0": 3}.get).bytecode == bytecode.assemble(bytecode.device(3))
    assert ask("dev != eth0", device_index=lambda name: 3).exact
    assert ask("dev gone", device_index=lambda name: 0).bytecode is None
    assert ask("dev eth*", device_index=lambda name: 3).bytecode is None
    assert ask("src 10.0.0.1%eth0").bytecode == ask("src 10.0.0.1").bytecode
    assert ask("src 10.0.0.1%eth0", device_index=lambda name: 3).exact
    assert ask("fwmark 1").bytecode is None
    assert ask("fwmark 1", marks=True).bytecode == bytecode.assemble(bytecode.mark(1, 0xFFFFFFFF))
    assert ask("fwmark != 1", marks=True).bytecode is None
    assert ask("cgroup a/b", cgroup_id={"/a/b": 9}.get).bytecode == bytecode.assemble(bytecode.cgroup(9))
    assert ask("cgroup a/*", cgroup_id=lambda path: 9).bytecode is None


def test_a_list_too_long_for_the_kernel_is_checked_here():
    ports = ",".join(str(port) for port in range(1, 6000, 2))
    part = ask(f"sport = {ports} and dport = 5-9", states=ESTABLISHED)
    assert part.bytecode == ask("dport = 5-9", states=ESTABLISHED).bytecode
    assert not part.exact
    longest = ask("sport = " + ",".join(str(port) for port in range(1, 2700, 2)), states=LISTEN)
    assert bytecode.audit(longest.bytecode) == 0


def test_describe():
    assert plan(parse("sport = 8000-8100 and user www-data and state listen")).describe() == [
        "kernel: sport = 8000-8100, state listen",
        "here: user = www-data",
        "not read, nothing there can match: unix, packet, netlink",
    ]
    assert plan(parse("(sport = 1 and pid 2) or dport = 3")).describe()[0] == (
        "kernel in part, rest here: sport = 1 and pid = 2 or dport = 3"
    )
    assert plan(parse("")).describe() == []
    assert states.ALL
