"""Keeping our own table over a reboot, in a way that a reload of others' rules does not wipe it, nor ours theirs.

The table's script stands in one file, and one line or unit of ours has it loaded:

    systemd     a unit of its own, after every service that loads rules (so that their `flush ruleset` comes before),
                and again whenever nftables.service reloads (an `include` at the end of its file)
    OpenRC, SysV and others: an `include` at the end of the file that the nftables service loads

Reference: Debian's and Fedora's nftables packages; systemd.unit(5).
"""

from __future__ import annotations

import os

from portside.errors import NotSupported
from portside.guard.changes import transition
from portside.guard.changes.plan import without_lines
from portside.system import commands, files, holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.changes.wish import Wish

SCRIPT = "/etc/portside/firewall.nft"
UNIT = "/etc/systemd/system/portside-firewall.service"
WANTS = "/etc/systemd/system/multi-user.target.wants/portside-firewall.service"
# what the nftables service loads: Debian and Arch, Red Hat's, Alpine
LOADED = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft")
INCLUDE = f'include "{SCRIPT}"  # portside'
_UNIT_TEXT = f"""\
# Written by portside: loads the changes that were made with --persist; taken away with the last of them.
[Unit]
Description=Portside's own firewall table
After=nftables.service netfilter-persistent.service iptables.service firewalld.service ufw.service
Before=network.target
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {SCRIPT}

[Install]
WantedBy=multi-user.target
"""


def script_text(lasting: list[tuple[int, Wish]]) -> str:
    """Return the file that loads the lasting changes; loading it twice does no harm."""
    heading = (
        "#!/usr/sbin/nft -f\n# Written by portside; 'portside changes' lists, 'portside undo' takes back.\n"
    )
    return heading + transition.between([], lasting, now=0, exists=False).script


def with_include(text: str, *, wanted: bool) -> str:
    """Return the text of an nftables configuration with our line at its end, or without it."""
    bare = without_lines(text, [INCLUDE])
    if not wanted:
        return bare
    return bare + ("" if bare.endswith("\n") or not bare else "\n") + INCLUDE + "\n"


def write(lasting: list[tuple[int, Wish]], root: str = "") -> None:
    """Make the files those of the lasting changes; without any, no trace stays."""
    files.replace(root + SCRIPT, script_text(lasting) if lasting else None)
    systemd = os.path.isdir(root + holder.BOOTED)
    for path in LOADED:
        text = files.read_text(root + path)
        if text is not None and (INCLUDE in text) != bool(lasting):
            files.replace(root + path, with_include(text, wanted=bool(lasting)))
    if systemd or files.read_text(root + UNIT) is not None:
        _unit(root, wanted=bool(lasting))
    elif lasting and not any(files.read_text(root + path) is not None for path in LOADED):
        raise NotSupported(
            "keep", "the rules over a reboot", "nothing on this host loads rules at boot",
            f"have it run: nft -f {SCRIPT}",
        )  # fmt: skip


def _unit(root: str, *, wanted: bool) -> None:
    files.replace(root + UNIT, _UNIT_TEXT if wanted else None)
    files.link(root + WANTS, UNIT if wanted else None)
    if not root and os.path.isdir(holder.BOOTED):
        commands.run(("systemctl", "daemon-reload"))
