"""`portside tune [NAME [VALUE]]`: the kernel's settings about ports: shown, explained, set, taken back."""

from __future__ import annotations

import os

from portside.cli.command import FOUND, NOTHING, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.see.tune.advice import Warning
    from portside.see.tune.applying import Done
    from portside.see.tune.changes import Change
    from portside.see.tune.settings import Setting

ARGUMENTS = (
    Argument(
        ("words",),
        "a setting; its new value behind it; or 'undo', and a setting if you like",
        "NAME [VALUE]",
        many="*",
    ),
    Argument(("--dry-run",), "show what would be set, and what it would do, and set nothing"),
    Argument(("--persist",), "also write it to /etc/sysctl.d, so that it lasts"),
    Argument(
        ("--for",),
        "print the commands of another system instead (freebsd)",
        default="",
        choices=("linux", "freebsd"),
    ),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Show all settings or one, set one, or take the last change back."""
    from portside.errors import BadRequest
    from portside.see.tune import settings

    words = arguments.words
    if words and words[0] == "undo":
        return _undo(words[1:], arguments, output)
    chosen = [settings.find(words[0])] if words else list(settings.SETTINGS.values())
    if _system(arguments) == "freebsd":
        return _freebsd(chosen, " ".join(words[1:]), output)
    if len(words) > 1:
        return _set(chosen[0], " ".join(words[1:]), arguments, output)
    if arguments.persist or arguments.dry_run:
        raise BadRequest("tune", "", "there is nothing to set", "name a setting and its value")
    return _show(chosen, words == [], output)


def _system(arguments: SimpleNamespace) -> str:
    return getattr(arguments, "for") or os.uname().sysname.lower()


def _show(chosen: list[Setting], overview: bool, output: Output) -> int:
    from portside.cli import tune_text
    from portside.see.tune import advice, applying, usage

    values = applying.read_values()
    facts = usage.look(advice.ranges_of(values))
    warnings = advice.warnings(values, facts)
    chosen = [setting for setting in chosen if setting.name in values]
    if not chosen:
        output.note("this kernel, or this network namespace, does not have it")
        return NOTHING
    if output.json:
        items = [tune_text.item(setting, values, facts, warnings) for setting in chosen]
        output.envelope("tune", items, facts.gaps)
        return FOUND
    if overview:
        tune_text.table(chosen, values, facts, warnings, output)
    else:
        tune_text.one(chosen[0], values, facts, warnings, output)
    output.gaps(facts.gaps)
    return FOUND


def _set(setting: Setting, words: str, arguments: SimpleNamespace, output: Output) -> int:
    """Plan the change, say what it does to the host, and make it."""
    from portside.see.tune import advice, applying, changes, usage

    values = applying.read_values()
    change = changes.plan(setting, words, values, persist=arguments.persist)
    after = values | {setting.name: change.after}
    facts = usage.look(advice.ranges_of(after))
    bites = [one for one in advice.warnings(after, facts) if one.setting == setting.name]
    done = None if arguments.dry_run or _idle(change) else applying.carry_out(change)
    _tell(change, done, bites, output)
    return FOUND


def _idle(change: Change) -> bool:
    """Whether there is nothing to do."""
    return change.before == change.after and not change.persist


def _undo(words: list[str], arguments: SimpleNamespace, output: Output) -> int:
    from portside.errors import BadRequest
    from portside.see.tune import applying, settings

    if len(words) > 1:
        raise BadRequest("undo", f"'{' '.join(words)}'", "one setting at a time")
    name = settings.find(words[0]).name if words else ""
    change = applying.find_undo(name)
    if change is None:
        output.note(
            f"there is no change {f'of {name} ' if name else ''}to take back in this network namespace"
        )
        if output.json:
            output.envelope("tune-change", [])
        return NOTHING
    back = change.replace(before=change.after, after=change.before)
    done = None if arguments.dry_run else applying.undo(change)
    _tell(back, done.replace(change=back) if done else None, [], output)
    return FOUND


def _tell(change: Change, done: Done | None, bites: list[Warning], output: Output) -> None:
    """Say what was set, or would be, and what it does."""
    from portside.cli import tune_text
    from portside.see.tune.settings import shown
    from portside.system.sysctl_files import OURS

    if output.json:
        output.envelope("tune-change", [tune_text.change_item(change, done, bites)])
        return
    setting = change.setting
    before, after = shown(setting, change.before), shown(setting, change.after)
    if _idle(change):
        text = f"{change.name} is {after} already"
    else:
        text = f"{change.name}: {before} → {after}" + ("" if done else " (nothing was set)")
    output.write(output.clean(text) + "\n")
    if change.persist:
        output.write(f"{OURS}: {'changed' if done else 'would be changed'}\n")
    output.write("".join(tune_text.warning_line(one, output) for one in bites))
    if done and done.overridden_by:
        output.note(f"{done.overridden_by} sets {setting.sysctl} too, and has the last word at boot")
    if done and not done.recorded:
        output.note("no record could be kept: 'portside tune undo' will not know of it")


def _freebsd(chosen: list[Setting], words: str, output: Output) -> int:
    """Print FreeBSD's names, or the commands that set one."""
    from portside.see.tune import freebsd, settings

    if words:
        lines = freebsd.commands(chosen[0], settings.typed(chosen[0], words))
        if output.json:
            output.envelope("tune-commands", [{"command": line} for line in lines])
        else:
            output.write("".join(f"{line}\n" for line in lines))
        return FOUND
    rows: list[dict[str, Any]] = [
        {"name": setting.name, "sysctl": name.sysctl, "default": name.default, "about": setting.about}
        for setting in chosen
        for name in freebsd.NAMES.get(setting.name, ())
    ]
    if output.json:
        output.envelope("tune-names", rows)
        return FOUND if rows else NOTHING
    from portside.cli.output import Column

    columns = (
        Column("name", "NAME", lambda row: row["name"]),
        Column("sysctl", "SYSCTL", lambda row: row["sysctl"]),
        Column("default", "DEFAULT", lambda row: row["default"], right=True),
        Column("about", "MEANING", lambda row: row["about"], shrink=1),
    )
    output.table(rows, columns)
    return FOUND if rows else NOTHING


COMMAND = Command(
    "tune",
    "the kernel's settings about ports: what they do here, and set them",
    ARGUMENTS,
    run,
    description=(
        "Show the settings of this network namespace with their meaning, and where a value bites; set one; take the\n"
        "last change back ('undo').  A range is written A-B; ports 8080,9000-9010, or +8080 and -8080 to change the\n"
        "list; times 2000, 30min, 2h; 'default' is the kernel's own."
    ),
    examples=(
        "  portside tune\n  portside tune ephemeral\n  sudo portside tune ephemeral 1024-65535\n"
        "  sudo portside tune reserved +8080 --persist\n  sudo portside tune undo"
    ),
)
