"""A scan at work: one method after the other over the parts of a plan, results as they come.

`Scan` is iterable, with `for` and with `async for`; `progress()` tells how far it is, `checkpoint()` what is left.
"""

from __future__ import annotations

import time

from portside.errors import NotPermitted, NotSupported
from portside.ports.address import format_address, parse_address
from portside.probe.checkpoint import Checkpoint
from portside.probe.method import Counters, Options, open_method
from portside.probe.order import Left, Order, parse_shard
from portside.probe.plan import Plan, make_plan
from portside.probe.records import OPEN
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from portside.probe.method import Method
    from portside.probe.plan import Part
    from portside.probe.records import Result


class Progress(Record):
    """How far a scan is: probes in all and decided, attempts, open ports, counts of (state, reason), seconds."""

    total: int
    decided: int
    sent: int
    retried: int
    answered: int
    late: int
    local: int
    dropped: int
    open: int
    states: tuple[tuple[str, str, int], ...]
    seconds: float
    notes: tuple[str, ...]
    methods: tuple[str, ...]

    @property
    def left(self) -> int:
        """How many probes are not decided."""
        return self.total - self.decided


class Scan:
    """A plan being carried out; see the module."""

    def __init__(self, plan: Plan, since: Checkpoint | None = None, ask: str = "") -> None:
        self.plan = plan
        self.ask = ask  # "banner": what open TCP ports say unasked; "identify": what they are
        self._held: list[Result] = []  # open ports that are to be asked yet
        self.methods: list[str] = []
        self.roads: list[str] = []  # why a better method was not taken
        self._orders = [Order(plan.space(part), plan.seed, plan.shard) for part in plan.parts]
        self._left = list(since.left) if since else [Left() for _ in plan.parts]
        self._counters = [
            _counters(order, left) for order, left in zip(self._orders, self._left, strict=True)
        ]
        if since:
            for counters, counted in zip(self._counters, since.counted, strict=True):
                counters.states.update({(state, reason): times for state, reason, times in counted})
        self._names = {format_address(raw): name for raw, name in plan.names}
        self._working: tuple[int, Method] | None = None
        self._began = time.monotonic()
        self._ended = 0.0

    def batches(self) -> Iterator[list[Result]]:
        """Yield lists of results, a perhaps empty one several times a second; closing this stops the scan."""
        self._began = time.monotonic()
        try:
            for number, part in enumerate(self.plan.parts):
                if self._left[number].next < self._orders[number].size or self._left[number].places:
                    yield from self._probe(number, part)
        finally:
            self._ended = time.monotonic()

    def _probe(self, number: int, part: Part) -> Iterator[list[Result]]:
        method = self._open(number, part)
        before = dict(self._counters[number].states)
        for state, times in before.items():
            method.counters.states[state] = method.counters.states.get(state, 0) + times
        self._counters[number] = method.counters
        self._working = (number, method)
        batches = method.batches()
        try:
            for batch in batches:
                batch = self._named(batch) if self._names else batch
                yield self._hold(batch) if self.ask and part.protocol == "tcp" else batch
            yield from self._asked()
        finally:
            self._left[number] = self._with_held(number, method.left())
            self._held = []
            self._working = None
            close = getattr(batches, "close", None)
            if close is not None:
                close()

    def _open(self, number: int, part: Part) -> Method:
        """Return the best method that works here."""
        *better, last = part.methods
        for name in better:
            try:
                made = open_method(name, self._orders[number], self.plan.options, self._left[number])
            except (NotPermitted, NotSupported) as error:
                self.roads.append(str(error))
                continue
            self.methods.append(name)
            return made
        made = open_method(last, self._orders[number], self.plan.options, self._left[number])
        self.methods.append(last)
        return made

    def _hold(self, batch: list[Result]) -> list[Result]:
        """Keep the open ports back until the probing is over; return the others."""
        self._held += [one for one in batch if one.state == OPEN]
        return [one for one in batch if one.state != OPEN]

    def _asked(self) -> Iterator[list[Result]]:
        """Yield the open ports with what answers there, some at a time."""
        if not self._held:
            return
        from portside.probe.identify.crowd import AT_ONCE, identify

        while self._held:
            told = identify(self._held[:AT_ONCE], listen_only=self.ask == "banner")
            del self._held[:AT_ONCE]
            yield told

    def _with_held(self, number: int, left: Left) -> Left:
        """Return what is left, with the ports that were found open and not told yet."""
        if not self._held:
            return left
        order = self._orders[number]
        places = []
        for one in self._held:
            bare, _, zone = one.address.partition("%")
            found = order.space.number(parse_address(bare), one.port, zone)
            place = None if found is None else order.place(found)
            places += [] if place is None else [place]
        return left.replace(places=tuple(sorted({*left.places, *places})))

    def _named(self, batch: list[Result]) -> list[Result]:
        names = self._names
        return [one.replace(target=names[one.address]) if one.address in names else one for one in batch]

    def __iter__(self) -> Iterator[Result]:
        for batch in self.batches():
            yield from batch

    async def __aiter__(self) -> AsyncIterator[Result]:
        """Yield the results; the probing is done by a thread, one batch at a time."""
        import asyncio

        batches = self.batches()
        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                for one in batch:
                    yield one
        finally:
            batches.close()  # type: ignore[attr-defined]

    def progress(self) -> Progress:
        """Tell how far the scan is."""
        states: dict[tuple[str, str], int] = {}
        for counters in self._counters:
            for state, times in counters.states.items():
                states[state] = states.get(state, 0) + times

        def total(name: str) -> int:
            return sum(getattr(counters, name) for counters in self._counters)

        return Progress(
            total=total("total"),
            decided=total("decided"),
            sent=total("sent"),
            retried=total("retried"),
            answered=total("answered"),
            late=total("late"),
            local=total("local"),
            dropped=total("dropped"),
            open=sum(times for (state, _), times in states.items() if state == OPEN),
            states=tuple((state, reason, times) for (state, reason), times in sorted(states.items())),
            seconds=(self._ended or time.monotonic()) - self._began,
            notes=tuple(note for counters in self._counters for note in counters.notes),
            methods=tuple(self.methods),
        )

    def checkpoint(self) -> Checkpoint:
        """Return what is needed to go on later: between two batches nothing that was yielded is in it."""
        if self._working is not None:
            number, method = self._working
            self._left[number] = self._with_held(number, method.left())
        counted = (
            tuple((state, reason, times) for (state, reason), times in sorted(counters.states.items()))
            for counters in self._counters
        )
        return Checkpoint(self.plan, tuple(self._left), tuple(counted))


