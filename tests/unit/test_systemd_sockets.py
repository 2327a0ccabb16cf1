import os
import pwd

import pytest

from portside.system.systemd import SocketUnits
from portside.wire import systemd as wire

# systemctl show --no-pager --property=Id,Listen,Triggers,ActiveState,BindIPv6Only '*.socket'
# Recorded from systemd 252 (tmpl, echo, dbus: echo with every kind of address, tmpl with Accept=yes) and from an
# Ubuntu 25.04 with socket-activated ssh; journald, udev and cups after Debian 12's unit files.
SHOWN = """BindIPv6Only=default
Listen=0.0.0.0:22 (Stream)
Listen=[::]:22 (Stream)
Id=ssh.socket
Triggers=ssh.service
ActiveState=active

BindIPv6Only=default
Listen=/run/docker.sock (Stream)
Id=docker.socket
Triggers=docker.service
ActiveState=active

BindIPv6Only=default
Listen=/run/systemd/journal/socket (Datagram)
Listen=/run/systemd/journal/stdout (Stream)
Id=systemd-journald.socket
Triggers=systemd-journald.service
ActiveState=active

BindIPv6Only=default
Listen=kobject-uevent 1 (Netlink)
Id=systemd-udevd-kernel.socket
Triggers=systemd-udevd.service
ActiveState=active

BindIPv6Only=default
Listen=/run/udev/control (SequentialPacket)
Id=systemd-udevd-control.socket
Triggers=systemd-udevd.service
ActiveState=active

BindIPv6Only=default
Listen=/run/initctl (FIFO)
Id=systemd-initctl.socket
Triggers=systemd-initctl.service
ActiveState=active

BindIPv6Only=ipv6-only
Listen=[::]:34571 (Stream)
Id=tmpl.socket
Triggers=
ActiveState=active

BindIPv6Only=default
Listen=[::]:34567 (Stream)
Listen=127.0.0.1:34568 (Stream)
Listen=[::1]:34569 (Datagram)
Listen=@abs (Stream)
Listen=/run/user/0/seq (SequentialPacket)
Listen=/run/user/0/fifo (FIFO)
Id=echo.socket
Triggers=echo.service
ActiveState=active

BindIPv6Only=default
Listen=/run/user/0/bus (Stream)
Id=dbus.socket
Triggers=dbus.service
ActiveState=active

BindIPv6Only=default
Listen=[::]:631 (Stream)
Id=cups.socket
Triggers=cups.service
ActiveState=inactive
"""


def test_show():
    units = {unit.id: unit for unit in wire.parse_show(SHOWN)}
    assert units["ssh.socket"] == wire.SocketUnit(
        "ssh.socket",
        (wire.Listen("stream", "0.0.0.0", 22), wire.Listen("stream", "::", 22)),
        ("ssh.service",),
        True,
    )
    assert units["systemd-udevd-kernel.socket"].listens == ()
    assert units["systemd-initctl.socket"].listens == ()
    assert units["tmpl.socket"] == wire.SocketUnit(
        "tmpl.socket", (wire.Listen("stream", "::", 34571),), (), True, v6only=True
    )
    assert [listen.type for listen in units["echo.socket"].listens] == [
        "stream",
        "stream",
        "dgram",
        "stream",
        "seqpacket",
    ]
    assert units["cups.socket"].active is False


@pytest.mark.parametrize(
    "text", ["", "\n\n", "Listen=x\n", "Id=a.service\n\nId=\n", "Id=x.socket\nListen=a:b (Stream)"]
)
def test_show_of_something_else(text):
    assert all(not unit.listens for unit in wire.parse_show(text))


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("22", ("::", 22)),
        ("0.0.0.0:22", ("0.0.0.0", 22)),
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::]:22", ("::", 22)),
        ("[2001:DB8:0::1]:80", ("2001:db8::1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1", 80)),
        ("[fe80::1]:80%eth0", ("fe80::1", 80)),
        ("256.0.0.1:80", None),
        ("/run/x.sock", ("/run/x.sock", 0)),
        ("@name", ("@name", 0)),
        ("vsock:2:22", None),
        ("0", None),
        ("70000", None),
        ("host:80", None),
        (":80", None),
        ("", None),
        ("[::g]:80", None),
    ],
)
def test_addresses(text, listen):
    assert wire.parse_address("stream", text) == (wire.Listen("stream", *listen) if listen else None)


class Root:
    def __init__(self, directory):
        self.path = str(directory)

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.path + path), exist_ok=True)
        with open(self.path + path, "w") as file:
            file.write(text)

    def link(self, path, target):
        os.makedirs(os.path.dirname(self.path + path), exist_ok=True)
        os.symlink(target, self.path + path)

    def systemctl(self, script):
        self.write("/bin/systemctl", "#!/bin/sh\n" + script)
        os.chmod(self.path + "/bin/systemctl", 0o755)
        os.makedirs(self.path + "/run/systemd/system", exist_ok=True)
        return [self.path + "/bin/systemctl"]


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def test_systemctl_is_asked(root):
    root.write("/shown", SHOWN)
    command = root.systemctl(f'echo "$@" > {root.path}/asked; cat {root.path}/shown')
    units = SocketUnits(root.path, systemctl=command)
    assert units.find("stream", "::", 22).id == "ssh.socket"
    assert units.find("stream", "0.0.0.0", 22).triggers == ("ssh.service",)
    assert units.find("dgram", "::1", 34569).id == "echo.socket"
    assert units.find("stream", "127.0.0.1", 34568).id == "echo.socket"
    assert units.find("stream", "@abs").id == "echo.socket"
    assert units.find("seqpacket", "/run/udev/control").id == "systemd-udevd-control.socket"
    assert units.find("stream", "::", 631) is None  # not active
    assert units.find("dgram", "::", 22) is None
    assert units.find("stream", "127.0.0.1", 22) is None
    with open(root.path + "/asked") as file:
        assert (
            file.read() == "show --no-pager --property=Id,Listen,Triggers,ActiveState,BindIPv6Only *.socket\n"
        )


