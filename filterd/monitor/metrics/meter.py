"""What this process counts of itself: deliveries, problems, bytes, time. Falls to zero with a restart.

What must not fall is counted in the store (totals.py).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a *_created series each would double their number

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class Meter:
    """Counters of one endpoint, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.deliveries = Counter(
            "filterd_ingest_deliveries",
            "Deliveries of batches by what became of them: stored, or the code of the problem.",
            ["result"],
            registry=self.registry,
        )
        self.batches = Counter(
            "filterd_ingest_batches",
            "Batches in accepted deliveries, new or sent before.",
            ["result"],
            registry=self.registry,
        )
        self.records = Counter(
            "filterd_ingest_records",
            "Rows that new batches brought, equal ones of a delivery taken together.",
            ["kind"],
            registry=self.registry,
        )
        self.bytes = Counter(
            "filterd_ingest_received_bytes", "Bytes of delivery bodies as received.", registry=self.registry
        )
        self.seconds = Histogram(
            "filterd_ingest_duration_seconds",
            "Time from a delivery's headers to its acknowledgement.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.held = Gauge(
            "filterd_ingest_held_bytes",
            "Memory of deliveries that are being taken in.",
            registry=self.registry,
        )
        self.problems = Counter(
            "filterd_http_problems",
            "Requests answered with an error, by status.",
            ["status"],
            registry=self.registry,
        )
        self.upkeep_failures = Counter(
            "filterd_upkeep_failures",
            "Turns of the endpoint's work in the background that failed.",
            ["task"],
            registry=self.registry,
        )
        self.purged = Counter(
            "filterd_retention_deleted_rows",
            "Rows deleted because their time was over.",
            ["table"],
            registry=self.registry,
        )
        self.connections_refused = Counter(
            "filterd_http_connections_refused",
            "Connections closed because too many were open.",
            registry=self.registry,
        )
