"""ss -0: packet sockets.  The local end is an ethertype and an interface.  Reference: misc/ss.c, packet(7)."""

from __future__ import annotations

import struct

from portside.errors import NotSupported
from portside.faces.ss import extras, memory
from portside.faces.ss.context import Subject
from portside.faces.ss.extras import NEW_LINE
from portside.wire import packet_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

    Answer = tuple[tuple[int, ...], dict[str, object]]

_SOCK_RAW = 3
_ETH_P_ALL = 3
# include/uapi/linux/if_ether.h, with the names that iproute2 gives
_PROTOCOLS = {
    0x0060: "loop", 0x0200: "pup", 0x0201: "pupat", 0x0800: "ip", 0x0805: "x25", 0x0806: "arp", 0x08FF: "bpq",
    0x0A00: "ieeepup", 0x0A01: "ieeepupat", 0x6000: "dec", 0x6001: "dna_dl", 0x6002: "dna_rc", 0x6003: "dna_rt",
    0x6004: "lat", 0x6005: "diag", 0x6006: "cust", 0x6007: "sca", 0x8035: "rarp", 0x809B: "atalk", 0x80F3: "aarp",
    0x8137: "ipx", 0x86DD: "ipv6", 0x8863: "ppp_disc", 0x8864: "ppp_ses", 0x884C: "atmmpoa", 0x8884: "atmfate",
    0x0001: "802_3", 0x0002: "ax25", 0x0004: "802_2", 0x0005: "snap", 0x0006: "ddcmp", 0x0007: "wan_ppp",
    0x0008: "ppp_mp", 0x0009: "localtalk", 0x000C: "can", 0x0010: "ppptalk", 0x0011: "tr_802_2",
    0x0015: "mobitex", 0x0016: "control", 0x0017: "irda", 0x0018: "econet", 0x88CA: "tipc", 0x8892: "profinet",
    0x88A2: "aoe", 0x88A4: "ethercat", 0x8100: "802.1Q", 0x88A8: "802.1ad", 0x8847: "mpls_uc",
    0x8848: "mpls_mc", 0x6558: "teb", 0x88CC: "LLDP",
}  # fmt: skip
# pdi_flags, in ss's order; the first has no blank before it
_FLAGS = ((0x01, "running"), (0x02, " auxdata"), (0x04, " origdev"), (0x08, " vnethdr"), (0x10, " loss"))
_FANOUT = ("hash", "lb", "cpu", "roll", "random", "qm")  # PACKET_FANOUT_*


def rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the packet sockets, of both types whatever table was named: ss does not tell them apart either."""
    show = packet_diag.SHOW_EVERYTHING & ~packet_diag.PACKET_SHOW_MCLIST
    answers = list(packet_diag.answers(reading.dump(packet_diag.request(show), "packet sockets")))
    if any("meminfo" not in told for _, told in answers):
        raise NotSupported("read", "packet sockets", "this kernel does not tell their memory")
    reading.want(numbers[3] for numbers, _ in answers)
    return _lines(answers, options, reading)


def _lines(answers: list[Answer], options: Options, reading: Reading) -> Iterator[Line]:
    for (_, kind, protocol, inode, cookie), told in answers:
        uid = told.get("uid")
        numbers = (
            kind, protocol, _words(told, "info")[0], _words(told, "meminfo")[0], uid if isinstance(uid, int) else 0,
            inode, cookie,
        )  # fmt: skip
        made = line(numbers, _more(told, options), options, reading)
        if made is not None:
            yield made


def line(numbers: tuple[int, ...], more: str, options: Options, reading: Reading) -> Line | None:
    """Return the line of a packet socket: (type, ethertype, interface, bytes received, uid, inode, cookie).

    None where the filter leaves it out.
    """
    kind, protocol, interface, received, uid, inode, cookie = numbers
    end = struct.pack("=I", protocol)
    if not reading.accepts(Subject(packet_diag.AF_PACKET, end, bytes(4), interface, 0, interface)):
        return None
    details = extras.details(uid, inode, cookie) if options.details else ""
    return (
        "p_raw" if kind == _SOCK_RAW else "p_dgr",
        "UNCONN",
        f"{received:<6}",
        f"{0:<6}",
        _protocol(protocol, options.numeric) + ":",
        reading.interface(interface) if interface else "*",
        "*",
        "",
        reading.users(inode) + details + more,
    )


def _protocol(number: int, numeric: bool) -> str:
    if number == _ETH_P_ALL:
        return "*"
    return f"[{number}]" if numeric else _PROTOCOLS.get(number) or f"[{number}]"


def number_of(name: str) -> int | None:
    """Return the number of the ethertype of this name, capitals like small letters."""
    return {known.lower(): number for number, known in _PROTOCOLS.items()}.get(name.lower())


def _words(told: dict[str, object], name: str) -> tuple[int, ...]:
    """Return an attribute's u32 words; zeros where the kernel sent none."""
    found = told.get(name)
    words = found if isinstance(found, tuple) else ()
    return words + (0,) * (6 - len(words))


def _more(told: dict[str, object], options: Options) -> str:
    """Return what -e, -b and -m add, each piece on a line of its own but with -O."""
    first = " " if options.oneline else NEW_LINE
    pieces = []
    if options.details:
        if "info" in told:
            pieces.append(first + _info(_words(told, "info")))
        for name in ("rx_ring", "tx_ring"):
            ring = told.get(name)
            if isinstance(ring, bytes):
                pieces.append(f"{first}ring_{name[:2]}({_ring(ring)})")
        fanout = told.get("fanout")
        if isinstance(fanout, int):
            pieces.append(f"{first}fanout(id:{fanout & 0xFFFF},type:{_fanout_type(fanout >> 16)})")
    program = told.get("filter")
    if options.bpf and isinstance(program, bytes):
        pieces.append(first + _filter(program))
    if options.memory:
        pieces.append(memory.words(_words(told, "meminfo")))
    return "".join(pieces)


def _info(words: tuple[int, ...]) -> str:
    """Return `ver:2 cpy_thresh:0 flags( running )` of struct packet_diag_info."""
    flags = words[5]
    named = "".join(word for bit, word in _FLAGS if flags & bit) if flags else "0"
    return f"ver:{words[1]} cpy_thresh:{words[3]} flags( {named} )"


def _ring(ring: bytes) -> str:
    """Return the shape of a ring (struct packet_diag_ring; its sixth number is not shown)."""
    names = ("blk_size", "blk_nr", "frm_size", "frm_nr", "tmo")
    numbers = struct.unpack("=7I", ring[:28].ljust(28, b"\0"))
    return ",".join(f"{name}:{number}" for name, number in zip(names, numbers, strict=False)) + (
        f",features:0x{numbers[6]:x}"
    )


def _fanout_type(number: int) -> str:
    return _FANOUT[number] if number < len(_FANOUT) else f"0x{number:x}"


def _filter(program: bytes) -> str:
    """Return a classic BPF program as `bpf filter (2):  0x28 0 0 12, ...` (struct sock_filter)."""
    steps = list(struct.iter_unpack("=HBBI", program[: len(program) // 8 * 8]))
    written = "".join(f" 0x{code:02x} {true} {false} {k}," for code, true, false, k in steps)
    return f"bpf filter ({len(steps)}): {written}"
