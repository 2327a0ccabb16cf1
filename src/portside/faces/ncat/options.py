"""Ncat's options: what was typed, checked, with Ncat's complaints about it (exit code 2)."""

from __future__ import annotations

from portside.faces.getopt import Long, Unknown, getopt
from portside.faces.ncat.words import Quit, loud, wrong
from portside.record import Record

SHORT = "46UCc:e:g:G:m:hd:o:x:i:p:s:lkntuvw:zq:"
_WITH_VALUE = {
    "sh-exec": "c", "exec": "e", "lua-exec": "", "max-conns": "m", "delay": "d", "output": "o", "hex-dump": "x",
    "idle-timeout": "i", "source-port": "p", "source": "s", "wait": "w", "allow": "", "allowfile": "", "deny": "",
    "denyfile": "", "proxy": "", "proxy-type": "", "proxy-auth": "", "proxy-dns": "", "ssl-cert": "", "ssl-key": "",
    "ssl-trustfile": "", "ssl-ciphers": "", "ssl-servername": "", "ssl-alpn": "",
}  # fmt: skip
_WITHOUT = {
    "unixsock": "U", "vsock": "", "crlf": "C", "help": "h", "listen": "l", "keep-open": "k", "nodns": "n",
    "telnet": "t", "udp": "u", "sctp": "", "verbose": "v", "append-output": "", "send-only": "", "recv-only": "",
    "no-shutdown": "", "broker": "", "chat": "", "talk": "chat", "ssl": "", "ssl-verify": "", "test": "",
    "version": "",
}  # fmt: skip
LONG = [Long(name, "required", short) for name, short in _WITH_VALUE.items()]
LONG += [Long(name, "no", short) for name, short in _WITHOUT.items()]
HELP = """\
Ncat 7.93 ( https://nmap.org/ncat )
Usage: ncat [options] [hostname] [port]

Times are seconds, or end in ms, s, m or h (500ms).
  -4                         IPv4 only
  -6                         IPv6 only
  -U, --unixsock             Unix sockets
      --vsock                vsock sockets (refused)
  -C, --crlf                 Send CRLF at the end of lines
  -c, --sh-exec <command>    Run a command with /bin/sh for each connection
  -e, --exec <command>       Run a command for each connection
      --lua-exec <filename>  Run a Lua script (refused)
  -g hop1[,hop2,...]         Loose source routing, with -4 (most hosts drop such packets)
  -G <n>                     Pointer into it (Linux takes 4 alone)
  -m, --max-conns <n>        Most connections at a time (100)
  -h, --help                 This text
  -d, --delay <time>         Wait between reads and writes
  -o, --output <filename>    Write what is sent and received to a file
  -x, --hex-dump <filename>  The same as hexadecimal
  -i, --idle-timeout <time>  End when nothing moves for so long
  -p, --source-port port     Local port
  -s, --source addr          Local address
  -l, --listen               Wait for connections
  -k, --keep-open            Take more than one; a client goes on after the end of the network
  -n, --nodns                Look no names up
  -q <time>                  End so long after the end of standard input
  -t, --telnet               Answer telnet's negotiation
  -u, --udp                  UDP
      --sctp                 SCTP (refused where the kernel has none)
  -v, --verbose              Tell of connections
  -w, --wait <time>          Time for a connection to be made
  -z                         Connect, tell, close
      --append-output        Append to the files of -o and -x
      --send-only            Send only, end with standard input
      --recv-only            Receive only
      --no-shutdown          Keep the sending side open after the end of standard input
      --allow <hosts>        Hosts and networks that may connect, by commas
      --allowfile <file>     The same from a file
      --deny <hosts>         Hosts and networks that may not
      --denyfile <file>      The same from a file
      --broker               What a client sends goes to all others
      --chat                 The same with names
      --proxy <addr[:port]>  Connect through a proxy
      --proxy-type <type>    http, socks4 or socks5; with -l: http makes a proxy server
      --proxy-auth <auth>    user:password, for the proxy or of the proxy server
      --proxy-dns <type>     Who resolves the host behind a proxy: local, remote, both, none
      --ssl                  TLS
      --ssl-cert <file>      Certificate (PEM)
      --ssl-key <file>       Its key (PEM)
      --ssl-verify           Verify the server's certificate and name
      --ssl-trustfile <file> Certificates to trust (PEM)
      --ssl-ciphers <list>   OpenSSL's cipher list
      --ssl-servername <n>   Name to send (SNI) and to verify
      --ssl-alpn <list>      Application protocols, by commas
      --test                 Tell "NCAT TEST: LISTEN" when bound
      --version              Tell the version"""

