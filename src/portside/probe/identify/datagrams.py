"""Services that speak UDP: calls, tunnels, industry, games, and the small old ones.

Written from the documents cited.  Not here because they answer no stranger: WireGuard (only who has a known key),
RADIUS and TACACS+ (only who has the secret), DHCP servers (to another port), syslog, NetFlow, sFlow, statsd.
"""

from __future__ import annotations

import struct

from portside.probe.identify.question import Question, Service, number, service, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.probe.identify.question import Reader


def starts(name: str, *beginnings: bytes) -> Reader:
    """Return a reader that knows a service by how its answer begins."""
    return lambda data: service(name) if data.startswith(beginnings) else None


def holds(name: str, *places: tuple[int, bytes]) -> Reader:
    """Return a reader that knows a service by bytes at certain places."""
    return lambda data: (
        service(name) if all(data[at : at + len(want)] == want for at, want in places) else None
    )


def anything(name: str) -> Reader:
    """Return a reader for services that say anything at all."""
    return lambda data: service(name, said=text(data)) if data else None


def rpc_call(program: int, version: int) -> bytes:
    """An ONC RPC call of procedure 0, which does nothing and answers (RFC 5531, 9)."""
    return struct.pack("!10I", 0x50534944, 0, 2, program, version, 0, 0, 0, 0, 0)


