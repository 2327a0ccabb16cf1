"""A change of a setting as a value: planned against what is in force, written down, and planned back.

The kernel refuses some values that are right by themselves (an ephemeral range that begins below the first port
any user may bind); what depends on other settings is checked here, so that the reason can be told.
"""

from __future__ import annotations

from portside.errors import BadReply, BadRequest
from portside.record import Record
from portside.see.tune import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portside.see.tune.settings import Setting


class Change(Record):
    """One change: the setting, its canonical values before and after, and what our file under /etc/sysctl.d had.

    `persist`: the file is changed too.  `network` (a cookie) and `boot` tell the network namespace and the boot in
    which it was made, `at` the moment (seconds since the epoch).
    """

    name: str
    before: str
    after: str
    persist: bool = False
    file_before: str | None = None
    network: int = 0
    boot: str = ""
    at: float = 0.0

    @property
    def setting(self) -> Setting:
        """The setting that is changed."""
        return settings.SETTINGS[self.name]


def plan(setting: Setting, words: str, values: dict[str, str], *, persist: bool = False) -> Change:
    """Return the change to what somebody typed; raises BadRequest for a value that cannot be.

    `values` are the canonical values in force.
    """
    if setting.name not in values:
        raise BadRequest(
            "tune", f"'{setting.name}'", "this kernel, or this network namespace, does not have it"
        )
    after = settings.typed(setting, words, values[setting.name])
    check(values | {setting.name: after})
    return Change(setting.name, values[setting.name], after, persist)


def check(values: dict[str, str]) -> None:
    """Raise BadRequest for values that the kernel refuses together (ipv4_local_port_range, ipv4_privileged_ports)."""
    if not values.get("ephemeral") or not values.get("unprivileged"):
        return
    first, start = settings.as_range(values["ephemeral"]).first, int(values["unprivileged"])
    if first < start:
        raise BadRequest(
            "tune", f"'ephemeral' from {first}, 'unprivileged' from {start}",
            "the ephemeral range may not begin below the first port that any user may bind",
            f"begin at {start}, or first: portside tune unprivileged {first}",
        )  # fmt: skip


def to_undo(record: Sequence[Change], name: str, network: int, boot: str, *, lasting: bool) -> Change | None:
    """Return the last change that can be taken back here, None where there is none.

    That is one of this namespace and boot; and where `lasting`, one that was made to last.
    """
    for change in reversed(record):
        here = change.network == network and change.boot == boot
        if (not name or change.name == name) and (here or (change.persist and lasting)):
            return change
    return None


_FORMS = {
    "name": str, "before": str, "after": str, "persist": bool, "file_before": (str, type(None)),
    "network": int, "boot": str, "at": (int, float),
}  # fmt: skip


def of_journal(records: Mapping[int, dict[str, Any]]) -> dict[int, Change]:
    """Return the changes that a journal tells of; raises BadReply for what is none.

    Its values are ones that could have been typed: they will be written to the kernel.
    """
    return {number: _from_json(number, record) for number, record in records.items()}


def _from_json(number: int, record: dict[str, Any]) -> Change:
    if _is_of_form(record):
        change = Change(**record)
        values = (change.before, change.after)
        try:
            if all(settings.typed(change.setting, value or "none") == value for value in values):
                return change
        except BadRequest:
            pass
    raise BadReply(
        "read", f"change {number} of tune's journal", "it is not one of ours", "look at it, and remove it"
    )


def _is_of_form(item: dict[str, object]) -> bool:
    needed = {"name", "before", "after"}
    return (
        needed <= item.keys() <= _FORMS.keys()
        and all(isinstance(value, _FORMS[field]) for field, value in item.items())  # type: ignore[arg-type]
        and item["name"] in settings.SETTINGS
    )


def to_json(change: Change) -> dict[str, Any]:
    """Return a change as JSON keeps it."""
    return dict(change.items())
