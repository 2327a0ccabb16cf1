"""The command lines of the tools people know, over the same snapshot: same flags, same columns, same exit codes.

A face is a module or package of this one with `main(words) -> exit code`.  It parses that tool's flags, asks `see`,
and draws that tool's text on standard output; its errors are worded as the tool's and go to standard error.  A flag
that cannot be honoured ends it as an unknown option would: nothing is ignored in silence.  Text of foreign origin
(process names, command lines, paths) passes through `printable` before it is written.  What a face draws otherwise
than its model is listed in docs/comparison.md.

A face is started as `portside ss ...`, or through a link of its name to the command (`portside faces DIR`).
"""

from __future__ import annotations

# name -> one line of help; each is a module or package here
FACES: dict[str, str] = {
    "ss": "sockets, their holders and their insides, as ss of iproute2 prints them",
    "ncat": "connections and listeners, as Nmap's Ncat makes them: TLS, programs, proxies, brokers",
    "nc": "connections and listeners, as OpenBSD's nc makes them; others' dialects with --as",
    "netstat": "sockets, routes, interfaces and counters, as netstat prints them; BSD's with --bsd",
    "lsof": "network files and who holds them, as lsof lists them",
    "sockstat": "sockets and who holds them, as FreeBSD's sockstat tells them",
}


def printable(text: str) -> str:
    r"""Return foreign text with what a terminal would act on escaped as `\x1b`; plain text comes back as it is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    number = ord(one)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that was no UTF-8 (surrogateescape)
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
