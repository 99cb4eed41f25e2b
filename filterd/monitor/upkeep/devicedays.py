"""DEVICE_DAYS made anew for every day of which events came: what patterns and "how many devices" rest on.

One transaction for each school and day. It takes the day's mark away first, which every delivery that brings
events of that day holds until it is committed: so the events that are there afterwards are all there are, and
what comes later finds no mark and sets it again. Late, repeated and concurrent deliveries, and other monitors
doing the same, thus end in the same rows.

Never makes a day anew of which events may already be deleted, nor one of a clock that runs ahead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from operator import attrgetter
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.days import start_of
from filterd.monitor.patterns.episodes import episodes, sure_steps
from filterd.monitor.patterns.hits import Lookup, collapse
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.schema import DEVICE_DAYS, DIRTY_DAYS, EVENTS
from filterd.monitor.store.sql import put, same
from filterd.monitor.store.store import Clock, Store
from filterd.monitor.upkeep.rules import events_from

_ROWS = 1000
_HOUR = 3600
_MARKS = select(DIRTY_DAYS.c.school, DIRTY_DAYS.c.day).order_by(DIRTY_DAYS.c.touched).limit(10_000)
_CLEAR = delete(DIRTY_DAYS).where(*same(DIRTY_DAYS, "school", "day"))
_FORGET = delete(DEVICE_DAYS).where(*same(DEVICE_DAYS, "school", "day"))
_OF_DAY = (
    *same(EVENTS, "school"),
    EVENTS.c.bucket >= bindparam("start"),
    EVENTS.c.bucket < bindparam("end"),
    EVENTS.c.verdict == "block",  # a safe search is no attempt at anything (R15)
)
_READ = ("pseudonym", "category", "group_id", "tier", "bucket", "domain", "hints")
_EVENTS = (
    select(*(EVENTS.c[name] for name in _READ))
    .where(*_OF_DAY)
    .order_by(EVENTS.c.pseudonym, EVENTS.c.category)
)
_AMOUNT = select(func.count()).select_from(EVENTS).where(*_OF_DAY)
_COLUMNS = (
    *("school", "day", "pseudonym", "category", "group_id", "tier"),
    *("hits", "doubtful", "domains", "episodes", "buckets"),
)
_log = structlog.get_logger(__name__)


class DeviceDays:
    """Makes DEVICE_DAYS."""

    def __init__(self, store: Store, settings: MonitorSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._zone = settings.days_in
        self._clock = clock

    async def make(self) -> int:
        """Make all marked days anew; return how many were.

        Raises:
            StoreError: some could not be made and remain marked, the others are; or the marks cannot be read.
        """
        made, failed = 0, []
        for school, day in await self._store.read(_marks):
            try:
                made += await self._make(school, day)
            except StoreError as error:
                failed.append(error)
        if failed:
            raise StoreError(f"{len(failed)} days not made: {failed[0].message}", remedy=failed[0].remedy)
        return made

    async def _make(self, school: str, day: int) -> bool:
        start = start_of(day, self._zone)
        key = {"key_school": school, "key_day": day}
        bounds = {"key_school": school, "start": start, "end": start_of(day + 1, self._zone)}
        # Summed up before the mark is taken away, for then deliveries of the school wait.
        before = await self._store.read(lambda connection: _summed_up(connection, school, day, bounds))

        async def work(connection: AsyncConnection) -> bool:
            cleared: Any = await connection.execute(_CLEAR, key)
            if not cleared.rowcount:
                return False  # another monitor made it
            # As in an hour: deleting may begin while this reads.
            if start < events_from(self._settings, self._clock() + _HOUR):
                _log.info("device_days_too_late", school=school, day=day)
                return False
            amount, rows = before
            if await _amount(connection, bounds) != amount:
                _, rows = await _summed_up(connection, school, day, bounds)
            await connection.execute(_FORGET, key)
            await put(connection, DEVICE_DAYS, _COLUMNS, rows)
            return True

        return await self._store.write(work, repeatable=True)


async def _summed_up(
    connection: AsyncConnection, school: str, day: int, bounds: dict[str, Any]
) -> tuple[int, list[tuple[Any, ...]]]:
    """Return how much there is of a day, and its rows."""
    amount = await _amount(connection, bounds)
    async with connection.stream(_EVENTS, bounds, execution_options={"yield_per": _ROWS}) as events:
        return amount, [(school, day, *row) async for row in _summaries(events, bounds["start"])]


async def _amount(connection: AsyncConnection, bounds: dict[str, Any]) -> int:
    """Return the number of a day's events: it grows with every delivery that could change a summary."""
    return int(await connection.scalar(_AMOUNT, bounds) or 0)


async def _marks(connection: AsyncConnection) -> list[tuple[str, int]]:
    return [(row.school, row.day) for row in await connection.execute(_MARKS)]


async def _summaries(events: Any, start: int) -> AsyncIterator[tuple[Any, ...]]:
    """Yield the rows of a day from its events, which come by pseudonym and category; holds one of them."""
    held: list[Row[Any]] = []
    async for event in events:
        if held and _of(held[0]) != _of(event):
            yield summary(held, start)
            held = []
        held.append(event)
    if held:
        yield summary(held, start)


_of = attrgetter("pseudonym", "category")


def summary(events: Iterable[Any], start: int) -> tuple[Any, ...]:
    """Return one device's day in one category, as `_COLUMNS` without school and day. Pure.

    Args:
        events: rows of EVENTS of one pseudonym and category (one at least), of a day, in any order.
        start: UTC seconds at which the day began.
    """
    events = list(events)
    hits = collapse([Lookup(event.bucket, event.domain, bool(event.hints)) for event in events], start)
    last = max(events, key=attrgetter("bucket", "group_id", "tier"))  # where the device was last
    return (
        last.pseudonym,
        last.category,
        last.group_id,
        last.tier,
        len(hits),
        sum(hit.doubtful for hit in hits),
        len({hit.domain for hit in hits}),
        len(episodes(hits)),
        ",".join(map(str, sure_steps(hits))),
    )
