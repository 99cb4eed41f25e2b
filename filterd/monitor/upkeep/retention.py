"""Forgetting in time: events after 30 days, usage and box reports after three years (school.md, retention).

Deletes in small transactions so that deliveries are not held up; what is deleted is overwritten on the disk
(secure_delete, then the write-ahead log is emptied). Totals are kept: they name nobody.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Table, and_, delete, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.schema import BOXES, EVENTS, GAPS, PROCESSES, STREAMS, USAGE
from filterd.monitor.store.store import Clock, Store

DAY = 86_400
EVERY_SECONDS = 3600.0
_ROWS = 2000
_log = structlog.get_logger(__name__)


class Retention:
    """Deletes what is over its time."""

    def __init__(self, store: Store, settings: MonitorSettings, meter: Meter, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._meter = meter
        self._clock = clock
        self._to_scrub = False

    async def run(self, every: float = EVERY_SECONDS) -> None:
        """Purge now and then every ``every`` seconds, until cancelled."""
        while True:
            try:
                await self.purge()
            except StoreError as error:
                _log.error("retention_failed", error=error.message)
            await asyncio.sleep(every)

    async def purge(self) -> dict[str, int]:
        """Delete everything over its time; return how many rows of which table.

        Raises:
            StoreError: the store cannot be written; what was deleted so far stays deleted.
        """
        deleted: dict[str, int] = {}
        for table, old in self._rules():
            deleted[table.name] = await self._delete(table, old)
            if deleted[table.name]:
                self._meter.purged.labels(table.name).inc(deleted[table.name])
        await self._store.mark("retention")
        if any(deleted.values()):
            _log.info("retention", **deleted)
        self._to_scrub |= any(deleted.values())
        if self._to_scrub:  # a long read may hold the log: then the next hour tries again
            self._to_scrub = not await self._store.scrub()
        return deleted

    def _rules(self) -> list[tuple[Table, ColumnElement[bool]]]:
        now = int(self._clock())
        events = now - self._settings.retention_days_events * DAY
        usage = now - self._settings.retention_days_usage * DAY
        ahead = now + DAY
        # A clock that ran ahead must not keep a record for years: then the time of arrival counts.
        return [
            (
                EVENTS,
                or_(EVENTS.c.bucket < events, and_(EVENTS.c.bucket > ahead, EVENTS.c.received < events)),
            ),
            (USAGE, USAGE.c.hour < usage),
            (STREAMS, STREAMS.c.last_seen < usage),
            (GAPS, GAPS.c.noticed < usage),
            (PROCESSES, PROCESSES.c.received < usage),
            (BOXES, BOXES.c.last_seen < usage),
        ]

    async def _delete(self, table: Table, old: ColumnElement[bool]) -> int:
        keys = list(table.primary_key.columns)
        some = select(*keys).where(old).limit(_ROWS)
        statement = delete(table).where(tuple_(*keys).in_(some))

        async def work(connection: AsyncConnection) -> int:
            result: Any = await connection.execute(statement)
            return int(result.rowcount)

        total = 0
        while count := await self._store.write(work):
            total += count
        return total