_TRY = "Ncat: Try `--help' or man(1) ncat for more information, usage options and help. QUITTING."
DEFAULT_PORT = 31337
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_HOPS, _LAST_POINTER = 8, 28
_LONGEST = 2147483.0
_PROXY_PORTS = {"http": 3128, "socks4": 1080, "socks5": 1080}


class Options(Record):
    """What was typed."""

    host: str | None = None
    port: int | None = None
    listen: bool = False
    keep: bool = False
    udp: bool = False
    unix: bool = False
    family: str = ""
    verbose: int = 0
    numeric: bool = False
    crlf: bool = False
    telnet: bool = False
    scan: bool = False
    command: str = ""
    shell: bool = False
    most: int = 100
    delay: float = 0.0
    idle: float | None = None
    wait: float | None = 10.0
    quit_after: float | None = None
    output: str = ""
    hex_output: str = ""
    append: bool = False
    source: str | None = None
    source_port: int | None = None
    send_only: bool = False
    receive_only: bool = False
    no_shutdown: bool = False
    broker: bool = False
    chat: bool = False
    test: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    allow_files: tuple[str, ...] = ()
    deny_files: tuple[str, ...] = ()
    proxy: str = ""
    proxy_port: int = 0
    proxy_type: str = ""
    proxy_auth: str = ""
    proxy_dns: str = "remote"
    ssl: bool = False
    verify: bool = False
    trust: str = ""
    certificate: str = ""
    key: str = ""
    ciphers: str = ""
    alpn: tuple[str, ...] = ()
    hops: tuple[str, ...] = ()
    hop_pointer: int = 4
    servername: str = ""


_FLAGS = {
    "l": "listen", "k": "keep", "u": "udp", "U": "unix", "n": "numeric", "C": "crlf", "t": "telnet", "z": "scan",
    "append-output": "append", "send-only": "send_only", "recv-only": "receive_only", "no-shutdown": "no_shutdown",
    "test": "test", "ssl": "ssl",
}  # fmt: skip
_TEXTS = {
    "o": "output", "x": "hex_output", "s": "source", "proxy-auth": "proxy_auth", "ssl-cert": "certificate",
    "ssl-key": "key", "ssl-trustfile": "trust", "ssl-ciphers": "ciphers", "ssl-servername": "servername",
}  # fmt: skip
_LISTS = {"allow": "allow", "deny": "deny", "allowfile": "allow_files", "denyfile": "deny_files"}
_REFUSED = {
    "lua-exec": "Lua scripts cannot be run here: use --exec or --sh-exec",
    "sctp": "SCTP is not supported here: this Python's standard library and most kernels have none",
    "vsock": "vsock is not supported here: use ncat of Nmap",
}


def parse(words: list[str]) -> Options:
    """Return what was typed; raises Quit."""
    try:
        found, operands = getopt(words, SHORT, LONG)
    except Unknown as error:
        raise Quit(f"ncat: {error}\n{_TRY}", bare=True) from None
    values: dict[str, object] = {}
    for name, value in found:
        if name == "h":
            raise Quit(HELP, 0, bare=True)
        if name == "version":
            raise Quit("Version 7.93 ( https://nmap.org/ncat )", 0)
        if name in _REFUSED:
            raise wrong(f"{_REFUSED[name]}.")
        _take(name, value or "", values)
    options = Options(**values)  # type: ignore[arg-type]
    if options.verbose:
        loud("Version 7.93 ( https://nmap.org/ncat )")
    return checked(_place(options, operands))


def _take(name: str, value: str, values: dict[str, object]) -> None:
    if name in _FLAGS:
        values[_FLAGS[name]] = True
    elif name in _TEXTS:
        values[_TEXTS[name]] = value
        if name.startswith("ssl-"):
            values["ssl"] = True
            values["verify"] = values.get("verify", False) or name == "ssl-trustfile"
    elif name in _LISTS:
        field = _LISTS[name]
        given = value.split(",") if name in ("allow", "deny") else [value]
        values[field] = (*values.get(field, ()), *given)  # type: ignore[misc]
    elif name in ("4", "6"):
        values["family"] = name
    elif name == "v":
        values["verbose"] = int(values.get("verbose", 0)) + 1  # type: ignore[call-overload]
    elif name in ("broker", "chat"):
        values["broker"] = values["listen"] = values["keep"] = True
        values["chat"] = values.get("chat", False) or name == "chat"
    elif name == "ssl-verify":
        values["ssl"] = values["verify"] = True
    else:
        _take_value(name, value, values)


