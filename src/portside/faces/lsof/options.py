"""What can be typed to the lsof face, as values: what is selected, what is told of it, and how often."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.lsof import given
    from portside.faces.lsof.addresses import Address

STATE, QUEUES, FLAGS, WINDOWS = 4, 2, 1, 8  # what -T tells
DELAY = 15  # seconds between the rounds of -r
SHORTEST_WAIT = 2  # of -S, seconds
COMMAND_WIDTH = 9
ONLY_NETWORK = "this face shows network files only"

# field -> what -F? calls it, in the order of its help; k, G, g, R and T switch on what they tell
FIELDS = {
    "a": "access: r = read; w = write; u = read/write",
    "c": "command name",
    "d": "device character code",
    "D": "major/minor device number as 0x<hex>",
    "f": "file descriptor",
    "G": "file flaGs",
    "i": "inode number",
    "k": "link count",
    "K": "task ID (TID)",
    "l": "lock: r/R = read; w/W = write; u = read/write",
    "L": "login name",
    "m": "marker between repeated output",
    "M": "task comMand name",
    "n": "comment, name, Internet addresses",
    "o": "file offset as 0t<dec> or 0x<hex>",
    "p": "process ID (PID)",
    "g": "process group ID (PGID)",
    "P": "protocol name",
    "r": "raw device number as 0x<hex>",
    "R": "paRent PID",
    "s": "file size",
    "S": "stream module and device names",
    "t": "file type",
    "T": "TCP/TPI info",
    "u": "user ID (UID)",
    "0": "(zero) use NUL field terminator instead of NL",
}


class Options:
    """What was typed; `parse` fills it.  `said` goes to standard error, and with `wrong` nothing is listed."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.wrong = self.refused = False
        self.help = self.field_help = self.version = False
        # what is selected
        self.every = False  # -a
        self.net = False
        self.family = 0  # of -i4, -i6
        self.addresses: list[Address] = []
        self.unix = self.nfs = self.tasks = False
        self.links = 0  # of +L
        self.pids: list[given.Id] = []
        self.groups: list[given.Id] = []
        self.users: list[given.Id] = []
        self.commands: list[given.Command] = []
        self.patterns: list[given.Pattern] = []
        self.descriptors: given.Descriptors | None = None
        self.states: set[int] = set()
        self.other_states: set[int] = set()
        self.names: list[str] = []
        self.only_systems = False  # +f: names are file systems
        # what is told
        self.hosts = self.services = self.logins = self.warnings = self.search_fails = True
        self.portmap = self.group = self.parent = self.link_column = False
        self.offset = self.size = self.terse = self.verbose = self.not_tcp = False
        self.flags = self.flags_in_hex = False  # +fg, +fG
        self.width = COMMAND_WIDTH
        self.tell = STATE
        self.endpoints = 0  # 1: -E, 2: +E
        self.fields: set[str] | None = None
        self.end = "\n"  # of a field
        self.document = ""  # J or j
        # how often
        self.delay = 0
        self.rounds = 0
        self.until_empty = False  # +r
        self.marker = ""  # strftime format

    def wrongly(self, said: list[str]) -> None:
        """Take what is to be said of an option; nothing, where it is well."""
        self.said += said
        self.wrong = self.wrong or bool(said)

    def refuse(self, what: str) -> None:
        """Say what cannot be honoured here."""
        self.said.append(f"{what}: {ONLY_NETWORK}")
        self.refused = True

    def every_field(self) -> None:
        """Choose what -F alone chooses."""
        self.choose_fields("".join(one for one in FIELDS if one not in "r0"))

    def choose_fields(self, letters: str) -> None:
        """Add these fields, and switch on what some of them need."""
        self.fields = (self.fields or set()) | set(letters) - {"0"}
        self.flags = self.flags or "G" in letters
        self.flags_in_hex = self.flags_in_hex or "G" in letters
        self.link_column = self.link_column or "k" in letters
        self.group = self.group or "g" in letters
        self.parent = self.parent or "R" in letters
        self.tell |= QUEUES | STATE | WINDOWS if "T" in letters else 0


def marker(options: Options) -> str:
    """Return the line between two rounds as it was asked for, empty where it was not, or gives none."""
    try:
        return time.strftime(options.marker)
    except (ValueError, UnicodeError):
        return ""
