"""The resolver: one request in, one reply out.

Puts together the stages, the questions under way and the forwarder, and sees to it that every client hears
something in time. Knows no listener: `resolve_now` never waits, `resolve` waits no longer than the deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from filterd.resolver import reasons
from filterd.resolver.cache import Entry
from filterd.resolver.core import Core, Lookup
from filterd.resolver.failures import Failure
from filterd.resolver.forward import Forwarder
from filterd.resolver.health import values
from filterd.resolver.inflight import Flights, Landed
from filterd.resolver.request import Reply, Request
from filterd.resolver.settings import ResolverSettings
from filterd.resolver.stages import FETCH_STAGES, STAGES, run
from filterd.resolver.wheel import Deadline, Wheel
from filterd.rules.index import Index
from filterd.rules.suffixes import suffix_rules
from filterd.wire import synthesis
from filterd.wire.constants import Rcode

MAX_PARKED = 1024  # lookups between `resolve_now` and `resolve`

log = structlog.get_logger(__name__)


class Resolver:
    """Answers questions: from what it knows at once, else from the upstreams.

    Args:
        settings: what the operator chose.
        index: the compiled lists; assign `index` to swap them, the cache stays.
        clock: monotonic seconds; a test may bring its own.
    """

    def __init__(
        self, settings: ResolverSettings, index: Index, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.forwarder = Forwarder(settings, clock, self._recovered)
        self.core = Core(settings, index, clock, self.forwarder.zone_of)
        self.flights = Flights(
            self.forwarder.fetch,
            self.core.land,
            clock,
            max_flights=settings.max_flights,
            max_waiters=settings.max_waiters,
        )
        self._parked: dict[int, Lookup] = {}
        self._started = False

    @property
    def index(self) -> Index:
        """The compiled lists by which questions are decided from now on."""
        return self.core.index

    @index.setter
    def index(self, index: Index) -> None:
        self.core.index = index

    async def start(self) -> None:
        """Open the transports to the upstreams; before this only `resolve_now` answers."""
        suffix_rules()
        self.forwarder.start(asyncio.get_running_loop())
        self._started = True

    async def close(self) -> None:
        """Close the transports. Clients that still wait get their answer at their deadline."""
        self.forwarder.close()

    def resolve_now(self, request: Request) -> Reply | None:
        """Return the reply that needs no waiting, None if there is none; then call `resolve`.

        Never raises: a fault of ours is answered with SERVFAIL and counted.
        """
        try:
            lookup = self.core.begin(request)
            reply = run(self.core, lookup, STAGES)
            if lookup.ageing and self._started:
                self._refresh(lookup)
        except Exception:  # noqa: BLE001  one bad question never ends the loop; logged there
            return self._fault(request)
        if reply is None:
            if len(self._parked) >= MAX_PARKED:  # the caller did not come back for it
                del self._parked[next(iter(self._parked))]
            self._parked[id(request)] = lookup
        return reply

    def _refresh(self, lookup: Lookup) -> None:
        """Fetch an answer anew before its time is over: popular names never expire under their clients.

        Not while the last try counts as failed (RFC 9520): the answer is good for a while yet.
        """
        if self.core.failures.get(lookup.key, lookup.now) is None:
            self.flights.refresh(lookup.key)

    async def resolve(self, request: Request) -> Reply:
        """Return the reply, from an upstream if need be.

        Never raises (but lets a cancellation through) and never takes longer than ``settings.deadline``.
        """
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        reply = self.submit(request, lambda reply: None if future.done() else future.set_result(reply))
        return reply if reply is not None else await future

    def submit(self, request: Request, done: Callable[[Reply], None]) -> Reply | None:
        """Return the reply if there is one at once; else ``done`` gets it, once, within the deadline."""
        try:
            lookup = self._parked.pop(id(request), None)
            if lookup is None or not self._still_holds(lookup, request):
                lookup = self.core.begin(request)
                reply = run(self.core, lookup, STAGES)
                if reply is not None:
                    return reply
            reply = run(self.core, lookup, FETCH_STAGES)
            return reply if reply is not None else self._wait(lookup, done)
        except Exception:  # noqa: BLE001  one bad question never ends the loop; logged there
            return self._fault(request)

    def health(self) -> dict[str, float]:
        """Return counters and states; `filterd.resolver.health.HELP` says what each means."""
        return values(self.core, self.flights, self.forwarder)

    def _still_holds(self, lookup: Lookup, request: Request) -> bool:
        """Whether what `resolve_now` found is still so: same lists, and no answer came in between."""
        core = self.core
        return lookup.request is request and lookup.index is core.index and lookup.landings == core.landings

    def _wait(self, lookup: Lookup, done: Callable[[Reply], None]) -> Reply | None:
        if not self._started:
            return self._late(lookup)
        waiting = _Waiting(self, lookup)
        waiting.join()
        if waiting.reply is not None:
            return waiting.reply
        after = self.settings.deadline
        if lookup.entry is not None:
            # Who comes while the question is overdue already need not wait for the same silence again.
            after = self.settings.stale_after - self.flights.age(lookup.key, lookup.now)
        if after <= 0:
            waiting.leave()
            return self._late(lookup)
        waiting.begin(self.forwarder.wheel, after, done)
        return None

    def _late(self, lookup: Lookup) -> Reply:
        return self.core.fail(lookup, Failure(Rcode.SERVFAIL, reasons.NO_UPSTREAM, lookup.now, lookup.now))

    def conclude(self, lookup: Lookup, landed: Landed | None) -> Reply | None:
        """Return the reply to one who waited: from what was fetched; ``landed`` None: nothing came in time.

        None comes back when what was fetched leads to a name that safe search rewrites: the lookup's key is
        now that of the target, which is to be waited for.
        """
        try:
            if landed is None:
                return self._late(lookup)
            if isinstance(landed, Entry):
                return self.core.answer(lookup, landed)
            return self.core.fail(lookup, landed)
        except Exception:  # noqa: BLE001  as above
            return self._fault(lookup.request)

    def busy(self, lookup: Lookup) -> Reply:
        """Return the reply to one for whom there is no room to wait."""
        return self.core.fail(lookup, Failure(Rcode.SERVFAIL, reasons.BUSY, lookup.now, lookup.now))

    def _fault(self, request: Request) -> Reply:
        # No names in the log: a trace shows where, not who asked for what.
        self.core.counts["faults"] += 1
        log.error("lookup_failed", qtype=request.query.qtype, exc_info=True)  # noqa: LOG014  called from handlers
        packet = synthesis.simple(request.query, Rcode.SERVFAIL, limit=request.limit)
        return Reply(packet, "failed")

    def _recovered(self) -> None:
        self.core.failures.clear()


class _Waiting:
    """One client that waits for a question under way, or for two in turn, with one deadline."""

    __slots__ = ("_deadline", "_done", "_lookup", "_resolver", "_ticket", "reply")

    def __init__(self, resolver: Resolver, lookup: Lookup) -> None:
        self.reply: Reply | None = None
        self._resolver = resolver
        self._lookup = lookup
        self._ticket = 0
        self._done: Callable[[Reply], None] | None = None
        self._deadline: Deadline | None = None

    def join(self) -> None:
        """Wait for the question of the lookup's key; it may have landed when this returns."""
        key = self._lookup.key
        ticket = self._resolver.flights.join(key, self._landed)
        if ticket is None:
            self._give(self._resolver.busy(self._lookup))
        elif self._lookup.key is key:  # else it landed at once, and another question is waited for
            self._ticket = ticket

    def leave(self) -> None:
        """Stop waiting."""
        self._resolver.flights.leave(self._lookup.key, self._ticket)

    def begin(self, wheel: Wheel, after: float, done: Callable[[Reply], None]) -> None:
        """Give the reply to ``done``, in ``after`` seconds at the latest."""
        self._done = done
        self._deadline = wheel.after(after, self._overdue)

    def _landed(self, landed: Landed) -> None:
        reply = self._resolver.conclude(self._lookup, landed)
        if reply is None:
            self.join()
        else:
            self._give(reply)

    def _overdue(self) -> None:
        self.leave()
        reply = self._resolver.conclude(self._lookup, None)
        self._give(reply if reply is not None else self._resolver.busy(self._lookup))

    def _give(self, reply: Reply) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self.reply = reply
        if self._done is None:
            return
        try:
            self._done(reply)
        except Exception:  # the others who wait for the same answer must hear it all the same
            self._resolver.core.counts["faults"] += 1
            log.exception("reply_failed")
