"""The core of the resolver: what it knows and how it answers, without a socket and without a loop.

Cache, remembered failures and budgets live here, and the ways to answer from them; the stages (stages.py)
decide which way a lookup takes. Never waits, never asks anybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from filterd.errors import BadAnswer
from filterd.resolver import reasons
from filterd.resolver.budgets import MissingNames, Tunnels
from filterd.resolver.cache import Cache, Entry, Key
from filterd.resolver.check import has_private, judge, leads_to, leads_to_rewritten, may_be_private
from filterd.resolver.failures import Failure, Failures
from filterd.resolver.fetch import Fetched
from filterd.resolver.request import Outcome, Reply, Request
from filterd.resolver.rewrite import front, turn
from filterd.resolver.settings import ResolverSettings
from filterd.rules.decide import permit
from filterd.rules.index import Index
from filterd.rules.rewrites import Rewrite
from filterd.rules.verdict import ALLOWED, Reason, Verdict
from filterd.wire import stored, synthesis
from filterd.wire.answer import AUTHORITY, Answer, extended_errors
from filterd.wire.constants import Rcode, Type

LOCAL_TTL = 60  # seconds, of what is answered here
STEPS = 16  # an answer from the cache keeps its TTLs for a sixteenth of its life ...
LONGEST_STEP = 60  # ... but not longer than so many seconds
AGEING = 0.1  # share of its life in which an answer that is still asked for is fetched anew
CONSTANT = 600.0  # seconds an answer made here may be reused: nothing in it counts down


class Lookup:
    """One request on its way through the stages.

    Args:
        request: what is asked.
        index: the index it is decided by, to the end.
        now: monotonic seconds at which it came.
        landings: how many answers had come until then.
    """

    __slots__ = (
        "ageing",
        "entry",
        "index",
        "key",
        "landings",
        "now",
        "permitted",
        "request",
        "rewrite",
        "unfiltered",
        "until",
        "verdict",
    )

    def __init__(self, request: Request, key: Key, index: Index, now: float, landings: int) -> None:
        self.request = request
        self.key = key
        self.index = index
        self.now = now
        self.landings = landings
        self.verdict = ALLOWED
        self.permitted = ALLOWED  # the verdict that opened the name, before safe search
        self.rewrite: Rewrite | None = None  # safe search answers, and the key is that of its target
        self.until = float("inf")  # until when the alias that led to the rewrite is known to lead there
        self.unfiltered = False  # by RFC 8880
        self.entry: Entry | None = None  # a stale answer, for need
        self.ageing = False  # answered from the cache, by an answer whose time is nearly over


class Core:
    """Everything a question needs that is neither a socket nor a loop.

    Args:
        settings: what the operator chose.
        index: the compiled lists; may be swapped at any time.
        clock: monotonic seconds.
        zone_of: number of the group of upstreams that serves a name.
    """

    def __init__(
        self,
        settings: ResolverSettings,
        index: Index,
        clock: Callable[[], float],
        zone_of: Callable[[bytes], int],
    ) -> None:
        self.settings = settings
        self.index = index
        self.clock = clock
        self.zone_of = zone_of
        self.cache = Cache(settings.cache_bytes)
        self.failures = Failures(settings.failure_ttl)
        self.missing = MissingNames(settings)
        self.tunnels = Tunnels(settings)
        self.counts: Counter[str] = Counter()
        self.landings = 0
        self.configured = frozenset((*settings.zones, *settings.local_names))

    def begin(self, request: Request) -> Lookup:
        """Return a lookup before its first stage."""
        query = request.query
        bits = (1 if query.do else 0) | (2 if query.cd else 0)
        key = Key(self.zone_of(query.name), query.name, query.qtype, query.qclass, bits)
        return Lookup(request, key, self.index, self.clock(), self.landings)

    def land(self, key: Key, fetched: Fetched) -> Entry | Failure:
        """Keep what came from upstream: once for all who wait for it."""
        self.landings += 1
        now = self.clock()
        answer = fetched.answer
        if answer is None or fetched.error:
            return self._fail(key, fetched, now)
        try:
            kept = stored.store(
                answer, max_ttl=self.settings.max_ttl, negative_max=self.settings.negative_ttl
            )
            targets = leads_to(answer)
        except BadAnswer:
            self.counts["bad_chains"] += 1
            return self.failures.add(key, Rcode.SERVFAIL, reasons.BAD_DATA, now)
        ttl = max(kept.ttl, self.settings.min_ttl) if kept.ttl else 0
        entry = Entry(kept, targets, has_private(answer), now, now + ttl, now + ttl + self.settings.stale_for)
        self.failures.forget(key)
        if ttl:
            self.cache.put(key, entry)
        if answer.rcode == Rcode.NXDOMAIN and not key.zone:
            self._note_missing(answer, now)
        return entry

    def answer(self, lookup: Lookup, entry: Entry, *, stale: bool = False, step: int = 1) -> Reply | None:
        """Return the reply from an answer, if this view may have it.

        None: it leads to a name that safe search rewrites, and the lookup goes on under the target's key.

        Args:
            lookup: the question.
            entry: a fresh, a stale or a just fetched answer.
            stale: its time is over and nothing better came.
            step: seconds for which the TTLs shall hold, so that the reply can be given again as it is: they
                are those at the end of the step, never more than is left.
        """
        request = lookup.request
        age = self.clock() - entry.at
        keep = 0.0 if stale else max(entry.expires - entry.at - age, 0.0)
        verdict = self._judge(lookup, entry)
        if verdict is not None:
            return self._forbid(lookup, verdict, keep)
        kept, why = entry.answer, _stale_error(entry) if stale else None
        if lookup.rewrite is not None:
            try:
                kept, why = front(lookup, kept), why or reasons.why_rewritten(lookup.rewrite)
            except BadAnswer:
                self.counts["bad_chains"] += 1
                return self.fail(lookup, Failure(Rcode.SERVFAIL, reasons.BAD_DATA, lookup.now, lookup.now))
            keep = min(keep, max(lookup.until - lookup.now, 0.0))
        elif (host := leads_to_rewritten(entry, request.view)) is not None and not lookup.unfiltered:
            return self._rewrite(lookup, entry, host)
        end = (int(age) // step + 1) * step
        packet = stored.render(
            kept,
            request.query,
            age=min(end - 1, max(int(age), round(entry.expires - entry.at) - 1)),
            limit=request.limit,
            trusted_ad=self.settings.trusted_ad,
            ttl_override=self.settings.stale_ttl if stale else None,
            ede=why,
        )
        outcome: Outcome = "allowed" if lookup.rewrite is None else "rewritten"
        if stale:
            self.counts["stale_answers"] += 1
            return Reply(packet, "stale" if lookup.rewrite is None else outcome, lookup.verdict)
        return Reply(packet, outcome, lookup.verdict, min(keep, end - age))

    def fail(self, lookup: Lookup, failure: Failure) -> Reply:
        """Return the stale answer if there is one and the failure allows it, else the failure."""
        while lookup.entry is not None and failure.stale_helps:
            entry, lookup.entry = lookup.entry, None
            reply = self.answer(lookup, entry, stale=True)
            if reply is not None:  # else the stale answer led to an engine, and its target may be known
                return reply
        self.counts["failed_answers"] += 1
        request = lookup.request
        rcode = failure.rcode if lookup.rewrite is None else Rcode.SERVFAIL  # it is not about the name asked
        packet = synthesis.simple(request.query, rcode, limit=request.limit, ede=failure.ede)
        return Reply(packet, "failed", lookup.verdict)

    def block(self, lookup: Lookup, verdict: Verdict, keep: float = CONSTANT) -> Reply:
        """Return the answer to a name that the policy blocks."""
        request = lookup.request
        why = reasons.why_blocked(verdict, request.view)
        packet = synthesis.blocked(request.query, request.view.answer, limit=request.limit, ede=why)
        return Reply(packet, "blocked", verdict, keep)

    def _rewrite(self, lookup: Lookup, entry: Entry, host: bytes) -> Reply | None:
        """Turn a lookup whose answer leads to a rewritten host; return the reply if it is here already."""
        view = lookup.request.view
        lookup.until = entry.expires
        lookup.ageing = False  # from here on the key is not that of the entry
        lookup.now = self.clock()
        reply = turn(self, lookup, view.rewrites[host], permit(host, view, lookup.index))
        if reply is not None:
            return reply._replace(keep=min(reply.keep, max(lookup.until - lookup.now, 0.0)))
        known = self.cache.get(lookup.key, lookup.now)
        if known is not None and known.expires > lookup.now:
            return self.answer(lookup, known, step=step_of(known))
        lookup.entry = known
        failure = self.failures.get(lookup.key, lookup.now)
        return self.fail(lookup, failure) if failure is not None else None

    def _judge(self, lookup: Lookup, entry: Entry) -> Verdict | None:
        if lookup.unfiltered or not (entry.names or entry.private):
            return None
        view, key = lookup.request.view, lookup.key
        rebinding = (
            entry.private
            and self.settings.rebinding
            and not key.zone  # a zone of one's own is where private addresses belong
            and not may_be_private(key.name, self.settings.rebinding_allow, view.rebinding_allow)
        )
        return judge(entry, lookup.permitted, key.qtype, view, lookup.index, rebinding=rebinding)

    def _forbid(self, lookup: Lookup, verdict: Verdict, keep: float) -> Reply:
        keep = min(keep, CONSTANT)
        if verdict.reason is not Reason.REBINDING:
            self.counts["blocked_targets"] += 1
            return self.block(lookup, verdict, keep)
        self.counts["rebinding_drops"] += 1
        request = lookup.request
        why = reasons.why_blocked(verdict, request.view)
        packet = synthesis.simple(
            request.query, Rcode.NOERROR, limit=request.limit, ede=why, soa=True, ttl=LOCAL_TTL
        )
        return Reply(packet, "blocked", verdict, keep)

    def _fail(self, key: Key, fetched: Fetched, now: float) -> Failure:
        self.counts[f"fetch_{fetched.error}"] += 1
        if fetched.answer is not None:
            # An upstream's failure is passed on as it is, never turned into something else (dns.md).
            errors = extended_errors(fetched.answer)
            ede = errors[0] if errors else None
            return self.failures.add(
                key, fetched.answer.rcode, ede, now, stale_helps=fetched.error != "bogus"
            )
        ede = {"network": reasons.NO_NETWORK, "local": reasons.NO_SOCKET}.get(
            fetched.error, reasons.NO_UPSTREAM
        )
        return self.failures.add(key, Rcode.SERVFAIL, ede, now)

    def _note_missing(self, answer: Answer, now: float) -> None:
        for record in answer.records:
            if record.section == AUTHORITY and record.rtype == Type.SOA:
                self.missing.note(record.name, now)
                return


def is_ageing(entry: Entry, now: float) -> bool:
    """Return whether an answer should be fetched anew before its time is over."""
    return entry.expires - now < AGEING * (entry.expires - entry.at)


def step_of(entry: Entry) -> int:
    """Return for how many seconds the TTLs of a cached answer are left as they are."""
    return max(1, min(LONGEST_STEP, round(entry.expires - entry.at) // STEPS))


def _stale_error(entry: Entry) -> tuple[int, str]:
    return reasons.STALE_MISSING if entry.answer.rcode == Rcode.NXDOMAIN else reasons.STALE
