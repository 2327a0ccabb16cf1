"""Made-up answers of a kernel and made-up text of /proc/net, for ss and the ss face to read the same.

Mostly small numbers, zeros, and the ones that mean something; the same seed makes the same.
"""

from __future__ import annotations

import random
import re
import socket
import struct

from portside.wire import inet_diag, netlink, sctp_info, sock_diag, tcp_info


class Maker:
    """Makes up answers: mostly small numbers, zeros, and the ones that mean something."""

    SPECIAL = {32: (3_000_000, 0xFFFF, 0x10000, 0x7FFFFFFF), 64: ((1 << 64) - 1, 1 << 40)}

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def number(self, bits):
        kind = self.dice.random()
        if kind < 0.35:
            return 0
        if kind < 0.6:
            return self.dice.randrange(1, 20)
        if kind > 0.9 and bits in self.SPECIAL:
            return self.dice.choice(self.SPECIAL[bits])
        return self.dice.randrange(1 << self.dice.randrange(1, min(bits, 31) + 1))

    def sometimes(self, chance):
        return self.dice.random() < chance

    def struct(self, layout, **given):
        bits = {"B": 8, "H": 16, "I": 32, "Q": 64, "i": 31}
        codes = [bits[code] for code in re.sub(r"\d+x|\d+s", "", layout.codes)]
        numbers = {name: self.number(size) for size, name in zip(codes, layout.fields, strict=True)}
        return layout.write(**numbers | given)

    def integer(self, size):
        return self.number(size * 8).to_bytes(size, "little")

    def nest(self, *choices):
        """Attributes, each there with its chance: (chance, number, payload)."""
        return b"".join(
            netlink.attribute(kind, payload) for chance, kind, payload in choices if self.sometimes(chance)
        )

    def inside(self, protocol):
        """INET_DIAG_INFO as kernels of several ages send it."""
        if protocol == inet_diag.IPPROTO_SCTP:
            whole = self.struct(sctp_info.SCTP_INFO, sctpi_state=self.dice.randrange(8))
        else:
            whole = self.struct(tcp_info.TCP_INFO)
        return whole[
            : self.dice.choice([len(whole), len(whole), 104, 160, 192, 224, self.dice.randrange(280)])
        ]

    def above(self):
        """INET_DIAG_ULP_INFO: kernel TLS, a subflow of MPTCP, or neither."""
        tls = self.nest(
            (0.8, 1, self.dice.choice([0x303, 0x304, 5]).to_bytes(2, "little")),
            (0.8, 2, self.dice.choice([51, 52, 53]).to_bytes(2, "little")),
            (0.8, 3, self.dice.randrange(7).to_bytes(2, "little")),
            (0.8, 4, self.dice.randrange(7).to_bytes(2, "little")),
            (0.3, 5, b""),
        )
        sizes = {1: 4, 2: 4, 3: 8, 4: 8, 5: 4, 6: 4, 7: 4, 9: 1, 10: 1}
        subflow = self.nest(
            (0.9, 8, self.dice.randrange(512).to_bytes(4, "little")),
            *((0.9, kind, self.integer(size)) for kind, size in sizes.items()),
        )
        return self.nest((0.9, 1, b"tls\0"), (0.5, 2, tls), (0.5, 3, subflow))

    def ends(self):
        """sockaddr_storage of some addresses."""
        v4 = struct.pack("=HH4s", 2, 5, bytes([10, 0, 0, self.dice.randrange(256)]))
        v6 = struct.pack("=HHI16s", 10, 5, 0, bytes([0xFD]).ljust(16, b"\1"))
        return b"".join(
            self.dice.choice((v4, v6)).ljust(128, b"\0") for _ in range(self.dice.randrange(1, 3))
        )

    def answer(self, port):
        protocol = self.dice.choice([6] * 8 + [17, 58, 132])
        choices = [
            (1.0 if protocol != 6 else 0.1, 10, bytes([protocol])),
            (0.6, 7, b"".join(self.integer(4) for _ in range(self.dice.choice([7, 8, 9])))),
            (0.3, 1, self.struct(tcp_info.MEMINFO)),
            (0.9, 2, self.inside(protocol)),
            (
                0.3,
                3,
                struct.pack("=4I", self.dice.randrange(2), 1, self.dice.choice([0, 0x7FFFFFFF, 1234]), 3),
            ),
            (0.8, 4, self.dice.choice([b"cubic\0", b"\0", b"a_name_of_more_than_15\0"])),
            (0.3, 9, self.struct(tcp_info.DCTCP_INFO)),
            (0.3, 16, self.struct(tcp_info.BBR_INFO)),
            (0.5, 5, self.integer(1)),
            (0.3, 6, self.integer(1)),
            (0.3, 17, self.integer(4)),
            (0.5, 8, bytes([self.dice.randrange(4)])),
            (0.3, 11, bytes([self.dice.randrange(2)])),
            (0.3, 15, self.integer(4)),
            (0.4, 22, self.dice.randrange(1 << 11).to_bytes(2, "little")),
            (0.4, 19, self.above()),
            (0.9 if protocol == 132 else 0, 12, self.ends()),
            (0.9 if protocol == 132 else 0, 13, self.ends()),
        ]
        self.dice.shuffle(choices)
        family = self.dice.choice([socket.AF_INET, socket.AF_INET6])
        address = bytes([127, 0, 0, 1]) if family == socket.AF_INET else bytes(15) + b"\1"
        where = inet_diag.SOCKID.write(
            idiag_sport=port.to_bytes(2, "big"), idiag_dport=b"\0\1", idiag_src=address, idiag_dst=address,
            idiag_cookie=self.number(64),
        )  # fmt: skip
        message = inet_diag.MESSAGE.write(
            idiag_family=family, idiag_state=self.dice.choice([1, 2, 6, 7]), id=where, idiag_retrans=self.number(8),
            idiag_timer=self.dice.randrange(7), idiag_expires=self.dice.choice([self.number(32), self.number(19)]),
            idiag_uid=self.number(32), idiag_inode=self.number(32), idiag_rqueue=self.number(31),
        )  # fmt: skip
        return netlink.message(
            sock_diag.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_MULTI, message + self.nest(*choices)
        )

    # /proc/net

    def hexadecimal(self, digits):
        return f"{self.dice.choice([0, self.dice.randrange(1 << 4 * digits), self.dice.randrange(256)]):0{digits}X}"

    def end(self, words):
        return "".join(self.hexadecimal(8) for _ in range(words)) + ":" + self.hexadecimal(4)

    def line(self, number, words, tcp):
        """A line of tcp, udp or raw, with one word of an address or with four."""
        dice = self.dice
        made = (
            f"{number:4d}: {self.end(words)} {self.end(words)} {dice.randrange(1, 12):02X} {self.hexadecimal(8)}:"
            f"{self.hexadecimal(8)} {dice.randrange(6):02X}:{self.hexadecimal(8)} {self.hexadecimal(8)}"
            f" {dice.randrange(70000):5d} {dice.randrange(20):8d} {dice.randrange(1 << 32)} {dice.randrange(5)}"
            f" {dice.randrange(1 << 64):016x}"
        )
        if tcp and self.sometimes(0.8):
            made += (
                f" {dice.choice([0, 20, 300])} {dice.randrange(9)} {dice.randrange(60)} {dice.randrange(99)}"
            )
            made += f" {dice.choice([-1, 10, 0])}"
            made += " some more" if self.sometimes(0.1) else ""
        return made.ljust(dice.choice([0, 149]))

    def table(self, words, tcp=False):
        lines = [self.line(number, words, tcp) for number in range(30)]
        if self.sometimes(0.3):
            odd = ["no line", "   3: 0100007F:1F90 0000", "x" * 300, "a: b: c: d"]
            lines.insert(self.dice.randrange(30), self.dice.choice(odd))
        return "\n".join(["heading", *lines]) + self.dice.choice(["\n", "\n", "\n", ""])

    def unix(self, count):
        dice, lines = self.dice, ["Num       RefCount Protocol Flags    Type St Inode Path"]
        for _ in range(count):
            lines.append(
                f"{dice.choice([0, dice.randrange(1 << 64)]):016x}: {dice.randrange(9):08X} 00000000"
                f" {dice.choice([0, 0x10000]):08X} {dice.choice([1, 2, 5]):04X} {dice.randrange(1, 5):02X}"
                f" {dice.randrange(1 << 20)}{dice.choice(['', ' /run/x y', ' @abs', ' @'])}"
            )
        return "\n".join([*lines, ""])

    def packet(self):
        dice = self.dice
        return "heading\n" + "".join(
            f"{dice.randrange(1 << 64):016x} 3 {dice.choice([2, 3])} {dice.choice([3, 0x800, 0x88CC, 0x1234]):04x}"
            f" {dice.choice([0, 1, 99])} 1 {dice.randrange(1 << 20)} {dice.randrange(3)} {dice.randrange(1 << 32)}\n"
            for _ in range(20)
        )

    def netlink(self):
        dice = self.dice
        return "heading\n" + "".join(
            f"{dice.randrange(1 << 64):016x} {dice.choice([0, 4, 15, 17, 31])}"
            f" {dice.choice([0, (1 << 32) - 1, dice.randrange(1 << 31, 1 << 32)])} {dice.randrange(1 << 32):08x}"
            f" {dice.randrange(99)} 0 {dice.randrange(2)} 2 0 {dice.randrange(1 << 20)}\n"
            for _ in range(20)
        )