def _counters(order: Order, left: Left) -> Counters:
    made = Counters(order.size)
    made.decided = left.next - len(left.places)
    return made


def scan(
    targets: str | Iterable[str],
    ports: str = "",
    *,
    method: str = "auto",
    top: int = 0,
    exclude: str | Iterable[str] = (),
    rate: float = 0.0,
    timeout: float = 1.0,
    retries: int = 2,
    states: Iterable[str] = (),
    seed: int | None = None,
    shard: str = "1/1",
    i_may_scan_this: bool = False,
    banner: bool = False,
    identify: bool = False,
) -> Scan:
    """Return a scan of `ports` (`22,80,U:53`; without them the first `top` of our order) on `targets`.

    `targets` and `exclude` are words of nmap's grammar, as a list or in one string; `method` is `auto`, `connect`,
    `syn` or `udp`.  `rate` in probes a second, 0 adapts; `timeout` in seconds, the longest wait for one answer;
    `states`: only results in these are yielded, the others counted.  `banner` hears what open TCP ports say unasked,
    `identify` asks until it is known what answers (`service`, `details`); both come after the probing.

    Iterate over it, with `for` or `async for`:

        for one in portside.scan("192.0.2.0/28", "22,80,443"): print(one.address, one.port, one.state, one.reason)

    Raises BadRequest for what is malformed or larger than one's own networks (`i_may_scan_this` allows it),
    NotPermitted where `method` needs a right that is missing.
    """
    from portside.ports.spec import parse_spec
    from portside.probe.naming import resolve
    from portside.probe.targets import parse_targets

    options = Options(timeout=timeout, retries=retries, rate=rate)
    if states:
        options = options.replace(wanted=frozenset(states))
    plan = make_plan(
        parse_targets(_words(targets), resolve, exclude=_words(exclude)),
        parse_spec(ports) if ports else None,
        method=method,
        top=top,
        options=options,
        seed=fresh_seed() if seed is None else seed,
        shard=parse_shard(shard),
        allowed=i_may_scan_this,
    )
    return Scan(plan, ask="identify" if identify else "banner" if banner else "")


def fresh_seed() -> int:
    """Return a seed that nobody can foresee."""
    import os

    return int.from_bytes(os.urandom(8), "big")


def _words(given: str | Iterable[str]) -> list[str]:
    return given.split() if isinstance(given, str) else list(given)
