"""Which plan a wish takes on this host, what it would change for whom, and whether it would lock us out.

An opening goes where the rule stands that keeps the port closed, and is tried on the ruleset as a value first: a
second rule may deny behind the first.  Closing and blocking stand in our own table, where nothing can overrule them.
What keeps it closed (`closed`), what changes, for whom, and whether the way we came by stays open (`safety`), is told
of every packet; whether what was closed is closed, with packets of every interface and family (`samples`).
"""

from __future__ import annotations

from portside.errors import BadRequest, NotSupported, PortsideError
from portside.guard.changes import closed, managers, safety, samples, simulate, transition
from portside.guard.changes import scene as scene_of
from portside.guard.changes.denials import denial_of
from portside.guard.changes.managers import firewalld, iptables, nft_chain
from portside.guard.changes.plan import Plan, Run
from portside.guard.changes.wish import BLOCK, CLOSE, OPEN, REDIRECT, UNBLOCK, Wish, parse_network
from portside.guard.packet import DEPENDS, NO, YES, Judgement
from portside.guard.plain import judge_packet
from portside.guard.reach import Judge
from portside.guard.words import sources
from portside.record import Record
from portside.system import commands, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.guard.changes.closed import KeptOut
    from portside.guard.changes.managers import Denial
    from portside.guard.changes.samples import Sample
    from portside.guard.changes.scene import Scene
    from portside.guard.difference import Difference
    from portside.guard.environment import Environment
    from portside.guard.model import Ruleset

MOST_RULES = 6  # that deny one behind the other
_FEW = 3  # rules that ban somebody, told by name


class Decision(Record):
    """How a wish is made true: the plan, whether our own table has part of it, who gains and loses.

    `left` spans of ports were not looked at.  `nothing` says why there is nothing to do, `refusal` why it is not done
    unless somebody insists.
    """

    wish: Wish
    plan: Plan
    own: bool = False
    scene: Scene | None = None
    changed: tuple[Difference, ...] = ()
    left: int = 0
    refusal: str = ""
    nothing: str = ""

    @property
    def script(self) -> str:
        """Return what our own table is given."""
        return scene_of.script_with(self.wish, self.scene) if self.own and self.scene is not None else ""


def decide(wish: Wish, *, lasting: bool = False, scene: Scene | None = None) -> Decision:
    """Return how the wish is made true here.

    Raises BadRequest for a wish that contradicts itself, NotSupported where what keeps a port closed is nobody's to
    change, NotPermitted where the rules may not be read.
    """
    if lasting and wish.until:
        raise BadRequest(
            "keep", f"'{wish}'", "what ends by itself is not kept over a reboot", "leave one of them out"
        )
    scene = scene or scene_of.read_scene(wish)
    if scene.environment.device(wish.interface) is None and wish.interface:
        names = ", ".join(device.name for device in scene.environment.devices)
        raise BadRequest(
            "find", f"interface '{wish.interface}'", "there is none of that name", f"there are {names}"
        )
    decision, after = _opening(wish, scene, lasting) if wish.verb == OPEN else _own(wish, scene)
    if decision.nothing:
        return decision
    pair = safety.judges(scene.rules, after, scene.environment)
    compared = safety.changed(pair, wish, scene)
    return decision.replace(
        changed=compared.found, left=compared.left, refusal=safety.lock_out(pair), scene=scene
    )


def judge(rules: Ruleset, environment: Environment, looked_at: Sequence[Sample]) -> list[Judgement]:
    """Return the verdict on each sample."""
    return [judge_packet(rules, environment, sample.packet) for sample in looked_at]


def check(decision: Decision, *, insist: bool = False) -> None:
    """Look at the rules in force after a change; raises PortsideError where they do not do what was asked.

    The plan was tried on values: another tool may have changed the rules meanwhile, or mean something else by its
    words.  Where the way we came by would be closed it is refused too, unless somebody insists.
    """
    wish = decision.wish
    if wish.verb in (BLOCK, UNBLOCK, REDIRECT):
        return
    assert decision.scene is not None
    rules, environment = scene_of.rules_afterwards(), decision.scene.environment
    if wish.verb == OPEN:
        kept = closed.kept_out(Judge(rules, environment), wish)
        because = next((one.because for one in kept if not one.ban), None)
    else:
        verdicts = judge(rules, environment, samples.of_wish(wish, environment))
        because = next((one.because for one in verdicts if one.verdict == YES), None)
    if because is not None:
        word = "closed" if wish.verb == OPEN else "open"
        raise PortsideError(f"{wish}", "", f"it is still {word}: {because}", "it was taken back")
    refusal = "" if insist else safety.lock_out(safety.judges(decision.scene.rules, rules, environment))
    if refusal:
        raise PortsideError(f"{wish}", "", refusal, "it was taken back")


