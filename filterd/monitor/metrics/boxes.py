"""The metrics of boxes: what the endpoint saw of each, and what each says of its health (health.py).

A box that is silent is shown as down and its old gauges are not shown: silence must not look like health.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy import Row

from filterd.monitor.health import HEALTH, LATENCY_BUCKETS, LATENCY_HELP, LATENCY_NAME, LATENCY_SUM, combined
from filterd.monitor.metrics.boxstate import is_recent
from filterd.monitor.metrics.snapshot import Snapshot
from filterd.monitor.settings import MonitorSettings

_BOX = ["school", "box"]


def box_metrics(snapshot: Snapshot, settings: MonitorSettings, now: float) -> Iterator[Metric]:
    """Yield what is known of each box of the settings, then what the living ones say of themselves."""
    up = GaugeMetricFamily("filterd_box_up", "1 when the box was heard of lately, else 0.", labels=_BOX)
    seen = GaugeMetricFamily(
        "filterd_box_last_seen_timestamp_seconds", "When the box last delivered; 0: never.", labels=_BOX
    )
    missing = GaugeMetricFamily(
        "filterd_box_missing_batches", "Batches that have not come though later ones have.", labels=_BOX
    )
    counters = [
        (column, CounterMetricFamily(f"filterd_box_{column}", text, labels=_BOX))
        for column, text in _COUNTERS
    ]
    for box, (school, _digest) in settings.boxes.items():
        labels, row = [school, box], snapshot.boxes.get((school, box))
        last_seen = row.last_seen if row is not None else 0
        up.add_metric(labels, int(is_recent(last_seen, now, settings.limits.silent_seconds)))
        seen.add_metric(labels, last_seen)
        missing.add_metric(labels, snapshot.missing.get((school, box), 0))
        for column, family in counters:
            family.add_metric(labels, getattr(row, column) if row is not None else 0)
    yield from (up, seen, missing, *(family for _column, family in counters))
    yield from _reports(_fresh(snapshot, settings, now))


_COUNTERS = (
    ("stored_batches", "Batches of the box stored."),
    ("duplicate_batches", "Batches of the box that came again."),
    ("lost_batches", "Batches of the box that were waited for too long."),
    ("future_events", "Records dated over a day ahead: the box's clock is wrong."),
    ("ignored_values", "Health values of the box that this version does not know."),
)


class _Report:
    """What the living processes of one box say, taken together."""

    def __init__(self, school: str, box: str, rows: list[Row[Any]]) -> None:
        self.labels = [school, box]
        self.newest = max(rows, key=lambda row: (row.received, row.at))
        self.started = max(row.started for row in rows)
        self.versions = {(row.version, row.policy_version, row.index_version) for row in rows}
        self.values = combined([json.loads(row.health) for row in rows])


def _fresh(snapshot: Snapshot, settings: MonitorSettings, now: float) -> list[_Report]:
    """Return the reports that are young enough to be believed."""
    rows: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in snapshot.reports:
        if is_recent(row.received, now, settings.limits.silent_seconds):
            rows.setdefault((row.school, row.box), []).append(row)
    return [
        _Report(school, box, rows[school, box])
        for box, (school, _digest) in settings.boxes.items()
        if (school, box) in rows
    ]


def _reports(reports: list[_Report]) -> Iterator[Metric]:
    """Yield what the boxes say of themselves, by the table of health.py."""
    info = GaugeMetricFamily(
        "filterd_box_info",
        "Always 1; what the box runs.",
        labels=[*_BOX, "version", "policy_version", "index_version"],
    )
    offset = GaugeMetricFamily(
        "filterd_box_clock_offset_seconds",
        "The box's clock minus the endpoint's, at its last report.",
        labels=_BOX,
    )
    started = GaugeMetricFamily(
        "filterd_box_start_time_seconds", "When the box's newest process started, by its clock.", labels=_BOX
    )
    for report in reports:
        for versions in sorted(report.versions):
            info.add_metric([*report.labels, *versions], 1)
        offset.add_metric(report.labels, report.newest.at - report.newest.received)
        started.add_metric(report.labels, report.started)
    yield from (info, offset, started)
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for metric in HEALTH:
        extra = [metric.label] if metric.label else []
        if metric.name not in families:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            labels = [*_BOX, *(label for label, _value in extra)]
            families[metric.name] = kind(metric.name, metric.help, labels=labels)
        for report in reports:
            if metric.key in report.values:
                values = [*report.labels, *(value for _label, value in extra)]
                families[metric.name].add_metric(values, report.values[metric.key])
    yield from (family for family in (*families.values(), _latency(reports)) if family.samples)


def _latency(reports: list[_Report]) -> Metric:
    family = HistogramMetricFamily(LATENCY_NAME, LATENCY_HELP, labels=_BOX)
    for report in reports:
        if all(key in report.values for _bound, key in LATENCY_BUCKETS):
            buckets = [(bound, report.values[key]) for bound, key in LATENCY_BUCKETS]
            family.add_metric(report.labels, buckets, report.values.get(LATENCY_SUM, 0.0))
    return family
