"""What every test of the language selects, on records as `see` makes them."""

import pytest

from portside.see import records
from portside.see.filter import matches, parse, predicate, states
from portside.see.records import Container, Endpoint, Owner, Process, Socket


def tcp(local="10.0.0.1", sport=22, remote="0.0.0.0", dport=0, state="listen", family="inet", **more):
    return Socket(family, "stream", "tcp", state, Endpoint(local, sport), Endpoint(remote, dport), **more)


def held(*processes, **more):
    owners = tuple(Owner(process.pid, 3, process) for process in processes)
    return tcp(owners=owners, **more)


NGINX = Process(
    100, "nginx", uid=33, user="www-data", exe="/usr/sbin/nginx", unit="nginx.service",
    container=Container("docker", "0123456789abcdef", "web"),
)  # fmt: skip
MASTER = Process(99, "nginx", uid=0, user="root", exe="/usr/sbin/nginx (deleted)", unit="nginx.service")
ODD = Process(7, "a) b\n", uid=1000, user="me too")
LONG = Process(8, "systemd-resolve", uid=101, user="systemd-resolve")
UNIX = Socket("unix", "stream", "unix", "listen", Endpoint("/run/a b.sock"), Endpoint("inode 5"))
ABSTRACT = Socket("unix", "dgram", "unix", "unconnected", Endpoint("@name"), Endpoint(""))
PACKET = Socket("packet", "raw", "packet", "unconnected", Endpoint("*", 0, "", "eth0"), Endpoint(""))
NETLINK = Socket("netlink", "raw", "netlink", "unconnected", Endpoint("route", 1234), Endpoint("", 0))
VSOCK = Socket("vsock", "stream", "vsock", "listen", Endpoint("2", 70000), Endpoint("*", 0))


def yes(text, socket, **how):
    assert predicate(parse(text), **how)(socket), text
    assert not predicate(parse(f"not ({text})"), **how)(socket), text


def no(text, socket, **how):
    assert not predicate(parse(text), **how)(socket), text
    assert predicate(parse(f"not ({text})"), **how)(socket), text


def test_ports():
    connection = tcp(sport=40000, dport=443, remote="192.0.2.1", state="established")
    yes("sport = 40000", connection)
    yes("dport = 443", connection)
    yes("port = 443", connection)
    yes("port = 40000", connection)
    yes("port = 1-10,443,500-600", connection)
    yes("sport > 1024 and dport < 1024", connection)
    yes("port = 1-5000,6000-50000,60000-", connection)
    no("port = 1-10,444,500-600", connection)
    no("dport = 40000", connection)
    no("sport < 0", connection)
    no("port = 444-39999,40001-50000,60000-", connection)


@pytest.mark.parametrize("socket", [UNIX, ABSTRACT, PACKET, NETLINK])
def test_what_has_no_ports_matches_no_port(socket):
    for text in ("sport = 0", "port = 0-65535", "dport < 10", "sport = 1234", "src *:0", "src *:1234"):
        no(text, socket)
    no("src 0/0", socket)
    no("src inet:*", socket)
    no("autobound", socket)
    yes("sport != 22", socket)
    yes("src *", socket)


def test_vsock_ports_have_32_bits():
    yes("sport > 1024", VSOCK)
    yes("sport = 60000-", VSOCK)
    yes("src vsock:2:70000", VSOCK)
    yes("src vsock:*", VSOCK)
    no("src vsock:3:70000", VSOCK)


def test_hosts():
    yes("src 10/8", tcp())
    yes("src 10.0.0.1:22", tcp())
    yes("src 10.0.0.1:20-30", tcp())
    yes("src inet:*:22", tcp())
    yes("src 192.0.2.1,10.0.0.1", tcp())
    yes("dst 0.0.0.0", tcp())
    yes("dst 0/0", tcp(remote=""))
    no("src 10.0.0.1:23", tcp())
    no("src 11/8", tcp())
    no("src ::/0", tcp())
    no("src inet6:*", tcp())
    six = tcp("fe80::1", family="inet6", remote="::")
    yes("src fe80::/10", six)
    yes("src [fe80::1]:22", six)
    yes("dst ::", six)
    no("src 0/0", six)
    no("src fe80::2", six)
    no("dst 0/0", tcp("::", remote="", family="inet6"))


