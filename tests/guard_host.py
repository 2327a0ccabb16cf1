"""A made-up host for the evaluators: two networks, a container bridge, as values."""

from __future__ import annotations

from portside.guard import iptables
from portside.guard.environment import Address, Device, Environment, Way, sorted_ways
from portside.guard.model import Ruleset
from portside.guard.packet import number

LOCAL, BROADCAST, UNICAST = 2, 3, 1


def address(text, prefix):
    return Address("ip6" if ":" in text else "ip", number(text), prefix)


def way(text, prefix, device, kind=UNICAST, table=254):
    return Way("ip6" if ":" in text else "ip", number(text), prefix, kind, device, table)


def host():
    """192.0.2.10 and 2001:db8:1::10 towards the world, 10.0.0.1 inside, 172.17.0.1 before containers."""
    devices = (
        Device("lo", (address("127.0.0.1", 8), address("::1", 128))),
        Device("eth0", (address("192.0.2.10", 24), address("2001:db8:1::10", 64)), forwarding=True),
        Device("eth1", (address("10.0.0.1", 24),), forwarding=True),
        Device("docker0", (address("172.17.0.1", 16),), kind="bridge", forwarding=True),
    )
    ways = [
        way("0.0.0.0", 0, "eth0"), way("192.0.2.0", 24, "eth0"), way("10.0.0.0", 24, "eth1"),
        way("172.17.0.0", 16, "docker0"), way("::", 0, "eth0"), way("2001:db8:1::", 64, "eth0"),
        way("127.0.0.0", 8, "lo", LOCAL, 255), way("::1", 128, "lo", LOCAL, 255),
        way("192.0.2.10", 32, "eth0", LOCAL, 255), way("192.0.2.255", 32, "eth0", BROADCAST, 255),
        way("10.0.0.1", 32, "eth1", LOCAL, 255), way("10.0.0.255", 32, "eth1", BROADCAST, 255),
        way("172.17.0.1", 32, "docker0", LOCAL, 255), way("2001:db8:1::10", 128, "eth0", LOCAL, 255),
    ]  # fmt: skip
    return Environment(devices, sorted_ways(ways))


def saved(four, six=""):
    """The ruleset of two texts of iptables-save."""
    return Ruleset(iptables.from_save(four, "ip") + iptables.from_save(six, "ip6"))
