"""Processes as `portside` shows them: the facts of /proc with user, unit and container named.

One table serves one snapshot.  Everything is looked up when a process is first asked for and kept, names of users,
units and containers each once.  `from_cgroup` names unit and container of a socket whose holders may not be read.
"""

from __future__ import annotations

from portside.see.records import Container, Process
from portside.wire import cgroup, containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.containers import ContainerFiles
    from portside.system.processes import ProcessFacts, ProcessReader


HELPERS = ("conmon", *containers.PROXIES)  # programs that hold a container's ports on the host


def is_manager(process: Process) -> bool:
    """Whether a process is a systemd of this host, the system's or a user's; its name alone could be anybody's."""
    if process.name != "systemd" or process.container is not None:
        return False
    return not process.exe or process.exe.endswith("/systemd")


class ProcessTable:
    """Composes `Process` records; `files` may be left out where names of containers are not wanted."""

    def __init__(self, reader: ProcessReader, files: ContainerFiles | None = None) -> None:
        self.reader = reader
        self._files = files
        self._processes: dict[tuple[int, int], Process] = {}
        self._users: dict[int, str] = {}
        self._names: dict[str, cgroup.CgroupNames] = {}

    def process(self, pid: int) -> Process | None:
        """Return a process, `None` if it is gone."""
        facts = self.reader.read(pid)
        if facts is None:
            return None
        key = pid, facts.start_ticks
        process = self._processes.get(key)
        if process is None:
            process = self._processes[key] = self._compose(facts)
        return process

    def container_of(self, pid: int) -> str:
        """Return the container a process runs in as `engine:name`, empty if it runs in none."""
        process = self.process(pid)
        return f"{process.container.engine}:{process.container}" if process and process.container else ""

    def parents(self, pid: int) -> tuple[Process, ...]:
        """Return the ancestors of a process, its parent first."""
        chain = (self.process(facts.pid) for facts in self.reader.parents(pid))
        return tuple(process for process in chain if process)

    def user(self, uid: int | None) -> str:
        """Return a user's name, empty if the uid has none."""
        if uid is None:
            return ""
        if uid not in self._users:
            self._users[uid] = _user_name(uid)
        return self._users[uid]

    def from_cgroup(self, path: str) -> tuple[str, Container | None]:
        """Return the unit and the container that a cgroup path stands for.

        A unit of a user's own manager reads `app-foo.service (user 1000)`.
        """
        names = self._parse(path)
        return str(names), self._container(names.container, names.uid)

    def _compose(self, facts: ProcessFacts) -> Process:
        names = self._best_names(facts)
        container = names.container or self._served(facts)
        return Process(
            pid=facts.pid,
            name=facts.name,
            parent=facts.parent,
            start_ticks=facts.start_ticks,
            started=facts.started,
            uid=facts.uid,
            user=self.user(facts.uid),
            exe=facts.exe,
            cmdline=facts.cmdline,
            cgroup=facts.cgroup.path,
            unit=str(names),
            container=self._container(container, names.uid),
        )

    def _best_names(self, facts: ProcessFacts) -> cgroup.CgroupNames:
        """Take the unit and the container each from the first hierarchy that tells it (they differ under v1)."""
        parsed = [self._parse(path) for path in facts.cgroup.paths()]
        unit = next((names for names in parsed if names.unit), cgroup.CgroupNames())
        container = next((names.container for names in parsed if names.container), None)
        return unit if unit.container == container else unit.replace(container=container)

    def _parse(self, path: str) -> cgroup.CgroupNames:
        names = self._names.get(path)
        if names is None:
            names = self._names[path] = cgroup.parse_path(path)
        return names

    def _served(self, facts: ProcessFacts) -> cgroup.ContainerId | None:
        """Return the container on whose behalf a helper outside it holds sockets: docker-proxy's, conmon's."""
        if facts.exe and facts.exe.rpartition("/")[2] not in HELPERS:
            return None
        if facts.name == "conmon":
            id = containers.monitored_container(facts.cmdline)
            return cgroup.ContainerId("podman", id) if id and "/" not in id else None
        if facts.name.endswith("docker-proxy") or facts.name.startswith("rootlesskit-doc"):
            return self._files.proxied(facts.cmdline) if self._files else None
        return None

    def _container(self, found: cgroup.ContainerId | None, uid: int | None) -> Container | None:
        if found is None:
            return None
        if self._files and not found.name:
            found = self._files.name(found, uid)
        return Container(found.engine, found.id, found.name, found.pod)


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""