def _own(wish: Wish, scene: Scene) -> tuple[Decision, Ruleset]:
    """What stands in our own table alone."""
    if wish.verb in (BLOCK, UNBLOCK):
        nothing = _blocked_already(wish, scene) if wish.verb == BLOCK else _not_blocked(wish, scene)
        if nothing:
            return Decision(wish, Plan("portside", (), ()), nothing=nothing), scene.rules
    if wish.verb == CLOSE and (nothing := _closed_already(wish, scene)):
        return Decision(wish, Plan("portside", (), ()), nothing=nothing), scene.rules
    if wish.verb == REDIRECT:
        _refuse_second_turn(wish, scene)
    plan = _translation(wish, scene) if wish.verb == REDIRECT else Plan("portside", (), ())
    after = simulate.with_table(scene.rules, scene_of.table_with(wish, scene))
    if wish.verb == REDIRECT:
        plan = plan.replace(notes=plan.notes + _still_closed(wish, scene, after))
    return Decision(wish, plan, True), after


def _still_closed(wish: Wish, scene: Scene, after: Ruleset) -> tuple[str, ...]:
    """Return a note where nobody gets through a redirection: it translates, and opens nothing."""
    verdicts = judge(after, scene.environment, samples.of_wish(wish, scene.environment))
    if not verdicts or any(verdict.verdict != NO for verdict in verdicts):
        return ()
    target = wish.target
    assert target is not None
    opening = (
        f"open it: portside open {target.port}" if not target.address else "open it where it is forwarded"
    )
    return (f"it stays closed: {verdicts[0].because}; {opening}",)


def _refuse_second_turn(wish: Wish, scene: Scene) -> None:
    """Refuse to redirect what is redirected: the first rule would win, and the second do nothing."""
    for earlier, other in scene_of.in_force(scene.known):
        both = other.verb == REDIRECT and {other.interface, wish.interface} & {"", other.interface}
        if both and any(
            mine == theirs and ports.first <= others.last and others.first <= ports.last
            for mine, ports in wish.ports
            for theirs, others in other.ports
        ):
            reason = f"change {earlier} redirects it already, to {other.target}"
            raise BadRequest("redirect", f"{wish}"[9:], reason, f"run: portside undo {earlier}")


def _translation(wish: Wish, scene: Scene) -> Plan:
    """What a redirection needs beside its rules: forwarding, where the target is another host."""
    target = wish.target
    assert target is not None
    if target.address.startswith("127.") or target.address == "::1":
        raise NotSupported(
            "redirect", f"to {target}", "the kernel drops what is translated to loopback from outside",
            f"relay it: portside forward {wish.ports[0][1]} {target}",
        )  # fmt: skip
    if not target.address:
        return Plan("portside", (), ())
    name = "net.ipv4.ip_forward" if target.version == 4 else "net.ipv6.conf.all.forwarding"
    on = any(device.forwarding for device in scene.environment.devices)
    if on if target.version == 4 else scene.environment.forwarding6:
        return Plan("portside", (), ())
    return Plan(
        "portside", (Run(("sysctl", "-q", "-w", f"{name}=1")),), (Run(("sysctl", "-q", "-w", f"{name}=0")),),
        (f"{name} is switched on: this host forwards packets from now on",),
    )  # fmt: skip


def _blocked_already(wish: Wish, scene: Scene) -> str:
    known = transition.blocked(one for one in scene_of.blocks(scene) if one.log or not wish.log)
    if all(address in known and known[address] in (0, wish.until) for address in wish.addresses):
        return f"{wish}: blocked already; see 'portside changes'"
    return ""


def _closed_already(wish: Wish, scene: Scene) -> str:
    """Return that the same is closed by a change of ours already; one that says more, or less, is another change."""
    for number, known in scene_of.in_force(scene.known):
        if scene.there and wish == known.replace(note=wish.note):
            return f"{wish}: closed already, by change {number}; see 'portside changes'"
    return ""


