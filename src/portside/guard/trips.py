"""The journeys of a connection, for all packets at once: in, the answer back, the next packet.

As `plain.Connection`, with the symbolic evaluator: which sets arrive and where, what stopped the others, and which of
those that arrived would not get an answer.
"""

from __future__ import annotations

from portside.guard.bdd import EMPTY
from portside.guard.environment import LOCAL, LOOPBACK
from portside.guard.fields import CT_STATUS, PROTOCOLS
from portside.guard.packet import Because
from portside.guard.space import VARS, Var
from portside.guard.state import State
from portside.guard.symbolic import Engine
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.environment import Device
    from portside.guard.state import States, Value


class Arrival(Record):
    """A set that got through: its state at the goal, the way (input, forward), and what let which part in."""

    state: State
    node: int
    way: str
    passes: tuple[tuple[int, Because], ...]


class Trips:
    """The connections of one protocol that come in by one interface."""

    def __init__(self, engine: Engine, device: Device, protocol: str) -> None:
        self.engine, self.space, self.manager = engine, engine.space, engine.manager
        self.device, self.protocol, self.family = device, protocol, engine.family
        self.environment = engine.environment

    def start(self, port: int | None, state: str = "new") -> State:
        """Return the state of packets to a port, None: to any."""
        values: dict[str, Value] = {
            "saddr": VARS["saddr"], "daddr": VARS["daddr"], "sport": VARS["sport"], "ttl": VARS["ttl"],
            "dport": VARS["dport"] if port is None else port, "dscp": VARS["dscp"], "mark": 0,
            "l4proto": PROTOCOLS[self.protocol], "iifname": self.device.name, "oifname": "",
            "tcp flags": 2 if state == "new" else 16, "_state": state, "_met": 0, "_untracked": 0, "_reply": 0,
            "_status": 0, "_mark": 0, "_bound dst": 0, "_bound src": 0, "_looped": 0,
        }  # fmt: skip
        values |= {f"_of {name}": values[name] for name in ("saddr", "daddr", "sport", "dport")}
        return State(values)

    def arrive(self, states: States) -> list[Arrival]:
        """Send sets in; return what arrives (the engine's `stops` tell of the rest)."""
        engine = self.engine
        if self.device.name == "lo":
            return self._loop(states)
        states = engine.hook("prerouting", engine.hook("ingress", states, self.device.name))
        local: States = {}
        onward: States = {}
        for state, node in states.items():
            for part, where, is_local in self._route(state, self._sources(state, node)):
                target = local if is_local else onward
                new = state if where is None else state.set({"oifname": where})
                target[new] = self.manager.either(target.get(new, EMPTY), part)
        return [*self._finish("input", local), *self._finish("forward", onward)]

    def _finish(self, hook: str, states: States) -> list[Arrival]:
        self.engine.passes.clear()
        states = self.engine.hook(hook, states)
        passes = tuple(self.engine.passes)
        if hook == "forward":
            states = self.engine.hook("postrouting", states)
        return [Arrival(state, node, hook, passes) for state, node in states.items()]

    def _loop(self, states: States) -> list[Arrival]:
        """What a program here sends to this host: out and in again."""
        out = {state.set({"iifname": "", "oifname": "lo"}): node for state, node in states.items()}
        out = self.engine.hook("postrouting", self.engine.hook("output", out))
        back: States = {}
        onward: States = {}
        for state, node in out.items():
            for part, where, is_local in self._route(state, node, anywhere=True):
                if is_local:
                    new = state.set({"iifname": "lo", "oifname": "", "_looped": 1})
                    back[new] = self.manager.either(back.get(new, EMPTY), part)
                else:
                    onward[state.set({"oifname": where or ""})] = part
        back = self.engine.hook("prerouting", back)
        arrivals = [Arrival(state, node, "forward", ()) for state, node in onward.items()]
        return [*self._finish("input", back), *arrivals]

    def _sources(self, state: State, node: int) -> int:
        """Take out sources that the kernel refuses on this interface."""
        if not isinstance(state.values["saddr"], Var):
            return node
        good = self.space.where(
            "saddr",
            lambda source: not self.environment.refused_source(self.family, source, self.device),
            ("good", self.device.name),
        )
        self.engine.stop(
            self.manager.less(node, good),
            Because(rule="the kernel refuses such sources (martian, rp_filter)"),
        )
        return self.manager.both(node, good)

    def _route(self, state: State, node: int, anywhere: bool = False) -> list[tuple[int, str | None, bool]]:
        """Return (part, interface it leaves by, whether it is for this host) of a set."""
        target = state.values["daddr"]
        if node == EMPTY:
            return []
        if isinstance(target, Var):  # asked for own addresses alone
            return [(node, None, True)]
        address = target[0] if isinstance(target, tuple) else int(target)
        low, high = LOOPBACK[self.family]
        if (
            not anywhere
            and low <= address <= high
            and not (self.family == "ip" and self.device.route_localnet)
        ):
            self.engine.stop(node, Because(rule="an address on loopback, from outside (route_localnet)"))
            return []
        if self.environment.address_type(self.family, address) == LOCAL:
            return [(node, None, True)]
        forwarding = self.environment.forwarding6 if self.family == "ip6" else self.device.forwarding
        way = self.environment.way(self.family, address)
        if not (forwarding or anywhere):
            self.engine.stop(node, Because(rule="not for this host, which does not forward"))
        elif way is None or way.type != 1:
            self.engine.stop(node, Because(rule="no route"), "unreachable")
        else:
            return [(node, way.device, False)]
        return []

    def answers(self, arrival: Arrival) -> int:
        """Return which of a set that arrived get their answer back."""
        if self.device.name == "lo":
            return arrival.node
        values = arrival.state.values
        found = EMPTY
        for back in sorted({way.device for way in self.environment.ways if way.family == self.family}):
            part = self.manager.both(arrival.node, self._goes_back_by(values["saddr"], back))
            if part == EMPTY or not back:
                continue
            states = {self._answer(arrival).set({"oifname": back}): part}
            states = self._send_back(arrival, back, states)
            found = self.manager.either(found, self.manager.union(states.values()))
        return found

    def _goes_back_by(self, client: Value, back: str) -> int:
        client = VARS["saddr"] if not isinstance(client, Var) else client  # a translated one: by its original
        return self.space.where(
            client.name,
            lambda address: self.environment.back(self.family, address, self.device.name) == back,
            ("back", back, self.device.name),
        )

    def _send_back(self, arrival: Arrival, back: str, states: States) -> States:
        engine = self.engine
        if arrival.way == "input":
            return engine.hook("postrouting", engine.hook("output", states))
        came_by = arrival.state.values["oifname"]
        states = {state.set({"iifname": came_by, "oifname": ""}): node for state, node in states.items()}
        states = engine.hook("prerouting", states)
        states = {state.set({"oifname": back}): node for state, node in states.items()}
        return engine.hook("postrouting", engine.hook("forward", states))

    def _answer(self, arrival: Arrival) -> State:
        values = arrival.state.values
        tracked = values["_met"] and not values["_untracked"]
        changes: dict[str, Value] = {
            "saddr": values["daddr"], "sport": values["dport"], "daddr": values["saddr"], "dport": values["sport"],
            "mark": 0, "tcp flags": 18, "ttl": 64, "dscp": 0, "iifname": "", "_met": 0, "_untracked": 0,
            "_bound dst": 0, "_bound src": 0,
        }  # fmt: skip
        if tracked:
            status = values["_status"]
            assert isinstance(status, int)
            changes |= {"_state": "established", "_reply": 1, "_status": status | CT_STATUS["seen-reply"]}
        else:
            changes |= {"_state": "invalid" if self.protocol == "tcp" else "new", "_status": 0, "_mark": 0}
            changes |= {f"_of {name}": changes[name] for name in ("saddr", "daddr", "sport", "dport")}
        return arrival.state.set(changes)

    def next(self, arrival: Arrival, port: int | None) -> int:
        """Return which of a set that arrived get their next packet through, in an established connection."""
        if self.device.name == "lo":
            return arrival.node
        values = arrival.state.values
        tracked = values["_met"] and not values["_untracked"]
        start = self.start(port, "established" if tracked else "new")
        if tracked:
            status = values["_status"]
            assert isinstance(status, int)
            kept = {
                name: value for name, value in values.items() if name.startswith(("_bound", "_to ", "_mark"))
            }
            start = start.set(kept | {"_status": status | CT_STATUS["seen-reply"]})
        start = start.set({"tcp flags": 16})
        return self.manager.union(one.node for one in self.arrive({start: arrival.node}))


def own_addresses(engine: Engine, *, loopback: bool) -> int:
    """Return where the destination is an address of this host; those of loopback only if asked."""
    low, high = LOOPBACK[engine.family]
    mine = [(value, value) for value, _ in engine.environment.own(engine.family) if not low <= value <= high]
    return engine.space.within("daddr", [*mine, (low, high)] if loopback else mine)
