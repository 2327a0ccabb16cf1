"""Ports that the kernel itself holds say by what: tunnels of each kind, whatever user asks.

Which kinds there are is a matter of the kernel's build; a kind that this kernel lacks is skipped with its word, also
where PORTSIDE_REQUIRE_LIVE is set: kernel 6.18 as built for virtual machines has vxlan and neither geneve, bareudp
nor wireguard.
"""

from __future__ import annotations

import os

import pytest
from tests.support import require

import portside
from portside.errors import NotSupported
from portside.system.host import LIVE
from portside.system.kernel_owners import KernelOwners
from portside.testing.namespaces import become

NOBODY = 65534
TUNNELS = {
    "vxlan": ("id 42 dstport 4790 local 127.0.0.1", 4790),
    "geneve": ("id 42 remote 127.0.0.1 dstport 6082", 6082),
    "bareudp": ("dstport 7100 ethertype ip", 7100),
}


@pytest.fixture
def tunnel(space, request):
    """A namespace with a link of the asked kind, up, called tun0, and its port."""
    kind = request.param
    options, number = TUNNELS[kind]
    try:
        space.ip(f"link add tun0 type {kind} {options}", "link set tun0 up")
    except NotSupported as error:
        pytest.skip(f"this kernel has no {kind} driver: {error.reason}")
    return space, kind, number


def rows(number: int, uid: int | None = None):
    if uid is not None:
        become(uid)
    return [
        (row.protocol, row.port, row.kernel, row.owner_gap, row.holders)
        for row in portside.list_ports(f"port = {number}")
    ]


each_tunnel = pytest.mark.parametrize("tunnel", TUNNELS, indirect=True)


@each_tunnel
def test_a_tunnel_s_port_names_the_tunnel(tunnel):
    space, kind, number = tunnel
    assert space.call(rows, number) == [("udp", number, f"{kind} tun0", "kernel", ())]


@each_tunnel
def test_anybody_is_told(tunnel):
    """Without a right to see other processes it is still certain: no process holds it, rtnetlink says who does."""
    require(os.geteuid() == 0, "needs root, to be another user")
    space, kind, number = tunnel
    space.call(rows, number)  # a first look imports, which the other user may not be able to
    assert space.call(rows, number, NOBODY) == [("udp", number, f"{kind} tun0", "kernel", ())]


@pytest.mark.parametrize("tunnel", ["vxlan"], indirect=True)
def test_a_tunnel_that_is_down_has_no_port(tunnel):
    space, _, number = tunnel
    space.ip("link set tun0 down")
    assert space.call(rows, number) == []


def held_beside_a_tunnel():
    """A process holds the port on an address; the tunnel of that number is no reason to call it the kernel's."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 4791))
        return [(row.kernel, [holder.process.pid for holder in row.holders], os.getpid()) for row in
                portside.list_ports("port = 4791")]  # fmt: skip


@pytest.mark.parametrize("tunnel", ["vxlan"], indirect=True)
def test_a_process_s_port_is_the_process_s(tunnel):
    space, _, _ = tunnel
    ((kernel, pids, pid),) = space.call(held_beside_a_tunnel)
    assert (kernel, pids) == ("", [pid])


def owners_of(number: int):
    return KernelOwners(LIVE).find("udp", number), KernelOwners(LIVE).find("tcp", number)


@pytest.mark.parametrize("tunnel", ["vxlan"], indirect=True)
def test_only_the_tunnel_s_number_is_certain(tunnel):
    space, _, number = tunnel
    assert space.call(owners_of, number)[0] == ("vxlan tun0", True)
    assert space.call(owners_of, number + 1)[0][1] is False


def test_wireguard(space):
    """WireGuard tells its port to CAP_NET_ADMIN alone: it is guessed, and says so."""
    try:
        space.ip("link add wg0 type wireguard", "link set wg0 up")
    except NotSupported as error:
        pytest.skip(f"this kernel has no wireguard driver: {error.reason}")
    ports = space.call(lambda: [(row.protocol, row.kernel) for row in portside.list_ports()])
    assert ports == [("udp", "wireguard wg0?")]
