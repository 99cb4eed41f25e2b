"""What /metrics reads of the store, in one read transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor import audit
from filterd.monitor.access import registry
from filterd.monitor.store.schema import BOXES, EVENT_TOTALS, GAPS, MARKS, PROCESSES, USAGE_TOTALS

_NO_TIMES = (*audit.NAMES, registry.NAME)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store holds at one instant; ``None`` instead when it cannot be read."""

    usage: list[Row[Any]]
    events: list[Row[Any]]
    boxes: dict[tuple[str, str], Row[Any]]
    reports: list[Row[Any]]
    missing: dict[tuple[str, str], int]
    marks: dict[str, int]


async def load(connection: AsyncConnection) -> Snapshot:
    """Read what /metrics shows."""
    missing = select(GAPS.c.school, GAPS.c.box, func.sum(GAPS.c.last - GAPS.c.first + 1).label("missing"))
    own = select(MARKS).where(MARKS.c.school == "", MARKS.c.name.not_in(_NO_TIMES))
    boxes = (await connection.execute(select(BOXES))).all()
    return Snapshot(
        usage=list((await connection.execute(select(USAGE_TOTALS))).all()),
        events=list((await connection.execute(select(EVENT_TOTALS))).all()),
        boxes={(box.school, box.box): box for box in boxes},
        reports=list((await connection.execute(select(PROCESSES))).all()),
        missing={
            (row.school, row.box): int(row.missing)
            for row in await connection.execute(missing.group_by(GAPS.c.school, GAPS.c.box))
        },
        marks={row.name: row.at for row in await connection.execute(own)},
    )
