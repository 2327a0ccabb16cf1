"""The syn and udp methods against the truth of the world that was built: routers, NAT, delay, loss, limits."""

from __future__ import annotations

import pytest
from tests.live import probe_world as world_of

from portside.probe.scan import scan

pytestmark = pytest.mark.live


# Linux's nft synproxy takes IPv4's pseudo-header for the checksum of IPv6 packets (net/netfilter/nft_synproxy.c,
# nft_synproxy_do_eval calls nf_ip_checksum for both) and drops a SYN from anywhere but this host's own TCP, whose
# checksum is not made yet.  nmap -6 -sS is dropped likewise.
UNSEEN = {(world_of.TARGET6, port) for port in world_of.PROXIED}


def scanned(method, truths):
    """Scan the ports of some truths, host after host; (address, port) -> result."""
    found = {}
    by_address = {}
    for each in truths:
        by_address.setdefault(each.address, []).append(str(each.port))
    for address, ports in by_address.items():
        spec = ",".join(("U:" if method == "udp" else "") + port for port in ports)
        for one in scan(address, spec, method=method):
            assert (one.address, one.port) not in found, "told twice"
            found[one.address, one.port] = one
    return found


@pytest.mark.parametrize(("method", "protocol"), [("syn", "tcp"), ("udp", "udp")])
def test_every_port_is_as_it_was_built(probe_world, method, protocol):
    if method == "syn":
        pytest.importorskip("numpy")
    truths = [each for each in probe_world.truth if each.protocol == protocol]
    found = probe_world.scanner.call(scanned, method, truths, timeout=90)
    if method == "syn":
        truths = [each for each in truths if (each.address, each.port) not in UNSEEN]
    told = {each: found[each.address, each.port] for each in truths}
    wrong = [
        f"{each.address} {each.port}: {one.state} {one.reason} {one.source}, not {each[3:]}"
        for each, one in told.items()
        if (one.state, one.reason, one.source) != (each.state, each.reason, each.source)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("address", [world_of.LOSSY, world_of.FAR])
def test_every_open_port_behind_a_bad_line(probe_world, address):
    """One packet in ten is lost on the way to the one, the other is 40 ms away: all is found with default retries."""
    pytest.importorskip("numpy")
    found = probe_world.scanner.call(_open, address, timeout=90)
    assert found >= set(world_of.MANY)


def _open(address):
    return {one.port for one in scan(address, "20000-20199", method="syn", states=["open"], rate=2000.0)}


def test_every_open_udp_port_behind_a_bad_line(probe_world):
    """40 ms away, and of each 25 datagrams one is lost: what was lost is asked again."""
    found, retried = probe_world.scanner.call(_open_udp, timeout=90)
    assert found == set(world_of.UDP_MANY)
    assert retried >= len(world_of.UDP_MANY) // 25


def _open_udp():
    ports = f"U:{world_of.UDP_MANY[0]}-{world_of.UDP_MANY[-1]}"
    made = scan(world_of.FAR, ports, method="udp", states=["open"])
    return {one.port for one in made}, made.progress().retried
