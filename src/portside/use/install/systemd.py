"""systemd: a socket unit that binds the port, and a service that is locked down.

The manager binds, as root; the program gets the socket and no right at all.  The service runs as a user made up for
it (DynamicUser) unless one is named, sees the file system read-only, and may write its StateDirectory.

Reference: systemd.socket(5), systemd.service(5), systemd.exec(5), systemd.syntax(7), systemd-socket-proxyd(8).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.use.install.plan import File, Plan
from portside.use.install.wish import INETD, OWN, PASSED, PROXY, Wish

DIRECTORY = "/etc/systemd/system"
PROXYD = "/usr/lib/systemd/systemd-socket-proxyd"

# what a server on a port never needs; MemoryDenyWriteExecute is left out, because just-in-time compilers do
_LOCKED = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
"""


def render(wish: Wish, proxyd: str = PROXYD, portside: str = "") -> Plan:
    """Return the units of a service, and the commands that switch them on and off.

    `portside` is the path of our own program, which forwards better than `proxyd`; empty if services cannot run it.
    """
    if any(character in wish.command[0] for character in "\"'\\"):  # string_is_safe, src/basic/string-util.c
        raise BadRequest(
            "install",
            wish.name,
            "systemd takes no program whose path has quotes or a backslash",
            "use a link to it",
        )
    if wish.how == PROXY and wish.protocol != "tcp" and not portside:
        raise BadRequest(
            "install", wish.name, "systemd-socket-proxyd forwards TCP alone",
            "install portside where every user can run it",
        )  # fmt: skip
    files = []
    if wish.how != OWN:
        files.append(_file(f"{wish.name}.socket", _socket(wish)))
    if wish.how == PROXY:
        files.append(_file(f"{wish.name}.service", _proxy(wish, proxyd, portside)))
        files.append(_file(f"{wish.name}-program.service", _service(wish, f"{wish.name}.service", portside)))
    else:
        files.append(_file(_service_name(wish), _service(wish)))
    started = f"{wish.name}.service" if wish.how == OWN else f"{wish.name}.socket"
    units = tuple(file.path.rpartition("/")[2] for file in files)
    running = tuple(unit for unit in units if "@" not in unit)
    paths = tuple(file.path for file in files)
    return Plan(
        "systemd",
        started,
        tuple(files),
        checks=(("systemd-analyze", "verify", "--recursive-errors=no", *paths),),
        enable=(("systemctl", "daemon-reload"), ("systemctl", "enable", "--now", started), *_woken(wish)),
        disable=(("systemctl", "disable", "--now", *running),),
        # as patterns, which match what is still loaded, because it failed, and may match nothing
        forget=(("systemctl", "daemon-reload"), ("systemctl", "reset-failed", *map(_pattern, units))),
        warnings=_warnings(wish, portside),
    )


def _woken(wish: Wish) -> tuple[tuple[str, ...], ...]:
    """Return the command that starts a program which waits for datagrams: no connection does, to see it come up."""
    if wish.how in (PASSED, PROXY) and wish.protocol == "udp":
        return (("systemctl", "start", f"{wish.name}.service"),)
    return ()


def _pattern(unit: str) -> str:
    """Return a pattern that matches this unit alone (or the instances of this template)."""
    return f"[{unit[0]}]{unit[1:].replace('@', '@*')}"


def _file(unit: str, text: str) -> File:
    return File(f"{DIRECTORY}/{unit}", text)


def _accepts(wish: Wish) -> bool:
    """Whether the manager accepts: one process for each connection (datagrams have none)."""
    return wish.how == INETD and wish.protocol == "tcp"


def _service_name(wish: Wish) -> str:
    return f"{wish.name}@.service" if _accepts(wish) else f"{wish.name}.service"


def _socket(wish: Wish) -> str:
    kind = "ListenStream" if wish.protocol == "tcp" else "ListenDatagram"
    host = f"[{wish.address}]" if ":" in wish.address else wish.address
    place = f"{host}:{wish.port}" if host else str(wish.port)
    options = [f"{kind}={place}", f"Accept={'yes' if _accepts(wish) else 'no'}"]
    if not host:
        options.append("BindIPv6Only=both")
    if not _accepts(wish):
        options.append(f"FileDescriptorName={wish.name}")
    return (
        f"[Unit]\nDescription={specifier(wish.title)}\n\n[Socket]\n"
        + "".join(f"{option}\n" for option in options)
        + "\n[Install]\nWantedBy=sockets.target\n"
    )


