"""What deliveries add beside their rows: usage by day and month, days to sum up anew, uptime, self-tests.

All in the transaction that stores the deliveries, so a late batch corrects them and one sent twice does not.
Rows are written in the order of their keys and tables in one order by all: no two deliveries can deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery
from filterd.monitor.days import day_of, month_of
from filterd.monitor.ingest.rows import BucketKey, Rows, UsageKey, clamp
from filterd.monitor.store.schema import BOX_HOURS, DIRTY_DAYS, SELFTESTS, USAGE_DAYS, USAGE_MONTHS
from filterd.monitor.store.sql import put

_DAYS = ("school", "day", "group_id", "tier", "category", "outcome", "queries")
_MONTHS = ("school", "month", "tier", "category", "outcome", "queries")
_MARKS = ("school", "day", "touched")
_HOURS = ("school", "box", "hour", "steps")
_TESTS = (
    *("school", "box", "at", "policy_version", "index_version", "tested", "failed", "no_source"),
    *("learning_tested", "learning_answered", "error"),
)
DayKey: TypeAlias = tuple[str, int, str, str, str, str]
MonthKey: TypeAlias = tuple[str, int, str, str, str]


async def add_rollups(connection: AsyncConnection, rows: Rows, zone: ZoneInfo, now: int) -> None:
    """Add the rows of deliveries to the roll-ups.

    Args:
        connection: in the transaction of the deliveries.
        rows: of their new batches.
        zone: in which days begin.
        now: UTC seconds.
    """
    days = by_day(rows.usage, zone)
    values = [(*key, clamp(days[key])) for key in sorted(days)]
    await put(connection, USAGE_DAYS, _DAYS, values, add=("queries",))
    months = by_month(days)
    sums = [(*month, clamp(months[month])) for month in sorted(months)]
    await put(connection, USAGE_MONTHS, _MONTHS, sums, add=("queries",))
    # Replaced, not left as it is: the row must be locked until these deliveries are committed, or the mark
    # could be cleared by someone who does not see their events yet (upkeep/devicedays.py).
    marks = [(*touched, now) for touched in days_touched(rows.buckets, zone)]
    await put(connection, DIRTY_DAYS, _MARKS, marks, replace=("touched",))
    hours = [(*hour, rows.alive[hour]) for hour in sorted(rows.alive)]
    await put(connection, BOX_HOURS, _HOURS, hours, unite=("steps",))


async def store_selftests(
    connection: AsyncConnection, deliveries: Iterable[Delivery], future_from: int
) -> None:
    """Keep the boxes' self-tests that are not known yet and not of a wrong clock."""
    rows: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for delivery in deliveries:
        health = delivery.health
        if health is None or health.selftest is None or health.selftest.at > future_from:
            continue
        test = health.selftest
        rows[delivery.school, delivery.box, test.at] = (
            health.policy_version,
            health.index_version,
            test.tested,
            ",".join(sorted(set(test.failed))),
            ",".join(sorted(set(test.no_source))),
            test.learning_tested,
            test.learning_answered,
            test.error,
        )
    await put(connection, SELFTESTS, _TESTS, [(*key, *rows[key]) for key in sorted(rows)])


def by_day(usage: dict[UsageKey, int], zone: ZoneInfo) -> dict[DayKey, int]:
    """Return usage by day."""
    days: dict[DayKey, int] = {}
    for (school, hour, group, tier, category, outcome), queries in usage.items():
        key = (school, day_of(hour, zone), group, tier, category, outcome)
        days[key] = days.get(key, 0) + queries
    return days


def by_month(days: dict[DayKey, int]) -> dict[MonthKey, int]:
    """Return usage by month, all groups of a tier together."""
    months: dict[MonthKey, int] = {}
    for (school, day, _group, tier, category, outcome), queries in days.items():
        key = (school, month_of(day), tier, category, outcome)
        months[key] = months.get(key, 0) + queries
    return months


def days_touched(buckets: Iterable[BucketKey], zone: ZoneInfo) -> list[tuple[str, int]]:
    """Return the schools' days of these buckets, ascending."""
    return sorted({(school, day_of(bucket, zone)) for school, bucket in buckets})
