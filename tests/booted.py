"""A throw-away machine: this host's own root, copied on write, with systemd as process 1 in namespaces of its own.

    with Booted() as machine:
        print(machine.run(["systemctl", "is-system-running"]).stdout)
        machine.reboot()

A keeper process holds the copy (a tmpfs, in a mount namespace of its own) and boots it again and again: `reboot` in
a pid namespace ends its process 1 with SIGHUP (pid_namespaces(7)).  Everything dies with the keeper, and the keeper
with us.  Nothing of the host is changed: its root is the lower layer of an overlay, its sysctls are read-only but for
those of the network namespace, the units that touch hardware are masked, the host's own are not enabled, and there is
a cgroup (version 2) below which systemd finds itself at the root.

Reference: https://systemd.io/CONTAINER_INTERFACE, pid_namespaces(7), reboot(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from portside.testing.namespaces import Namespace

SOURCE = Path(__file__).resolve().parents[1] / "src"
PYTHON = "/usr/bin/python3"
SYSTEMD = "/lib/systemd/systemd"
PATIENCE = 120.0  # for a boot, or a reboot, on a machine that has other work

# what touches hardware, the kernel, or a terminal; what waits for a network that is not there
MASKED = """
    console-getty.service dbus.service dbus.socket dev-hugepages.mount dev-mqueue.mount e2scrub_reap.service
    getty.target kmod-static-nodes.service modprobe@.service proc-sys-fs-binfmt_misc.automount
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
    systemd-binfmt.service systemd-firstboot.service systemd-logind.service systemd-machine-id-commit.service
    systemd-modules-load.service systemd-random-seed.service systemd-remount-fs.service systemd-repart.service
    systemd-sysusers.service systemd-tmpfiles-setup-dev.service systemd-udevd.service
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
    systemd-journald-audit.socket systemd-update-utmp.service systemd-update-utmp-runlevel.service
"""

# Process 1 of the mount namespace that holds the copy; $1 is an empty directory, $2 the cgroup.
KEEPER = """
set -e
mount -t tmpfs -o mode=755 portside-booted "$1"
cd "$1"
mkdir upper work root
mkdir -p upper/etc/systemd upper/opt/portside upper/usr/local/bin
for hidden in etc/systemd/system etc/sysctl.d; do
    mkdir upper/$hidden
    {python} -c 'import os, sys; os.setxattr(sys.argv[1], "trusted.overlay.opaque", b"y")' upper/$hidden
done
for unit in {masked}; do ln -s /dev/null upper/etc/systemd/system/$unit; done
: >upper/etc/fstab
echo booted >upper/etc/hostname
tr -d - </proc/sys/kernel/random/uuid >upper/etc/machine-id
cp -a {source}/portside upper/opt/portside/
chmod -R a+rX upper/opt
cat >upper/usr/local/bin/portside <<END
#!{python}
import sys
sys.path.insert(0, "/opt/portside")
from portside.cli import entry
entry()
END
chmod 755 upper/usr/local/bin/portside
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
code=129
while [ $code = 129 ]; do # SIGHUP: reboot(2) in a pid namespace
    code=0
    setpriv --pdeathsig KILL unshare --pid --mount --uts --ipc --net --fork --kill-child \\
        sh -c "$BOOT" boot "$2" || code=$?
done
exit $code
"""

# What becomes process 1 of the machine: `echo 0` moves the writer itself into the cgroup.
BOOT = """
set -e
echo 0 >"$1/cgroup.procs"
exec unshare --cgroup sh -c '
set -e
ip link set lo up
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net # stays writable: that is this namespace, all else the host
mount -o remount,bind,ro proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
    : >dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm run/host
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . run/host
cd /
umount -l /run/host
rmdir /run/host
exec setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog env -i container=portside \\
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_LOG_TARGET=journal \\
    {systemd} --system --unit=multi-user.target --show-status=0