def _service(wish: Wish, before: str = "", portside: str = "") -> str:
    """Return the unit of the program itself; `before` names the proxy in front of it."""
    unit = [f"Description={specifier(wish.title)}", "After=network.target"]
    if _accepts(wish):
        unit.append("CollectMode=inactive-or-failed")
    elif wish.how in (PASSED, INETD):
        unit += [f"Requires={wish.name}.socket", f"After={wish.name}.socket"]
    elif before:
        unit += [f"Before={before}", f"PartOf={before}"]
    lines = [f"ExecStart={exec_line(wish.command)}", f"Type={'simple' if _accepts(wish) else 'exec'}"]
    if wish.how == INETD:
        lines += ["StandardInput=socket", "StandardOutput=socket", "StandardError=journal"]
    else:
        lines += ["Restart=on-failure", "RestartSec=1"]
    if before and wish.protocol == "tcp":  # of a UDP port nobody can tell from outside
        lines.append(f"ExecStartPost={exec_line(_until_listening(wish.target, portside))}")
    if wish.directory:
        lines.append(f"WorkingDirectory={specifier(wish.directory)}")
    lines += [f"User={specifier(wish.user)}"] if wish.user else ["DynamicUser=yes"]
    lines.append(f"StateDirectory={wish.name}")
    right = "CAP_NET_BIND_SERVICE" if wish.how == OWN and wish.privileged else ""
    lines += [f"AmbientCapabilities={right}"] * bool(right) + [f"CapabilityBoundingSet={right}"]
    install = "\n[Install]\nWantedBy=multi-user.target\n" if wish.how == OWN else ""
    body = "".join(f"{line}\n" for line in lines)
    return f"[Unit]\n{_joined(unit)}\n[Service]\n{body}{_LOCKED.format(home=_home(wish))}{install}"


def _proxy(wish: Wish, proxyd: str, portside: str) -> str:
    """Return the unit of what forwards: `portside forward`, which keeps half-close, else systemd's own."""
    program = f"{wish.name}-program.service"
    unit = [
        f"Description={specifier(wish.title)}: the way to {specifier(wish.target)}",
        f"Requires={wish.name}.socket {program}",
        f"After={wish.name}.socket {program}",
    ]
    target = wish.target if wish.protocol == "tcp" else f"{wish.target}/udp"
    forward = (portside, "forward", f"fd:{wish.name}", target)
    line = exec_line(forward if portside else (proxyd, target))
    # systemd-socket-proxyd (252) never says that it is ready: as notify it dies after 90 s (systemd/systemd#35251)
    body = f"ExecStart={line}\nType={'notify' if portside else 'exec'}\nDynamicUser=yes\nCapabilityBoundingSet=\n"
    return f"[Unit]\n{_joined(unit)}\n[Service]\n{body}{_LOCKED.format(home='yes')}"


def _until_listening(target: str, portside: str) -> tuple[str, ...]:
    """Return the command that waits ten seconds for a port: the first connection must not come too early."""
    if portside:
        return (portside, "wait", "--timeout", "10", target)
    host, _, port = target.rpartition(":")
    place = f"/dev/tcp/{host.strip('[]')}/{port}"
    loop = f"for i in {{1..100}}; do (: <{place}) 2>/dev/null && exit 0; sleep 0.1; done; exit 1"
    return ("/bin/bash", "-c", loop)


def _home(wish: Wish) -> str:
    """Return how much of the homes the program must see: where it, or something it is given, lies in one."""
    places = (wish.directory, *wish.command)
    return "read-only" if any(place.startswith(("/home/", "/root/")) for place in places) else "yes"


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _warnings(wish: Wish, portside: str) -> tuple[str, ...]:
    if wish.how == PASSED:
        return (
            "the program must take its socket from the manager (LISTEN_FDS); else --own, --to PORT or --inetd",
        )
    if wish.how == PROXY and not portside:
        return (
            "no user but root can run portside here, so systemd-socket-proxyd forwards: it ends both directions when "
            "one ends (no half-close)",
        )
    return ()


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=:,./-_@")


def exec_line(words: tuple[str, ...]) -> str:
    """Return a command as ExecStart= reads it back: quoted, without specifiers and variables."""
    program = _exec_word(words[0]).replace("$$", "$")  # variables are looked for behind it alone
    return " ".join((program, *map(_exec_word, words[1:])))


def _exec_word(word: str) -> str:
    if word and _PLAIN.issuperset(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return '"' + specifier(escaped).replace("$", "$$") + '"'


def specifier(text: str) -> str:
    """Return a text in which `%` stands for itself."""
    return text.replace("%", "%%")
