"""Forgetting in time: the rules of rules.py enforced.

On PostgreSQL whole partitions are dropped; what is left, and everything on SQLite, is deleted in small
transactions so that deliveries are not held up. What is deleted from SQLite is overwritten on the disk
(secure_delete, then the write-ahead log is emptied).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Table, delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.partitions import PARTITIONED, drop_old, make_ahead
from filterd.monitor.store.schema import DEVICE_DAYS, EVENTS, USAGE
from filterd.monitor.store.store import Clock, Store
from filterd.monitor.upkeep.rules import RULES, Borders, borders

_ROWS = 2000
# Two monitors that delete the same rows in another order would deadlock.
_LOCK = "SELECT pg_advisory_xact_lock(6120533, 3)"
_log = structlog.get_logger(__name__)


class Retention:
    """Deletes what is over its time."""

    def __init__(self, store: Store, settings: MonitorSettings, meter: Meter, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._meter = meter
        self._clock = clock
        self._to_scrub = False

    async def purge(self) -> dict[str, int]:
        """Delete everything over its time; return how many rows of which table.

        Raises:
            StoreError: the store cannot be written; what was deleted so far stays deleted.
        """
        now = borders(self._settings, self._clock())
        deleted = await self._drop(now)
        for rule in RULES:
            if rule.old is not None:
                name = rule.table.name
                deleted[name] = deleted.get(name, 0) + await self._delete(rule.table, rule.old(now))
                if deleted[name]:
                    self._meter.purged.labels(name).inc(deleted[name])
        if any(deleted.values()):
            _log.info("retention", **{name: count for name, count in deleted.items() if count})
        self._to_scrub |= any(deleted.values())
        if self._to_scrub:  # a long read may hold the log: then the next hour tries again
            self._to_scrub = not await self._store.scrub()
        return deleted

    async def make_partitions(self) -> list[str]:
        """Make the partitions of the days and months to come; return their names. Nothing to do on SQLite.

        Raises:
            StoreError: some could not be made; rows go into the default partition until they are.
        """
        made: list[str] = []
        for part in PARTITIONED:
            now = self._clock()
            made += await self._store.write(partial(make_ahead, part=part, now=now), repeatable=True)
        return made

    async def _drop(self, now: Borders) -> dict[str, int]:
        """Drop whole partitions; return the numbers of rows they held."""
        limits = {EVENTS: now.events, USAGE: now.aggregates, DEVICE_DAYS: now.summaries}
        dropped: dict[str, int] = {}
        for part in PARTITIONED:
            work = partial(drop_old, part=part, border=limits[part.table])
            found = await self._store.write(work, repeatable=True)
            if found:
                _log.info("partitions_dropped", **found)
                dropped[part.table.name] = sum(found.values())
        return dropped

    async def _delete(self, table: Table, old: ColumnElement[bool]) -> int:
        keys = list(table.primary_key.columns)
        some = select(*keys).where(old).limit(_ROWS)
        statement = delete(table).where(tuple_(*keys).in_(some))

        async def work(connection: AsyncConnection) -> int:
            if connection.dialect.name == "postgresql":
                await connection.execute(text(_LOCK))
            result: Any = await connection.execute(statement)
            return int(result.rowcount)

        total = 0
        while count := await self._store.write(work, repeatable=True):
            total += count
        return total
