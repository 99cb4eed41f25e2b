"""The ledgers of sequences.py in the store: read with their row locked, written back as a difference."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery
from filterd.monitor.ingest.decode import bad_batch
from filterd.monitor.ingest.sequences import Admission, Ledger
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.schema import GAPS, STREAMS
from filterd.monitor.store.sql import insert_new, same

_KEY = ("school", "box", "stream")
_ROW = select(STREAMS.c.high, STREAMS.c.floor).where(*same(STREAMS, *_KEY)).with_for_update()
_ALL_OF_BOX = (
    select(STREAMS.c.stream)
    .where(*same(STREAMS, "school", "box"))
    .order_by(STREAMS.c.last_seen.desc(), STREAMS.c.stream)
)
_SAVE = update(STREAMS).where(*same(STREAMS, *_KEY))
_GAPS = select(GAPS.c.first, GAPS.c.last).where(*same(GAPS, *_KEY)).order_by(GAPS.c.first)
_DROP_GAP = delete(GAPS).where(*same(GAPS, *_KEY, "first"))


async def admit(
    connection: AsyncConnection, delivery: Delivery, limits: MonitorLimits, now: int
) -> tuple[list[int], int]:
    """Note the delivery's sequences; return those to store now, and how many batches were given up as lost.

    Raises:
        Problem: 422 for a sequence so old that nobody can tell whether it is stored.
    """
    if not delivery.batches:
        return [], 0
    sequences = [batch.sequence for batch in delivery.batches]
    ledger = await _load(connection, delivery, sequences, limits, now)
    before = set(ledger.gaps)
    new = []
    for sequence in sequences:
        admission = ledger.admit(sequence)
        if admission is Admission.FORGOTTEN:
            raise bad_batch("forgotten", "whether this old batch is stored is no longer known", sequence)
        if admission is Admission.NEW:
            new.append(sequence)
    lost = ledger.give_up(limits.gaps_per_stream)
    await _save(connection, delivery, ledger, before, now)
    return new, lost


async def _load(
    connection: AsyncConnection, delivery: Delivery, sequences: list[int], limits: MonitorLimits, now: int
) -> Ledger:
    key = _key(delivery)
    row = (await connection.execute(_ROW, _bound(key))).one_or_none()
    if row is None:  # the first of this outbox
        await connection.execute(
            insert_new(connection, STREAMS), key | {"high": 0, "floor": 0, "last_seen": now}
        )
        await _forget_oldest(connection, key, limits.streams_per_box)
        row = (await connection.execute(_ROW, _bound(key))).one()
    expected = range(row.high + 1, row.high + 1 + len(sequences))
    if sequences == list(expected):  # the rule: nothing is missing between what came and what comes
        return Ledger(row.high, row.floor)
    gaps = await connection.execute(_GAPS, _bound(key))
    return Ledger(row.high, row.floor, [(gap.first, gap.last) for gap in gaps])


async def _save(
    connection: AsyncConnection, delivery: Delivery, ledger: Ledger, before: set[tuple[int, int]], now: int
) -> None:
    key = _key(delivery)
    state = {"high": ledger.high, "floor": ledger.floor, "last_seen": now}
    await connection.execute(_SAVE, _bound(key) | state)
    after = set(ledger.gaps)
    if gone := [_bound(key | {"first": first}) for first, _last in before - after]:
        await connection.execute(_DROP_GAP, gone)
    if opened := [
        key | {"first": first, "last": last, "noticed": now} for first, last in sorted(after - before)
    ]:
        await connection.execute(insert(GAPS), opened)


async def _forget_oldest(connection: AsyncConnection, key: dict[str, Any], keep: int) -> None:
    """Keep the latest used streams of the box: an outbox lost and begun anew is a new stream."""
    box = {name: key[name] for name in ("school", "box")}
    known = (await connection.scalars(_ALL_OF_BOX, _bound(box))).all()
    surplus = [stream for stream in known if stream != key["stream"]][keep - 1 :]
    for table in (STREAMS, GAPS) if surplus else ():
        statement = delete(table).where(*same(table, "school", "box"), table.c.stream.in_(surplus))
        await connection.execute(statement, _bound(box))


def _key(delivery: Delivery) -> dict[str, Any]:
    return {"school": delivery.school, "box": delivery.box, "stream": delivery.stream}


def _bound(key: dict[str, Any]) -> dict[str, Any]:
    return {f"key_{name}": value for name, value in key.items()}
