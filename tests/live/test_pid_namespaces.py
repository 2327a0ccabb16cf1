"""A pid namespace that /proc does not show: its pids name other processes there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.support import require

SCRIPT = """
import json, os, socket, subprocess, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 18080))
listener.listen()
told = subprocess.run([sys.executable, "-m", "portside", "who", "18080", "--json"], capture_output=True, text=True)
print(told.stdout)
"""


def held_by(*unshare):
    command = [
        "unshare",
        "-n",
        *unshare,
        "sh",
        "-c",
        'ip link set lo up; exec "$0" -c "$1"',
        sys.executable,
        SCRIPT,
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=environment)
    (port,) = json.loads(done.stdout)["items"][0]["ports"]
    return [owner["name"] for owner in port["owners"]], port["owner_gap"]


def test_proc_of_another_pid_namespace_names_no_stranger():
    require(os.geteuid() == 0, "unshare(1) needs root here")
    name = os.path.basename(os.path.realpath(sys.executable))
    names, gap = held_by("-p", "-f")
    assert (names or [gap])[0][:6] in (name[:6], "other-", "permis")
    assert held_by("-p", "-f", "--mount-proc")[0][0][:6] == name[:6]
    assert held_by()[0][0][:6] == name[:6]