def test_an_ipv4_prefix_holds_mapped_addresses_but_not_the_reverse():
    mapped = tcp("::ffff:10.0.0.1", family="inet6")
    yes("src 10/8", mapped)
    yes("src 0/0", mapped)
    yes("src inet:*", mapped)
    yes("src inet6:*", mapped)
    yes("src ::ffff:0:0/96", mapped)
    no("src ::ffff:0:0/96", tcp())


def test_hosts_with_devices():
    bound = Socket(
        "inet6", "dgram", "udp", "unconnected", Endpoint("fe80::1", 5, "link", "eth0"), Endpoint("fe80::2", 9)
    )
    yes("src [fe80::1]%eth0:5", bound)
    yes("dst fe80::2%eth0", bound)
    no("src [fe80::1]%eth1:5", bound)
    yes("dev eth0", bound)
    yes("dev eth*,lo", bound)
    no("dev lo", bound)
    yes("dev = 3", bound, device_index={"eth0": 3}.get)
    no("dev = 4", bound, device_index={"eth0": 3}.get)
    no("dev = 3", bound)
    no("dev = 3", tcp(), device_index=lambda name: 3)


def test_other_families_by_address():
    yes("src /run/a*", UNIX)
    yes("src 'unix:/run/a b.sock'", UNIX)
    yes("src unix:*", UNIX)
    yes("src @name", ABSTRACT)
    no("src @NAME", ABSTRACT)
    no("src unix:*", PACKET)
    yes("src link:*", PACKET)
    yes("src packet:*:eth0", PACKET)
    no("src link:*:lo", PACKET)
    yes("src netlink:route:1234", NETLINK)
    yes("src netlink:ro*", NETLINK)
    yes("dst netlink:*:kernel", NETLINK)
    no("src netlink:route:kernel", NETLINK)


@pytest.mark.parametrize("number", sorted(set(states.NUMBERS.values())))
def test_every_state_selects_its_own(number):
    for name in (name for name, each in states.NUMBERS.items() if each == number):
        for word, other in states.NUMBERS.items():
            expected = yes if other == number else no
            expected(f"state {word}", tcp(state=name))


def test_state_sets():
    for state in ("established", "syn-recv", "time-wait"):
        yes("state connected", tcp(state=state))
    for state in ("listen", "unconnected", "close", "bound-inactive"):
        no("state connected", tcp(state=state))
    no("state synchronized", tcp(state="syn-sent"))
    yes("state bucket", tcp(state="time-wait"))
    yes("state big", tcp(state="listen"))


def test_a_state_without_a_name_is_only_in_the_open_sets():
    new = tcp(state="state-14")
    yes("state all", new)
    yes("state big", new)
    yes("exclude listen", new)
    no("state connected", new)
    no("state listen", new)


def test_proc_and_pid():
    shared = held(MASTER, NGINX)
    yes("proc nginx", shared)
    yes("proc = ng*", shared)
    yes("proc n?inx", shared)
    yes("pid 99", shared)
    yes("pid 100", shared)
    yes("pid = 50-99", shared)
    no("pid = 1", shared)
    no("proc Nginx", shared)
    no("proc nginx", tcp())
    no("pid > 0", tcp())
    yes("proc 'a) b*'", held(ODD))
    yes("proc systemd-resolved", held(LONG))
    no("proc systemd-resolv,systemd-resolve-", tcp())
    no("proc systemd-resolved-x", held(LONG.replace(exe="/lib/systemd/systemd-resolved")))
    yes("proc real", held(Process(1, "python3", exe="/opt/real")))
    no("proc \\*", shared)
    yes("proc \\*", held(Process(1, "*")))
    yes("proc ''", held(Process(1, "")))


