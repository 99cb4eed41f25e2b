"""What the resolver tells about itself: numbers with fixed names, no name or client ever.

Upstreams appear by their index in the order of the settings, zones after the default ones.
"""

from __future__ import annotations

from filterd.resolver.core import Core
from filterd.resolver.forward import Forwarder
from filterd.resolver.inflight import Flights

HELP = {
    "cache_entries": "answers kept",
    "cache_bytes": "memory they take",
    "cache_hits": "lookups answered by a kept answer within its time",
    "cache_misses": "lookups without one",
    "cache_evicted": "answers put out for want of room",
    "cache_too_large": "answers not kept because of their size",
    "failures_known": "questions that failed and are not asked again yet",
    "failures_evicted": "failures forgotten for want of room",
    "flights": "questions under way",
    "waiters": "clients waiting for them",
    "coalesced": "clients that joined a question already under way",
    "refreshed": "answers fetched anew before their time was over, because they were asked for",
    "shed": "lookups not fetched: too many questions or clients waiting",
    "udp_sockets": "queries over UDP under way",
    "udp_socket_limit": "queries not sent: too many under way",
    "tcp_opened": "TCP connections opened to upstreams",
    "spoof_drops": "replies dropped that did not fit their query",
    "late_replies": "replies over UDP to queries nobody waited for any more",
    "malformed_replies": "replies dropped that could not be read",
    "doubted": "questions moved to TCP because replies looked forged",
    "bad_chains": "answers refused for a loop, over 12 aliases or over 64 targets",
    "stale_answers": "answers given after their time (RFC 8767)",
    "failed_answers": "lookups answered with a failure",
    "blocked_targets": "answers blocked because of a name they lead to",
    "rebinding_drops": "answers dropped because of a private address",
    "special_names": "lookups of names with a meaning of their own",
    "canaries": "lookups of canary names",
    "local_names": "lookups answered from the settings",
    "nxdomain_cuts": "lookups of names below a missing one",
    "without_lists": "lookups that met no rule while there were no lists",
    "any_to_tcp": "ANY over UDP sent to TCP",
    "water_torture_thinned": "lookups not fetched: too many missing names below their domain",
    "water_torture_forgotten": "domains not counted for want of room",
    "tunnel_refused": "lookups blocked by the budget of names per client and domain",
    "tunnel_forgotten": "pairs of client and domain not counted for want of room",
    "fetch_rcode": "fetches that upstreams failed with an rcode",
    "fetch_bogus": "fetches whose data did not validate at the upstream",
    "fetch_timeout": "fetches without answer in time",
    "fetch_network": "fetches that no upstream could be asked for",
    "fetch_down": "fetches not tried: every upstream is known to be silent",
    "fetch_local": "fetches that failed for want of sockets here",
    "faults": "lookups ended by a fault in this program",
}
"""Every key but those of upstreams, with its meaning."""

UPSTREAM_HELP = {
    "up": "1 when it answers, 0 when it is silent and being probed",
    "rtt_seconds": "smoothed round-trip time",
    "queries": "queries sent to it",
    "replies": "replies that fit",
    "lost": "queries it did not answer in its usual time",
}
"""Keys of an upstream, after ``upstream_<index>_``."""

_COUNTS = (
    "bad_chains",
    "stale_answers",
    "failed_answers",
    "blocked_targets",
    "rebinding_drops",
    "special_names",
    "canaries",
    "local_names",
    "nxdomain_cuts",
    "without_lists",
    "any_to_tcp",
    "fetch_rcode",
    "fetch_bogus",
    "fetch_timeout",
    "fetch_network",
    "fetch_down",
    "fetch_local",
    "faults",
)


def values(core: Core, flights: Flights, forwarder: Forwarder) -> dict[str, float]:
    """Return all numbers by their keys."""
    cache, udp, tcp = core.cache, forwarder.udp, forwarder.tcp
    found: dict[str, float] = {
        "cache_entries": len(cache),
        "cache_bytes": cache.bytes,
        "cache_hits": cache.hits,
        "cache_misses": cache.misses,
        "cache_evicted": cache.evicted,
        "cache_too_large": cache.too_large,
        "failures_known": len(core.failures),
        "failures_evicted": core.failures.evicted,
        "flights": len(flights),
        "waiters": flights.waiters,
        "coalesced": flights.coalesced,
        "refreshed": flights.refreshed,
        "shed": flights.shed,
        "udp_sockets": len(udp),
        "udp_socket_limit": udp.refused_sockets,
        "tcp_opened": tcp.opened,
        "spoof_drops": udp.wrong + tcp.wrong,
        "late_replies": udp.late,
        "malformed_replies": udp.malformed + tcp.malformed,
        "doubted": forwarder.doubted,
        "water_torture_thinned": core.missing.thinned,
        "water_torture_forgotten": core.missing.forgotten,
        "tunnel_refused": core.tunnels.refused,
        "tunnel_forgotten": core.tunnels.forgotten,
    }
    found.update({name: core.counts[name] for name in _COUNTS})
    for upstream in forwarder.upstreams:
        prefix = f"upstream_{upstream.number}_"
        found[prefix + "up"] = not upstream.down
        found[prefix + "rtt_seconds"] = upstream.srtt
        found[prefix + "queries"] = upstream.queries
        found[prefix + "replies"] = upstream.replies
        found[prefix + "lost"] = upstream.lost
    return {name: float(value) for name, value in found.items()}
