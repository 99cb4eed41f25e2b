"""The way of a question through the resolver: one ordered list, each stage with the reason for its place.

A stage looks at the lookup and either answers it or lets it pass. Stages are synchronous and know no socket
and no loop. What the last one lets pass is fetched (resolver.py); what comes back is kept by `Core.land`,
checked for this view and rendered by `Core.answer`, as every hit is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from filterd.resolver import reasons
from filterd.resolver.core import CONSTANT, LOCAL_TTL, Core, Lookup, is_ageing, step_of
from filterd.resolver.request import Reply
from filterd.resolver.rewrite import turn
from filterd.resolver.special import LOOPBACK_V4, LOOPBACK_V6, Special, special
from filterd.rules.decide import permit
from filterd.rules.verdict import Action, Reason, Verdict
from filterd.wire import names, synthesis
from filterd.wire.constants import Class, Rcode, Type

_REFUSED_TYPES = frozenset((Type.AXFR, Type.IXFR, Type.TKEY, Type.TSIG, Type.OPT))
_SPECIAL = Verdict(Action.ALLOW, Reason.SPECIAL)
_CANARY = Verdict(Action.REWRITE, Reason.CANARY)


class Stage(NamedTuple):
    """One stage.

    Args:
        id: stable name.
        why: the reason for its place.
        run: answers the lookup, or returns None to let it pass.
    """

    id: str
    why: str
    run: Callable[[Core, Lookup], Reply | None]


def run(core: Core, lookup: Lookup, stages: tuple[Stage, ...]) -> Reply | None:
    """Return the reply of the first stage that answers, None if all let the lookup pass."""
    for stage in stages:
        reply = stage.run(core, lookup)
        if reply is not None:
            return reply
    return None


def _refuse_kinds(_core: Core, lookup: Lookup) -> Reply | None:
    query = lookup.request.query
    if query.qclass == Class.IN and query.qtype not in _REFUSED_TYPES:
        return None
    packet = synthesis.simple(query, Rcode.REFUSED, limit=lookup.request.limit)
    return Reply(packet, "refused", None, CONSTANT)


def _special_names(core: Core, lookup: Lookup) -> Reply | None:
    found = special(lookup.key.name, core.configured)
    if found is None:
        return None
    lookup.verdict = _SPECIAL
    kind, apex = found
    if kind is Special.UNFILTERED:
        lookup.unfiltered = True
        return None
    if kind is Special.CANARY:
        blocked = _policy(core, lookup)
        if blocked is not None:
            return blocked
    core.counts["special_names"] += 1
    query, limit = lookup.request.query, lookup.request.limit
    if kind is Special.LOOPBACK:
        packet = synthesis.addresses(query, LOOPBACK_V4, LOOPBACK_V6, LOCAL_TTL, limit=limit)
    else:
        empty = kind is Special.NODATA or (kind is Special.EMPTY_ZONE and apex)
        rcode = Rcode.NOERROR if empty else Rcode.NXDOMAIN
        packet = synthesis.simple(query, rcode, limit=limit, soa=True, ttl=LOCAL_TTL)
    return Reply(packet, "allowed", lookup.verdict, CONSTANT)


def _canaries(core: Core, lookup: Lookup) -> Reply | None:
    if lookup.key.name not in core.settings.canaries:
        return None
    core.counts["canaries"] += 1
    request = lookup.request
    packet = synthesis.simple(request.query, Rcode.NXDOMAIN, limit=request.limit, soa=True, ttl=LOCAL_TTL)
    return Reply(packet, "canary", _CANARY, CONSTANT)


def _policy(core: Core, lookup: Lookup) -> Reply | None:
    if lookup.unfiltered:
        return None
    key = lookup.key
    lookup.verdict = lookup.permitted = verdict = permit(key.name, lookup.request.view, lookup.index)
    return core.block(lookup, verdict) if verdict.action is Action.BLOCK else None


def _safe_search(core: Core, lookup: Lookup) -> Reply | None:
    rewrite = lookup.request.view.rewrites.get(lookup.key.name)
    if rewrite is None or lookup.unfiltered:
        return None
    return turn(core, lookup, rewrite, lookup.permitted)


def _local_names(core: Core, lookup: Lookup) -> Reply | None:
    found = core.settings.local_names.get(lookup.key.name)
    if found is None:
        return None
    core.counts["local_names"] += 1
    v4 = [address for address in found if len(address) == 4]
    v6 = [address for address in found if len(address) == 16]
    request = lookup.request
    packet = synthesis.addresses(request.query, v4, v6, LOCAL_TTL, limit=request.limit)
    return Reply(packet, "allowed", lookup.verdict, CONSTANT)


def _without_lists(core: Core, lookup: Lookup) -> Reply | None:
    if lookup.index.ready or lookup.unfiltered or lookup.verdict.reason is not Reason.DEFAULT:
        return None
    core.counts["without_lists"] += 1
    request = lookup.request
    if not request.view.closed_without_lists:
        return None
    packet = synthesis.simple(request.query, Rcode.SERVFAIL, limit=request.limit, ede=reasons.NO_LISTS)
    return Reply(packet, "failed", lookup.verdict)


def _any_over_udp(core: Core, lookup: Lookup) -> Reply | None:
    if lookup.key.qtype != Type.ANY or lookup.request.transport != "udp":
        return None
    core.counts["any_to_tcp"] += 1
    return Reply(synthesis.truncated(lookup.request.query), "allowed", lookup.verdict, CONSTANT)


def _fresh(core: Core, lookup: Lookup) -> Reply | None:
    entry = core.cache.get(lookup.key, lookup.now)
    if entry is None:
        return None
    if entry.expires > lookup.now:
        lookup.ageing = is_ageing(entry, lookup.now) and lookup.request.query.rd
        return core.answer(lookup, entry, step=step_of(entry))
    lookup.entry = entry
    return None


def _nxdomain_cut(core: Core, lookup: Lookup) -> Reply | None:
    # The parent of a safe search's target says nothing about the name asked for.
    wanted = core.settings.nxdomain_cut and lookup.rewrite is None
    left = core.cache.missing_above(lookup.key, lookup.now) if wanted else 0.0
    if left < 1.0:
        return None
    core.counts["nxdomain_cuts"] += 1
    request = lookup.request
    # An SOA of our own: the kept one is written for another question, and its TTL is all it has to say.
    ttl = min(int(left), LOCAL_TTL)
    packet = synthesis.simple(request.query, Rcode.NXDOMAIN, limit=request.limit, soa=True, ttl=ttl)
    return Reply(packet, "allowed", lookup.verdict, 1.0)


def _no_recursion(_core: Core, lookup: Lookup) -> Reply | None:
    request = lookup.request
    if request.query.rd:
        return None
    packet = synthesis.simple(request.query, Rcode.REFUSED, limit=request.limit, ede=reasons.NO_RECURSION)
    return Reply(packet, "refused", lookup.verdict)


def _failed_lately(core: Core, lookup: Lookup) -> Reply | None:
    failure = core.failures.get(lookup.key, lookup.now)
    return core.fail(lookup, failure) if failure is not None else None


def _water_torture(core: Core, lookup: Lookup) -> Reply | None:
    key = lookup.key
    if key.zone or lookup.entry is not None or not core.missing.too_many(key.name, lookup.now):
        return None
    request = lookup.request
    packet = synthesis.simple(request.query, Rcode.SERVFAIL, limit=request.limit, ede=reasons.THINNED)
    return Reply(packet, "refused", lookup.verdict)


def _tunnels(core: Core, lookup: Lookup) -> Reply | None:
    key = lookup.key
    if (
        key.zone
        or lookup.entry is not None
        or lookup.unfiltered
        or lookup.verdict.reason is not Reason.DEFAULT
    ):
        return None
    domain = core.tunnels.over(lookup.request.client, key.name, lookup.now)
    if domain is None:
        return None
    rule = f"tunnel budget of {names.to_text(domain)}"
    verdict = Verdict(Action.BLOCK, Reason.CATEGORY, "bypass", None, rule)
    return core.block(lookup, verdict, keep=0.0)


STAGES: tuple[Stage, ...] = (
    Stage(
        "refuse_kinds", "what is no lookup at all is refused before anything else is looked at", _refuse_kinds
    ),
    Stage(
        "special_names",
        "before policy: what these names mean is the protocol's matter, and no upstream may see them",
        _special_names,
    ),
    Stage(
        "canaries",
        "before policy: lists of encrypted DNS name them too, but devices ask by themselves: no event of it",
        _canaries,
    ),
    Stage("policy", "before every source of data: a blocked name is blocked for all types at once", _policy),
    Stage(
        "safe_search",
        "after policy: a blocked engine stays blocked; before every source of data, which from here on is"
        " asked about the target alone",
        _safe_search,
    ),
    Stage("local_names", "after policy: a local name cannot open what a lock closes", _local_names),
    Stage(
        "without_lists",
        "after what is answered without lists; before every source of data: fail open or closed is the"
        " policy's choice (R21)",
        _without_lists,
    ),
    Stage(
        "any_over_udp",
        "after policy: ANY of a blocked name is blocked; before data, which it would amplify (RFC 8482)",
        _any_over_udp,
    ),
    Stage("fresh", "after policy, which so is applied again on every hit", _fresh),
    Stage(
        "nxdomain_cut",
        "after the cache: what is known of the name itself goes before its parents",
        _nxdomain_cut,
    ),
    Stage("no_recursion", "RD=0 sees the cache and nothing behind it", _no_recursion),
    Stage(
        "failed_lately", "after the cache: a failure must not hide what is known (RFC 9520)", _failed_lately
    ),
)
"""Stages that never wait; the memo of a listener may rely on what they answer."""

FETCH_STAGES: tuple[Stage, ...] = (
    Stage(
        "water_torture", "only what would be fetched counts; first the budget that all share", _water_torture
    ),
    Stage("tunnels", "last, so that what is not fetched does not count against a client", _tunnels),
)
"""Stages before a fetch: they count, so each lookup passes them once."""
