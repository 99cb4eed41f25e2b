"""What /metrics reads of the store, in one read transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.store.paperwork import SCHOOLS
from filterd.monitor.store.schema import BOXES, EVENT_TOTALS, GAPS, MARKS, PROCESSES, USAGE_TOTALS

_PLACES = select(SCHOOLS.c.school, SCHOOLS.c.region, SCHOOLS.c.district)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store holds at one instant; ``None`` instead when it cannot be read."""

    usage: list[Row[Any]]
    events: list[Row[Any]]
    boxes: dict[tuple[str, str], Row[Any]]
    reports: list[Row[Any]]
    missing: dict[tuple[str, str], int]
    marks: dict[str, int]
    places: dict[str, tuple[str, str]]  # school -> region, district


async def load(connection: AsyncConnection) -> Snapshot:
    """Read what /metrics shows."""
    missing = select(GAPS.c.school, GAPS.c.box, func.sum(GAPS.c.last - GAPS.c.first + 1).label("missing"))
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
        places={
            row.school: (row.region, row.district)
            for row in await connection.execute(
                select(SCHOOLS.c.school, SCHOOLS.c.region, SCHOOLS.c.district)
            )
        },
        marks={row.name: row.at for row in await connection.execute(select(MARKS))},
    )
