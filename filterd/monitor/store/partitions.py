"""Partitions of the three largest tables on PostgreSQL: made ahead, dropped whole, a default for the rest.

Events live 30 days and are partitioned by day: by month a partition could only be dropped when its first
rows are twice as old as allowed. Usage and summaries are partitioned by month. Borders are those of UTC, so
that no setting can move them. A row for which no partition is there goes into the default one and is moved
when its partition is made: late rows are never lost. On SQLite there is nothing to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.days import DAY_SECONDS, date_of, first_day, month_of
from filterd.monitor.store.schema import DEVICE_DAYS, EVENTS, USAGE

_DAYS_AHEAD = 7
_MONTHS_AHEAD = 2
_LOCK = "SELECT pg_advisory_xact_lock(6120533, 2)"  # of partitions; any constant of ours
# What waits for a partition's lock is waited for by every delivery behind it: better to give up soon.
_PATIENCE = "SET LOCAL lock_timeout = '1s'"


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table in partitions.

    Args:
        table: the table.
        column: that tells the partition.
        by: a partition's length.
        unit: seconds of one unit of the column: 1 for seconds, a day's for days.
    """

    table: Table
    column: str
    by: Literal["day", "month"]
    unit: int

    @property
    def default(self) -> str:
        """Name of the default partition."""
        return f"{self.table.name}_default"

    def period(self, day: int) -> tuple[str, int, int]:
        """Return name, first and end value of the partition in which a day lies."""
        first, end, form = day, day + 1, "%Y%m%d"
        if self.by == "month":
            month = month_of(day)
            first, end, form = first_day(month), first_day(month + 1), "%Y%m"
        scale = DAY_SECONDS // self.unit
        return f"{self.table.name}_p{date_of(first).strftime(form)}", first * scale, end * scale

    def ahead(self, today: int) -> list[tuple[str, int, int]]:
        """Return the partitions to have at a day: its own and those to come."""
        if self.by == "day":
            return [self.period(day) for day in range(today, today + _DAYS_AHEAD + 1)]
        month = month_of(today)
        return [self.period(first_day(month + n)) for n in range(_MONTHS_AHEAD + 1)]


PARTITIONED = (
    Partitioned(EVENTS, "bucket", "day", 1),
    Partitioned(USAGE, "hour", "month", 1),
    Partitioned(DEVICE_DAYS, "day", "month", DAY_SECONDS),
)


async def existing(connection: AsyncConnection, table: str) -> dict[str, tuple[int, int]]:
    """Return a table's partitions, without the default one: name -> first and end value."""
    found = await connection.execute(_LIST, {"parent": table})
    bounds = ((row.name, _BOUNDS.search(row.bounds)) for row in found)
    return {name: (int(bound[1]), int(bound[2])) for name, bound in bounds if bound is not None}


_LIST = text(
    "SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = CAST(CAST(:parent AS text) AS regclass) ORDER BY c.relname"
)
_BOUNDS = re.compile(r"FROM \('(-?\d+)'\) TO \('(-?\d+)'\)")


async def make_ahead(connection: AsyncConnection, part: Partitioned, now: float) -> list[str]:
    """Make a table's partitions that are missing, in the caller's transaction; return their names.

    Rows that wait in the default partition are moved. Deliveries go on, except into the default partition.
    """
    if connection.dialect.name != "postgresql":
        return []
    await connection.execute(text(_LOCK))
    known = await existing(connection, part.table.name)
    missing = [item for item in part.ahead(int(now) // DAY_SECONDS) if item[0] not in known]
    if missing:
        await connection.execute(text(_PATIENCE))
        await connection.execute(text(f"LOCK TABLE {part.default} IN ACCESS EXCLUSIVE MODE"))
    for name, first, end in missing:
        for statement in _making(part, name, first, end):
            await connection.execute(text(statement))
    return [name for name, _first, _end in missing]


def _making(part: Partitioned, name: str, first: int, end: int) -> tuple[str, ...]:
    """Return the statements that make one partition; all names and numbers in them are ours."""
    table, within = part.table.name, f"{part.column} >= {first} AND {part.column} < {end}"
    return (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)",
        (
            f"WITH moved AS (DELETE FROM {part.default} WHERE {within} RETURNING *)"  # noqa: S608
            f" INSERT INTO {name} SELECT * FROM moved"
        ),
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})",
    )


async def drop_old(connection: AsyncConnection, part: Partitioned, border: int) -> dict[str, int]:
    """Drop the partitions that end at or before a border; return their names and numbers of rows.

    Args:
        connection: in the caller's transaction.
        part: the table.
        border: values of its column below this are over their time.
    """
    if connection.dialect.name != "postgresql":
        return {}
    await connection.execute(text(_LOCK))
    known = await existing(connection, part.table.name)
    old = sorted(name for name, (_first, end) in known.items() if end <= border)
    if old:
        await connection.execute(text(_PATIENCE))
    dropped = {}
    for name in old:
        dropped[name] = int(await connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0)  # noqa: S608
        await connection.execute(text(f"DROP TABLE {name}"))
    return dropped