def _take_value(name: str, value: str, values: dict[str, object]) -> None:
    if name in ("c", "e"):
        if values.get("command"):
            raise wrong("Only one of --exec, --sh-exec, and --lua-exec is allowed.")
        values["command"], values["shell"] = value, name == "c"
    elif name in ("d", "i", "w", "q"):
        values[{"d": "delay", "i": "idle", "w": "wait", "q": "quit_after"}[name]] = seconds(name, value)
    elif name == "g":
        values["hops"] = (*values.get("hops", ()), *filter(None, value.split(",")))  # type: ignore[misc]
    elif name == "G":
        values["hop_pointer"] = _pointer(value)
    elif name == "m":
        values["most"] = int(value) if value.isdecimal() else 0
    elif name == "p":
        values["source_port"] = port(value, f"Invalid source port {value}.")
    elif name == "proxy-type":
        if value not in _PROXY_PORTS:
            raise wrong(f'Invalid proxy type "{value}".')
        values["proxy_type"] = value
    elif name == "proxy-dns":
        if value not in ("local", "remote", "both", "none"):
            raise wrong("Invalid proxy DNS type.")
        values["proxy_dns"] = value
    elif name == "ssl-alpn":
        values["alpn"], values["ssl"] = tuple(value.split(",")), True
    elif name == "proxy":
        host, number = address(value)
        values["proxy"] = host
        if number:
            values["proxy_port"] = port(number, f'Invalid proxy port number "{number}".')


def _pointer(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else 0
    if value % 4 or not 0 < value <= _LAST_POINTER:
        raise wrong(f"Invalid source-route hop pointer {value}.")
    return value


def address(text: str) -> tuple[str, str]:
    """Return the host and port of `host`, `host:port`, `[address]:port`, or a bare IPv6 address."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    host, _, number = text.partition(":")
    return host, number


def seconds(name: str, text: str) -> float:
    """Read a time; raises Quit for what is none, or not above nought."""
    digits = text.rstrip("msh")
    try:
        value = float(digits) * _UNITS[text[len(digits) :] or "s"]
    except (ValueError, KeyError):
        value = -1.0
    kind = {"w": "-w timeout", "i": "-i timeout", "d": "-d delay", "q": "-q timeout"}[name]
    least = 0.0 if name == "q" else 1e-9
    if not least <= value < _LONGEST:
        raise wrong(f'Invalid {kind} "{text}" (must be greater than 0 and less than 2147483s).')
    return value


def port(text: str, complaint: str) -> int:
    """Read a port number; raises Quit with the complaint."""
    if not (text.isascii() and text.isdecimal() and int(text[:8]) < 65536):
        raise wrong(complaint)
    return int(text)


def _place(options: Options, operands: list[str]) -> Options:
    """Sort out which operand is the host and which the port."""
    if options.unix:
        if not operands:
            what = "listen on" if options.listen else "connect to"
            raise wrong(f"You have to specify path to a socket to {what}.")
        return options.replace(host=operands[0])
    numbers = operands[1:]
    host = operands[0] if operands else None
    if options.listen and len(operands) == 1 and operands[0].isascii() and operands[0].isdecimal():
        host, numbers = None, operands
    if options.listen and options.source_port is not None:
        numbers = [str(options.source_port), *numbers]
    if len(numbers) > 1:
        raise wrong(f"Got more than one port specification: {' '.join(numbers)}.")
    number = port(numbers[0], f'Invalid port number "{numbers[0]}".') if numbers else DEFAULT_PORT
    return options.replace(host=host, port=number)


def checked(options: Options) -> Options:
    """Refuse what does not go together."""
    if len(options.hops) > _MOST_HOPS:
        raise wrong("Sorry, you gave too many source route hops.")
    if not options.listen:
        if options.host is None:
            raise wrong("You must specify a host to connect to.")
        if options.allow or options.deny or options.allow_files or options.deny_files:
            raise wrong("Invalid option combination: allow/deny with connect.")
    elif options.scan:
        raise wrong("Services designed for LISTENING can't be used with -z")
    elif options.proxy:
        raise wrong("Invalid option combination: --proxy and -l.")
    elif options.proxy_type not in ("", "http"):
        raise wrong(f'Invalid proxy type "{options.proxy_type}"; Ncat proxy server only supports "http".')
    elif options.source is not None:
        raise wrong(
            "-l and -s are incompatible.  "
            "Specify the address and port to bind to like you would a host to connect to."
        )
    elif options.broker and options.command:
        raise wrong("Invalid option combination: --broker and -e.")
    if options.ssl and options.unix:
        raise wrong("SSL option not supported when using Unix domain sockets.")
    if options.ssl and options.udp:
        raise wrong("DTLS is not supported here: --ssl goes with TCP.")
    if bool(options.certificate) != bool(options.key):
        raise wrong("The --ssl-key and --ssl-cert options must be used together.")
    if options.send_only and options.receive_only:
        raise wrong("--send-only and --recv-only cannot be used together.")
    if options.proxy and not options.proxy_port:
        kind = options.proxy_type or "http"
        options = options.replace(proxy_port=_PROXY_PORTS[kind])
    return options
