"""The next number of a school's rows; a number is given once.

In a write transaction that holds the audit log's lock, which lets one such transaction work at a time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError


async def next_number(connection: AsyncConnection, table: Table, school: str) -> int:
    """Return the number for a new row of the school."""
    query = select(func.max(table.c.number)).where(table.c.school == school)
    return int(await connection.scalar(query) or 0) + 1


async def row_of(connection: AsyncConnection, table: Table, school: str, number: int, what: str) -> Row[Any]:
    """Return a row, kept from changing until the end of the transaction.

    Raises:
        PaperworkError: there is none.
    """
    query = select(table).where(table.c.school == school, table.c.number == number).with_for_update()
    row = (await connection.execute(query)).first()
    if row is None:
        raise PaperworkError(f"school {school[:70]!r} has no {what} {number}", remedy="list them first")
    return row