def test_user():
    shared = held(MASTER, NGINX, uid=0, user="root")
    yes("user root", shared)
    yes("user www-data", shared)
    yes("user 33", shared)
    yes("user www*", shared)
    no("user me", shared)
    no("user root", held(NGINX, uid=0, user="root"))
    yes("user 1000", tcp(uid=1000, user="me", owner_gap=records.PERMISSION))
    yes("user me", tcp(uid=1000, user="me"))
    yes("user 'me too'", held(ODD))
    yes("user root", held(Process(5, "hidden"), uid=0, user="root"))


@pytest.mark.parametrize(
    "socket",
    [
        tcp(uid=0, user="root", state="time-wait"),
        tcp(uid=0, user="root", state="syn-recv"),
        tcp(uid=0, user="root", state="established", owner_gap=records.ACCEPT_QUEUE),
        tcp(uid=0, user="root", state="last-ack", owner_gap=records.ORPHAN),
        tcp(),
    ],
)
def test_a_uid_that_means_nobody_is_no_user(socket):
    no("user root", socket)
    no("user 0", socket)


def test_unit():
    yes("unit nginx", held(NGINX))
    yes("unit nginx.service", held(NGINX))
    yes("unit *.service", held(NGINX))
    no("unit nginx.socket", held(NGINX))
    yes("unit ssh.socket", tcp(unit="ssh.socket"))
    no("unit ssh", tcp(unit="ssh.socket"))
    no("unit init.scope", held(NGINX, unit="init.scope"))
    yes("unit ''", tcp())


def test_container():
    yes("container web", held(MASTER, NGINX))
    yes("container 0123", held(NGINX))
    yes("container 0123456789abcdef", held(NGINX))
    yes("container *", held(NGINX))
    no("container 012", held(NGINX))
    no("container *", held(MASTER))
    pod = Container("containerd", "feed", pod="9f86d081-884c")
    yes("container 9f86d081", tcp(container=pod))
    yes("container FEED", tcp(container=pod))


def test_cgroup_and_netns():
    in_group = tcp(cgroup="/system.slice/ssh.service", netns="web")
    yes("cgroup /system.slice/ssh.service", in_group)
    yes("cgroup system.slice/ssh.service/", in_group)
    yes("cgroup /system.slice/*", in_group)
    no("cgroup /system.slice", in_group)
    no("cgroup *", tcp())
    yes("netns web", in_group)
    yes("netns w*", in_group)
    no("netns db", in_group)


def test_scope_reach_and_gap():
    loopback = Socket("inet", "stream", "tcp", "listen", Endpoint("127.0.0.1", 1, "loopback"), Endpoint(""))
    anywhere = Socket("inet", "stream", "tcp", "listen", Endpoint("0.0.0.0", 1, "any"), Endpoint(""))
    yes("scope loopback", loopback)
    yes("scope any,public", anywhere)
    no("scope any", loopback)
    yes("reach nobody", loopback)
    yes("reach anyone", anywhere)
    yes("reach unknown", UNIX)
    yes("reach depends", loopback, reach_of=lambda socket: "depends")
    yes("gap none", loopback)
    yes("gap permission,kernel", tcp(owner_gap=records.PERMISSION))
    yes("gap any", tcp(owner_gap=records.KERNEL))
    no("gap any", loopback)
    yes("gap any,none", loopback)


def test_marks():
    marked = tcp(attributes=(("shutdown", 0), ("mark", 0x1F)))
    yes("fwmark 0x1f", marked)
    yes("fwmark 0xf/0x0f", marked)
    no("fwmark 0xf", marked)
    no("fwmark 0", tcp())


def test_autobound_is_guessed_from_the_ephemeral_range():
    yes("autobound", tcp(sport=40000))
    no("autobound", tcp(sport=22))
    from portside.ports.number import Range

    yes("autobound", tcp(sport=22), ephemeral=Range(10, 30))


def test_matches_is_predicate_on_one():
    assert matches(parse(""), UNIX)
    assert matches(parse("state listen and not proc x"), UNIX)


def test_a_hostile_pattern_takes_linear_time():
    name = "a" * 5000
    no("proc " + "*a" * 40 + "b*", held(Process(1, name)))
