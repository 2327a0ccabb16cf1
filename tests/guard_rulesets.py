"""Random rulesets, their expressions as frequent as in those that people publish: nft's text and iptables-save."""

from __future__ import annotations

import random
import re

PORTS = [22, 80, 443, 53, 8080, 3128, 81, 82]
NETWORKS4 = [
    "192.0.2.0/24",
    "192.0.2.7",
    "192.0.2.8",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "10.0.0.0/8",
    "0.0.0.0/1",
]
NETWORKS4 += ["192.0.2.4-192.0.2.7", "172.17.0.0/16"]
NETWORKS6 = ["2001:db8:1::/64", "2001:db8:2::/64", "2001:db8::/32", "2001:db8:1::7", "::/0"]
OWN4, OWN6 = ["192.0.2.1", "198.51.100.1"], ["2001:db8:1::1", "2001:db8:2::1"]
INTERFACES = ["eth0", "eth1", "docker0", "lo", "eth*"]


class Nft:
    """One ruleset of nftables, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.hook = ""

    def text(self) -> str:
        """The whole of it."""
        choose = self.random
        lines = []
        for number in range(choose.choice((1, 1, 1, 2))):
            family = choose.choice(("inet", "inet", "inet", "ip", "ip6"))
            lines += self.table(family, f"t{number}")
        return "\n".join(lines) + "\n"

    def table(self, family: str, name: str) -> list[str]:
        choose = self.random
        lines = [f"table {family} {name} {{", *self.sets(family)]
        lines += [" chain side {", *self.rules(family, "side", choose.randrange(1, 4)), " }"]
        hooks = [("filter", "input", choose.choice((0, 0, 0, 10, -5)))]
        if choose.random() < 0.35:
            hooks.append(("filter", "prerouting", choose.choice((-300, -150, -110))))
        if choose.random() < 0.4:
            hooks.append(("nat", "prerouting", -100))
        if choose.random() < 0.3:
            hooks.append(("filter", "forward", 0))
        if choose.random() < 0.25:
            hooks.append(("filter", "output", choose.choice((0, -300, -150))))
        if choose.random() < 0.15:
            hooks.append(("nat", "postrouting", 100))
        for place, (kind, hook, priority) in enumerate(hooks):
            self.hook = hook
            policy = (
                choose.choice(("accept", "drop"))
                if kind == "filter" and hook in ("input", "forward")
                else "accept"
            )
            lines += [
                f" chain c{place} {{ type {kind} hook {hook} priority {priority}; policy {policy};",
                *(["  ct state vmap { established : accept, related : accept, invalid : drop }"]
                  if kind == "filter" and choose.random() < 0.6 and priority > -200 else []),
                *(self.nat(family, hook) if kind == "nat" else self.rules(family, hook, choose.randrange(1, 9))),
                " }",
            ]  # fmt: skip
        return [*lines, "}"]

    def sets(self, family: str) -> list[str]:
        choose = self.random
        four = ", ".join(choose.sample(NETWORKS4[1:6], 2))
        lines = [
            f" set ports {{ type inet_service; flags interval; elements = {{ {self.ports()} }}\n }}",
            f" map verdicts {{ type inet_service : verdict; elements = {{ {choose.choice(PORTS)} : accept }}\n }}",
        ]
        if family != "ip6":
            lines.append(f" set four {{ type ipv4_addr; flags interval; elements = {{ {four} }}\n }}")
            pair = f"{choose.choice(NETWORKS4[:6])} . {choose.choice(PORTS)}"
            lines.append(
                f" set pairs {{ type ipv4_addr . inet_service; flags interval; elements = {{ {pair} }}\n }}"
            )
        if family != "ip":
            six = choose.choice(NETWORKS6[:4])
            lines.append(f" set six {{ type ipv6_addr; flags interval; elements = {{ {six} }}\n }}")
        return lines

    def ports(self) -> str:
        first, second = sorted(self.random.sample(PORTS, 2))
        return self.random.choice((f"{first}, {second}", f"{first}-{second}", f"{first}"))

    def rules(self, family: str, hook: str, count: int) -> list[str]:
        return [f"  {self.rule(family, hook)}" for _ in range(count)]

    def rule(self, family: str, hook: str) -> str:
        choose = self.random
        if choose.random() < 0.08:
            key, entries = choose.choice((
                ("tcp dport", f"{choose.choice(PORTS)} : accept, 1-21 : drop"),
                ("iifname", '"eth0" : accept, "eth1" : return'),
                ("meta l4proto . th dport", f"tcp . {choose.choice(PORTS)} : accept, udp . 53 : drop"),
            ))  # fmt: skip
            return f"{key} vmap {{ {entries} }}" if choose.random() < 0.7 else "tcp dport vmap @verdicts"
        tests = [self.test(family, hook) for _ in range(choose.choice((1, 1, 2, 2, 3)))]
        return " ".join(filter(None, [*self.compatible(tests), self.action(family, hook)]))

    @staticmethod
    def compatible(tests: list[str]) -> list[str]:
        """Leave out what nft would refuse beside another: two protocols, two families."""
        kept: list[str] = []
        said: dict[str, str] = {}
        for test in tests:
            family = (
                "4" if re.search(r"\bip |ipv4|icmp", test) else "6" if re.search(r"\bip6 |ipv6", test) else ""
            )
            protocols = [one for one in ("tcp", "udp", "icmp") if re.search(rf"\b{one}\b", test)]
            protocol = protocols[0] if len(protocols) == 1 else "both" if protocols else ""
            if said.get("family", family or "") != family and family and "family" in said:
                continue
            if protocol and "protocol" in said and said["protocol"] != protocol:
                continue
            said |= {name: word for name, word in (("family", family), ("protocol", protocol)) if word}
            kept.append(test)
        return kept

    def test(self, family: str, hook: str) -> str:
        choose = self.random
        negation = "!= " if choose.random() < 0.2 else ""
        four, six = choose.choice(NETWORKS4), choose.choice(NETWORKS6)
        tests = [f"tcp dport {negation}{choose.choice(PORTS)}"] * 6
        tests += [f"tcp dport {negation}{{ {self.ports()} }}", f"tcp dport {negation}@ports"] * 2
        tests += [f"udp dport {negation}{choose.choice(PORTS)}"] * 5
        tests += [f"udp dport {choose.choice(('<', '>=', '!='))} {choose.choice(PORTS)}"]
        if hook not in ("output", "side"):
            tests += [f'iifname {negation}"{choose.choice(INTERFACES)}"'] * 4
            tests += ["iifname { eth0, lo }", "iif lo", 'iif != "lo"']
        tests += [f"ct state {choose.choice(('new', 'established,related', 'invalid', 'new,untracked'))}"] * 3
        tests += ["ct state != invalid", "meta l4proto tcp", "meta l4proto { tcp, udp }", "tcp flags syn"]
        tests += ["tcp flags & (fin|syn|rst|ack) == syn", "tcp flags != syn", "meta pkttype unicast"]
        tests += [
            "fib daddr type local",
            "fib saddr . iif oif missing",
            "meta mark 1",
            "meta mark and 2 == 2",
        ]
        tests += ["ct direction original", "ct status dnat", "udp sport 1024-65535", "tcp sport != 1-1023"]
        if family != "ip6":
            tests += [f"ip saddr {negation}{four}"] * 4 + [f"ip daddr {negation}{choose.choice(OWN4)}"] * 2
            tests += [
                "ip saddr @four",
                "ip saddr != @four",
                "ip protocol tcp",
                "ip protocol icmp",
                "icmp type echo-request",
            ]
            tests += [
                f"ip saddr . tcp dport {negation}{{ {choose.choice(NETWORKS4[:6])} . {choose.choice(PORTS)} }}"
            ]
            tests += [
                "ip saddr . tcp dport @pairs",
                "ip saddr & 0.0.0.255 == 0.0.0.7",
                "ip ttl < 10",
                "ip frag-off & 0x1fff != 0",
            ]
        if family != "ip":
            tests += [f"ip6 saddr {negation}{six}"] * 3 + [f"ip6 daddr {negation}{choose.choice(OWN6)}"] * 2
            tests += ["ip6 saddr @six", "ip6 nexthdr tcp", "ip6 hoplimit 255"]
        if family == "inet":
            tests += ["meta nfproto ipv4", "meta nfproto ipv6"]
        return choose.choice(tests)

    def action(self, family: str, hook: str) -> str:
        choose = self.random
        actions = (
            ["accept"] * 13
            + ["counter accept"] * 4
            + ["drop"] * 5
            + ["counter"] * 2
            + ["return", 'log prefix "x"']
        )
        if hook != "side":
            actions += ["jump side"] * 2 + ["goto side"]
        actions += ["meta mark set 1", "meta mark set meta mark or 2", "counter ct mark set 7 accept"]
        if hook in ("input", "forward"):
            actions += ["reject"] * 2 + ["meta l4proto tcp reject with tcp reset"]
            actions += ["reject with icmpx admin-prohibited"] if family == "inet" else []
        if hook in ("prerouting", "output"):
            actions += ["notrack"]
        return choose.choice(actions)

    def nat(self, family: str, hook: str) -> list[str]:
        choose = self.random
        lines = []
        for _ in range(choose.randrange(1, 4)):
            port, to = choose.choice((81, 82, 80, 22)), choose.choice((22, 80, 443, 8080))
            if hook == "postrouting":
                lines.append(f'  oifname "{choose.choice(("docker0", "eth0"))}" masquerade')
                continue
            protocol = choose.choice(("tcp", "tcp", "udp"))
            way = choose.random()
            match = f"{protocol} dport {port}"
            if choose.random() < 0.3:
                match = f'iifname "eth0" {match}'
            if way < 0.4 or family == "ip6":
                lines.append(f"  {match} redirect to :{to}")
            elif way < 0.8:
                name = "dnat ip to" if family == "inet" else "dnat to"
                lines.append(f"  {match} {name} 172.17.0.2:{choose.choice((80, 53, 8080))}")
            else:
                name = "dnat ip to" if family == "inet" else "dnat to"
                lines.append(f"  {name} {protocol} dport map {{ {port} : 172.17.0.2 . 80 }}")
        return lines


class Iptables:
    """One ruleset for iptables-restore, of both families (`ip`, `ip6`), from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, family: str) -> str:
        """What iptables-restore or ip6tables-restore takes."""
        choose = self.random
        lines = ["*filter"]
        for chain in ("INPUT", "FORWARD", "OUTPUT"):
            drop = chain != "OUTPUT" and choose.random() < 0.5
            lines.append(f":{chain} {'DROP' if drop else 'ACCEPT'} [0:0]")
        lines.append(":side - [0:0]")
        lines += [self.rule(family, "side") for _ in range(3)]
        if choose.random() < 0.7:
            lines.append("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        lines += [self.rule(family, "INPUT") for _ in range(choose.randrange(2, 10))]
        lines += [self.rule(family, "FORWARD") for _ in range(choose.randrange(0, 4))]
        if choose.random() < 0.3:
            lines += [self.rule(family, "OUTPUT") for _ in range(2)]
        lines.append("COMMIT")
        if choose.random() < 0.4:
            lines += ["*nat", ":PREROUTING ACCEPT [0:0]", *(self.nat(family) for _ in range(2)), "COMMIT"]
        if choose.random() < 0.3:
            lines += ["*mangle", ":PREROUTING ACCEPT [0:0]"]
            lines += [f"-A PREROUTING {self.match(family)} -j MARK --set-xmark 0x1/0x3", "COMMIT"]
        if choose.random() < 0.2:
            lines += ["*raw", ":PREROUTING ACCEPT [0:0]"]
            lines += [
                f"-A PREROUTING {self.match(family)} -j {choose.choice(('CT --notrack', 'DROP'))}",
                "COMMIT",
            ]
        return "\n".join(lines) + "\n"

    def rule(self, family: str, chain: str) -> str:
        choose = self.random
        targets = ["ACCEPT"] * 8 + ["DROP"] * 5 + ["RETURN", "LOG"] + ["REJECT"] * (chain == "INPUT") * 2
        targets += ["side"] * 2 * (chain != "side")
        target = choose.choice(targets)
        flag = "-g" if target == "side" and choose.random() < 0.3 else "-j"
        interface = f" {choose.choice(('', '! '))}-i {choose.choice(('eth0', 'eth1', 'eth+', 'lo'))}"
        there = chain in ("INPUT", "FORWARD") and choose.random() < 0.3
        return f"-A {chain}{interface if there else ''} {self.match(family)} {flag} {target}"

    def match(self, family: str) -> str:
        choose = self.random
        four = family == "ip"
        no = "! " if choose.random() < 0.2 else ""
        source = choose.choice([one for one in (NETWORKS4 if four else NETWORKS6) if "-" not in one])
        port, other = choose.choice(PORTS), choose.choice(PORTS)
        low, high = sorted((port, other))
        matches = [f"-p tcp -m tcp {no}--dport {port}"] * 5 + [f"-p udp -m udp {no}--dport {port}"] * 3
        matches += [f"-p tcp -m multiport {no}--dports {port},{low}:{high + 1}", "-p tcp", f"{no}-p udp"]
        matches += [f"{no}-s {source}"] * 4
        matches += [f"-m state --state {choose.choice(('NEW', 'ESTABLISHED', 'INVALID,NEW'))}"] * 2
        matches += [
            f"-m conntrack {no}--ctstate {choose.choice(('NEW', 'RELATED,ESTABLISHED', 'DNAT', 'UNTRACKED'))}"
        ] * 2
        matches += [
            f"-p tcp -m tcp {no}--tcp-flags SYN,ACK SYN",
            "-p tcp --syn",
            "-m pkttype --pkt-type unicast",
        ]
        matches += [
            f"-m addrtype {no}--dst-type LOCAL",
            f"-m mark {no}--mark 0x1/0x3",
            "-m comment --comment hello",
        ]
        matches += ["-p tcp -m tcp --sport 1024:65535", "-m statistic --mode random --probability 1.0"]
        if four:
            matches += [
                f"-m iprange {no}--src-range 192.0.2.3-192.0.2.7",
                "-p icmp --icmp-type 8",
                "-f",
                "-m ttl --ttl-lt 9",
            ]
        else:
            matches += ["-m hl --hl-eq 255", "-p ipv6-icmp -m icmp6 --icmpv6-type 135", "-m rt --rt-type 0"]
        return choose.choice(matches)

    def nat(self, family: str) -> str:
        choose = self.random
        port, to = choose.choice((81, 82, 80, 22)), choose.choice((22, 80, 443, 8080))
        protocol = choose.choice(("tcp", "udp"))
        target = f"REDIRECT --to-ports {to}"
        if family == "ip" and choose.random() < 0.5:
            target = f"DNAT --to-destination 172.17.0.2:{choose.choice((80, 53, 8080))}"
        return f"-A PREROUTING -p {protocol} -m {protocol} --dport {port} -j {target}"
