"""`portside reach`: who can get to each open port, decided from the rules, and which rule decides."""

from __future__ import annotations

from portside.cli.command import NETNS, STRICT, Argument, Command
from portside.cli.typed import typed_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.guard.listeners import Answer, Source
    from portside.guard.packet import Packet
    from portside.guard.reach import Judge, Piece
    from portside.guard.verify import Verification
    from portside.see.ports import OpenPort
    from portside.see.records import Gap

ARGUMENTS = (
    Argument(
        ("port",), "one port: a number or a service name, with /tcp or /udp if you like", "PORT", many="*"
    ),
    Argument(("--from",), "only whether these get through: an address, a network, an interface", "WHO"),
    Argument(("--ruleset",), "judge the rules of a file instead: nft text or JSON, iptables-save", "FILE"),
    Argument(("--audit",), "say what deserves attention instead"),
    Argument(("--verify",), "have a kernel of its own decide it, too, with real packets"),
    NETNS,
    STRICT,
    Argument(("-n", "--numeric"), "numbers instead of service names"),
)
_STYLE = {"anyone": "yellow", "nobody": "green", "some": "", "depends": "yellow", "unknown": "red"}
_WORDS = {"yes": "yes", "no": "no", "depends": "depends"}


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Judge every open port, or one, and print the pieces of the answer."""
    from portside.guard import listeners

    if arguments.netns == "all":
        return _everywhere(arguments, output)
    judge = _judge(arguments.ruleset)
    asked = listeners.source(judge, arguments.__dict__["from"]) if arguments.__dict__["from"] else None
    found = _answers(judge, arguments, asked)
    if arguments.audit:
        return _audit(judge, found, output)
    verified = _verify(judge, found, arguments) if arguments.verify else None
    gaps = _gaps(judge)
    if output.json:
        items = [item(one) for one in found]
        more: dict[str, Any] = {} if verified is None else {"verified": trials(verified)}
        output.envelope("reach", items, gaps, **more)
    else:
        output.write(
            "".join(
                f"{output.clean(line)}\n" for line in _lines(found, bool(arguments.port), asked is not None)
            )
        )
        for line in _verified_lines(verified) if verified is not None else ():
            output.write(f"{output.clean(line)}\n")
        output.gaps(gaps)
        if not found:
            output.note("no port is open" + (f" of {','.join(arguments.port)}" if arguments.port else ""))
    if verified is not None and not verified.agrees:
        return 1
    return _code(found, gaps, arguments)


def _everywhere(arguments: SimpleNamespace, output: Output) -> int:
    """Judge the open ports of every network namespace, each by its own rules."""
    from portside.errors import BadRequest
    from portside.guard import listeners
    from portside.guard.elsewhere import Elsewhere

    for word in ("ruleset", "verify", "audit", "from"):
        if arguments.__dict__[word]:
            raise BadRequest(
                "judge", "every network namespace", f"--{word} is for one of them",
                f"run it there: ip netns exec NAME portside reach --{word} ...",
            )  # fmt: skip
    spaces = Elsewhere()
    rows = list(_rows(arguments, arguments.port, every_netns=True))
    found, gaps = [], []
    for name in dict.fromkeys(row.netns for row in rows):
        judge = spaces.judge(name)
        found += listeners.answers(judge, [row for row in rows if row.netns == name])
        gaps += _gaps(judge)
    if output.json:
        output.envelope("reach", [item(one) for one in found], gaps)
    else:
        lines = _lines(found, bool(arguments.port), asked=False, named=True)
        output.write("".join(f"{output.clean(line)}\n" for line in lines))
        output.gaps(gaps)
    return _code(found, gaps, arguments)


def _rows(
    arguments: SimpleNamespace, words: Sequence[str], *, every_netns: bool = False
) -> Iterator[OpenPort]:
    """Yield the open ports that are asked about: those that the words name, without any all of them."""
    from portside.see import api
    from portside.see.ports import open_ports
    from portside.see.services import service_names

    names = (lambda port, protocol: "") if arguments.numeric else service_names()
    if not words:
        yield from open_ports(api.sockets_of_open_ports(every_netns=every_netns), names)
    for word in words:
        port, transport = typed_port(word)
        yield from open_ports(api.take_port(port, transport, every_netns=every_netns).sockets, names)


def _judge(file: str | None) -> Judge:
    from portside.guard import reading
    from portside.guard.reach import Judge

    ruleset = reading.read_rules() if file is None else reading.read_file(file)
    return Judge(ruleset, reading.read_environment())


def _answers(judge: Judge, arguments: SimpleNamespace, asked: Source | None) -> list[Answer]:
    from portside.guard import listeners

    if not arguments.port:
        return listeners.answers(judge, _rows(arguments, ()), asked)
    found: list[Answer] = []
    for word in arguments.port:
        port, transport = typed_port(word)
        wanted = (transport,) if transport else ("tcp",)
        found += listeners.answers(judge, _rows(arguments, (word,)), asked) or listeners.nobody_listens(
            judge, port, wanted, asked
        )
    return found


def _gaps(judge: Judge) -> list[Gap]:
    from portside.see.records import Gap

    return [Gap("firewall rules", why, 1) for why in judge.ruleset.unread]


def _code(found: list[Answer], gaps: list[Gap], arguments: SimpleNamespace) -> int:
    if gaps and arguments.strict:
        return 3
    if not found:
        return 1
    verdicts = {one.reachability.verdict for one in found}
    if not arguments.port:
        return 0
    return 2 if verdicts == {"unknown"} else 1 if verdicts == {"nobody"} else 0


def _lines(found: list[Answer], whole: bool, asked: bool, named: bool = False) -> Iterator[str]:
    from portside.guard.words import link_local

    for one in found:
        yield _head(one, asked) + (f"  in {one.row.netns}" if named and one.row is not None else "")
        pieces = one.reachability.pieces
        open_to = [piece for piece in pieces if piece.verdict != "no"]
        deciding = [piece for piece in pieces if piece.because == one.reachability.because]
        shown = (
            pieces
            if whole
            else [piece for piece in open_to if not link_local(piece)] or open_to or deciding[:1]
        )
        for place, piece in enumerate(shown):
            last = place == len(shown) - 1 and not one.reachability.notes
            yield from _piece_lines(piece, last, whole)
        if not pieces:
            yield f"└─ {one.reachability.because}"
        for note in one.reachability.notes if pieces else ():
            yield f"└─ note     {note}"


def _head(one: Answer, asked: bool) -> str:
    wanted = one.listener
    verdict = one.reachability.verdict
    if asked:  # anyone is then all of those asked for
        verdict = {"anyone": "yes", "nobody": "no", "some": "some of them"}.get(verdict, verdict)
    if one.row is None:
        return f"{wanted.port}/{wanted.protocol}  {verdict}; nothing listens there now"
    from portside.cli.port_table import bound_text, owner_text

    service = f"  {one.row.service}?" if one.row.service else ""
    return (
        f"{wanted.port}/{wanted.protocol}{service}  {verdict}"
        f"  on {bound_text(one.row)}  {owner_text(one.row)}"
    )


def _piece_lines(piece: Piece, last: bool, whole: bool) -> Iterator[str]:
    from portside.guard.words import who

    stem, branch = ("   ", "└─") if last else ("│  ", "├─")
    port = f" to port {piece.port}" if piece.port else ""
    goes = f", goes to {piece.goes_to}" if piece.goes_to else ""
    client = f" ({piece.client})" if piece.client else ""
    yield f"{branch} {_WORDS[piece.verdict]}{client}: {who(piece)} on {piece.interface}{port}{goes}"
    yield f"{stem}   by      {piece.because}"
    for reason in piece.reasons:
        yield f"{stem}   if      {reason}"
    if piece.condition:
        yield f"{stem}   note    {piece.condition}"
    if whole:
        yield f"{stem}   sample  {_packet(piece.sample)}"


def _packet(sample: Packet) -> str:
    left, right = (f"[{one}]" if ":" in one else one for one in (sample.source, sample.destination))
    return f"{sample.protocol} {left}:{sample.source_port} -> {right}:{sample.port} on {sample.interface}"


def item(one: Answer) -> dict[str, Any]:
    """An item of `kind: reach`."""
    addresses = [
        {"address": end.address, "device": end.device or None}
        for end in (one.row.addresses if one.row else ())
    ]
    return {
        "protocol": one.listener.protocol,
        "port": one.listener.port,
        "address": addresses[0]["address"] if len(addresses) == 1 else None,
        "addresses": addresses,
        "listening": one.row is not None,
        "netns": (one.row.netns or None) if one.row is not None else None,
        "verdict": one.reachability.verdict,
        "because": because(one.reachability.because),
        "notes": list(one.reachability.notes),
        "pieces": [piece(part) for part in one.reachability.pieces],
    }


def piece(part: Piece) -> dict[str, Any]:
    """One piece of an answer."""
    from itertools import islice

    from portside.guard.words import networks

    return {
        "interface": part.interface,
        "family": "inet6" if part.family == "ip6" else "inet",
        "sources": list(islice(networks(part.family, part.sources), 10_000)),
        "verdict": part.verdict,
        "because": because(part.because),
        "client": part.client or None,
        "reasons": list(part.reasons),
        "to_port": part.port or None,
        "goes_to": part.goes_to or None,
        "condition": part.condition or None,
        "sample": dict(part.sample.items()),
    }


def because(one: Any) -> dict[str, Any]:
    """What decided."""
    return {
        "table": one.table or None,
        "chain": one.chain or None,
        "handle": one.handle or None,
        "rule": one.rule,
    }


def _audit(judge: Judge, found: list[Answer], output: Output) -> int:
    from portside.guard.audit import audit

    remarks = list(audit(judge, found))
    if output.json:
        output.envelope("audit", [dict(remark.items()) for remark in remarks], _gaps(judge))
    else:
        for remark in remarks:
            output.write(output.clean(f"{remark.kind}: {remark.what}") + "\n")
            output.write(output.clean(f"   {remark.why}") + "\n")
        output.gaps(_gaps(judge))
        if not remarks and not _gaps(judge):
            output.note("nothing deserves attention")
    return 0 if remarks else 1


def _verify(judge: Judge, found: list[Answer], arguments: SimpleNamespace) -> Verification:
    from portside.guard import reading
    from portside.guard.verify import verify

    sources = reading.sources() if arguments.ruleset is None else reading.file_sources(arguments.ruleset)
    return verify(judge, found, sources)


def trials(verified: Verification) -> dict[str, Any]:
    """What a kernel said to the answers."""
    return {
        "agrees": verified.agrees,
        "missing": list(verified.missing),
        "packets": [
            {
                "packet": dict(one.packet.items()),
                "said": one.said,
                "arrived": one.arrived,
                "client": one.client or None,
            }
            for one in verified.trials
        ],
    }


def _verified_lines(verified: Verification) -> Iterator[str]:
    count, wrong = len(verified.trials), verified.differences
    came = sum(one.arrived for one in verified.trials)
    yield f"verified: {count} packets sent, {came} arrived; the kernel agrees with {count - len(wrong)}"
    for one in wrong:
        did = "arrived" if one.arrived else f"did not arrive ({one.client})"
        yield f"   differs: {_packet(one.packet)}: {one.said} said, it {did}"
    for what in verified.missing:
        yield f"   not copied: {what}"


COMMAND = Command(
    "reach",
    "who can get to each open port, and which rule of the firewall decides",
    ARGUMENTS,
    run,
    description="Tell for each open port who can get to it: anyone, some, nobody, or that it depends, and on what.\n"
    "Decided from the rules in force (nftables, iptables of both back ends, ipset), addresses, routes\n"
    "and settings.  For one PORT every part of the answer is shown, with a packet of each.  Exit 1\n"
    "when nobody gets through to PORT.",
    examples="  portside reach\n"
    "  portside reach 22 --from 198.51.100.7\n"
    "  portside reach https --json\n"
    "  portside reach --ruleset new.nft",
)
