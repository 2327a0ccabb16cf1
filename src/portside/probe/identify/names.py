"""Who is who and what time it is: DNS and its kin, NTP, SNMP, LDAP over UDP, SLP, service discovery."""

from __future__ import annotations

import struct

from portside.probe.identify.question import Question, Service, number, service, text
from portside.wire import asn1

_IN, _CHAOS = 1, 3
_PTR, _TXT = 12, 16
_UNICAST = 0x8000  # RFC 6762, 5.4: the answer is wanted by the asker alone


def dns_question(name: str, kind: int, group: int, flags: int = 0, identity: int = 0x5053) -> bytes:
    """Return a DNS query (RFC 1035, 4.1)."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split(".") if label)
    return struct.pack("!6H", identity, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, group)


def read_dns(data: bytes) -> Service | None:
    """Recognise an answer to ours; the text of version.bind if there is one."""
    if len(data) < 12 or data[:2] != b"PS" or not data[2] & 0x80:
        return None
    code = ("", "format error", "server failure", "no such name", "not implemented", "refused")
    said = code[data[3] & 15] if data[3] & 15 < len(code) else ""
    return service("domain", version=_txt(data), answer=said)


def read_dns_stream(data: bytes) -> Service | None:
    """The same over TCP, where a length goes before (RFC 1035, 4.2.2)."""
    return read_dns(data[2:]) if number(data, 0, 2) >= 12 else None


def _txt(data: bytes) -> str:
    """Return the first string of the first answer, if that is a TXT record; no names are followed."""
    if not number(data, 6, 2):
        return ""
    at = data.find(b"\x04bind\0", 12)
    at = at + 10 if at >= 0 else len(data)  # past the question's type and class
    at += 2 if data[at : at + 1] >= b"\xc0" else len("version.bind") + 2
    if number(data, at, 2) != _TXT or at + 11 > len(data):
        return ""
    return text(data[at + 11 : at + 11 + data[at + 10]])


def read_mdns(data: bytes) -> Service | None:
    """Recognise a multicast DNS answer: any response (RFC 6762)."""
    return service("mdns") if len(data) >= 12 and data[2] & 0x80 and number(data, 6, 2) else None


NBSTAT = struct.pack("!6H", 0x5053, 0, 1, 0, 0, 0) + b"\x20CK" + b"A" * 30 + struct.pack("!BHH", 0, 0x21, 1)


def read_netbios(data: bytes) -> Service | None:
    """Recognise a node status response and the host's name in it (RFC 1002, 4.2.18)."""
    if len(data) < 57 or data[:2] != b"PS" or not data[2] & 0x80:
        return None
    return service("netbios-ns", host=text(data[57:72]).strip("\0 ") if data[56] else "")


NTP_CLIENT = bytes([0x23]) + bytes(47)  # version 4, client: RFC 5905, 7.3
NTP_READ = bytes.fromhex("1602000100000000 00000000")  # mode 6, read variables: RFC 9327


def read_ntp(data: bytes) -> Service | None:
    """Recognise a server's answer, with stratum and reference (RFC 5905, 7.3)."""
    if len(data) < 48 or data[0] & 7 not in (4, 5):
        return None
    reference = text(data[12:16].rstrip(b"\0")) if data[1] < 2 else ""
    return service("ntp", protocol=str(data[0] >> 3 & 7), stratum=str(data[1]), reference=reference)


def read_ntp_control(data: bytes) -> Service | None:
    """Recognise the variables of a server (RFC 9327), of which `version` is one."""
    if len(data) < 12 or data[0] & 7 != 6 or not data[1] & 0x80:
        return None
    said = text(data[12:]).partition('version="')[2].partition('"')[0]
    return service("ntp", product=said)


def _snmp_get() -> bytes:
    """SNMPv2c: sysDescr.0 of the community "public" (RFC 3416)."""
    name = asn1.element(asn1.SEQUENCE, asn1.element(asn1.OID, bytes.fromhex("2b06010201010100")), b"\5\0")
    request = asn1.element(
        0xA0, asn1.integer(1), asn1.integer(0), asn1.integer(0), asn1.element(asn1.SEQUENCE, name)
    )
    return asn1.element(asn1.SEQUENCE, asn1.integer(1), asn1.element(asn1.OCTETS, b"public"), request)


