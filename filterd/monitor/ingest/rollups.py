"""What a delivery adds beside its rows: usage by day and month, days to sum up anew, uptime, self-tests.

All in the transaction that stores the delivery, so a late batch corrects them and one sent twice does not.
Rows are written in the order of their keys and tables in one order by all: no two deliveries can deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery, Health
from filterd.monitor.days import day_of, month_of
from filterd.monitor.ingest.rows import Rows, UsageKey, clamp
from filterd.monitor.store.schema import BOX_HOURS, DIRTY_DAYS, SELFTESTS, USAGE_DAYS, USAGE_MONTHS
from filterd.monitor.store.sql import insert_new, upsert

_DAYS = ("school", "day", "group_id", "tier", "category", "outcome", "queries")
_MONTHS = ("school", "month", "tier", "category", "outcome", "queries")
DayKey: TypeAlias = tuple[int, str, str, str, str]
MonthKey: TypeAlias = tuple[int, str, str, str]


async def add_rollups(
    connection: AsyncConnection, delivery: Delivery, rows: Rows, zone: ZoneInfo, now: int
) -> None:
    """Add a delivery's rows to the roll-ups.

    Args:
        connection: in the transaction of the delivery.
        delivery: whose rows they are.
        rows: of its new batches.
        zone: in which days begin.
        now: UTC seconds.
    """
    school = delivery.school
    if rows.usage:
        days = by_day(rows.usage, zone)
        values = [dict(zip(_DAYS, (school, *key, clamp(days[key])), strict=True)) for key in sorted(days)]
        await connection.execute(upsert(connection, USAGE_DAYS, add=("queries",)), values)
        months = by_month(days)
        values = [
            dict(zip(_MONTHS, (school, *key, clamp(months[key])), strict=True)) for key in sorted(months)
        ]
        await connection.execute(upsert(connection, USAGE_MONTHS, add=("queries",)), values)
    if touched := days_touched(rows.buckets, zone):
        # Replaced, not left as it is: the row must be locked until this delivery is committed, or the mark
        # could be cleared by someone who does not see its events yet (upkeep/devicedays.py).
        marks = [{"school": school, "day": day, "touched": now} for day in touched]
        await connection.execute(upsert(connection, DIRTY_DAYS, replace=("touched",)), marks)
    if rows.alive:
        hours = [
            {"school": school, "box": delivery.box, "hour": hour, "steps": rows.alive[hour]}
            for hour in sorted(rows.alive)
        ]
        await connection.execute(upsert(connection, BOX_HOURS, unite=("steps",)), hours)


async def store_selftest(
    connection: AsyncConnection, delivery: Delivery, health: Health, future_from: int
) -> None:
    """Keep the box's self-test if it has one that is not known yet and not of a wrong clock."""
    test = health.selftest
    if test is None or test.at > future_from:
        return
    row = {
        "school": delivery.school,
        "box": delivery.box,
        "at": test.at,
        "policy_version": health.policy_version,
        "index_version": health.index_version,
        "tested": test.tested,
        "failed": ",".join(sorted(set(test.failed))),
        "no_source": ",".join(sorted(set(test.no_source))),
        "learning_tested": test.learning_tested,
        "learning_answered": test.learning_answered,
        "error": test.error,
    }
    await connection.execute(insert_new(connection, SELFTESTS), row)


def by_day(usage: dict[UsageKey, int], zone: ZoneInfo) -> dict[DayKey, int]:
    """Return usage by day."""
    days: dict[DayKey, int] = {}
    for (hour, *rest), queries in usage.items():
        group, tier, category, outcome = rest
        key = (day_of(hour, zone), group, tier, category, outcome)
        days[key] = days.get(key, 0) + queries
    return days


def by_month(days: dict[DayKey, int]) -> dict[MonthKey, int]:
    """Return usage by month, all groups of a tier together."""
    months: dict[MonthKey, int] = {}
    for (day, _group, tier, category, outcome), queries in days.items():
        key = (month_of(day), tier, category, outcome)
        months[key] = months.get(key, 0) + queries
    return months


def days_touched(buckets: Iterable[int], zone: ZoneInfo) -> list[int]:
    """Return the days of these buckets, ascending."""
    return sorted({day_of(bucket, zone) for bucket in buckets})
