"""Reads the month of schools from the store's roll-ups, some at a time: memory does not grow with a region.

With `counting`, `boxes` and `paper` all that reads what boxes and people brought: counts and states, never a
domain or a note, and a device's pseudonym only for as long as it takes to count it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final, Literal

from sqlalchemy import Select, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.pseudonym import KAZAKHSTAN
from filterd.monitor.reports.boxes import add_boxes, add_tests
from filterd.monitor.reports.counting import add_devices, add_usage
from filterd.monitor.reports.document import Texts
from filterd.monitor.reports.domains import without_domains
from filterd.monitor.reports.month import Month
from filterd.monitor.reports.paper import add_paper
from filterd.monitor.reports.tally import School, Tally
from filterd.monitor.store.paperwork import SCHOOLS
from filterd.monitor.store.schema import BOXES, USAGE_MONTHS
from filterd.monitor.store.store import Store

CHUNK: Final = 25  # schools read at once: about 25,000 device-categories, a few MB


@dataclass(frozen=True, slots=True)
class Area:
    """Whose schools: one school, a district, a region, or all (an empty ``id`` of a region)."""

    kind: Literal["school", "district", "region"]
    id: str


@dataclass(frozen=True, slots=True)
class Period:
    """A month seen from an instant.

    Args:
        month: the month.
        now: UTC seconds; a month that is not over is expected up to here.
        zone: of its days.
    """

    month: Month
    now: float
    zone: tzinfo = KAZAKHSTAN

    @property
    def begin(self) -> int:
        """Its first second."""
        return self.month.span(self.zone)[0]

    @property
    def end(self) -> int:
        """The second after its last, or now."""
        return max(self.begin, min(self.month.span(self.zone)[1], int(self.now)))

    @property
    def complete(self) -> bool:
        """Whether it is over."""
        return self.now >= self.month.span(self.zone)[1]


async def schools_of(store: Store, area: Area) -> list[str]:
    """Return the ids of an area's schools, those without a box included.

    A school that stands in no table of schools, but whose box delivers, is found as itself and among all.
    """
    heard = (select(BOXES.c.school), select(USAGE_MONTHS.c.school).distinct())
    if area.kind == "school":
        known = union(select(SCHOOLS.c.school), *heard).subquery()
        statement: Select[Any] = select(known.c.school).where(known.c.school == area.id)
    elif area.kind == "region" and not area.id:
        statement = select(union(select(SCHOOLS.c.school), *heard).subquery().c.school)
    else:
        statement = select(SCHOOLS.c.school).where(SCHOOLS.c[area.kind] == area.id)

    async def work(connection: AsyncConnection) -> list[str]:
        return sorted(str(row[0]) for row in await connection.execute(statement) if row[0])

    return await store.read(work)


async def tallies(
    store: Store, schools: Sequence[str], period: Period
) -> AsyncIterator[tuple[School, Tally]]:
    """Yield each school with its month, in the order given."""
    for start in range(0, len(schools), CHUNK):
        some = schools[start : start + CHUNK]

        async def work(connection: AsyncConnection, some: Sequence[str] = some) -> list[tuple[School, Tally]]:
            return await _read(connection, some, period)

        for found in await store.read(work):
            yield found


async def _read(
    connection: AsyncConnection, schools: Sequence[str], period: Period
) -> list[tuple[School, Tally]]:
    found = {school: Tally() for school in schools}
    known = await _schools(connection, schools)
    await add_usage(connection, found, period.month)
    await add_devices(connection, found, period.month)
    boxes = await add_boxes(connection, found, period.begin, period.end, period.zone)
    await add_tests(connection, found, period.begin, period.end)
    await add_paper(connection, found, period.begin, period.end)
    for school in boxes:
        known[school].has_box = True
    return [(known[school], found[school]) for school in schools]


async def _schools(connection: AsyncConnection, schools: Sequence[str]) -> dict[str, School]:
    known = {school: School(school, Texts(kk=school, ru=school, en=school)) for school in schools}
    for row in await connection.execute(select(SCHOOLS).where(SCHOOLS.c.school.in_(schools))):
        titles = {
            code: without_domains(getattr(row, f"title_{code}") or row.school) for code in ("kk", "ru", "en")
        }
        answer: Any = row.operator_service if row.operator_service in {"yes", "no"} else ""
        known[row.school] = School(
            id=row.school,
            title=Texts(**titles),
            region=without_domains(row.region),
            district=without_domains(row.district),
            devices=max(0, row.devices),
            operator=answer,
            operator_since=day_or_none(row.operator_since),
            responsible=without_domains(row.responsible),
        )
    return known


def day_or_none(text: str) -> date | None:
    """Return a day written in ISO 8601, None for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def moment(seconds: int) -> datetime:
    """Return an instant of the store."""
    return datetime.fromtimestamp(seconds, UTC)
