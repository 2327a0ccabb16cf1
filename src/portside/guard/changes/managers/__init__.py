"""Who keeps the rules of this host, and the same opening in each one's words.

An accept of ours cannot undo a drop of another chain: so an opening is made where the drop is, by the tool that
made it.  Which that is follows from the rule that decides (`Denial`): its table and chain carry the maker's name.
"""

from __future__ import annotations

from portside.errors import NotSupported
from portside.guard.changes.managers import firewalld, iptables, nft_chain, ufw
from portside.guard.changes.wish import Wish
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.changes.plan import Plan


class Denial(Record):
    """The rule (or the policy: handle 0) that keeps a packet out, and where it stands.

    `tool` is what shows it: `nft`, or `iptables`/`ip6tables` with `place`, the rule's number in its chain from 1.
    `base` is the chain where the walk began, `text` the rule for people.
    """

    family: str
    table: str
    chain: str
    handle: int = 0
    tool: str = "nft"
    place: int = 0
    base: str = ""
    text: str = ""

    @property
    def versions(self) -> tuple[int, ...]:
        """Return the families of which the chain sees packets: 4, 6."""
        return {"ip": (4,), "ip6": (6,)}.get(self.family, (4, 6))

    @property
    def where(self) -> str:
        """Return the rule's place for people."""
        rule = f"rule {self.place or self.handle}" if self.handle or self.place else "policy"
        return f"{self.family} {self.table} {self.chain} {rule}"


def manager_of(denial: Denial) -> str:
    """Return who keeps the chain: portside, ufw, firewalld, docker, libvirt, kubernetes, iptables or nftables."""
    if denial.table == "portside":
        return "portside"
    if denial.table == "firewalld" or denial.chain.startswith(
        ("FWD_", "FWDI_", "FWDO_", "IN_", "INPUT_ZONES")
    ):
        return "firewalld"
    if denial.chain.startswith(("ufw-", "ufw6-")) or denial.base.startswith(("ufw-", "ufw6-")):
        return "ufw"
    for mark, owner in (
        ("DOCKER", "docker"),
        ("LIBVIRT", "libvirt"),
        ("KUBE", "kubernetes"),
        ("f2b-", "fail2ban"),
    ):
        if denial.chain.startswith(mark):
            return owner
    if denial.table in (
        "fail2ban",
        "f2b-table",
        "crowdsec",
        "libvirt_network",
        "kube-proxy",
        "docker-bridges",
    ):
        return denial.table
    return "nftables" if denial.tool == "nft" else "iptables"


def opening(wish: Wish, number: int, denial: Denial, manager: str) -> Plan:
    """Return the plan that opens what the wish says where the denial keeps it closed.

    Raises NotSupported where that is nobody's to open: a ban of fail2ban, a chain that Docker makes anew.
    """
    if manager == "ufw":
        return ufw.opening(wish, number, front=denial.chain.endswith("user-input"))
    if manager == "firewalld":
        return firewalld.opening(wish)
    if manager == "iptables":
        return iptables.opening(wish, number, denial.chain, denial.place, families=denial.versions)
    if manager == "nftables":
        return nft_chain.opening(wish, number, denial.family, denial.table, denial.chain, denial.handle)
    raise NotSupported(
        "open", str(wish).removeprefix("open "), f"{manager} keeps it closed by {denial.where}",
        f"change it there: {denial.text}" if denial.text else f"change it in {manager}",
    )  # fmt: skip
