"""Safe search in the resolver: a question about a search engine becomes the question for its safe front end.

The target is asked for like any other name: from the cache, together with whoever else waits for it, checked
by policy. Only A and AAAA have an answer; everything else of the name has no data, because the addresses in
HTTPS and SVCB records would lead round the front end. Never falls back to what the engine itself answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filterd.resolver import reasons
from filterd.resolver.check import stands
from filterd.resolver.request import Reply
from filterd.rules.decide import permit
from filterd.rules.rewrites import Rewrite
from filterd.rules.verdict import Action, Verdict
from filterd.wire import alias, synthesis
from filterd.wire.constants import Rcode, Type
from filterd.wire.stored import StoredAnswer

if TYPE_CHECKING:
    from filterd.resolver.core import Core, Lookup

ALIAS_TTL = 300  # seconds: that a host is rewritten holds until the policy changes
NODATA_TTL = 60
KEEP = 60.0  # seconds an answer that was made here may be given again

_SERVED = (Type.A, Type.AAAA, Type.CNAME)


def turn(core: Core, lookup: Lookup, rewrite: Rewrite, permitted: Verdict) -> Reply | None:
    """Turn a lookup to the target of a rewrite.

    Args:
        core: gives policy and the zones of names.
        lookup: the question; from now on its key is the target's, unless the reply is here at once.
        rewrite: what the view says about the host.
        permitted: the verdict that opened the host, before safe search.

    Returns:
        The reply, if nothing has to be looked up; None: the target's answer will be it.
    """
    request, target = lookup.request, rewrite.target
    query, limit = request.query, request.limit
    lookup.rewrite = rewrite
    lookup.verdict = rewrite.verdict
    lookup.permitted = permitted
    lookup.entry = None
    why = reasons.why_rewritten(rewrite)
    if query.qtype not in _SERVED:
        packet = synthesis.simple(query, Rcode.NOERROR, limit=limit, ede=why, soa=True, ttl=NODATA_TTL)
        return Reply(packet, "rewritten", lookup.verdict, KEEP)
    if not target.name:
        packet = synthesis.addresses(query, target.v4, target.v6, ALIAS_TTL, limit=limit, ede=why)
        return Reply(packet, "rewritten", lookup.verdict, KEEP)
    verdict = permit(target.name, request.view, lookup.index)
    if verdict.action is Action.BLOCK and stands(verdict, permitted, request.view, lookup.index):
        core.counts["blocked_targets"] += 1
        return core.block(lookup, verdict)
    local = core.settings.local_names.get(target.name)
    if local is not None or query.qtype == Type.CNAME:
        v4 = [address for address in local or () if len(address) == 4]
        v6 = [address for address in local or () if len(address) == 16]
        packet = synthesis.aliased(query, target.name, v4, v6, ALIAS_TTL, limit=limit, ede=why)
        return Reply(packet, "rewritten", lookup.verdict, KEEP)
    lookup.key = lookup.key._replace(zone=core.zone_of(target.name), name=target.name)
    return None


def front(lookup: Lookup, answer: StoredAnswer) -> StoredAnswer:
    """Return the target's answer as it stands behind the name that was asked for.

    Raises:
        BadAnswer: it cannot stand there.
    """
    key = lookup.key
    return alias.behind(answer, key.name, key.qtype, ALIAS_TTL)