def _snmp3_discovery() -> bytes:
    """SNMPv3: the engine's identity, which an agent tells anybody (RFC 3414, 4)."""
    header = asn1.element(
        asn1.SEQUENCE,
        asn1.integer(2),
        asn1.integer(65_507),
        asn1.element(asn1.OCTETS, b"\4"),
        asn1.integer(3),
    )
    empty = asn1.element(asn1.OCTETS)
    user = asn1.element(asn1.SEQUENCE, empty, asn1.integer(0), asn1.integer(0), empty, empty, empty)
    request = asn1.element(
        0xA0, asn1.integer(1), asn1.integer(0), asn1.integer(0), asn1.element(asn1.SEQUENCE)
    )
    scoped = asn1.element(asn1.SEQUENCE, empty, empty, request)
    return asn1.element(asn1.SEQUENCE, asn1.integer(3), header, asn1.element(asn1.OCTETS, user), scoped)


def read_snmp(data: bytes) -> Service | None:
    """Recognise a message of SNMP: the version, and sysDescr where it is told."""
    parts = list(asn1.elements(asn1.inside(data, asn1.SEQUENCE) or b""))
    if len(parts) < 3 or parts[0][0] != asn1.INTEGER or parts[0][1] not in (b"\0", b"\1", b"\3"):
        return None
    if parts[0][1] == b"\3":
        return service("snmp", protocol="3")
    if parts[1][0] != asn1.OCTETS or parts[2][0] != 0xA2:
        return None
    bindings = dict(asn1.elements(parts[2][1])).get(asn1.SEQUENCE, b"")
    value = dict(asn1.elements(asn1.inside(bindings, asn1.SEQUENCE) or b""))
    return service(
        "snmp", protocol="2c" if parts[0][1] == b"\1" else "1", system=text(value.get(asn1.OCTETS, b""))
    )


def ldap_root() -> bytes:
    """LDAP: the root entry, which may be read without a bind (RFC 4511, 4.5; RFC 4512, 5.1)."""
    wanted = [
        asn1.element(asn1.OCTETS, each) for each in (b"vendorName", b"vendorVersion", b"namingContexts")
    ]
    search = asn1.element(
        0x63, asn1.element(asn1.OCTETS), asn1.integer(0, asn1.ENUMERATED), asn1.integer(0, asn1.ENUMERATED),
        asn1.integer(1), asn1.integer(3), b"\1\1\0", asn1.element(0x87, b"objectClass"),
        asn1.element(asn1.SEQUENCE, *wanted),
    )  # fmt: skip
    return asn1.element(asn1.SEQUENCE, asn1.integer(1), search)


def read_ldap(data: bytes) -> Service | None:
    """Recognise search results or a refusal; vendor and first naming context."""
    parts = list(asn1.elements(asn1.inside(data, asn1.SEQUENCE) or b""))
    if len(parts) < 2 or parts[0] != (asn1.INTEGER, b"\1") or parts[1][0] not in (0x64, 0x65, 0x78):
        return None
    found: dict[str, str] = {}
    entry = list(asn1.elements(parts[1][1]))
    for _, attribute in asn1.elements(entry[1][1] if len(entry) > 1 else b""):
        pair = list(asn1.elements(attribute))
        if len(pair) == 2:
            found[text(pair[0][1]).lower()] = text(asn1.inside(pair[1][1], asn1.OCTETS) or b"")
    vendor = f"{found.get('vendorname', '')} {found.get('vendorversion', '')}"
    return service("ldap", product=vendor, base=found.get("namingcontexts", ""))


