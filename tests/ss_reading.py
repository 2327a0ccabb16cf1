"""What the tables of the ss face ask, answered from bytes and texts: `context.Reading` without a kernel."""

from __future__ import annotations

import _socket

from portside.errors import NotSupported
from portside.faces.ss import extras, info
from portside.faces.ss.context import STATES as STATES_SHOWN
from portside.faces.ss.context import Options
from portside.system.host import Host
from portside.wire import inet_diag

TABLES = frozenset(
    [
        "tcp",
        "mptcp",
        "udp",
        "dccp",
        "sctp",
        "raw",
        "u_str",
        "u_dgr",
        "u_seq",
        "p_raw",
        "p_dgr",
        "netlink",
        "v_str",
        "v_dgr",
        "tipc",
        "xdp",
    ]
)
FAMILIES = frozenset((1, 2, 10, 16, 17, 30, 40, 44))
STATES = (1 << 12) - 1


def options(flags="", **named):
    """Every table, family and state, and what the letters of `flags` say: n o e m i p b O."""
    words = {
        "n": "numeric", "o": "timers", "e": "details", "m": "memory", "i": "info", "p": "processes", "b": "bpf",
        "O": "oneline",
    }  # fmt: skip
    given = dict.fromkeys((words[flag] for flag in flags), True)
    if "e" in flags or "b" in flags:
        given["timers"] = True
    everything = {"tables": TABLES, "families": FAMILIES, "states": STATES}
    return Options(**everything | given | named)


class RecordedReading:
    """Answers every dump with `buffer` (None: this kernel does not offer it), every text from `texts` by name."""

    def __init__(self, buffer=None, texts=None, environ=None, names=None):
        self.buffer, self.texts, self.environ = buffer, texts or {}, environ or {}
        self.names = names or {}  # pid -> name of a process
        self.host = Host(root="/nowhere", netlink=None, bpf=False)
        self.wanted = []
        self.asked = []
        self.refused = set()  # inodes that the filter leaves out

    def dump(self, request, what):
        self.asked.append(request)
        if self.buffer is None:
            raise NotSupported("read", what, "this kernel does not offer it")
        return self.buffer

    def want(self, inodes):
        self.wanted += inodes

    def users(self, inode):
        return f' users:(("holder",pid=7,fd={inode}))' if inode in self.names else ""

    def accepts(self, subject):
        self.asked.append(subject)
        return subject.local_port not in self.refused

    def interface(self, index):
        return {1: "lo"}.get(index, f"if{index}")

    def cgroup(self, number):
        return f"unreachable:{number:x}"

    def process(self, pid):
        return self.names.get(pid, "")

    def end(self, family, raw, port, transport, v6only=False, device=""):
        address = _socket.inet_ntop(family, raw)
        if family == _socket.AF_INET6:
            address = "*" if not any(raw) and not v6only else f"[{address}]"
        return f"{address}{'%' + device if device else ''}:", str(port or "*")

    def text(self, knob, name):
        return self.texts.get(name)


def drawn(lines):
    """Lines as text, a blank between the cells."""
    return ["{} {} {}{}{}{} {}{}{}".format(*line) for line in lines]


def behind_the_addresses(row, chosen, protocol=inet_diag.IPPROTO_TCP, cgroup=""):
    """What is written of a row of inet_diag behind the addresses, put together from `extras` and `info`."""
    told = inet_diag.attributes(row[15])
    protocol = told.get("protocol", protocol)
    first = " " if chosen.oneline else "\n\t"
    text = ""
    if chosen.timers:
        sctp = protocol == inet_diag.IPPROTO_SCTP
        text += (extras.sctp_timer if sctp else extras.timer)(row[2], row[10], row[3])
    if chosen.details:
        text += extras.details(row[13], row[14], row[9], told.get("mark", 0), cgroup)
        text += extras.v6only(told.get("v6only")) if row[0] == inet_diag.AF_INET6 else ""
        text += extras.shutdown(told.get("shutdown"))
    text += extras.tos(told) if chosen.tos else ""
    text += extras.sockopt(told["sockopt"], chosen.oneline) if chosen.sockopt and "sockopt" in told else ""
    if chosen.memory or (chosen.info and protocol != inet_diag.IPPROTO_UDP):
        text += first.strip(" ") + info.text(told, row, chosen, protocol)
    return text


def ip_line(row, chosen, protocol=inet_diag.IPPROTO_TCP, cgroup=""):
    """The line of a row of inet_diag, numbers for names."""
    netid = {inet_diag.IPPROTO_MPTCP: "mptcp"}.get(protocol, "tcp")
    size = 4 if row[0] == inet_diag.AF_INET else 16
    end = RecordedReading().end
    ends = (end(row[0], row[src][:size], inet_diag.ntohs(row[port]), netid) for src, port in ((6, 4), (7, 5)))
    local, remote = ends
    rest = behind_the_addresses(row, chosen, protocol, cgroup)
    return (netid, STATES_SHOWN[row[1]], f"{row[11]:<6}", f"{row[12]:<6}", *local, *remote, rest)


HEADER = ("Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port", "Process")
DELIMITERS = ("", " ", " ", " ", " ", "", " ", "", "")
RIGHT = (4, 6)  # addresses


def rendered(lines, hidden=(), header=True):
    """Lines as ss prints them into a pipe: every column as wide as its longest cell, the last one too.

    The last cell of all is not measured: ss prints before it has finished that one.
    """
    rows = [*([HEADER] if header else ()), *lines]
    shown = [column for column in range(9) if column not in hidden]
    widths = {column: max((len(row[column].encode()) for row in rows), default=0) for column in shown}
    widths[8] = max((len(row[8].encode()) for row in rows[:-1]), default=0)
    written = ""
    for row in rows:
        for column in shown:
            blanks = " " * (widths[column] - len(row[column].encode()))
            written += DELIMITERS[column] if column != shown[0] else ""
            written += blanks + row[column] if column in RIGHT else row[column] + blanks
        written += "\n"
    return written
