"""What a cgroup's path tells: the systemd unit and slice, the user's own unit, the container.

Rule: text in, record out, and every text is accepted; a path that follows no known form gives empty names.

systemd (src/basic/cgroup-util.c): a path is slices, then the unit, then what the unit made of it.  Below
`user@UID.service` and `session-N.scope` the same grammar starts again for the user's own manager.  A leading `_`
is systemd's escape for names that collide with the kernel's files; `\\x2d` stays, it is part of the unit's name.

Containers have no common grammar: each engine has its forms, under the systemd driver (`docker-ID.scope`) and under
cgroupfs (`/docker/ID`); the table below has them.  When containers are nested the outermost is named: it is the one
that this host's engine knows.  An engine's monitor (conmon) counts as its container, because Podman's holds the
published ports.  A process in a cgroup namespace sees paths relative to its own root: leading `..` are dropped.
"""

from __future__ import annotations

from portside.record import Record

UNIT_TYPES = ("service", "scope", "socket", "mount", "swap")  # the units that own a cgroup, slices apart

# Scope or directory prefix -> engine, longest first where one begins like another.
ENGINE_PREFIXES = (
    ("cri-containerd-", "containerd"),
    ("containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("docker-", "docker"),
    ("libpod-conmon-", "podman"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
    ("crio-conmon-", "cri-o"),
    ("crio-", "cri-o"),
)
# Parent directory of a bare container id -> engine: the engine's own, or a containerd namespace (Docker's is moby).
ENGINE_PARENTS = {"docker": "docker", "k8s.io": "containerd", "default": "containerd", "moby": "docker"}

_HEX = frozenset("0123456789abcdef")
_UNIT_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@")


class ContainerId(Record):
    """A container as a cgroup path names it.

    `engine`: `docker`, `podman`, `containerd`, `cri-o`, `lxc`, `nspawn`; `kubernetes` or `oci` where the path does
    not tell the engine.  `id` is the engine's id, or the name for LXC and nspawn.  `pod` is the Kubernetes pod uid.
    """

    engine: str
    id: str
    name: str = ""
    pod: str = ""


class CgroupNames(Record):
    """The names in a cgroup path; what it does not tell is empty or `None`.

    `unit` is the system manager's unit, `user_unit` the unit of the user manager (or session) inside it, `uid` the
    user whose slice it is, `slice` the innermost system slice.
    """

    unit: str = ""
    user_unit: str = ""
    uid: int | None = None
    slice: str = ""
    container: ContainerId | None = None

    def __str__(self) -> str:
        if self.user_unit and self.uid is not None:
            return f"{self.user_unit} (user {self.uid})"
        return self.user_unit or self.unit


def parse_path(path: str) -> CgroupNames:
    """Name what a cgroup path (v1 or v2, absolute or seen from a cgroup namespace) stands for."""
    segments = [part for part in path.split("/") if part and part != ".."]
    slices, rest = _skip_slices(segments)
    unit = _unit(rest[0]) if rest else ""
    user_unit = ""
    if unit.startswith(("user@", "session-")) and unit.endswith((".service", ".scope")):
        _, inner = _skip_slices(rest[1:])
        user_unit = _unit(inner[0]) if inner else ""
    return CgroupNames(
        unit=unit,
        user_unit=user_unit,
        uid=_owner_uid(slices, unit),
        slice=slices[-1] if slices else "",
        container=_container(segments),
    )


def unescape(name: str) -> str:
    r"""Undo systemd's `\xNN` escapes, as in `machine-my\x2dbox.scope` (systemd-escape(1))."""
    head, *parts = name.split("\\x")
    if not parts:
        return name
    data = bytearray(head.encode("utf-8", "surrogateescape"))
    for part in parts:
        digits = part[:2].lower()
        if len(digits) == 2 and _HEX.issuperset(digits):
            data.append(int(digits, 16))
            part = part[2:]
        else:
            data += b"\\x"
        data += part.encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "surrogateescape")


def _skip_slices(segments: list[str]) -> tuple[list[str], list[str]]:
    """Split off the leading slices."""
    for index, segment in enumerate(segments):
        if not segment.endswith(".slice"):
            return segments[:index], segments[index:]
    return segments, []


def _unit(segment: str) -> str:
    """Return the unit that a directory stands for, or an empty text (cg_path_decode_unit)."""
    name = segment.removeprefix("_")
    prefix, _, kind = name.rpartition(".")
    if not prefix or kind not in UNIT_TYPES or prefix.endswith("@") or prefix.startswith("@"):
        return ""
    return name if _UNIT_CHARACTERS.issuperset(name) else ""


def _owner_uid(slices: list[str], unit: str) -> int | None:
    """Read the uid from `user@UID.service`, else from `user-UID.slice`."""
    texts = [unit.removeprefix("user@").removesuffix(".service")] if unit.startswith("user@") else []
    texts += [
        name.removeprefix("user-").removesuffix(".slice") for name in slices if name.startswith("user-")
    ]
    return next((int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 11), None)


def _container(segments: list[str]) -> ContainerId | None:
    """Find the outermost container of a path."""
    parent = ""
    for index, segment in enumerate(segments):
        found = _by_id(segment, parent) or _by_name(segment, parent, segments[index + 1 : index + 2])
        if found:
            pod = _pod(segments)
            engine = "kubernetes" if pod and found.engine == "oci" else found.engine
            return found.replace(engine=engine, pod=pod)
        parent = segment
    return None


def _by_id(segment: str, parent: str) -> ContainerId | None:
    """Recognise the engines that use ids of 64 hexadecimal digits."""
    name = segment.removesuffix(".scope")
    if ":" in name:  # `slice:prefix:id`, the systemd driver's argument taken literally by the cgroupfs driver
        name = "-".join(name.split(":")[-2:])
    for prefix, engine in ENGINE_PREFIXES:
        if name.startswith(prefix) and _is_id(name[len(prefix) :], 32):
            return ContainerId(engine, name[len(prefix) :])
    if _is_id(name, 64):
        return ContainerId(ENGINE_PARENTS.get(parent, "oci"), name)
    return None


def _by_name(segment: str, parent: str, below: list[str]) -> ContainerId | None:
    """Recognise the engines that use names: LXC (LXD, Incus, Proxmox) and systemd-nspawn."""
    if segment.startswith("lxc.payload.") and len(segment) > 12:
        return ContainerId("lxc", segment[12:], segment[12:])
    if parent in ("lxc", "lxc.payload"):
        return ContainerId("lxc", segment, segment)
    if below == ["supervisor"]:  # systemd-nspawn itself, outside its container
        return None
    machine = ""
    if segment.startswith("machine-") and segment.endswith(".scope"):
        machine = unescape(segment[8:-6])
    elif segment.startswith("systemd-nspawn@") and segment.endswith(".service"):
        machine = unescape(segment[15:-8])
    if machine.startswith("lxc-"):  # libvirt's LXC driver: lxc-PID-NAME
        name = machine[4:].partition("-")[2]
        return ContainerId("lxc", name, name) if name else None
    if not machine or machine.startswith("qemu-"):  # a virtual machine is no container
        return None
    return ContainerId("nspawn", machine, machine)


def _pod(segments: list[str]) -> str:
    """Return the Kubernetes pod uid: of `podUID` below kubepods, or of `kubepods-burstable-podUID.slice`."""
    inside = False
    for segment in segments:
        inside = inside or "kubepods" in segment
        if not inside:
            continue
        name = segment.partition(".slice")[0]
        start = 0 if name.startswith("pod") else name.rfind("-pod") + 1
        uid = name[start + 3 :].replace("_", "-")
        if name.startswith("pod", start) and _is_id(uid.replace("-", ""), 32):
            return uid
    return ""


def _is_id(text: str, at_least: int) -> bool:
    return at_least <= len(text) <= 64 and _HEX.issuperset(text)
