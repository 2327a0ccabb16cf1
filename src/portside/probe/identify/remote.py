"""Other hosts' screens, files and procedures: SMB, RDP, X11, ONC RPC, DCE RPC, SIP over TCP, IPP's kin are HTTP."""

from __future__ import annotations

import struct

from portside.probe.identify.datagrams import SIP, read_sip, rpc_call
from portside.probe.identify.question import Question, Service, number, service, text


def _smb2() -> bytes:
    """NEGOTIATE with dialects 2.0.2 to 3.0.2 (MS-SMB2, 2.2.3), behind a session header (RFC 1002, 4.3.6)."""
    header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + bytes(16)
    dialects = (0x0202, 0x0210, 0x0300, 0x0302)
    body = struct.pack("<HHHHI", 36, len(dialects), 1, 0, 0) + b"portside" * 2 + bytes(8)
    body += struct.pack(f"<{len(dialects)}H", *dialects)
    return struct.pack("!I", len(header) + len(body)) + header + body


def read_smb(data: bytes) -> Service | None:
    """Recognise the answer: the dialect chosen, whether signing is required; or the old protocol."""
    if data[4:8] == b"\xffSMB":
        return service("microsoft-ds", dialect="1")
    if data[4:8] != b"\xfeSMB" or len(data) < 74:
        return None
    mode, dialect = struct.unpack_from("<HH", data, 70)
    version = f"{dialect >> 8}.{dialect >> 4 & 15}.{dialect & 15}"
    return service("microsoft-ds", dialect=version, signing="required" if mode & 2 else "not required")


# An X.224 connection request with RDP's negotiation (MS-RDPBCGR, 2.2.1.1): TLS or CredSSP.
_RDP = bytes.fromhex("030000130ee000000000000100080003000000")


def read_rdp(data: bytes) -> Service | None:
    """Recognise a connection confirm and the security it asks for."""
    if len(data) < 7 or data[:2] != b"\3\0" or data[5] != 0xD0:
        return None
    if len(data) < 19 or data[11] != 2:
        return service("ms-wbt-server")
    ways = {0: "RDP", 1: "TLS", 2: "CredSSP", 8: "CredSSP with early user authorisation"}
    return service("ms-wbt-server", security=ways.get(int.from_bytes(data[15:19], "little"), ""))


_X11 = struct.pack("<BBHHHHH", 0x6C, 0, 11, 0, 0, 0, 0)


def read_x11(data: bytes) -> Service | None:
    """Recognise the start of a connection: refused, accepted or asked to authenticate (X11, "Connection Setup")."""
    if len(data) < 8 or data[0] > 2 or struct.unpack_from("<H", data, 2)[0] != 11:
        return None
    said = (
        text(data[8 : 8 + data[1]])
        if data[0] == 0
        else ("", "open to anybody", "asks to authenticate")[data[0]]
    )
    return service("x11", answer=said)


def _rpc_stream() -> bytes:
    call = rpc_call(100_000, 2)
    return struct.pack("!I", 1 << 31 | len(call)) + call  # record marking: RFC 5531, 11


def read_rpc(data: bytes) -> Service | None:
    """Recognise a reply with our number."""
    return service("sunrpc") if data[4:12] == b"PSID\0\0\0\1" else None


# A bind to the endpoint mapper (DCE 1.1 RPC, 12.6.4.3).
_DCE = (
    struct.pack("<BBBBIHHI", 5, 0, 11, 3, 0x10, 72, 0, 1)
    + struct.pack("<HHIBBHHBB", 4280, 4280, 0, 1, 0, 0, 0, 1, 0)
    + bytes.fromhex("0883afe11f5dc91191a408002b14a0fa03000000")
    + bytes.fromhex("045d888aeb1cc9119fe808002b10486002000000")
)


def read_dce(data: bytes) -> Service | None:
    """Recognise an acceptance or a refusal of the bind."""
    return service("epmap") if len(data) >= 16 and data[0] == 5 and data[2] in (12, 13) else None


def read_sip_stream(data: bytes) -> Service | None:
    """SIP's answer, once its headers are complete."""
    return read_sip(data) if b"\r\n\r\n" in data else None


def read_netbios(data: bytes) -> Service | None:
    """Recognise the answer to a session request (RFC 1002, 4.3): granted or refused."""
    return (
        service("netbios-ssn")
        if data[:1] in (b"\x82", b"\x83") and number(data, 2, 2) <= 1 and len(data) >= 4
        else None
    )


_NETBIOS = (
    b"\x81\0\0\x44" + b"\x20CKFDENECFDEFFCFGEFFCCACACACACACA\0" + b"\x20EBEBCACACACACACACACACACACACACAAA\0"
)

TCP = (
    Question("microsoft-ds", (445,), _smb2(), read_smb),
    Question("netbios-ssn", (139,), _NETBIOS, read_netbios),
    Question("ms-wbt-server", (3389,), _RDP, read_rdp),
    Question("x11", (6000, 6001, 6002), _X11, read_x11),
    Question("sunrpc", (111, 2049), _rpc_stream(), read_rpc),
    Question("epmap", (135,), _DCE, read_dce),
    Question("sip", (5060,), SIP.replace(b"/UDP", b"/TCP"), read_sip_stream),
)
