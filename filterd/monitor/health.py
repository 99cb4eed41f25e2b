"""What of a box's health report becomes a metric: one fixed table, the contract between boxes and dashboards.

A report is a flat map of numbers (``filterd.events.batch.Health.values``) made by one process of a box; a
box may have several. A key that is not in this table is ignored and counted, so that a box can neither
invent metric names nor make their number grow. Counters count since the box's process started; Prometheus
takes their fall at a restart for what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge"]
Combine = Literal["sum", "max", "min"]


@dataclass(frozen=True, slots=True)
class HealthMetric:
    """One key of a report.

    Args:
        key: key in ``Health.values``.
        name: metric name with its unit; a counter's ends in ``_total`` when it is shown.
        kind: Prometheus type.
        help: one sentence; the same for all keys of one name.
        combine: how the values of a box's processes become the box's.
        label: an extra label of fixed value that tells the keys of one name apart.
    """

    key: str
    name: str
    kind: Kind
    help: str
    combine: Combine = "sum"
    label: tuple[str, str] | None = None


def _counter(key: str, name: str, text: str, combine: Combine = "sum") -> HealthMetric:
    return HealthMetric(key, name, "counter", text, combine)


def _gauge(key: str, name: str, text: str, combine: Combine = "sum") -> HealthMetric:
    return HealthMetric(key, name, "gauge", text, combine)


def _counters(name: str, text: str, label: str, keys: dict[str, str]) -> list[HealthMetric]:
    return [HealthMetric(key, name, "counter", text, label=(label, value)) for key, value in keys.items()]


_REFUSED = {
    "packets_ignored": "no-query",
    "queries_malformed": "malformed",
    "refused_acl": "acl",
    "refused_in_flight": "in-flight",
    "rate_dropped": "rate-dropped",
    "rate_slipped": "rate-slipped",
    "shed": "shed",
    "tcp_connections_refused": "tcp-connections",
    "tcp_malformed": "tcp-malformed",
    "tcp_query_limit": "tcp-queries",
}
_ERRORS = {
    "handler_errors": "handler",
    "faults": "resolver",
    "udp_receive_errors": "udp-receive",
    "udp_send_errors": "udp-send",
    "writer_errors": "writer",
    "index_refused": "index",
    "policy_refused": "policy",
}
_ANSWERS = {
    "stale_answers": "stale",
    "failed_answers": "failed",
    "blocked_targets": "blocked-target",
    "rebinding_drops": "rebinding",
    "special_names": "special",
    "canaries": "canary",
    "local_names": "local",
    "nxdomain_cuts": "nxdomain-cut",
    "any_to_tcp": "any-to-tcp",
    "without_lists": "without-lists",
}
_DROPPED = {
    "spoof_drops": "misfit",
    "late_replies": "late",
    "malformed_replies": "malformed",
    "bad_chains": "chain",
}
_FETCH = {f"fetch_{why}": why for why in ("rcode", "bogus", "timeout", "network", "down", "local")}
_BUDGETS = {"water_torture_thinned": "water-torture", "tunnel_refused": "tunnel"}
_FORGOTTEN = {
    "clients_forgotten": "clients",
    "cache_evicted": "cache",
    "cache_too_large": "cache-too-large",
    "memo_evicted": "memo",
    "failures_evicted": "failures",
    "water_torture_forgotten": "water-torture",
    "tunnel_forgotten": "tunnel",
}
_LOST = {"outbox_dropped_events": "events", "outbox_dropped_usage": "usage"}
_UPSTREAMS = tuple(str(number) for number in range(16))


def _upstreams() -> list[HealthMetric]:
    """Return the metrics of upstreams, which are told apart by their place in the settings."""
    kinds: tuple[tuple[str, str, Kind, str, Combine], ...] = (
        ("up", "filterd_upstream_up", "gauge", "1 when the upstream answers.", "min"),
        ("rtt_seconds", "filterd_upstream_rtt_seconds", "gauge", "Its smoothed round-trip time.", "max"),
        ("queries", "filterd_upstream_queries", "counter", "Queries sent to it.", "sum"),
        ("replies", "filterd_upstream_replies", "counter", "Replies of it that fit.", "sum"),
        ("lost", "filterd_upstream_lost", "counter", "Queries it did not answer in its time.", "sum"),
    )
    return [
        HealthMetric(f"upstream_{number}_{key}", name, kind, text, combine, ("upstream", number))
        for key, name, kind, text, combine in kinds
        for number in _UPSTREAMS
    ]


HEALTH: tuple[HealthMetric, ...] = (
    *_counters("filterd_refusals", "DNS messages and connections refused or dropped.", "reason", _REFUSED),
    *_counters("filterd_internal_errors", "Faults of the program or its input, survived.", "part", _ERRORS),
    *_counters("filterd_answers_made", "Lookups that took a special way to their answer.", "kind", _ANSWERS),
    *_counters("filterd_forgotten", "What was put out of memory to make room.", "what", _FORGOTTEN),
    *_counters("filterd_budget_refusals", "Lookups over a budget.", "budget", _BUDGETS),
    _counter("tcp_connections", "filterd_tcp_connections", "DNS connections accepted."),
    _counter("tcp_idle_closed", "filterd_tcp_idle_closed", "DNS connections closed for idleness."),
    _gauge("clients", "filterd_clients", "Client addresses remembered.", "max"),
    _gauge("queries_in_flight", "filterd_queries_in_flight", "Lookups that wait for an upstream."),
    _gauge("flights", "filterd_questions_in_flight", "Different questions of those."),
    _gauge("waiters", "filterd_clients_waiting", "Clients that wait for them."),
    _counter("coalesced", "filterd_coalesced", "Lookups that joined a question under way."),
    _counter("refreshed", "filterd_refreshed", "Answers fetched anew before their time was over."),
    *_counters(
        "filterd_cache_lookups", "Cache lookups.", "result", {"cache_hits": "hit", "cache_misses": "miss"}
    ),
    _gauge("cache_entries", "filterd_cache_entries", "Answers in the cache."),
    _gauge("cache_bytes", "filterd_cache_size_bytes", "Memory the cached answers take."),
    _gauge("memo_entries", "filterd_memo_entries", "Ready replies kept for the fast path."),
    _gauge("failures_known", "filterd_failures_known", "Questions that failed and are not asked again yet."),
    *_upstreams(),
    *_counters("filterd_fetch_failures", "Fetches that brought no usable answer.", "reason", _FETCH),
    *_counters("filterd_upstream_dropped_replies", "Replies not believed.", "reason", _DROPPED),
    _counter("doubted", "filterd_upstream_doubted", "Questions moved to TCP: replies looked forged."),
    _counter("tcp_opened", "filterd_upstream_connections", "TCP connections opened to upstreams."),
    _gauge("udp_sockets", "filterd_upstream_udp_queries_in_flight", "Queries over UDP under way."),
    _counter("udp_socket_limit", "filterd_upstream_udp_limit", "Queries not sent: too many under way."),
    _gauge("index_names", "filterd_index_names", "Names in the compiled lists.", "min"),
    _gauge("index_missing", "filterd_index_missing", "1 when no compiled lists can be read.", "max"),
    _gauge("index_built", "filterd_index_built_timestamp_seconds", "When the lists were compiled.", "min"),
    _gauge("lists_oldest", "filterd_lists_oldest_timestamp_seconds", "When the oldest was confirmed.", "min"),
    _gauge("lists_failed", "filterd_lists_failed", "Lists whose last update failed.", "max"),
    _gauge("lists_overdue", "filterd_list_exceptions_overdue", "Exceptions to be reviewed again.", "max"),
    _gauge("lists_held", "filterd_lists_held", "1 when a new index is not put in use by itself.", "max"),
    _gauge("bundle_serial", "filterd_bundle_serial", "Serial of the region's bundle in force.", "min"),
    _counter("lookups", "filterd_process_lookups", "Lookups since the DNS process started."),
    _counter("lookups_blocked", "filterd_process_lookups_blocked", "Of these, blocked ones."),
    _counter("events_committed", "filterd_outbox_events", "Events made durable on the box."),
    _gauge("outbox_batches", "filterd_outbox_batches", "Batches waiting to be sent."),
    _gauge("outbox_bytes", "filterd_outbox_size_bytes", "Disk the waiting batches take."),
    _gauge(
        "outbox_oldest", "filterd_outbox_oldest_timestamp_seconds", "When the oldest waiting was made.", "min"
    ),
    *_counters("filterd_outbox_lost_records", "Records lost because a bound was reached.", "kind", _LOST),
    _counter("outbox_failures", "filterd_outbox_failures", "Writes to the outbox that failed."),
    _counter("outbox_corrupt_files", "filterd_outbox_corrupt_files", "Damaged outboxes put aside."),
    _counter("deliveries_failed", "filterd_deliveries_failed", "Deliveries that failed, all tries.", "max"),
    _counter("process_restarts", "filterd_process_restarts", "Processes that died, restarted.", "max"),
    _gauge("reload_ok", "filterd_last_reload_successful", "1 when the last reload was taken over.", "min"),
    _gauge("memory_bytes", "filterd_resident_memory_bytes", "Resident memory."),
    _counter("cpu_seconds", "filterd_cpu_seconds", "CPU time used."),
    _gauge("selftest_at", "filterd_selftest_timestamp_seconds", "When the last self-test ended.", "max"),
    _gauge("selftest_failed", "filterd_selftest_failed_categories", "Categories that failed it.", "max"),
)

# From a query to its answer: cumulative counts up to a bound, their number and their sum.
LATENCY_NAME = "filterd_answer_duration_seconds"
LATENCY_HELP = "Time from a query to its answer."
LATENCY_SUM = "answer_seconds_sum"
_LATENCY_BOUNDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
LATENCY_BUCKETS: tuple[tuple[str, str], ...] = (
    *((str(bound), f"answer_seconds_le_{round(bound * 1_000_000)}us") for bound in _LATENCY_BOUNDS),
    ("+Inf", "answer_seconds_count"),
)
KNOWN_KEYS = frozenset(metric.key for metric in HEALTH) | {LATENCY_SUM} | {key for _, key in LATENCY_BUCKETS}


def combined(reports: list[dict[str, float]]) -> dict[str, float]:
    """Return a box's values from the reports of its processes; a time of 0 means "never" and is left out."""
    together: dict[str, list[float]] = {}
    for report in reports:
        for key, value in report.items():
            if value or key not in _TIMES:
                together.setdefault(key, []).append(value)
    return {key: _COMBINERS[_WAYS.get(key, "sum")](values) for key, values in together.items()}


_TIMES = frozenset(metric.key for metric in HEALTH if metric.name.endswith("_timestamp_seconds"))
_WAYS: dict[str, Combine] = {metric.key: metric.combine for metric in HEALTH}
_COMBINERS: dict[Combine, Callable[[list[float]], float]] = {"sum": math.fsum, "max": max, "min": min}
