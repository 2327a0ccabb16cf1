"""Servers that speak first: shells, mail, news, file transfer, chat, screens, MySQL."""

from __future__ import annotations

from portside.probe.identify.question import Question, Service, service, text

_MAIL = ("smtp", "esmtp", "mail", "postfix", "exim", "sendmail")
_OPTION = 255  # telnet's IAC (RFC 854)


def read_ssh(data: bytes) -> Service | None:
    """`SSH-2.0-OpenSSH_9.2p1 Debian-2` (RFC 4253, 4.2); lines may go before it."""
    at = data.find(b"SSH-") if b"\nSSH-" in data or data.startswith(b"SSH-") else -1
    if at < 0 or b"\n" not in data[at:]:
        return None
    parts = text(data[at : data.find(b"\n", at)]).strip().split("-", 2)
    return service("ssh", product=parts[2], protocol=parts[1]) if len(parts) == 3 else service("ssh")


def read_reply(data: bytes) -> Service | None:
    """A greeting with a reply code of three digits: FTP (RFC 959), SMTP (RFC 5321) or NNTP (RFC 3977).

    SMTP and FTP both say 220: the words decide, and without words the reader leaves it open.
    """
    if len(data) < 5 or not data[:3].isdigit() or data[3:4] not in (b" ", b"-") or b"\n" not in data:
        return None
    said = text(data[4 : data.find(b"\n")])
    lower = text(data).lower()
    if data[:3] in (b"200", b"201") and (
        "nntp" in lower or "news" in lower or "inn" in lower or "posting" in lower
    ):
        return service("nntp", product=said)
    if data[:3] in (b"220", b"421", b"554") and any(word in lower for word in _MAIL):
        return service("smtp", product=said)
    if data[:3] in (b"220", b"421", b"530") and "ftp" in lower:
        return service("ftp", product=said)
    return None


def read_pop3(data: bytes) -> Service | None:
    """`+OK ready` (RFC 1939, 4)."""
    complete = data.startswith((b"+OK", b"-ERR")) and b"\r\n" in data
    return service("pop3", product=text(data[3:].partition(b"\r\n")[0])) if complete else None


def read_imap(data: bytes) -> Service | None:
    """`* OK [CAPABILITY ...] ready` (RFC 9051, 7.1)."""
    if not data.startswith((b"* OK", b"* PREAUTH", b"* BYE")) or b"\r\n" not in data:
        return None
    said = text(data.partition(b"\r\n")[0][4:]).strip()
    return service("imap", product=said.partition("] ")[2] if said.startswith("[") else said)


def read_telnet(data: bytes) -> Service | None:
    """Option negotiation: IAC and WILL, WONT, DO or DONT (RFC 854)."""
    if len(data) < 3 or data[0] != _OPTION or not 251 <= data[1] <= 254:
        return None
    words = bytes(byte for byte in data if 32 <= byte < 127 or byte == 10)
    return service("telnet", said=text(words))


def read_rsync(data: bytes) -> Service | None:
    """`@RSYNCD: 31.0 sha512 ...` (rsync, "clientserver.c")."""
    complete = data.startswith(b"@RSYNCD: ") and b"\n" in data
    return (
        service("rsync", protocol=text(data[9:].partition(b"\n")[0]).partition(" ")[0]) if complete else None
    )


def read_vnc(data: bytes) -> Service | None:
    """`RFB 003.008` (RFC 6143, 7.1.1)."""
    return service("rfb", protocol=text(data[4:11])) if data[:4] == b"RFB " and data[11:12] == b"\n" else None


def read_mysql(data: bytes) -> Service | None:
    """The initial handshake packet, version 10 or 9, or an error that this host may not connect (MySQL 8.4)."""
    if len(data) < 8 or int.from_bytes(data[:3], "little") > 1024 or data[3] > 1:
        return None
    if data[4] in (9, 10) and b"\0" in data[5:64] and data[5:6].isdigit():
        version = text(data[5:].partition(b"\0")[0])
        maria = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        return service("mysql", version=version, product=maria)
    if data[4] == 0xFF and (b"MySQL" in data or b"MariaDB" in data or b"Host" in data):
        return service("mysql", answer=text(data[7:]))
    return None


def read_irc(data: bytes) -> Service | None:
    """`:server NOTICE * :*** Looking up your hostname` (RFC 2812)."""
    head = data[:400]
    return service("irc") if b" NOTICE " in head and head[:1] in (b":", b"N") and b"\r\n" in head else None


def read_nats(data: bytes) -> Service | None:
    """`INFO {...}` (NATS client protocol)."""
    if not data.startswith(b"INFO {") or b"\r\n" not in data:
        return None
    return service("nats", version=text(data.partition(b'"version":"')[2].partition(b'"')[0]))


def read_zmtp(data: bytes) -> Service | None:
    """The signature of ZMTP: ff, eight bytes, 7f (RFC 23/ZMTP)."""
    return service("zmtp") if len(data) >= 10 and data[0] == 0xFF and data[9] == 0x7F else None


def read_subversion(data: bytes) -> Service | None:
    """`( success ( 2 2 ( ) ( edit-pipeline ...` (Subversion, "protocol")."""
    return service("svn") if data.startswith(b"( success ( ") else None


def read_asterisk(data: bytes) -> Service | None:
    """`Asterisk Call Manager/7.0.3`."""
    complete = data.startswith(b"Asterisk Call Manager") and b"\n" in data
    return service("asterisk", version=text(data.partition(b"\n")[0]).partition("/")[2]) if complete else None


def read_mpd(data: bytes) -> Service | None:
    """`OK MPD 0.23.5` (Music Player Daemon's protocol)."""
    return service("mpd", version=text(data[7:40])) if data.startswith(b"OK MPD ") else None


SMTP_NOOP = b"NOOP\r\n"


def read_command(data: bytes) -> Service | None:
    """What answers NOOP with the codes of SMTP or FTP, after a greeting that did not tell."""
    lines = data.split(b"\r\n")
    if len(lines) < 3 or data[:3] not in (b"220", b"421"):
        return None
    answer = lines[-2][:3]
    names = {b"250": "smtp", b"200": "ftp", b"530": "ftp"}
    return service(names[answer], product=text(lines[0][4:])) if answer in names else None


# The readers tried on whatever a server says first, in this order.
GREETINGS = (
    Question("ssh", (22, 2222), b"", read_ssh),
    Question("reply", (21, 25, 119, 587), b"", read_reply),
    Question("pop3", (110,), b"", read_pop3),
    Question("imap", (143,), b"", read_imap),
    Question("telnet", (23,), b"", read_telnet),
    Question("rsync", (873,), b"", read_rsync),
    Question("rfb", (5900, 5901), b"", read_vnc),
    Question("mysql", (3306,), b"", read_mysql),
    Question("irc", (6667,), b"", read_irc),
    Question("nats", (4222,), b"", read_nats),
    Question("zmtp", (), b"", read_zmtp),
    Question("svn", (3690,), b"", read_subversion),
    Question("asterisk", (5038,), b"", read_asterisk),
    Question("mpd", (6600,), b"", read_mpd),
)
TCP = (Question("command", (21, 25, 587), SMTP_NOOP, read_command),)
