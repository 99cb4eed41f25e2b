"""Deliveries into the store: rows, numbers and the boxes' reports in ONE transaction, then the receipts.

Deliveries that come while others are being stored share the next transaction (groups.py): 500 boxes cost a
few dozen commits a second, not 500. A batch stored before is acknowledged and not stored again, so a box may
send as often as it likes; what this returns is on the disk. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.events.batch import Delivery, Receipt
from filterd.monitor.ingest.groups import Groups
from filterd.monitor.ingest.processes import store_reports
from filterd.monitor.ingest.rollups import add_rollups, store_selftests
from filterd.monitor.ingest.rows import EVENT_COLUMNS, USAGE_COLUMNS, Rows, clamp, merged, rows_of
from filterd.monitor.ingest.streams import Ledgers
from filterd.monitor.ingest.totals import add_totals
from filterd.monitor.metrics.labels import LabelBook
from filterd.monitor.problems import Problem
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.schema import BOXES, EVENTS, USAGE
from filterd.monitor.store.sql import put
from filterd.monitor.store.store import Clock, Store

_COUNTED = ("stored_batches", "duplicate_batches", "lost_batches", "future_events", "ignored_values")


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a delivery: batches new and known, records of the new ones."""

    receipt: Receipt
    new: int
    duplicates: int
    events: int
    usage: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A delivery and the rows of each of its batches."""

    delivery: Delivery
    parts: dict[int, Rows]

    def weight(self) -> int:
        return 1 + sum(len(rows.events) + len(rows.usage) for rows in self.parts.values())


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A delivery of which is known what of it is new."""

    delivery: Delivery
    known: int
    new: list[int]
    lost: int
    rows: Rows


class Ingest:
    """Stores deliveries."""

    def __init__(self, store: Store, settings: MonitorSettings, labels: LabelBook, clock: Clock) -> None:
        self._store = store
        self._limits = settings.limits
        self._zone = settings.days_in
        self._labels = labels
        self._clock = clock
        self._generation = store.generation
        self._groups = Groups(self._store_group, _Prepared.weight, settings.limits.group_rows)

    async def accept(self, delivery: Delivery) -> Stored:
        """Store a checked delivery of an authenticated box.

        Raises:
            Problem: 422, a batch that cannot be stored; nothing was.
            StoreError: not stored, or not known to be: send it again.
        """
        now = int(self._clock())
        future_from = now + self._limits.skew_seconds
        parts = {
            batch.sequence: rows_of(
                delivery.school, delivery.box, batch, received=now, future_from=future_from
            )
            for batch in delivery.batches
        }
        try:
            return await self._groups.put(_Prepared(delivery, parts), self._limits.store_seconds)
        except TimeoutError:
            raise StoreError("the store has been busy for too long", remedy="send it again") from None

    async def close(self) -> None:
        """Wait until nothing is being stored."""
        await self._groups.close()

    async def _store_group(self, group: Sequence[_Prepared]) -> Sequence[Stored | Exception]:
        try:
            return await self._store.write(lambda connection: self._work(connection, group), repeatable=True)
        except StoreError as error:
            # A value that the database cannot take is one delivery's fault, not that of its neighbours.
            if len(group) == 1 or not isinstance(error.__cause__, DataError | IntegrityError):
                return [error] * len(group)
        return [result for one in group for result in await self._store_group([one])]

    async def _work(
        self, connection: AsyncConnection, group: Sequence[_Prepared]
    ) -> list[Stored | Exception]:
        now = int(self._clock())
        if self._generation != self._store.generation:
            self._labels.forget()
            self._generation = self._store.generation
        ledgers = await Ledgers.load(connection, (one.delivery for one in group), self._limits, now)
        results = [_admitted(ledgers, one) for one in group]
        admitted = [one for one in results if isinstance(one, _Admitted)]
        rows = merged(one.rows for one in admitted)
        await put(connection, EVENTS, EVENT_COLUMNS, rows.event_rows(), add=("count",))
        await put(connection, USAGE, USAGE_COLUMNS, rows.usage_rows(), add=("queries",))
        await add_rollups(connection, rows, self._zone, now)
        await add_totals(connection, rows, self._labels)
        deliveries = [one.delivery for one in admitted]
        ignored = await store_reports(connection, deliveries, self._limits, now)
        await store_selftests(connection, deliveries, now + self._limits.skew_seconds)
        await _store_boxes(connection, admitted, ignored, now)
        await ledgers.save(connection, now)
        return [one if isinstance(one, Exception) else _stored(one) for one in results]


def _admitted(ledgers: Ledgers, one: _Prepared) -> _Admitted | Exception:
    try:
        new, lost = ledgers.admit(one.delivery)
    except Problem as problem:
        return problem
    rows = merged(one.parts[sequence] for sequence in new)
    return _Admitted(one.delivery, len(one.parts) - len(new), new, lost, rows)


def _stored(one: _Admitted) -> Stored:
    receipt = Receipt(acknowledged=[batch.sequence for batch in one.delivery.batches])
    return Stored(receipt, len(one.new), one.known, len(one.rows.events), len(one.rows.usage))


async def _store_boxes(
    connection: AsyncConnection, admitted: Sequence[_Admitted], ignored: Sequence[int], now: int
) -> None:
    """Note that the boxes were seen, and what was counted of them."""
    boxes: dict[tuple[str, str], list[int]] = {}
    for one, values in zip(admitted, ignored, strict=True):
        counts = boxes.setdefault((one.delivery.school, one.delivery.box), [0] * len(_COUNTED))
        adds = (len(one.new), one.known, one.lost, one.rows.future, values)
        for place, add in enumerate(adds):
            counts[place] = clamp(counts[place] + add)
    columns = ("school", "box", "first_seen", "last_seen", *_COUNTED)
    rows = [(*box, now, now, *boxes[box]) for box in sorted(boxes)]
    await put(connection, BOXES, columns, rows, add=_COUNTED, replace=("last_seen",))