def _not_blocked(wish: Wish, scene: Scene) -> str:
    known = transition.blocked(scene_of.blocks(scene))
    if any(address in known for address in wish.addresses):
        return ""
    for address in wish.addresses[: scene_of.LOOKED_AT]:
        inside = next((one for one in known if parse_network(one).overlaps(parse_network(address))), "")
        if inside:
            raise BadRequest(
                "unblock", address, f"it is blocked as part of {inside}", f"run: portside unblock {inside}"
            )
    return f"{wish}: not blocked by us; 'portside reach' tells who else keeps it out"


def _opening(wish: Wish, scene: Scene, lasting: bool) -> tuple[Decision, Ruleset]:
    """Find the rules that deny, one behind the other, and a plan for each."""
    before = Judge(scene.rules, scene.environment)
    if next(closed.scopes(before, wish), None) is None:
        reason = "by no interface but lo could they come"
        raise NotSupported("open", f"{wish}"[5:], reason, "see 'ip address' and 'ip route'")
    plan, rules, own, kept = (
        Plan("", (), ()),
        scene.rules,
        wish.rate is not None,
        closed.kept_out(before, wish),
    )
    if not own and all(one.ban for one in kept):
        return Decision(wish, plan, nothing=_open_already(wish, scene, kept)), rules
    seen: list[Denial] = []
    while because := next((one.because for one in kept if not one.ban), None):
        denial = denial_of(rules, because)
        if denial is None or denial in seen or len(seen) == MOST_RULES:
            ours = denial is not None and denial.table == "portside"
            raise NotSupported(
                "open", f"{wish}"[5:], f"it would stay closed: {because}",
                "see 'portside changes' and 'portside unblock'" if ours else "",
            )  # fmt: skip
        seen.append(denial)
        manager = managers.manager_of(denial)
        if manager == "portside":
            own = True
        else:
            plan = plan.then(_through(wish, scene, denial, manager, lasting))
            rules = simulate.with_opening(rules, wish, denial, both=manager == "ufw")
        if own:
            rules = simulate.with_table(rules, scene_of.table_with(wish, scene))
        kept = closed.kept_out(Judge(rules, scene.environment, beside=before), wish)
    if own:
        rules = simulate.with_table(rules, scene_of.table_with(wish, scene))
    named = plan.replace(
        manager=", ".join(filter(None, (plan.manager, "portside" if own else ""))),
        notes=(*plan.notes, *(f"it stays closed to {words}" for words in _banned(kept))),
    )
    return Decision(wish, named, own), rules


def _banned(kept: Sequence[KeptOut]) -> list[str]:
    """Return whom rules ban, which an opening for everybody does not lift, in words; one line for a rule."""
    found = {one.because: one for one in kept if one.ban}
    lines = [f"{sources(one)}: {because}" for because, one in found.items()]
    return lines[:_FEW] + ([f"more: {len(lines) - _FEW} rules name sources"] if len(lines) > _FEW else [])


def _open_already(wish: Wish, scene: Scene, kept: Sequence[KeptOut]) -> str:
    if banned := _banned(kept):
        return f"{wish}: open already, but not to {'; nor to '.join(banned)}"
    before = judge(scene.rules, scene.environment, samples.of_wish(wish, scene.environment))
    depends = next((one for one in before if one.verdict == DEPENDS), None)
    if depends is not None:
        return f"{wish}: open already, as far as nothing more depends on: {', '.join(depends.reasons)}"
    unknown = next((one for one in before if one.verdict not in (YES, NO)), None)
    if unknown is not None:
        return f"{wish}: cannot tell whether it is closed: {', '.join(unknown.reasons)}"
    return f"{wish}: open already, no rule keeps it closed; 'portside reach' tells more"


def _through(wish: Wish, scene: Scene, denial: Denial, manager: str, lasting: bool) -> Plan:
    if manager == "firewalld":
        import time

        seconds = max(wish.until - int(time.time()), 1) if wish.until else 0
        zone = (
            commands.run(("firewall-cmd", f"--get-zone-of-interface={wish.interface}"))
            if wish.interface
            else ""
        )
        return firewalld.opening(wish, zone=zone.strip(), seconds=seconds, permanent=lasting)
    plan = managers.opening(wish, scene.number, denial, manager)
    if lasting and manager == "iptables":
        of_chain = (denial.chain, denial.place, files.read_text, denial.versions)
        plan = plan.then(iptables.lasting(wish, scene.number, *of_chain))
    if lasting and manager == "nftables":
        place = (denial.family, denial.table, denial.chain, denial.handle)
        plan = plan.then(nft_chain.lasting(wish, scene.number, *place, files.read_text))
    return plan
