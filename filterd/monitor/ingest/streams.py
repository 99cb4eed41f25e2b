"""The ledgers of sequences.py in the store, of many outboxes at once.

Their rows are locked before they are read, and what changed is written back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery
from filterd.monitor.ingest.decode import bad_batch
from filterd.monitor.ingest.sequences import Admission, Ledger
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.schema import GAPS, STREAMS
from filterd.monitor.store.sql import pick, put, same

StreamKey: TypeAlias = tuple[str, str, str]  # school, box, stream
_KEY = ("school", "box", "stream")
_STATE = (*_KEY, "high", "floor", "last_seen")
_ALL_OF_BOX = (
    select(STREAMS.c.stream)
    .where(*same(STREAMS, "school", "box"))
    .order_by(STREAMS.c.last_seen.desc(), STREAMS.c.stream)
)
_DROP_GAP = delete(GAPS).where(*same(GAPS, *_KEY, "first"))


def stream_key(delivery: Delivery) -> StreamKey:
    """Return what identifies the outbox a delivery comes from."""
    return delivery.school, delivery.box, delivery.stream


class Ledgers:
    """The ledgers of the outboxes of some deliveries, within one transaction; made by ``Ledgers.load``."""

    def __init__(self, found: dict[StreamKey, Ledger], limits: MonitorLimits) -> None:
        self._found = found
        self._before = {key: set(ledger.gaps) for key, ledger in found.items()}
        self._limits = limits
        self._changed: set[StreamKey] = set()

    @classmethod
    async def load(
        cls, connection: AsyncConnection, deliveries: Iterable[Delivery], limits: MonitorLimits, now: int
    ) -> Ledgers:
        """Read the ledgers and lock them against other monitors; new outboxes get one."""
        wanted: dict[StreamKey, list[int]] = {}
        for delivery in deliveries:
            if delivery.batches:
                numbers = wanted.setdefault(stream_key(delivery), [])
                numbers += [batch.sequence for batch in delivery.batches]
        keys = sorted(wanted)
        # Writing locks the rows that are there and makes those that are not. (SELECT ... FOR UPDATE would be
        # a statement more for new ones, and Citus has none over the rows of several schools.)
        await put(connection, STREAMS, _STATE, [(*key, 0, 0, now) for key in keys], replace=("last_seen",))
        rows = await pick(connection, STREAMS, _KEY, keys, ("high", "floor"))
        for row in rows:
            if not row[3]:  # new, or nothing was ever stored of it
                await _forget_oldest(connection, (row[0], row[1], row[2]), limits.streams_per_box)
        marks = {(row[0], row[1], row[2]): (int(row[3]), int(row[4])) for row in rows}
        # The rule: nothing is missing between what came and what comes. Else the gaps are needed.
        odd = [key for key, (high, _floor) in marks.items() if not _continues(wanted[key], high)]
        gaps: dict[StreamKey, list[tuple[int, int]]] = {}
        for row in await pick(connection, GAPS, _KEY, odd, ("first", "last")):
            gaps.setdefault((row[0], row[1], row[2]), []).append((int(row[3]), int(row[4])))
        return cls({key: Ledger(*mark, sorted(gaps.get(key, ()))) for key, mark in marks.items()}, limits)

    def admit(self, delivery: Delivery) -> tuple[list[int], int]:
        """Note a delivery's sequences; return those to store now, and how many batches were given up as lost.

        Raises:
            Problem: 422 for a sequence so old that nobody can tell whether it is stored; nothing is noted.
        """
        if not delivery.batches:
            return [], 0
        key = stream_key(delivery)
        ledger = self._found[key]
        trial = Ledger(ledger.high, ledger.floor, ledger.gaps)
        new = []
        for batch in delivery.batches:
            admission = trial.admit(batch.sequence)
            if admission is Admission.FORGOTTEN:
                raise bad_batch(
                    "forgotten", "whether this old batch is stored is no longer known", batch.sequence
                )
            if admission is Admission.NEW:
                new.append(batch.sequence)
        lost = trial.give_up(self._limits.gaps_per_stream)
        self._found[key] = trial
        self._changed.add(key)
        return new, lost

    async def save(self, connection: AsyncConnection, now: int) -> None:
        """Write back what changed."""
        changed = sorted(self._changed)
        ledgers = [(key, self._found[key]) for key in changed]
        states = [(*key, ledger.high, ledger.floor, now) for key, ledger in ledgers]
        await put(connection, STREAMS, _STATE, states, replace=("high", "floor", "last_seen"))
        gone: list[dict[str, Any]] = []
        opened: list[tuple[Any, ...]] = []
        for key, ledger in ledgers:
            before, after = self._before[key], set(ledger.gaps)
            gone += [_bound(key) | {"key_first": first} for first, _last in sorted(before - after)]
            opened += [(*key, first, last, now) for first, last in sorted(after - before)]
        if gone:
            await connection.execute(_DROP_GAP, gone)
        await put(connection, GAPS, (*_KEY, "first", "last", "noticed"), opened)


def _continues(numbers: list[int], high: int) -> bool:
    return numbers == list(range(high + 1, high + 1 + len(numbers)))


async def _forget_oldest(connection: AsyncConnection, key: StreamKey, keep: int) -> None:
    """Keep the latest used streams of the box: an outbox lost and begun anew is a new stream."""
    school, box, new = key
    bound = {"key_school": school, "key_box": box}
    known = (await connection.scalars(_ALL_OF_BOX, bound)).all()
    surplus = [stream for stream in known if stream != new][keep - 1 :]
    for table in (STREAMS, GAPS) if surplus else ():
        statement = delete(table).where(*same(table, "school", "box"), table.c.stream.in_(surplus))
        await connection.execute(statement, bound)


def _bound(key: StreamKey) -> dict[str, Any]:
    return {f"key_{name}": value for name, value in zip(_KEY, key, strict=True)}