SIP = (
    b"OPTIONS sip:portside@localhost SIP/2.0\r\nVia: SIP/2.0/UDP localhost;branch=z9hG4bKportside;rport\r\n"
    b"From: <sip:portside@localhost>;tag=ps\r\nTo: <sip:portside@localhost>\r\nCall-ID: portside\r\n"
    b"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def read_sip(data: bytes) -> Service | None:
    """Recognise a SIP response, with the server's name (RFC 3261, 7.2)."""
    if not data.startswith(b"SIP/2.0 "):
        return None
    for each in text(data).splitlines():
        name, _, value = each.partition(":")
        if name.lower() in ("server", "user-agent"):
            return service("sip", server=value)
    return service("sip")


COAP = (
    b"\x40\x01\x50\x53\xbb.well-known\x04core"  # confirmable GET of /.well-known/core: RFC 7252, 3; RFC 6690
)


def read_coap(data: bytes) -> Service | None:
    """Recognise an answer or a reset with our message number, or a separate answer."""
    return service("coap") if len(data) >= 4 and data[0] >> 6 == 1 and data[2:4] == b"PS" else None


# A long header of a version that nobody has: answered by the versions there are (RFC 9000, 17.2.1 and 6.1).
QUIC = (b"\xc0\x1a\x2a\x3a\x4a" + b"\x08portside" + b"\x08openport").ljust(1200, b"\0")


def read_quic(data: bytes) -> Service | None:
    """Recognise a version negotiation packet for our connection, with the versions in it."""
    if len(data) < 7 or not data[0] & 0x80 or data[1:5] != bytes(4) or data[5:14] != b"\x08openport":
        return None
    rest = data[14 + 1 + 8 :]
    versions = [number(rest, at, 4) for at in range(0, min(len(rest) - 3, 64), 4)]
    words = {1: "1", 0x6B3343CF: "2"}
    return service("quic", versions=" ".join(words.get(each, f"{each:#x}") for each in versions))


def _dtls() -> bytes:
    """A DTLS 1.2 ClientHello: answered with a cookie (RFC 6347, 4.2.1)."""
    ciphers = bytes.fromhex("c02bc02fc02cc030c0aec023009cc0a8")
    extensions = bytes.fromhex("000a00080006001d00170018 000b00020100 000d000a0008040304010503 0501")
    hello = b"\xfe\xfd" + b"portside" * 4 + b"\0\0" + struct.pack("!H", len(ciphers)) + ciphers + b"\1\0"
    hello += struct.pack("!H", len(extensions)) + extensions
    size = len(hello).to_bytes(3, "big")
    handshake = b"\1" + size + b"\0\0" + bytes(3) + size + hello
    return b"\x16\xfe\xff" + bytes(8) + struct.pack("!H", len(handshake)) + handshake


def read_dtls(data: bytes) -> Service | None:
    """Recognise a handshake record or an alert of DTLS."""
    return service("dtls") if len(data) >= 13 and data[0] in (21, 22) and data[1] == 0xFE else None


STUN = struct.pack("!HHI", 1, 0, 0x2112A442) + b"portside-one"  # RFC 8489, 5


def read_stun(data: bytes) -> Service | None:
    """Recognise a binding response with our transaction, with the software's name."""
    if len(data) < 20 or data[8:20] != b"portside-one" or number(data, 0, 2) not in (0x101, 0x111):
        return None
    at, software = 20, ""
    while at + 4 <= len(data):
        kind, size = number(data, at, 2), number(data, at + 2, 2)
        if kind == 0x8022:
            software = text(data[at + 4 : at + 4 + size])
        at += 4 + (size + 3 & ~3)
    return service("stun", software=software)


# IKE with a major version that there is not: answered with INVALID_MAJOR_VERSION (RFC 7296, 2.5).
IKE = b"portside" + bytes(8) + b"\0\x30\x22\x08" + bytes(4) + struct.pack("!I", 28)


def read_ike(data: bytes) -> Service | None:
    """Recognise what carries our initiator's number back."""
    marker = 4 if data[:4] == bytes(4) else 0
    if data[marker : marker + 8] != b"portside" or len(data) < marker + 28:
        return None
    return service("isakmp", protocol=f"{data[marker + 17] >> 4}.{data[marker + 17] & 15}")


OPENVPN = (
    b"\x38" + b"portside" + b"\0" + bytes(4)
)  # P_CONTROL_HARD_RESET_CLIENT_V2: OpenVPN protocol, ssl_pkt.h


def read_openvpn(data: bytes) -> Service | None:
    """Recognise P_CONTROL_HARD_RESET_SERVER_V2, which names our session."""
    return service("openvpn") if len(data) >= 14 and data[0] >> 3 == 8 and b"portside" in data[9:40] else None


def _l2tp() -> bytes:
    """L2TP: a request to start a control connection (RFC 2661, 6.1)."""
    pairs = struct.pack("!HHHH", 0x8008, 0, 0, 1) + struct.pack("!HHHH", 0x8008, 0, 2, 0x100)
    pairs += struct.pack("!HHH", 0x8000 | 14, 0, 7) + b"portside"
    pairs += struct.pack("!HHHI", 0x800A, 0, 3, 3) + struct.pack("!HHHH", 0x8008, 0, 9, 0x5053)
    return struct.pack("!6H", 0xC802, 12 + len(pairs), 0, 0, 0, 0) + pairs


A2S_INFO = b"\xff\xff\xff\xffTSource Engine Query\0"  # Valve, "Server queries"


def read_source(data: bytes) -> Service | None:
    """Recognise a server's information or its challenge."""
    if data[:5] == b"\xff\xff\xff\xffI":
        return service("source-engine", server=text(data[6:].partition(b"\0")[0]))
    return service("source-engine") if data[:5] == b"\xff\xff\xff\xffA" and len(data) == 9 else None


RAKNET = (
    b"\1" + bytes(8) + bytes.fromhex("00ffff00fefefefefdfdfdfd12345678") + b"portside"
)  # unconnected ping


def read_raknet(data: bytes) -> Service | None:
    """Recognise an unconnected pong, with what a Minecraft server says of itself."""
    if len(data) < 33 or data[0] != 0x1C or data[17:33] != RAKNET[9:25]:
        return None
    return service("raknet", server=text(data[35:]))


BACNET = bytes.fromhex(
    "810a001101040005010c0c023fffff194d"
)  # read object-name of the device: ASHRAE 135, Annex J
IPMI = bytes.fromhex("0600ff06000011be80000000")  # RMCP presence ping: IPMI 2.0, 13.2.3
ENIP = bytes.fromhex(
    "63000000000000000000000000000000000000000000 0000"
)  # list identity: CIP volume 2, 2-4.6


def read_enip(data: bytes) -> Service | None:
    """Recognise a list of identities, with the product's name."""
    if data[:2] != b"\x63\0" or len(data) < 24:
        return None
    return service("ethernet-ip", product=text(data[63 : 63 + data[62]]) if len(data) > 63 else "")


MSSQL = b"\3"  # CLNT_UCAST_EX: MC-SQLR, 2.2.2


def read_mssql(data: bytes) -> Service | None:
    """Recognise the SQL Server Browser's list of instances."""
    if data[:1] != b"\5" or len(data) < 4 or int.from_bytes(data[1:3], "little") != len(data) - 3:
        return None
    return service("ms-sql-m", instances=text(data[3:]))


RDPEUDP = struct.pack("!IHHIHH", 0xFFFFFFFF, 1024, 1, 0x50534944, 1232, 1232).ljust(
    1232, b"\0"
)  # MS-RDPEUDP 3.1.5.1
_GTP_ECHO = bytes.fromhex("320100040000000000000000")  # GTP version 1, 3GPP TS 29.281
_GTP2_ECHO = bytes.fromhex("40010009000001000300010000")  # 3GPP TS 29.274, 7.1.1
_XDMCP = bytes.fromhex("00010002000100")  # query, no authentication: X.Org XDMCP
_KNX = bytes.fromhex(
    "06100203000e08010000000000 00"
)  # description request to wherever it came from: KNX 3.8.2
_IAX = bytes.fromhex("8001000000000000 0000061e")  # POKE: RFC 5456, 6.7
_HART = bytes.fromhex("010000000001000d010000ea60")  # initiate session: HCF SPEC-085
_RIP = bytes.fromhex("0102000000000000000000000000000000000000000000 10")  # the whole table: RFC 2453, 3.9.1
_DHT_PING = b"d1:ad2:id20:portsideportsideporte1:q4:ping1:t2:ps1:y1:qe"  # BEP 5
_RX_VERSION = struct.pack(
    "!IIIIIBBBBHH", 0x50534944, 0, 0, 1, 0, 13, 5, 0, 0, 0, 0
)  # Rx packet of type version
_TS3_INIT = b"TS3INIT1\0\x65\0\0\x88" + bytes(5) + b"portside" + bytes(8)  # the first packet of TeamSpeak 3
_PORTSIDE = b"portside\r\n"


def read_mgcp(data: bytes) -> Service | None:
    """Recognise the response to our transaction, whatever its code (RFC 3435, 3.3)."""
    return service("mgcp") if data[:3].isdigit() and data[3:7] == b" 80 " else None


def read_memcached(data: bytes) -> Service | None:
    """Recognise the version behind the header of eight bytes (memcached's protocol.txt, "UDP protocol")."""
    return service("memcached", version=text(data[16:])) if data[8:16] == b"VERSION " else None


UDP = (
    Question("echo", (7,), _PORTSIDE, starts("echo", _PORTSIDE)),
    Question("systat", (11,), _PORTSIDE, anything("systat")),
    Question("daytime", (13,), _PORTSIDE, anything("daytime")),
    Question("qotd", (17,), _PORTSIDE, anything("qotd")),
    Question("chargen", (19,), _PORTSIDE, anything("chargen")),
    Question("time", (37,), _PORTSIDE, lambda data: service("time") if len(data) == 4 else None),
    Question("tftp", (69,), b"\0\1portside\0octet\0", holds("tftp", (0, b"\0"))),
    Question("sunrpc", (111,), rpc_call(100_000, 2), holds("sunrpc", (0, b"PSID\0\0\0\1"))),
    Question("xdmcp", (177,), _XDMCP, holds("xdmcp", (0, b"\0\1\0"))),
    Question("quic", (443, 784, 853, 8443), QUIC, read_quic),
    Question("isakmp", (500,), IKE, read_ike),
    Question("isakmp", (4500,), bytes(4) + IKE, read_ike),
    Question("router", (520,), _RIP, starts("router", b"\2\1", b"\2\2")),
    Question("asf-rmcp", (623, 664), IPMI, holds("asf-rmcp", (0, b"\6\0"), (4, b"\0\0\x11\xbe\x40"))),
    Question("openvpn", (1194,), OPENVPN, read_openvpn),
    Question("ms-sql-m", (1434,), MSSQL, read_mssql),
    Question("l2tp", (1701,), _l2tp(), starts("l2tp", b"\xc8\x02")),
    Question("mqtt-sn", (1884, 10_000), b"\3\1\0", holds("mqtt-sn", (1, b"\2"))),
    Question("nfs", (2049,), rpc_call(100_003, 3), holds("nfs", (0, b"PSID\0\0\0\1"))),
    Question("gtp-control", (2123,), _GTP2_ECHO, holds("gtp-control", (1, b"\2"))),
    Question("gtp-user", (2152,), _GTP_ECHO, holds("gtp-user", (1, b"\2"))),
    Question("mgcp", (2427, 2727), b"AUEP 80 *@portside MGCP 1.0\r\n\r\n", read_mgcp),
    Question("rdp-udp", (3389,), RDPEUDP, lambda data: service("rdp-udp") if len(data) > 8 and data[7] & 1 else None),
    Question("stun", (3478, 5349, 19_302), STUN, read_stun),
    Question("knx", (3671,), _KNX, starts("knx", b"\x06\x10\x02\x04")),
    Question("dtls", (4433, 4755, 5684), _dtls(), read_dtls),
    Question("iax", (4569,), _IAX, lambda data: service("iax") if len(data) >= 12 and data[10] == 6 else None),
    Question("sip", (5060, 5062, 5080), SIP, read_sip),
    Question("hart-ip", (5094,), _HART, starts("hart-ip", b"\1\1\0")),
    Question("nat-pmp", (5351,), b"\0\0", starts("nat-pmp", b"\0\x80")),
    Question("coap", (5683,), COAP, read_coap),
    Question("bittorrent", (6881, 6882, 6889, 51_413), _DHT_PING, starts("bittorrent", b"d1:")),
    Question("afs", (7001, 7003), _RX_VERSION, holds("afs", (0, b"PSID"), (20, b"\x0d"))),
    Question("teamspeak", (9987,), _TS3_INIT, starts("teamspeak", b"TS3INIT1")),
    Question("ubnt-discovery", (10_001,), b"\1\0\0\0", starts("ubnt-discovery", b"\1\0")),
    Question("memcached", (11_211,), b"PS\0\0\0\1\0\0version\r\n", read_memcached),
    Question("raknet", (19_132, 19_133), RAKNET, read_raknet),
    Question("minecraft", (25_565,), b"\xfe\xfd\x09\0\0\0\1", starts("minecraft", b"\x09\0\0\0\1")),
    Question("source-engine", (27_015, 27_016, 27_017), A2S_INFO, read_source),
    Question("quake3", (27_960,), b"\xff\xff\xff\xffgetstatus\n", starts("quake3", b"\xff\xff\xff\xffstatus")),
    Question("ethernet-ip", (44_818,), ENIP, read_enip),
    Question("bacnet", (47_808,), BACNET, starts("bacnet", b"\x81\x0a", b"\x81\x0b", b"\x81\0")),
    Question("mumble", (64_738,), bytes(4) + b"portside", holds("mumble", (4, b"portside"))),
)  # fmt: skip
