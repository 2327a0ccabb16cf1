"""Two ways to say the same give the same: nft's text and its JSON; and --verify."""

from __future__ import annotations

import os
import shutil

import pytest
from tests.guard_host import host
from tests.guard_rulesets import Nft
from tests.support import require

from portside.errors import PortsideError
from portside.guard import listeners, nft, reading, verify
from portside.guard.packet import Packet
from portside.guard.reach import Judge, Listener
from portside.system import scratch


@pytest.fixture(scope="module")
def nft_reads():
    require(shutil.which("nft"), "nft is not installed")
    try:
        scratch.run(int)
    except PortsideError as error:
        require(False, str(error))


TEXT = """table inet filter {
	set inner { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, invalid : drop }
		iif "lo" accept
		ip saddr @inner tcp dport { 22, 8000-8100 } accept
		jump {
			tcp dport 81 accept
			udp dport 53 ip saddr 10.0.0.0/8 accept
		}
		meta mark set 3 tcp dport 443 limit rate 3/second accept
	}
}
"""


def test_text_and_json_of_a_ruleset_are_the_same(nft_reads, tmp_path):
    plain = tmp_path / "rules.nft"
    plain.write_text(TEXT)
    listed = tmp_path / "rules.json"
    listed.write_text(scratch.nft_json_of(TEXT))
    assert reading.read_file(str(plain)) == reading.read_file(str(listed))


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_text_and_json_of_a_random_ruleset_are_the_same(nft_reads, tmp_path, seed):
    text = Nft(seed).text()
    plain, listed = tmp_path / "rules.nft", tmp_path / "rules.json"
    plain.write_text(text)
    listed.write_text(scratch.nft_json_of(text))
    assert reading.read_file(str(plain)) == reading.read_file(str(listed))


def test_anonymous_chains_are_read(nft_reads, tmp_path):
    plain = tmp_path / "rules.nft"
    plain.write_text(TEXT)
    judge = Judge(reading.read_file(str(plain)), host())
    assert judge.judge_packet(Packet("eth0", "tcp", "203.0.113.7", "192.0.2.10", 81)) == "yes"
    assert judge.judge_packet(Packet("eth1", "udp", "10.0.0.7", "10.0.0.1", 53)) == "yes"
    assert judge.judge_packet(Packet("eth0", "tcp", "203.0.113.7", "192.0.2.10", 82)) == "no"


def test_a_text_that_does_not_load_is_an_error_of_ours(nft_reads, tmp_path):
    broken = tmp_path / "rules.nft"
    broken.write_text("table inet filter { chain")
    with pytest.raises(PortsideError, match="nft"):
        reading.read_file(str(broken))


VERIFIED = """table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ip saddr { 10.0.0.0/24, 203.0.113.0/25 } tcp dport 22 accept
		tcp dport 80 accept
		udp dport 53 ip saddr 10.0.0.0/24 accept
		tcp dport 25 reject with tcp reset
	}
	chain nat {
		type nat hook prerouting priority dstnat;
		tcp dport 8000 redirect to :80
		iifname "eth0" tcp dport 8080 dnat ip to 172.17.0.2:80
	}
}
"""


@pytest.mark.parametrize("uid", [None, 65534] if os.geteuid() == 0 else [None])
def test_verify_asks_a_kernel(nft_reads, space, uid):
    """As root and as nobody; the answers are held against packets, and a wrong answer is found out."""
    ruleset = nft.from_json(scratch.nft_json_of(VERIFIED))
    found, agrees, differs = space.call(_verified, ruleset, uid=uid, timeout=100)
    assert found > 40
    assert agrees
    assert differs


def _verified(ruleset):
    sources = [(("nft", "-f", "-"), VERIFIED)]
    judge = Judge(ruleset, host())
    asked = [*(Listener("tcp", port) for port in (22, 80, 8080, 25)), Listener("udp", 53)]
    answers = [listeners.Answer(one, judge.reach(one)) for one in asked]
    right = verify.verify(judge, answers, sources)
    closed = VERIFIED.replace("udp dport 53 ip saddr 10.0.0.0/24 accept", "")
    wrong = verify.verify(judge, answers[-1:], [(("nft", "-f", "-"), closed)])
    return len(right.trials), right.agrees, len(wrong.differences)
