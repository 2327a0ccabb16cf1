"""Reads the settings, makes a change, keeps a record of it, and takes it back.

Order of a change: the record is in the journal first, then the kernel is told and asked what it has now, then the
file under /etc/sysctl.d is written.  A change that the kernel refuses leaves the record as it was.
"""

from __future__ import annotations

import os
import time

from portside.errors import NotSupported, PortsideError, TimedOut
from portside.record import Record
from portside.see.tune import changes, settings
from portside.system import files, journal, netns, sysctl, sysctl_files
from portside.system.host import LIVE, Host
from portside.wire import sysctl_conf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.tune.changes import Change
    from portside.system.journal import Journal

COMMENT = "set by portside tune; 'portside tune undo' takes it back"


class Done(Record):
    """What became of a change: the value the kernel tells now, and what may keep it from lasting (empty: nothing)."""

    change: Change
    now: str
    overridden_by: str = ""
    recorded: bool = True


def read_values(host: Host = LIVE) -> dict[str, str]:
    """Return the canonical value of each setting that there is here."""
    found = {}
    for setting in settings.SETTINGS.values():
        text = sysctl.read(host, setting.sysctl)
        if text is not None:
            found[setting.name] = settings.canonical(setting, text)
    return found


def carry_out(change: Change, host: Host = LIVE, root: str = "") -> Done:
    """Make a change; `root` stands before /etc and /var/lib.

    Raises NotPermitted without the right, BadRequest where the kernel refuses the value, NotSupported for a change
    that is to last in a network namespace of which no file tells, TimedOut where another change goes on.
    """
    if change.persist:
        _check_lasting(root)
        text = sysctl_files.read(sysctl_files.OURS, root)
        change = change.replace(file_before=sysctl_conf.last(text, change.setting.sysctl))
    change = change.replace(network=netns.cookie(), boot=_boot(host), at=time.time())
    book = journal.Journal(_place(root))
    try:
        number = _write_down(book, change)
        try:
            now = _set(change.name, change.after, host)
            if change.persist:
                _write_setting(change.name, change.after, root)
        except PortsideError:
            if number:
                book.remove(number)
            raise
    finally:
        book.close()
    return Done(change, now, _overriding(change, root) if change.persist else "", bool(number))


def _lock(book: Journal) -> bool:
    """Lock the journal; False where none can be kept.  Raises TimedOut where another change goes on."""
    try:
        book.lock()
    except TimedOut:
        raise
    except PortsideError:
        return False
    return True


def _write_down(book: Journal, change: Change) -> int:
    """Lock the journal and write the change down; return its number, 0 where no journal can be kept."""
    if not _lock(book):
        return 0
    for number, one in changes.of_journal(book.records()).items():
        if not one.persist and one.boot != change.boot:  # what was set for that boot alone is gone
            book.remove(number)
    try:
        return book.add(changes.to_json(change))
    except PortsideError:
        return 0


def find_undo(name: str = "", host: Host = LIVE, root: str = "") -> Change | None:
    """Return the last recorded change that can be taken back here (of the setting `name`, if given)."""
    lasting = bool(root) or netns.is_of_init()
    return changes.to_undo(read_record(root), name, netns.cookie(), _boot(host), lasting=lasting)


def undo(change: Change, host: Host = LIVE, root: str = "") -> Done:
    """Take a recorded change back: the value, and the line of our file, as they were before it.

    Raises NotSupported where the value is not the one that was set: somebody has changed it since.
    """
    setting = change.setting
    now = read_values(host).get(change.name, "")
    if now not in (change.after, change.before):
        raise NotSupported(
            "undo", f"'{change.name}'",
            f"it is {settings.shown(setting, now)} now, not the {settings.shown(setting, change.after)} that was set",
            f"set it: portside tune {change.name} {settings.shown(setting, change.before)}",
        )  # fmt: skip
    book = journal.Journal(_place(root))
    try:
        locked = _lock(book)
        now = _set(change.name, change.before, host)
        if change.persist:
            before = change.file_before
            _write_setting(change.name, None if before is None else settings.canonical(setting, before), root)
        return Done(change, now, recorded=locked and _forget(book, change))
    finally:
        book.close()


def _forget(book: Journal, change: Change) -> bool:
    """Take a change out of the journal; False where that cannot be."""
    try:
        for number, one in changes.of_journal(book.records()).items():
            if one == change:
                book.remove(number)
    except PortsideError:
        return False
    return True


def _set(name: str, value: str, host: Host) -> str:
    """Tell the kernel, and return what it has then."""
    setting = settings.SETTINGS[name]
    sysctl.write(host, setting.sysctl, settings.kernel_text(setting, value))
    now = settings.canonical(setting, sysctl.read(host, setting.sysctl) or "")
    if now != value:
        reason = f"the kernel took it for {settings.shown(setting, now)}"
        raise NotSupported("set", f"'{setting.sysctl}' to '{value}'", reason)
    return now


def _write_setting(name: str, value: str | None, root: str) -> None:
    setting = settings.SETTINGS[name]
    text = sysctl_files.read(sysctl_files.OURS, root)
    written = None if value is None else settings.kernel_text(setting, value)
    new = sysctl_conf.changed(text, setting.sysctl, written, COMMENT)
    files.replace(root + sysctl_files.OURS, new or None)


def _overriding(change: Change, root: str) -> str:
    """Return who sets the same after our file, at boot and with `sysctl --system`."""
    found = sysctl_conf.overriding(sysctl_files.read_all(root), sysctl_files.OURS, change.setting.sysctl)
    return f"{found[0]} line {found[1].line}" if found else ""


def _check_lasting(root: str) -> None:
    """Refuse to write the host's files for a namespace that they are not read for."""
    if not root and not netns.is_of_init():
        raise NotSupported(
            "tune", "--persist", "the files under /etc/sysctl.d are read for the host's network namespace alone",
            "leave --persist out",
        )  # fmt: skip


def _boot(host: Host) -> str:
    return sysctl.read(host, "kernel.random.boot_id") or ""


def _place(root: str) -> str:
    """Return where the journal is: the host's for root, else the user's own, or where PORTSIDE_STATE says."""
    own = os.geteuid() != 0 or not os.access("/var/lib", os.W_OK)
    if root or os.environ.get("PORTSIDE_STATE") or not own:
        return journal.place("tune", root)
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{state}/portside/tune"


def read_record(root: str = "") -> tuple[Change, ...]:
    """Return the recorded changes, the oldest first; raises BadReply for a record that cannot be believed."""
    return tuple(changes.of_journal(journal.read(_place(root))).values())