def _kerberos() -> bytes:
    """A request for a ticket nobody has a right to: refused with an error that shows the protocol (RFC 4120, 5.4)."""

    def name(kind: int, *words: bytes) -> bytes:
        strings = asn1.element(asn1.SEQUENCE, *(asn1.element(0x1B, word) for word in words))
        return asn1.element(
            asn1.SEQUENCE, asn1.element(0xA0, asn1.integer(kind)), asn1.element(0xA1, strings)
        )

    body = asn1.element(
        asn1.SEQUENCE, asn1.element(0xA0, asn1.element(3, bytes(5))), asn1.element(0xA1, name(1, b"portside")),
        asn1.element(0xA2, asn1.element(0x1B, b"PORTSIDE")), asn1.element(0xA3, name(2, b"krbtgt", b"PORTSIDE")),
        asn1.element(0xA5, asn1.element(0x18, b"20370101000000Z")), asn1.element(0xA7, asn1.integer(0x5053)),
        asn1.element(0xA8, asn1.element(asn1.SEQUENCE, asn1.integer(18), asn1.integer(17))),
    )  # fmt: skip
    request = asn1.element(
        asn1.SEQUENCE,
        asn1.element(0xA1, asn1.integer(5)),
        asn1.element(0xA2, asn1.integer(10)),
        asn1.element(0xA4, body),
    )
    return asn1.element(0x6A, request)


def read_kerberos(data: bytes) -> Service | None:
    """Recognise KRB-ERROR or AS-REP; the realm if an error tells it."""
    for tag in (0x7E, 0x6B):
        body = asn1.inside(data, tag, asn1.SEQUENCE)
        if body is not None:
            fields = dict(asn1.elements(body))
            return service("kerberos", realm=text(asn1.inside(fields.get(0xA9, b""), 0x1B) or b""))
    return None


def _slp() -> bytes:
    """SLPv2: which directory agents and services there are (RFC 2608, 8.1)."""
    body = struct.pack("!H", 0) + b"\0\x15service:service-agent" + b"\0\x07DEFAULT" + bytes(4)
    length = 14 + 2 + len(body)
    header = b"\2\1" + length.to_bytes(3, "big") + bytes(2) + bytes(3) + b"PS" + b"\0\2en"
    return header + body


def read_slp(data: bytes) -> Service | None:
    """Recognise an SLPv2 message with our number."""
    return service("svrloc") if len(data) >= 14 and data[0] == 2 and data[10:12] == b"PS" else None


SSDP = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n'


def read_ssdp(data: bytes) -> Service | None:
    """Recognise an answer to a search, with the server's name (UPnP Device Architecture, 1.3.3)."""
    if not data.startswith((b"HTTP/1.1 200", b"NOTIFY ")):
        return None
    lines = text(data).splitlines()
    found = [each.partition(":")[2] for each in lines if each.lower().startswith("server:")]
    return service("ssdp", server=found[0] if found else "")


WSD = (
    b'<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    b'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>'
    b"<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>"
    b"<a:MessageID>urn:uuid:50534050-0000-4000-8000-000000000001</a:MessageID>"
    b"<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header><s:Body><d:Probe/></s:Body></s:Envelope>"
)


def read_wsd(data: bytes) -> Service | None:
    """Recognise a match or a fault of WS-Discovery."""
    return service("ws-discovery") if b"Envelope" in data and b"discovery" in data else None


_VERSION = dns_question("version.bind", _TXT, _CHAOS)
_SERVICES = dns_question("_services._dns-sd._udp.local", _PTR, _IN | _UNICAST, identity=0)

UDP = (
    Question("domain", (53,), _VERSION, read_dns),
    Question("mdns", (5353,), _SERVICES, read_mdns),
    Question("netbios-ns", (137,), NBSTAT, read_netbios),
    Question("ntp", (123,), NTP_CLIENT, read_ntp),
    Question("ntp", (123,), NTP_READ, read_ntp_control),
    Question("snmp", (161,), _snmp_get(), read_snmp),
    Question("snmp", (161,), _snmp3_discovery(), read_snmp),
    Question("ldap", (389,), ldap_root(), read_ldap),
    Question("kerberos", (88,), _kerberos(), read_kerberos),
    Question("svrloc", (427,), _slp(), read_slp),
    Question("ssdp", (1900,), SSDP, read_ssdp),
    Question("ws-discovery", (3702,), WSD, read_wsd),
)
TCP = (
    Question("domain", (53,), len(_VERSION).to_bytes(2, "big") + _VERSION, read_dns_stream),
    Question("ldap", (389, 3268), ldap_root(), read_ldap),
    Question(
        "kerberos",
        (88,),
        len(_kerberos()).to_bytes(4, "big") + _kerberos(),
        lambda data: read_kerberos(data[4:]),
    ),
)
