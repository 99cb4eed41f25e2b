"""``GET /metrics``: what the store knows of schools and boxes, as Prometheus' text format.

Labels are bounded (schools and boxes by the directory, groups, tiers and categories by labels.py) and never
hold a name, a client or a pseudonym.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from filterd.errors import StoreError
from filterd.monitor.access.directory import Directory
from filterd.monitor.access.registry import Registry
from filterd.monitor.metrics.boxes import box_metrics
from filterd.monitor.metrics.labels import NONE, LabelBook
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.metrics.snapshot import Snapshot, load
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.schema import DEMONSTRATION
from filterd.monitor.store.store import PROBE, Clock, Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """Renders /metrics, one scrape at a time."""

    def __init__(
        self,
        settings: MonitorSettings,
        store: Store,
        registry: Registry,
        *,
        meter: Meter,
        labels: LabelBook,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._store = store
        self._meter = meter
        self._labels = labels
        self._clock = clock
        self._turn = asyncio.Lock()

    async def render(self) -> bytes:
        """Return the exposition; with a store that cannot be read only the endpoint's own metrics."""
        async with self._turn:
            try:
                directory = await self._registry.directory()
                snapshot = await self._store.read(load)
            except StoreError:
                directory, snapshot = Directory(), None
            families = [*self._own(snapshot)]
            if snapshot is not None:
                now = self._clock()
                boxes = directory.boxes(now)
                families += _schools(snapshot, directory, directory.school_ids(now))
                families += box_metrics(snapshot, boxes, self._settings.limits.silent_seconds, now)
            return await asyncio.to_thread(self._text, families)

    def _text(self, families: list[Metric]) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(families))
        return generate_latest(self._meter.registry) + generate_latest(registry)

    def _own(self, snapshot: Snapshot | None) -> Iterator[Metric]:
        yield _gauge(
            "filterd_store_readable", "1 when the store could be read for this scrape.", snapshot is not None
        )
        aside = self._store.put_aside
        yield _gauge("filterd_store_files_put_aside", "Damaged databases that lie beside the store.", aside)
        failures = CounterMetricFamily("filterd_store_failures", "Reads and writes of the store that failed.")
        failures.add_metric([], self._store.errors)
        yield failures
        retries = CounterMetricFamily("filterd_store_retries", "Transactions that were done again.")
        retries.add_metric([], self._store.retries)
        yield retries
        folded = CounterMetricFamily(
            "filterd_labels_folded", "Records counted under 'other': too many label values.", labels=["label"]
        )
        for label, count in self._labels.folded.items():
            folded.add_metric([label], count)
        yield folded
        if snapshot is not None:
            done = GaugeMetricFamily(
                "filterd_upkeep_last_success_timestamp_seconds",
                "When the endpoint's work in the background was last done: forgetting, summing up.",
                labels=["task"],
            )
            for task, at in sorted(snapshot.marks.items()):
                if task not in (PROBE, DEMONSTRATION):
                    done.add_metric([task], at)
            yield done
            yield _gauge(
                "filterd_demonstration",
                "1 when the store was filled by `filterd demo`: nothing in it is of a real school.",
                DEMONSTRATION in snapshot.marks,
            )


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family


def _schools(snapshot: Snapshot, directory: Directory, schools: set[str]) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "filterd_school_info",
        "Always 1; where the school is, as the region's list says.",
        labels=["school", "region", "district"],
    )
    noted = {school.id: (school.region, school.district) for school in directory.noted_schools()}
    for school in sorted(schools | set(noted)):
        region, district = noted.get(school, ("", ""))
        info.add_metric([school, region or NONE, district or NONE], 1)
    yield info
    queries = CounterMetricFamily(
        "filterd_queries",
        "Lookups by outcome, as the boxes counted them; each counted once.",
        labels=["school", "group", "tier", "category", "outcome"],
    )
    for row in snapshot.usage:
        if row.school in schools:
            queries.add_metric([row.school, row.group_id, row.tier, row.category, row.outcome], row.queries)
    yield queries
    events = CounterMetricFamily(
        "filterd_events",
        "Events received: blocked or rewritten lookups, collapsed per device and five minutes.",
        labels=["school", "category", "verdict"],
    )
    lookups = CounterMetricFamily(
        "filterd_event_lookups", "Lookups behind those events.", labels=["school", "category", "verdict"]
    )
    for row in snapshot.events:
        if row.school in schools:
            labels = [row.school, row.category, row.verdict]
            events.add_metric(labels, row.events)
            lookups.add_metric(labels, row.lookups)
    yield events
    yield lookups
