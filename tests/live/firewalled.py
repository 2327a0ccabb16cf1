"""A host with a firewall and a client beside it, for tests: its own network, its own /etc/ufw and the like, /run.

    with Firewalled("ufw") as host:
        host.portside("open", "7080")
        assert host.reach(7080) == "open"

Mounts and processes are in a mount and pid namespace that a keeper holds; the end of the keeper takes all of it away.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import require

from portside.testing.namespaces import Namespace

SOURCE = Path(__file__).resolve().parents[2] / "src"
HOST, HOST6, CLIENT, OTHER, CLIENT6 = "192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3", "2001:db8::2"
LISTENER = """
import socket, sys
held = [socket.create_server(("::", int(port)), family=10, dualstack_ipv6=True) for port in sys.argv[1:]]
print("up", flush=True)
while True:
    held[0].accept()[0].close()
"""
# what each manager needs of its own: directories and files copied, and mounted over the host's
COPIED = {
    "ufw": ("/etc/ufw", "/etc/default/ufw"),
    "firewalld": ("/etc/firewalld",),
    "iptables": ("/etc/iptables",),
    "nftables": ("/etc/nftables.conf",),
}
KEEPER = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/dbus /run/firewalld /run/lock "$1/portside"
for pair in $2; do mount --bind "$1/${pair%%=*}" "${pair#*=}"; done
echo up
exec sleep 600
"""


class Firewalled:
    """The host, from `with` to the end of the block; `manager` keeps its rules (empty: nobody)."""

    def __init__(self, manager: str = "") -> None:
        self.manager = manager
        self.space, self.client = Namespace(), Namespace()
        self._processes: list[subprocess.Popen[str]] = []
        self._directory = ""
        self.keeper = 0

    def __enter__(self) -> Firewalled:
        require(os.geteuid() == 0, "needs root, to have a firewall")
        require(shutil.which("nft"), "nft(8) of nftables is not installed")
        self._directory = tempfile.mkdtemp(prefix="portside-firewalled-")
        self.space.__enter__()
        self.client.__enter__()
        try:
            self._link()
            self._keep()
            self._child([sys.executable, "-c", LISTENER, "7080", "7081", "22"])
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout)):
                stream.close()
        self.client.close()
        self.space.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _link(self) -> None:
        self.space.ip(
            f"link add eth0 type veth peer name far0 netns {self.client.pid}", "link set eth0 up",
            f"address add {HOST}/24 dev eth0", f"address add {HOST6}/64 dev eth0 nodad",
        )  # fmt: skip
        self.client.ip(
            "link set far0 up", f"address add {CLIENT}/24 dev far0", f"address add {OTHER}/24 dev far0",
            f"address add {CLIENT6}/64 dev far0 nodad",
        )  # fmt: skip

    def _keep(self) -> None:
        pairs = []
        for number, path in enumerate(COPIED.get(self.manager, ())):
            copy = Path(self._directory) / f"copy{number}"
            if self.manager == "iptables":
                os.makedirs(path, exist_ok=True)
            require(os.path.exists(path), f"{self.manager} is not installed")
            (shutil.copytree if os.path.isdir(path) else shutil.copy2)(path, copy)
            pairs.append(f"{copy.name}={path}")
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", KEEPER]
        started = self._child([*argv, "sh", self._directory, " ".join(pairs)])
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        self.keeper = int(children[0])

    def _child(self, argv: list[str]) -> subprocess.Popen[str]:
        started = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, preexec_fn=self.space.enter)
        self._processes.append(started)
        assert started.stdout.readline() == "up\n"
        return started

    def run(self, *argv: str, input: str = "", env: dict[str, str] | None = None):
        """Run a command on the host."""
        return self.space.run(self._inside(*argv, env=env), input=input, timeout=60)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command on the host, its standard streams through pipes; it ends with the host at the latest."""
        started = subprocess.Popen(
            self._inside(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=self.space.enter,
        )  # fmt: skip
        self._processes.append(started)
        return started

    def _inside(self, *argv: str, env: dict[str, str] | None = None) -> list[str]:
        inside = ["nsenter", "--mount", "--pid", "--target", str(self.keeper)]
        state = {"PORTSIDE_STATE": f"{self._directory}/portside", "PYTHONPATH": str(SOURCE)} | (env or {})
        words = ["env", "-u", "SSH_CONNECTION", *(f"{name}={value}" for name, value in state.items())]
        return [*inside, *words, *argv]

    def must(self, *argv: str, input: str = "") -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self.run(*argv, input=input)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr or done.stdout}"
        return done.stdout

    def portside(self, *words: str, env: dict[str, str] | None = None):
        """Run the command on the host."""
        return self.run(sys.executable, "-m", "portside", *words, env=env)

    def rules(self) -> str:
        """The rules in force, without counters."""
        saves = "".join(self.run(tool).stdout for tool in ("iptables-save", "ip6tables-save"))
        lines = [line for line in saves.splitlines() if not line.startswith(("#", ":"))]
        return self.run("nft", "-s", "list", "ruleset").stdout + "\n".join(lines)

    def reach(self, port: int = 7080, source: str = CLIENT, timeout: float = 0.3) -> str:
        """What a connection from the client meets: open, refused, or silence."""
        address = HOST6 if ":" in source else HOST

        def attempt() -> str:
            try:
                with socket.create_connection((address, port), timeout, source_address=(source, 0)):
                    return "open"
            except TimeoutError:
                return "silence"
            except OSError:  # a reset, or an ICMP error of any kind
                return "refused"

        return self.client.call(attempt)

    def start_ufw(self) -> None:
        """Enable ufw with its defaults: deny what comes in."""
        config = Path(self._directory) / "copy0" / "ufw.conf"
        config.write_text(config.read_text().replace("ENABLED=no", "ENABLED=yes"))
        self.must("ufw", "--force", "enable")

    def start_firewalld(self) -> None:
        """Start firewalld and the bus it needs; eth0 is in its default zone."""
        inside = ["nsenter", "--mount", "--pid", "--target", str(self.keeper)]
        self.must("dbus-daemon", "--system", "--fork")
        daemon = [*inside, "sh", "-c", "echo up; exec firewalld --nofork --nopid >/dev/null 2>&1"]
        self._child(daemon)
        deadline = time.monotonic() + 60
        while self.run("firewall-cmd", "--state").returncode:
            assert time.monotonic() < deadline, "firewalld did not start"
            time.sleep(0.2)
        self.must("firewall-cmd", "--add-interface=eth0")