'
"""


class Booted:
    """One machine, booted from `with` to the end of the block; `init` is its process 1 as the host numbers it."""

    def __init__(self, directory: Path) -> None:
        self.init = 0
        self._directory = directory
        self._cgroup = Path(cgroup_root()) / f"portside-booted-{os.getpid()}-{time.monotonic_ns()}"
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Booted:
        self._cgroup.mkdir()
        script = KEEPER.format(python=PYTHON, masked=" ".join(MASKED.split()), source=SOURCE)
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "keeper", str(self._directory), str(self._cgroup)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0,
            env=os.environ | {"BOOT": BOOT.format(systemd=SYSTEMD), "LC_ALL": "C"}, preexec_fn=_die_with_parent,
        )  # fmt: skip
        try:
            self._await_boot(0)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the machine; its files and its cgroup go with them."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.kill()
            keeper.wait()
            assert keeper.stderr is not None
            keeper.stderr.close()
        _remove_cgroup(self._cgroup)

    @property
    def space(self) -> Namespace:
        """Return its network namespace, to connect from where its ports are."""
        space = Namespace()
        space.pid = self.init
        return space

    def run(
        self, argv: list[str], *, uid: int = 0, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the machine, as `uid`."""
        user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
        return subprocess.run(
            ["nsenter", f"--target={self.init}", "--all", *user, *argv],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, errors="surrogateescape",
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip

    def write(self, path: str, text: str, mode: int = 0o755) -> None:
        """Write a file of the machine."""
        place = Path(f"/proc/{self.init}/root{path}")
        place.write_text(text)
        place.chmod(mode)

    def reboot(self) -> None:
        """Shut it down in order and boot it again, over what was written to it."""
        before = self.init
        self.run(["systemctl", "reboot"])
        self._await_boot(before)

    def _await_boot(self, before: int) -> None:
        """Wait until another process 1 than `before` says that it has started everything."""
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._keeper is not None
            if self._keeper.poll() is not None:
                assert self._keeper.stderr is not None
                raise AssertionError(f"the machine ended: {self._keeper.stderr.read().decode()}")
            self.init = self._find_init() or before
            state = ""
            if self.init != before:
                state = self.run(["systemctl", "is-system-running"]).stdout.strip()
            if state in ("running", "degraded"):
                return
            assert time.monotonic() < deadline, f"systemd has not come up: '{state}'"
            time.sleep(0.05)

    def _find_init(self) -> int:
        """Return the keeper's grandchild once it is systemd: unshare(1) lies between them."""
        assert self._keeper is not None
        for child in _children(self._keeper.pid):
            for init in _children(child):
                with contextlib.suppress(OSError):
                    if os.path.basename(os.readlink(f"/proc/{init}/exe")) == "systemd":
                        return init
        return 0


def missing() -> str:
    """Return what this host lacks to boot such a machine, empty if nothing."""
    if os.geteuid():
        return "root"
    if not os.path.exists(SYSTEMD):
        return SYSTEMD
    if not os.path.exists(PYTHON):
        return f"{PYTHON}, for programs that other users run"
    if not cgroup_root():
        return "a cgroup2 file system that is mounted"
    return next((f"{tool}(1)" for tool in ("nsenter", "setpriv", "unshare") if not shutil.which(tool)), "")


def cgroup_root() -> str:
    """Return where the unified hierarchy is mounted, empty where it is not."""
    with open("/proc/self/mounts") as file:
        return next((words[1] for words in map(str.split, file) if words[2] == "cgroup2"), "")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _remove_cgroup(path: Path) -> None:
    """Remove a cgroup and those in it, once the last process is gone."""
    if not path.exists():
        return
    kill = path / "cgroup.kill"  # Linux 5.14
    if kill.exists():
        kill.write_text("1")
    deadline = time.monotonic() + PATIENCE
    while "populated 1" in (path / "cgroup.events").read_text():
        assert time.monotonic() < deadline, f"{path} is still populated"
        time.sleep(0.02)
    for inner in sorted(path.rglob("*"), reverse=True):
        if inner.is_dir():
            inner.rmdir()
    path.rmdir()
