"""The filter's bytecode before the running kernel: what it returns is what Python selects, what it refuses is known.

Random expressions (the seed is fixed, so a failure repeats) over the addresses, ports and states of the world.
Each is asked of the kernel as `plan` says, and compared with the Python evaluation of a full dump, per family and
protocol.  A socket counts if it is in the full dumps before and after: TIME_WAIT ends by itself.
"""

import errno
import os
import random
import socket
import struct

import pytest

from portside.see.filter import parse, plan, predicate
from portside.see.filter.states import WORDS
from portside.see.sockets import Decoder
from portside.system.cgroups import CgroupTree, find_root
from portside.system.host import LIVE
from portside.system.sockets import FAMILIES, PROTOCOLS, Reader, Request
from portside.testing.namespaces import Namespace
from portside.wire import bytecode, inet_diag, netlink, tcp_states

EXPRESSIONS = 150
PROGRAMS = 400
FAMILY_NAMES = dict(zip(FAMILIES, ("inet", "inet6"), strict=True))


def read_all(reader, decoder, ask=lambda family, protocol: Request()):
    """Every IP socket by (family, protocol, cookie), asked for as `ask` says."""
    found = {}
    for family in FAMILIES:
        for name, protocol in PROTOCOLS.items():
            request = ask(FAMILY_NAMES[family], name)
            dump = reader.inet(family, protocol, request) if request is not None else None
            for row in dump.rows() if dump is not None else ():
                told = decoder.inet(dump, row)
                if told.cookie:
                    found[told.family, name, told.cookie] = told
    return found


class Expressions:
    """Random filters about sockets that exist."""

    def __init__(self, sockets, interfaces, seed):
        self.choose = random.Random(seed)
        ends = [end for each in sockets for end in (each.local, each.remote)]
        self.ports = sorted({end.port for end in ends})
        self.addresses = sorted({end.address for end in ends})
        self.devices = sorted(interfaces)
        self.marks = sorted(
            {value for each in sockets for name, value in each.attributes if name == "mark"} or {0}
        )

    def one(self, depth=3):
        kind = self.choose.random()
        if depth and kind < 0.25:
            return f"({self.one(depth - 1)}) and ({self.one(depth - 1)})"
        if depth and kind < 0.5:
            return f"({self.one(depth - 1)}) or ({self.one(depth - 1)})"
        if depth and kind < 0.6:
            return f"not ({self.one(depth - 1)})"
        return self.test()

    def test(self):
        choose = self.choose
        equal = choose.choice(("=", "!="))
        port, other = choose.choice(self.ports), choose.choice(self.ports)
        address = choose.choice(self.addresses)
        bits = choose.randint(0, 128 if ":" in address else 32)
        return choose.choice(
            (
                f"{choose.choice(('sport', 'dport', 'port'))} {equal} {port},{min(port, other)}-{max(port, other)}",
                f"{choose.choice(('sport', 'dport'))} {equal} {port}",
                f"{choose.choice(('sport', 'dport'))} {choose.choice(('<', '<=', '>', '>='))} {port}",
                f"{choose.choice(('src', 'dst'))} {equal} {address}/{bits}",
                f"{choose.choice(('src', 'dst'))} {equal} [{address}]:{port}",
                f"{choose.choice(('src', 'dst'))} {equal} {choose.choice(('inet', 'inet6'))}:*:{port}-",
                f"{choose.choice(('state', 'exclude'))} {choose.choice(WORDS)}",
                f"dev {equal} {choose.choice(self.devices)}",
                f"fwmark {equal} {choose.choice(self.marks)}",
                f"user {equal} root",
            )
        )


def compare(seed, count):
    """Return what went wrong, and how often the kernel was asked and dropped something."""
    wrong, asked, dropped = [], 0, 0  # asked: sockets times expressions
    paths = CgroupTree(find_root())
    with Reader(LIVE) as reader:
        interfaces = reader.interfaces()
        indexes = {name: index for index, name in interfaces.items()}
        decoder = Decoder("", interfaces, paths.path_of)
        before = read_all(reader, decoder)
        expressions = Expressions(before.values(), indexes, seed)
        for _ in range(count):
            text = expressions.one()
            expression = parse(text)
            asking = plan(expression, device_index=lambda name: indexes.get(name, 0), marks=os.geteuid() == 0)
            keep = predicate(expression, device_index=lambda name: indexes.get(name, 0))
            parts = {}

            def ask(family, protocol, asking=asking, parts=parts):
                part = parts[family, protocol] = asking.request(family, protocol)
                return part and Request(part.states, part.sport, part.dport, part.bytecode or b"")

            told = read_all(reader, decoder, ask)
            after = read_all(reader, decoder)
            for key in before.keys() & after.keys():
                if before[key].state != after[key].state:
                    continue
                part = parts[key[:2]]
                asked += 1
                dropped += key not in told
                if keep(before[key]) and key not in told:
                    wrong.append(("dropped", text, part, before[key]))
                if part is not None and part.exact and key in told and not keep(before[key]):
                    wrong.append(("not exact", text, part, before[key]))
    return wrong[:3], asked, dropped


