"""The running totals behind the counters of /metrics, added to in the transaction that stores a delivery.

They never fall: not by a restart, not by retention, not by a batch sent twice.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.ingest.rows import Rows, clamp
from filterd.monitor.metrics.labels import LabelBook
from filterd.monitor.store.schema import EVENT_TOTALS, USAGE_TOTALS
from filterd.monitor.store.sql import upsert

_USAGE = ("school", "group_id", "tier", "category", "outcome", "queries")
_EVENTS = ("school", "category", "verdict", "events", "lookups")


async def add_totals(connection: AsyncConnection, school: str, rows: Rows, labels: LabelBook) -> None:
    """Add a delivery's rows to the school's totals, under bounded labels."""
    if not labels.knows(school):
        labels.load(school, await _stored_labels(connection, school))
    if usage := _usage(school, rows, labels):
        values = [dict(zip(_USAGE, (school, *key, clamp(usage[key])), strict=True)) for key in sorted(usage)]
        await connection.execute(upsert(connection, USAGE_TOTALS, add=("queries",)), values)
    if events := _events(school, rows, labels):
        values = [
            dict(zip(_EVENTS, (school, *key, events[key][0], clamp(events[key][1])), strict=True))
            for key in sorted(events)
        ]
        await connection.execute(upsert(connection, EVENT_TOTALS, add=("events", "lookups")), values)


def _usage(school: str, rows: Rows, labels: LabelBook) -> dict[tuple[str, str, str, str], int]:
    totals: dict[tuple[str, str, str, str], int] = {}
    for (_hour, group, tier, category, outcome), queries in rows.usage.items():
        key = (
            labels.fold(school, "group", group),
            labels.fold(school, "tier", tier),
            labels.fold(school, "category", category),
            outcome,
        )
        totals[key] = totals.get(key, 0) + queries
    return totals


def _events(school: str, rows: Rows, labels: LabelBook) -> dict[tuple[str, str], tuple[int, int]]:
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for (category, verdict), (events, lookups) in rows.event_totals.items():
        key = (labels.fold(school, "category", category), verdict)
        had = totals.get(key, (0, 0))
        totals[key] = (had[0] + events, had[1] + lookups)
    return totals


async def _stored_labels(connection: AsyncConnection, school: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for label, table, column in (
        ("group", USAGE_TOTALS, USAGE_TOTALS.c.group_id),
        ("tier", USAGE_TOTALS, USAGE_TOTALS.c.tier),
        ("category", USAGE_TOTALS, USAGE_TOTALS.c.category),
        ("category", EVENT_TOTALS, EVENT_TOTALS.c.category),
    ):
        query = select(column).where(table.c.school == school).distinct()
        found += [(label, value) for value in (await connection.scalars(query)).all()]
    return found
