"""The netstat face against netstat in a namespace with many links and routes: -r, -i, -g, the same bytes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

import pytest
from tests.live.test_face_netstat import NETSTAT
from tests.support import require

from portside.errors import NotSupported
from portside.testing import Namespace

LINKS = (
    "link add left type veth peer name right", "link set left up", "link set right up",
    "address add 192.0.2.1/24 broadcast 192.0.2.255 dev left", "address add 192.0.2.7/24 dev left",
    "address add 198.51.100.9/25 broadcast + dev left label left:1",
    "address add 198.51.100.130/25 dev left label left:12", "address add 10.9.0.1/16 dev left label left:backup",
    "address add 2001:db8::1/64 dev left nodad", "address add fec0::1/64 dev left nodad",
    "link add pair10 type veth peer name pair9", "link set pair9 up", "link set pair9 multicast off",
    "link set pair9 promisc on allmulticast on arp off", "link set pair9 address 02:00:00:00:00:aa",
    "link add averylongname15 type veth peer name x", "link set averylongname15 up",
    "link set averylongname15 mtu 9000",
    "tuntap add tun7 mode tun", "tuntap add tap7 mode tap", "link set tun7 up",
    "address add 10.1.1.1 peer 10.1.1.2 dev tun7",
    "route add default via 192.0.2.254", "route add 203.0.113.0/24 via 192.0.2.253 metric 5 mtu 1300 window 4000",
    "route add 203.0.113.77/32 via 192.0.2.253 rtt 300", "route add unreachable 100.64.0.0/10 metric 3",
    "route add prohibit 100.64.1.1/32", "route add 169.254.0.0/16 dev averylongname15",
    "route add 127.0.0.0/8 dev lo", "route add blackhole 100.65.0.0/16",
    "route add 2001:db8:1::/48 via 2001:db8::2 metric 7", "route add unreachable 2001:db8:2::/48",
    "route add default via 2001:db8::fe", "route add 2001:db8:3::3/128 dev left expires 600",
)  # fmt: skip
# kinds of link that a kernel may not have, each with its own sort of address
TUNNELS = (
    "link add gre7 type gre local 192.0.2.1 remote 192.0.2.2 key 1",
    "link add sit7 type sit local 192.0.2.1 remote any",
    "link add ipip7 type ipip local 192.0.2.1 remote 192.0.2.2", "link add vcan7 type vcan",
    "link add wg7 type wireguard", "link add ip67 type ip6tnl remote ::1", "link add bond7 type bond",
    "link add nlmon7 type nlmon", "link add bridge7 type bridge", "link add vx7 type vxlan id 3 dstport 4789",
    "link add dummy7 type dummy",
)  # fmt: skip
ROUTERS = """
-r
-rn
-re
-ree
-rne
-rnee
-r6
-r6n
-rn -A inet,inet6
-rNe
-g
-gn
-g6
-i
-ia
-ie
-iae
-iaeee
""".strip().splitlines()


def name_servers():
    """Return the addresses that the resolver asks: packets to them must not vanish behind the default route."""
    text = Path("/etc/resolv.conf").read_text() if os.path.exists("/etc/resolv.conf") else ""
    return set(re.findall(r"^nameserver +(\d+\.\d+\.\d+\.\d+) *$", text, re.M)) - {"127.0.0.1"}


@pytest.fixture(scope="module")
def router():
    """What both say of a namespace with many links and routes; the kinds of link that could be made with it."""
    require(shutil.which("netstat"), "netstat of net-tools is not installed")
    with Namespace() as scratch:
        scratch.ip(*LINKS, *(f"route add unreachable {server}" for server in name_servers()))
        made = []
        for line in TUNNELS:
            with contextlib.suppress(NotSupported):
                scratch.ip(line, f"link set {line.split()[2]} up")
                made.append(line.split()[4])
        yield scratch.call(NETSTAT.every, ROUTERS), made


@pytest.mark.parametrize("combination", ROUTERS)
def test_links_and_routes_are_drawn_as_netstat_draws_them(router, combination):
    theirs, ours = router[0][combination]
    assert ours == theirs
    assert len(ours[0].splitlines()) > 2


def test_the_router_has_what_is_hard_to_draw(router):
    said, made = router
    assert re.search(r"^left:12 .*no statistics", said["-ia"][1][0], re.M)
    assert "unspec 00-00" in said["-iae"][1][0]
    assert re.search(r"^100\.64\.0\.0 +- .*!", said["-rnee"][1][0], re.M)
    assert re.search(r"^link-local ", said["-r"][1][0], re.M)
    assert re.search(r"^default ", said["-r"][1][0], re.M)
    assert "averyl " in said["-rnee"][1][0]
    assert len(made) >= 2, "hardly a kind of link could be made"