def test_the_kernel_returns_what_python_selects(world):
    wrong, asked, dropped = world.space.call(compare, 1, EXPRESSIONS)
    assert not wrong
    assert asked > 1000
    assert asked / 10 < dropped < asked * 9 / 10


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_an_ordinary_user_gets_the_same(world):
    wrong, asked, _ = world.space.call(compare, 2, EXPRESSIONS // 3, uid=65534)
    assert not wrong
    assert asked > 300


def choose_ports():
    """Open sockets with ports chosen by the kernel and by us, and ask which are which."""
    kept, expected = [], {}
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for wish, auto in ((0, True), (50_000, False), (2_000, False)):
                each = socket.socket(family, kind)
                kept.append(each)
                each.bind((host, wish))
                if kind == socket.SOCK_STREAM:
                    each.listen()
                expected[family, kind, each.getsockname()[1]] = auto
    return kept, expected


def autobound():
    kept, expected = choose_ports()
    expression = parse("autobound and sport > 0")
    other = parse("not autobound and sport > 0")
    found = {}
    with Reader(LIVE) as reader:
        decoder = Decoder("", {}, lambda number: None)
        for wanted, text in ((True, expression), (False, other)):
            asking = plan(text)
            keep = asking.predicate()

            def ask(family, protocol, asking=asking):
                part = asking.request(family, protocol, tcp_states.ALL)
                return part and Request(part.states, part.sport, part.dport, part.bytecode or b"")

            for told in read_all(reader, decoder, ask).values():
                if keep(told) and told.protocol in ("tcp", "udp"):
                    family = socket.AF_INET if told.family == "inet" else socket.AF_INET6
                    kind = socket.SOCK_STREAM if told.protocol == "tcp" else socket.SOCK_DGRAM
                    assert (family, kind, told.local.port) not in found
                    found[family, kind, told.local.port] = wanted
    for each in kept:
        each.close()
    return found, expected


def test_the_kernel_knows_which_ports_it_chose():
    with Namespace() as space:
        found, expected = space.call(autobound)
    # A port above 0 that bind(2) was given is locked to the socket; the ones chosen for port 0 are not.
    assert found == expected


def answer_to(program):
    """Return the errno the kernel answers to a dump with this program, 0 if it runs it."""
    question = inet_diag.request(inet_diag.AF_INET, inet_diag.IPPROTO_TCP, tcp_states.ALL, bytecode=program)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as link:
        link.settimeout(5)
        link.send(question)
        reply = link.recv(1 << 16)
    _, kind, *_ = netlink.HEADER.read(reply)
    return -struct.unpack_from("=i", reply, netlink.HEADER.size)[0] if kind == netlink.NLMSG_ERROR else 0


def audits(seed, count):
    choose = random.Random(seed)
    expressions = Expressions([], ["lo"], seed)
    expressions.ports, expressions.addresses = [0, 22, 65535], ["127.0.0.1", "::1"]
    counts, wrong = {0: 0, errno.EINVAL: 0, errno.EPERM: 0}, []
    while sum(counts.values()) < count:
        asking = plan(
            parse(expressions.one()), device_index=lambda name: 1, cgroup_id=lambda path: 1, marks=True
        )
        part = asking.request("inet", "tcp")
        if part is None or part.bytecode is None:
            continue
        program = bytearray(part.bytecode)
        for _ in range(choose.choice((0, 0, 1, 1, 2))):
            place = choose.randrange(len(program))
            program[place] = choose.choice((0, 4, 7, 8, 10, 12, 13, choose.randrange(256)))
        if choose.random() < 0.1:
            del program[-choose.choice((1, 4, 8)) :]
        if not program:
            continue
        expected = bytecode.audit(bytes(program), admin=os.geteuid() == 0)
        answer = answer_to(bytes(program))
        counts[answer] += 1
        if expected != answer:
            wrong.append((expected, answer, bytes(program).hex()))
    return wrong[:3], counts


@pytest.mark.parametrize("uid", [None, 65534])
def test_the_audit_is_the_kernels(uid):
    if uid is not None and os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    with Namespace() as space:
        wrong, counts = space.call(audits, 3, PROGRAMS, uid=uid)
    assert not wrong
    assert min(counts[0], counts[errno.EINVAL]) > PROGRAMS / 10
    assert (counts[errno.EPERM] > 0) == (uid is not None)