def test_systemctl_is_asked_once(root):
    command = root.systemctl(f"echo >> {root.path}/calls; echo Id=a.socket")
    units = SocketUnits(root.path, systemctl=command)
    units.find("stream", "::", 1)
    units.find("stream", "::", 2)
    with open(root.path + "/calls") as file:
        assert file.read() == "\n"


def test_own_user_manager_is_asked(root):
    command = root.systemctl(f'echo "$@" > {root.path}/asked; echo Id=a.socket')
    SocketUnits(root.path, uid=os.geteuid(), systemctl=command).units()
    with open(root.path + "/asked") as file:
        assert "--user show" in file.read()


def test_manager_of_another_user_is_not_asked(root):
    """It would open a session for that user: listing must not change the machine."""
    command = root.systemctl(f"echo >> {root.path}/asked; echo Id=a.socket")
    SocketUnits(root.path, uid=os.geteuid() + 4711, systemctl=command).units()
    assert not os.path.exists(root.path + "/asked")


def files(root):
    """Lay out unit files as Debian and Ubuntu do."""
    lib, etc = "/usr/lib/systemd/system", "/etc/systemd/system"
    root.write(
        f"{lib}/ssh.socket",
        "[Unit]\nBefore=sockets.target ssh.service\n[Socket]\nListenStream=22\nAccept=no\n",
    )
    root.link(f"{etc}/sockets.target.wants/ssh.socket", f"{lib}/ssh.socket")
    root.write(
        "/run/systemd/generator/ssh.socket.d/addresses.conf",
        "[Socket]\nListenStream=\nListenStream=0.0.0.0:2222\nListenStream=[::]:2222\n",
    )
    root.write(f"{lib}/dbus.socket", "[Socket]\nListenStream=/run/dbus/system_bus_socket\n")
    root.link(f"{lib}/sockets.target.wants/dbus.socket", "../dbus.socket")
    root.write(f"{lib}/cups.socket", "[Socket]\nListenStream=631\n")  # not enabled
    root.write(f"{lib}/masked.socket", "[Socket]\nListenStream=1\n")
    root.link(f"{etc}/masked.socket", "/dev/null")
    root.link(f"{etc}/sockets.target.wants/masked.socket", f"{lib}/masked.socket")
    root.write(
        f"{lib}/echo@.socket",
        "# a comment\n[Socket]\nListenDatagram = \\\n  127.0.0.1:%i\nAccept=yes\nBindIPv6Only=ipv6-only\n",
    )
    root.link(f"{etc}/sockets.target.wants/echo@7.socket", f"{lib}/echo@.socket")
    root.write(f"{lib}/run.socket", "[Socket]\nListenSequentialPacket=/run/run.sock\nService=other.service\n")
    root.link("/run/systemd/units/invocation:run.socket", "0123456789abcdef")


def test_unit_files_without_systemctl(root):
    files(root)
    units = SocketUnits(root.path)
    assert [unit.id for unit in units.units()] == ["dbus.socket", "echo@7.socket", "run.socket", "ssh.socket"]
    assert units.find("stream", "0.0.0.0", 2222).id == "ssh.socket"
    assert units.find("stream", "::", 22) is None
    assert units.find("stream", "/run/dbus/system_bus_socket").triggers == ("dbus.service",)
    echo = units.find("dgram", "127.0.0.1", 7)
    assert (echo.triggers, echo.v6only, echo.active) == (("echo@7@.service",), True, None)
    assert units.find("seqpacket", "/run/run.sock").triggers == ("other.service",)


@pytest.mark.parametrize(
    "script", ["exit 1", "echo 'Failed to connect to bus: Host is down' >&2; exit 1", "true"]
)
def test_unit_files_when_systemctl_fails(root, script):
    files(root)
    units = SocketUnits(root.path, systemctl=root.systemctl(script))
    assert units.find("stream", "::", 2222).id == "ssh.socket"


def test_unit_files_when_systemctl_is_stuck(root, monkeypatch):
    monkeypatch.setattr("portside.system.systemd.TIMEOUT", 0.1)
    files(root)
    units = SocketUnits(root.path, systemctl=root.systemctl("exec sleep 30"))
    assert units.find("stream", "::", 2222).id == "ssh.socket"


def test_a_bare_port_is_the_dual_stack_wildcard(root):
    root.write("/etc/systemd/system/web.socket", "[Socket]\nListenStream=80\n")
    root.link("/etc/systemd/system/sockets.target.wants/web.socket", "../web.socket")
    units = SocketUnits(root.path)
    assert units.find("stream", "0.0.0.0", 80).id == "web.socket"  # a kernel without IPv6
    assert units.find("stream", "10.0.0.1", 80) is None


def test_unit_files_of_a_user(root):
    uid = os.geteuid()
    home = pwd.getpwuid(uid).pw_dir
    root.write(f"{home}/.config/systemd/user/mine.socket", "[Socket]\nListenStream=127.0.0.1:8080\n")
    root.link(f"{home}/.config/systemd/user/sockets.target.wants/mine.socket", "../mine.socket")
    assert SocketUnits(root.path, uid=uid).find("stream", "127.0.0.1", 8080).id == "mine.socket"
    assert SocketUnits(root.path).find("stream", "127.0.0.1", 8080) is None


def test_no_systemd_at_all(root):
    assert SocketUnits(root.path).find("stream", "::", 22) is None
