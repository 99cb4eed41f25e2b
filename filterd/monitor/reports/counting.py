"""Counts lookups by outcome, category and tier, and the different devices behind the blocked ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.pseudonym import school_term
from filterd.monitor.reports.domains import label
from filterd.monitor.reports.month import Month, day_number
from filterd.monitor.reports.suppress import Key
from filterd.monitor.reports.tally import Tally
from filterd.monitor.store.schema import DEVICE_DAYS, USAGE_MONTHS


async def add_usage(connection: AsyncConnection, found: Mapping[str, Tally], month: Month) -> None:
    """Add the lookups of a month to the schools' tallies."""
    months = USAGE_MONTHS.c
    statement = select(
        months.school, months.tier, months.category, months.outcome, months.queries
    ).where(months.school.in_(found), months.month == month.number)  # fmt: skip
    for school, tier, category, outcome, queries in await connection.execute(statement):
        tally = found[school]
        tally.outcomes[outcome] += queries
        if outcome == "blocked":
            tally.blocked[(label(category), label(tier))] += queries


async def add_devices(connection: AsyncConnection, found: Mapping[str, Tally], month: Month) -> None:
    """Add how many different devices had blocked lookups, for each cell and total.

    Pseudonyms change with the term (22 March lies within a month): then the larger part counts, so that one
    device is never taken for two.
    """
    for first, last in _terms(month):
        days = DEVICE_DAYS.c
        statement = (
            select(days.school, days.category, days.tier, days.pseudonym)
            .where(days.school.in_(found), days.day.between(first, last))
            .distinct()
        )
        sets: dict[tuple[str, Key], set[str]] = defaultdict(set)
        for school, category, tier, pseudonym in await connection.execute(statement):
            row, column = label(category), label(tier)
            for key in ((row, column), (row, None), (None, column), (None, None)):
                sets[school, key].add(pseudonym)
        for (school, place), devices in sets.items():
            tally = found[school]
            tally.devices[place] = max(tally.devices[place], len(devices))


def _terms(month: Month) -> list[tuple[int, int]]:
    """Return the first and last day of each part of a month that lies in one term."""
    parts: list[tuple[int, int]] = []
    term = ""
    for day in month.days:
        number = day_number(day)
        if school_term(day) != term:
            term = school_term(day)
            parts.append((number, number))
        parts[-1] = (parts[-1][0], number)
    return parts
