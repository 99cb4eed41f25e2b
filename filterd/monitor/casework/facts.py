"""Facts of a month that only people know (parts 10, 13 and 14 of the monthly report): a fixed catalogue.

A fact belongs to a school or to the region (school ``""``). Each change stands in the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.access.boxes import identifier
from filterd.monitor.audit import Entry, named
from filterd.monitor.casework.privacy import checked
from filterd.monitor.store.paperwork import FACTS
from filterd.monitor.store.sql import upsert

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_MOST_COUNT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One fact of the catalogue.

    Args:
        part: of the monthly report (school.md).
        meaning: for people.
        of_school, of_region: whose it can be.
        check: returns the value as it is stored, or raises PaperworkError.
    """

    part: int
    meaning: str
    of_school: bool
    of_region: bool
    check: Callable[[str], str]


def _count(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text) <= _MOST_COUNT):
        raise PaperworkError("this fact is a number", remedy=f"write a whole number up to {_MOST_COUNT}")
    return str(int(text))


CATALOGUE: Final[dict[str, Kind]] = {
    "specialists_connected": Kind(10, "specialists connected to Kibernadzor", False, True, _count),
    "specialists_total": Kind(10, "specialists who should be (target: all)", False, True, _count),
    "incidents": Kind(
        13,
        "incidents, outages and limits of the month, in words",
        True,
        True,
        lambda text: checked(text, "the note", needed=True),
    ),
    "responsible": Kind(
        14,
        "the adult who answers for the report of this month",
        True,
        True,
        lambda text: checked(text, "the name", most=200, needed=True),
    ),
}


def month_number(text: str) -> int:
    """Return the month written ``2026-10`` as the store numbers it: year * 12 + month - 1.

    Raises:
        PaperworkError: it is none.
    """
    found = _MONTH.fullmatch(text)
    if found is None:
        raise PaperworkError(f"{text[:20]!r} is not a month", remedy="write year and month, as 2026-10")
    return int(found[1]) * 12 + int(found[2]) - 1


def month_text(number: int) -> str:
    """Return a month's number as ``2026-10``."""
    return f"{number // 12:04}-{number % 12 + 1:02}"


async def put(
    connection: AsyncConnection, school: str, month: int, name: str, value: str, *, by: str, now: int
) -> None:
    """Note a fact; an empty value takes it back.

    Raises:
        PaperworkError: no such fact, not this one's, a wrong value.
    """
    kind = CATALOGUE.get(name)
    if kind is None:
        raise PaperworkError(f"there is no fact {name[:70]!r}", remedy=f"one of {', '.join(CATALOGUE)}")
    if school:
        identifier(school, "school")
    if not (kind.of_school if school else kind.of_region):
        raise PaperworkError(
            f"{name} is a fact of {'the region' if school else 'a school'}",
            remedy="give --region" if school else "give --school",
        )
    value = kind.check(value) if value.strip() else ""
    await audit.alone(connection)
    key = (FACTS.c.school == school, FACTS.c.month == month, FACTS.c.name == name)
    old = await connection.scalar(select(FACTS.c.value).where(*key))
    row: dict[str, Any] = {"school": school, "month": month, "name": name, "value": value}
    if value:
        statement = upsert(connection, FACTS, replace=("value", "by", "at"))
        await connection.execute(statement, row | {"by": named(by), "at": now})
    else:
        await connection.execute(delete(FACTS).where(*key))
    told = {"month": month_text(month), "name": name, "old": old, "new": value or None}
    await audit.append(connection, now, Entry(school, by, "fact.set", told))


async def listed(connection: AsyncConnection, month: int) -> list[Row[Any]]:
    """Return the facts of a month, by school and name."""
    query = select(FACTS).where(FACTS.c.month == month).order_by(FACTS.c.school, FACTS.c.name)
    return list((await connection.execute(query)).all())
