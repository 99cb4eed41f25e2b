"""A delivery into the store: rows, numbers and the box's report in ONE transaction, then the receipt.

A batch stored before is acknowledged and not stored again, so a box may send as often as it likes; what
this returns is on the disk. Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery, Receipt
from filterd.monitor.ingest.processes import store_report
from filterd.monitor.ingest.rollups import add_rollups, store_selftest
from filterd.monitor.ingest.rows import Row, Rows, clamp, merged, rows_of
from filterd.monitor.ingest.streams import admit
from filterd.monitor.ingest.totals import add_totals
from filterd.monitor.metrics.labels import LabelBook
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.schema import BOXES, EVENTS, USAGE
from filterd.monitor.store.sql import upsert
from filterd.monitor.store.store import Clock, Store

_USAGE = ("school", "hour", "group_id", "tier", "category", "outcome", "queries")


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a delivery: batches new and known, records of the new ones."""

    receipt: Receipt
    new: int
    duplicates: int
    events: int
    usage: int


class Ingest:
    """Stores deliveries."""

    def __init__(self, store: Store, settings: MonitorSettings, labels: LabelBook, clock: Clock) -> None:
        self._store = store
        self._limits = settings.limits
        self._zone = settings.days_in
        self._labels = labels
        self._clock = clock
        self._generation = store.generation

    async def accept(self, delivery: Delivery) -> Stored:
        """Store a checked delivery of an authenticated box.

        Raises:
            Problem: 422, a batch that cannot be stored; nothing was.
            StoreError: not stored, or not known to be: send it again.
        """
        now = int(self._clock())
        future_from = now + self._limits.skew_seconds
        parts = {
            batch.sequence: rows_of(delivery.school, batch, received=now, future_from=future_from)
            for batch in delivery.batches
        }

        async def work(connection: AsyncConnection) -> Stored:
            if self._generation != self._store.generation:
                self._labels.forget()
                self._generation = self._store.generation
            new, lost = await admit(connection, delivery, self._limits, now)
            rows = merged(parts[sequence] for sequence in new)
            await _store_rows(connection, delivery.school, rows)
            await add_rollups(connection, delivery, rows, self._zone, now)
            await add_totals(connection, delivery.school, rows, self._labels)
            counts = {
                "stored_batches": len(new),
                "duplicate_batches": len(parts) - len(new),
                "lost_batches": clamp(lost),
                "future_events": rows.future,
                "ignored_values": 0,
            }
            if delivery.health is not None:
                counts |= await store_report(connection, delivery, delivery.health, self._limits, now)
                await store_selftest(connection, delivery, delivery.health, future_from)
            await _store_box(connection, delivery, counts, now)
            receipt = Receipt(acknowledged=list(parts))
            return Stored(receipt, len(new), len(parts) - len(new), len(rows.events), len(rows.usage))

        return await self._store.write(work)


async def _store_rows(connection: AsyncConnection, school: str, rows: Rows) -> None:
    # In the order of the key: PostgreSQL's row locks are then taken in one order by all, and SQLite's
    # pages are visited one after the other.
    if events := [rows.events[key] for key in sorted(rows.events)]:
        for row in events:
            row["count"] = clamp(row["count"])
        await connection.execute(upsert(connection, EVENTS, add=("count",)), events)
    if rows.usage:
        usage = [
            dict(zip(_USAGE, (school, *key, clamp(rows.usage[key])), strict=True))
            for key in sorted(rows.usage)
        ]
        await connection.execute(upsert(connection, USAGE, add=("queries",)), usage)


async def _store_box(
    connection: AsyncConnection, delivery: Delivery, counts: dict[str, int], now: int
) -> None:
    """Note that the box was seen, and what was counted of it."""
    row: Row = {"school": delivery.school, "box": delivery.box, "first_seen": now, "last_seen": now, **counts}
    await connection.execute(upsert(connection, BOXES, add=tuple(counts), replace=("last_seen",)), row)
