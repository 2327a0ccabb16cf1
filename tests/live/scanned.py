"""Two hosts on one link for scans of packets, and the truth about the far one's ports.

The near one is 192.0.2.1 and 2001:db8::1, the far one .2 and ::2.  Behind the far one, as a router, is 198.51.100.9,
which nobody has.  `TCP` and `UDP` say of the far one's ports what a scan should.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from portside.ports.address import parse_address
from portside.ports.number import Range
from portside.probe.method import Options, open_method
from portside.probe.order import Left, Order
from portside.probe.space import Addresses, Block, Space
from portside.testing.namespaces import Namespace

NEAR, FAR, GONE = "192.0.2.1", "192.0.2.2", "192.0.2.77"
NEAR6, FAR6 = "2001:db8::1", "2001:db8::2"
OPEN = (22, 80, 443, 61_234)
DROPPED = range(1000, 1010)

# port -> nft's word for the ICMP error, and the reason that stands for it: IPv4, IPv6
REJECTED = {
    2001: ("net-unreachable", "net-unreach"),
    2002: ("host-unreachable", "host-unreach"),
    2003: ("prot-unreachable", "proto-unreach"),
    2004: ("port-unreachable", "port-unreach"),
    2005: ("net-prohibited", "net-prohibited"),
    2006: ("host-prohibited", "host-prohibited"),
    2007: ("admin-prohibited", "admin-prohibited"),
}
REJECTED6 = {
    2001: ("no-route", "no-route"),
    2004: ("port-unreachable", "port-unreach"),
    2007: ("admin-prohibited", "admin-prohibited"),
    2008: ("addr-unreachable", "addr-unreach"),
}
RESET = 2010

SERVER = """
import socket, sys
def serve(port):
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
made = [serve(port) for port in map(int, sys.argv[1:])]
print("ready", flush=True)
sys.stdin.read()
"""


def rules() -> str:
    """The far host's firewall."""
    lines = [f"tcp dport {DROPPED.start}-{DROPPED.stop - 1} drop", f"tcp dport {RESET} reject with tcp reset"]
    lines += [
        f"tcp dport {port} ip version 4 reject with icmp type {word}" for port, (word, _) in REJECTED.items()
    ]
    lines += [
        f"ip6 version 6 tcp dport {port} reject with icmpv6 type {word}"
        for port, (word, _) in REJECTED6.items()
    ]
    body = "\n".join(lines)
    return f"table inet scanned {{\n chain input {{\n type filter hook input priority 0\n {body}\n }}\n}}\n"


class Scanned:
    """The two namespaces; `loss` in percent is lost each way."""

    def __init__(self, firewall: bool = True, loss: int = 0) -> None:
        self.near, self.far = Namespace(), Namespace()
        self._firewall, self._loss = firewall, loss

    def __enter__(self):
        self.near.__enter__()
        self.far.__enter__()
        self.near.add_link("left", peer="right", addresses=[f"{NEAR}/24", f"{NEAR6}/64"])
        self.near.ip(f"link set right netns {self.far.pid}", f"route add 198.51.100.0/24 via {FAR}")
        self.far.ip(
            "link set right up", f"address add {FAR}/24 dev right", f"address add {FAR6}/64 dev right nodad"
        )
        for each in (self.near, self.far):
            each.run(
                [
                    "sh",
                    "-c",
                    "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit",
                ]
            )
        if self._firewall:
            self.nft(rules())
        if self._loss:
            hooks = "".join(
                f"chain {hook} {{\n type filter hook {hook} priority -500\n"
                f" tcp dport 1-65535 numgen random mod 100 < {self._loss} drop\n }}\n"
                for hook in ("input", "output")
            )
            self.nft(f"table inet loss {{\n{hooks}}}\n")
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER, *map(str, OPEN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=self.far.enter,
        )  # fmt: skip
        assert self.server.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_error):
        self.server.communicate()
        self.far.close()
        self.near.close()

    def nft(self, text: str) -> None:
        """Load rules into the far host."""
        done = self.far.run(["nft", "-f", "-"], input=text)
        assert not done.returncode, done.stderr

    def scan(self, method, targets, ports, *, space=None, uid=None, **options):
        """Scan from the near host (or `space`): the results by (address, port), and the counters."""
        return (space or self.near).call(_scan, method, targets, ports, options, uid=uid, timeout=60)


def make_order(protocol, targets, ports):
    blocks = []
    for first in targets:
        raw = parse_address(first)
        number = int.from_bytes(raw, "big")
        blocks.append(Block(len(raw), number, number))
    return Order(Space(protocol, Addresses(blocks), [Range(*each) for each in ports]), 7)


def _scan(method, targets, ports, options):
    protocol = "udp" if method == "udp" else "tcp"
    made = open_method(method, make_order(protocol, targets, ports), Options(**options), Left())
    results = [result for batch in made.batches() for result in batch]
    assert made.left().places == ()
    return {(each.address, each.port): each for each in results}, made.counters


def killed_and_resumed(space, what, folder):
    """Kill a scan by SIGKILL when it has told more than its checkpoint knows of, and resume it.

    Returns what both told, as items, and the envelope that ended the second.
    """
    point, lines = folder / "scan.json", folder / "lines"
    command = [sys.executable, "-m", "portside", "scan", "--json"]
    with lines.open("w") as out:
        how = {"stdout": out, "preexec_fn": space.enter, "env": os.environ | {"PYTHONPATH": "src"}}
        run = subprocess.Popen(
            [*command, *what, "--checkpoint", str(point)], stderr=subprocess.DEVNULL, **how
        )
        _until(point.exists, "no checkpoint")
        first = point.stat().st_ino, point.stat().st_mtime_ns
        _until(lambda: (point.stat().st_ino, point.stat().st_mtime_ns) != first, "no second checkpoint")
        told = lines.stat().st_size
        _until(lambda: lines.stat().st_size > told, "nothing was told after the checkpoint")
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL, "it had ended before"
        assert point.stat().st_size < 20_000
        out.write("\n")  # after a line that the kill has cut
        out.flush()
        done = subprocess.run([*command, "--resume", str(point)], stderr=subprocess.PIPE, timeout=60, **how)
    assert done.returncode in (0, 1), done.stderr
    assert not point.exists(), "nothing is left, so there is no checkpoint"
    items = [json.loads(line) for line in lines.read_text().splitlines() if line.endswith("}")]
    return [item for item in items if item["kind"] == "scan"], items[-1]


def _until(true, otherwise):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)
