"""The running totals behind the counters of /metrics, added to in the transaction that stores deliveries.

They never fall: not by a restart, not by retention, not by a batch sent twice.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.ingest.rows import Rows, clamp
from filterd.monitor.metrics.labels import LabelBook
from filterd.monitor.store.schema import EVENT_TOTALS, USAGE_TOTALS
from filterd.monitor.store.sql import put

_USAGE = ("school", "group_id", "tier", "category", "outcome", "queries")
_EVENTS = ("school", "category", "verdict", "events", "lookups")


async def add_totals(connection: AsyncConnection, rows: Rows, labels: LabelBook) -> None:
    """Add rows to their schools' totals, under bounded labels."""
    for school in {key[0] for key in rows.usage} | {key[0] for key in rows.event_totals}:
        if not labels.knows(school):
            labels.load(school, await _stored_labels(connection, school))
    usage = _usage(rows, labels)
    await put(
        connection,
        USAGE_TOTALS,
        _USAGE,
        [(*key, clamp(usage[key])) for key in sorted(usage)],
        add=("queries",),
    )
    events = _events(rows, labels)
    await put(
        connection,
        EVENT_TOTALS,
        _EVENTS,
        [(*key, events[key][0], clamp(events[key][1])) for key in sorted(events)],
        add=("events", "lookups"),
    )


def _usage(rows: Rows, labels: LabelBook) -> dict[tuple[str, str, str, str, str], int]:
    totals: dict[tuple[str, str, str, str, str], int] = {}
    for (school, _hour, group, tier, category, outcome), queries in rows.usage.items():
        key = (
            school,
            labels.fold(school, "group", group),
            labels.fold(school, "tier", tier),
            labels.fold(school, "category", category),
            outcome,
        )
        totals[key] = totals.get(key, 0) + queries
    return totals


def _events(rows: Rows, labels: LabelBook) -> dict[tuple[str, str, str], tuple[int, int]]:
    totals: dict[tuple[str, str, str], tuple[int, int]] = {}
    for (school, category, verdict), (events, lookups) in rows.event_totals.items():
        key = (school, labels.fold(school, "category", category), verdict)
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
