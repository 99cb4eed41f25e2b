"""Makes reports from an open store: one school's, an area's, or all of a month; school by school."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import ReportError
from filterd.events.pseudonym import KAZAKHSTAN
from filterd.monitor.reports import shelf
from filterd.monitor.reports.document import Document, Retention, Texts
from filterd.monitor.reports.domains import without_domains
from filterd.monitor.reports.make import AreaReport, Frame, school_document
from filterd.monitor.reports.month import Month
from filterd.monitor.reports.paper import facts_of
from filterd.monitor.reports.read import Area, Period, schools_of, tallies
from filterd.monitor.reports.shelf import Kept
from filterd.monitor.store.paperwork import SCHOOLS
from filterd.monitor.store.store import Store
from filterd.rules.categories import Categories

Progress = Callable[[int, int], object]
EVERYWHERE: Final = Area("region", "")
_ALL_SCHOOLS: Final = Texts(kk="Барлық мектептер", ru="Все школы", en="All schools")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where reports are made.

    Args:
        store: open.
        categories: the catalogue.
        retention: how long data are kept.
        titles: by kind and id, of schools that the table of schools does not name, and of areas.
        demonstration: all figures are made up.
        zone: of the monitor's days and months.
    """

    store: Store
    categories: Categories
    retention: Retention
    titles: Mapping[tuple[str, str], Texts] = field(default_factory=dict)
    demonstration: bool = False
    zone: tzinfo = KAZAKHSTAN

    def month(self, text: str | None, now: float) -> Month:
        """Return a month as written; without one, the month before this.

        Raises:
            ReportError: it is not a month.
        """
        return Month.parse(text) if text else Month.at(now, self.zone).before

    async def monthly(
        self, area: Area, period: Period, progress: Progress = lambda _done, _all: None
    ) -> Kept:
        """Make the report of a month and keep it.

        Raises:
            ReportError: there is no such school, or no school in the area.
        """
        try:
            document = await self.document(area, period, progress)
        except ValidationError as error:  # the last guard: a figure or text that no report may hold
            raise ReportError(
                f"the report of {area.id or 'all schools'} cannot be made: {error.errors()[0]['msg']}",
                remedy="look at the titles, facts and ids of its schools",
            ) from error
        return await shelf.keep(self.store, area, document, period.now)

    async def document(self, area: Area, period: Period, progress: Progress) -> Document:
        """Make the report of a month, without keeping it; errors as of `monthly`."""
        if period.begin > period.now:
            raise ReportError(f"{period.month} has not begun", remedy="name a month that has")
        schools = await schools_of(self.store, area)
        if not schools:
            raise ReportError(
                f"no {area.kind} {area.id!r} is known here" if area.id else "no school is known here",
                remedy="write its id as it stands in the policy and in the table of schools",
            )
        frame = Frame(
            period,
            self.categories,
            self.retention,
            await self._facts("", period),
            self.demonstration,
            {name: texts for (kind, name), texts in self.titles.items() if kind == "region"},
        )
        if area.kind == "school":
            return await self._school(frame, area)
        report = AreaReport(frame, area, self._title(area))
        done = 0
        async for school, tally in tallies(self.store, schools, period):
            report.add(school, tally)
            done += 1
            progress(done, len(schools))
        return report.document()

    async def all_areas(self) -> list[Area]:
        """Return every report that is due; of all schools together when none of them names a region."""
        schools = [Area("school", one) for one in await schools_of(self.store, EVERYWHERE)]
        statement = select(SCHOOLS.c.region, SCHOOLS.c.district).distinct()

        async def work(connection: AsyncConnection) -> list[tuple[str, str]]:
            return [(region, district) for region, district in await connection.execute(statement)]

        told = await self.store.read(work)
        regions = [Area("region", one) for one in sorted({region for region, _ in told if region})]
        districts = [Area("district", one) for one in sorted({district for _, district in told if district})]
        if not regions and len(schools) > 1:
            regions = [EVERYWHERE]
        return [*schools, *districts, *regions]

    async def _school(self, frame: Frame, area: Area) -> Document:
        async for school, tally in tallies(self.store, [area.id], frame.period):
            if (own := self.titles.get(("school", area.id))) and school.title.en == area.id:
                school.title = own
            return school_document(frame, school, tally, await self._facts(area.id, frame.period))
        raise ReportError(f"no school {area.id!r} is known here")

    async def _facts(self, school: str, period: Period) -> dict[str, str]:
        async def work(connection: AsyncConnection) -> dict[str, str]:
            return await facts_of(connection, school, period.month)

        return await self.store.read(work)

    def _title(self, area: Area) -> Texts:
        """Return what an area is called; its id when nothing else is known."""
        name = without_domains(area.id)
        own = self.titles.get((area.kind, area.id), Texts(kk=name, ru=name, en=name))
        return own if area.id else _ALL_SCHOOLS
