"""Fills an empty store with the demonstration through the endpoint's own code, day by day of a made-up clock.

Refuses a store that holds anything. Knows no HTTP and no configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.days import start_of
from filterd.monitor.demo import papers
from filterd.monitor.demo.schools import SCHOOLS
from filterd.monitor.demo.times import is_school_day
from filterd.monitor.demo.traffic import Day, delivery
from filterd.monitor.ingest.accept import Ingest
from filterd.monitor.metrics.labels import LabelBook
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.schema import DEMONSTRATION, MARKS, METADATA
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.devicedays import DeviceDays

GROWTH = 0.2  # over the period
_EPOCH = date(1970, 1, 1)
Show = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What was written."""

    schools: int
    days: int
    events: int
    device_days: int


async def fill(settings: MonitorSettings, first: date, days: int, seed: int, show: Show) -> Filled:
    """Fill the store of the settings.

    Args:
        settings: of the endpoint that will show it.
        first: day of the period.
        days: how many.
        seed: the same seed and period give the same store.
        show: called with days done and days in all.

    Raises:
        StoreError: the store is not empty or cannot be written.
    """
    clock = _Clock()
    store = await Store.open(settings, clock)
    try:
        await store.read(_refuse_if_filled)
        zone = settings.days_in
        begin = start_of((first - _EPOCH).days, zone)
        end = start_of((first - _EPOCH).days + days, zone)
        clock.now = float(begin)
        await store.mark(DEMONSTRATION)  # first: what is cut off half-way is known for what it is
        ingest = Ingest(store, settings, LabelBook(settings.limits), clock)
        summing = DeviceDays(store, settings, clock)
        events = summed = lessons = 0
        for number in range(days):
            today = first + timedelta(days=number)
            lesson_day = lessons if is_school_day(today) else -1
            lessons += is_school_day(today)
            for school in SCHOOLS:
                if school.silent_from and number >= school.silent_from:
                    continue
                growth = 1 + GROWTH * number / days
                day = Day(school, today, number, lesson_day, growth, zone)
                clock.now = day.at(23) + 60.0
                made = delivery(day, Random(f"{seed}/{school.id}/{today}"))  # noqa: S311 - not a secret
                events += (await ingest.accept(made)).events
            summed += await summing.make()
            show(number + 1, days)
        months = sorted(
            {(day.year * 12 + day.month - 1) for day in (first, first + timedelta(days=days - 1))}
        )
        rows = papers.rows(begin, end, months, Random(seed))  # noqa: S311 - not a secret

        async def work(connection: AsyncConnection) -> None:
            for table, values in rows:
                await connection.execute(insert(table), values)

        await store.write(work)
        return Filled(len(SCHOOLS), days, events, summed)
    finally:
        await store.close()


class _Clock:
    """The made-up clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def _refuse_if_filled(connection: AsyncConnection) -> None:
    """Refuse a store that holds anything.

    Raises:
        StoreError: it does.
    """
    if await connection.scalar(select(MARKS.c.at).where(MARKS.c.name == DEMONSTRATION)):
        raise StoreError(
            "the store holds a demonstration already", remedy="serve it, or name another --folder"
        )
    for table in METADATA.sorted_tables:
        if await connection.scalar(select(func.count()).select_from(table)):
            raise StoreError(
                "the store is not empty: a demonstration is not mixed with data",
                remedy="name an empty --folder or another --database",
            )
