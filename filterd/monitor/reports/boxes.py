"""What the boxes of schools said of themselves in a month: heartbeat, self-tests, age of the lists."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.reports.domains import label
from filterd.monitor.reports.month import HOUR
from filterd.monitor.reports.tally import Tally
from filterd.monitor.reports.uptime import add_heartbeat
from filterd.monitor.store.schema import BOX_HOURS, BOXES, PROCESSES, SELFTESTS

_FAR: Final = 1 << 37  # UTC seconds: a time beyond is no time


async def add_boxes(
    connection: AsyncConnection, found: Mapping[str, Tally], begin: int, end: int, zone: tzinfo
) -> set[str]:
    """Add uptime, outages and the age of the lists; return the schools that had a box."""
    hours: dict[str, list[tuple[int, int]]] = defaultdict(list)
    box = BOX_HOURS.c
    statement = select(box.school, box.hour, box.steps).where(
        box.school.in_(found), box.hour.between(begin - HOUR, end - 1)
    )
    for school, hour, steps in await connection.execute(statement):
        hours[school].append((hour, steps))
    first_seen = await _first_seen(connection, found)
    for school, since in first_seen.items():
        first = max(begin, min([since, *(hour for hour, steps in hours[school] if steps)]))
        if first < end:
            add_heartbeat(found[school], hours[school], begin=first, end=end, zone=zone)
            if first > begin:
                found[school].since = datetime.fromtimestamp(first, zone).date()
    await _add_lists(connection, found, end, zone)
    return {school for school, since in first_seen.items() if since < end}


async def _first_seen(connection: AsyncConnection, found: Mapping[str, Tally]) -> dict[str, int]:
    statement = (
        select(BOXES.c.school, func.min(BOXES.c.first_seen))
        .where(BOXES.c.school.in_(found))
        .group_by(BOXES.c.school)
    )
    return {school: int(first) for school, first in await connection.execute(statement)}


async def _add_lists(connection: AsyncConnection, found: Mapping[str, Tally], end: int, zone: tzinfo) -> None:
    """Add the oldest index and list in use; a process silent at the end of the month says nothing."""
    process = PROCESSES.c
    statement = select(process.school, process.health).where(
        process.school.in_(found), process.received >= end - 24 * HOUR
    )
    for school, health in await connection.execute(statement):
        values = json.loads(health)
        tally = found[school]
        tally.built = _older(tally.built, values.get("index_built"), zone)
        tally.confirmed = _older(tally.confirmed, values.get("lists_oldest"), zone)


def _older(known: date | None, seconds: float | None, zone: tzinfo) -> date | None:
    if not seconds or not 0 < seconds < _FAR:
        return known
    day = datetime.fromtimestamp(seconds, zone).date()
    return day if known is None else min(known, day)


async def add_tests(connection: AsyncConnection, found: Mapping[str, Tally], begin: int, end: int) -> None:
    """Add the self-tests of a month; the last one of a box says which categories have no source (R2)."""
    test = SELFTESTS.c
    statement = (
        select(SELFTESTS)
        .where(test.school.in_(found), test.at.between(begin, end - 1))
        .order_by(test.school, test.at)
    )
    last: dict[str, str] = {}
    for row in await connection.execute(statement):
        tally = found[row.school]
        tally.tests_made += 1
        failed = [label(one) for one in row.failed.split(",") if one]
        tally.tests_passed += not failed and not row.error
        tally.tests_failed.update(failed)
        tally.tests_last = datetime.fromtimestamp(row.at, UTC)
        tally.learning_tested += max(0, row.learning_tested)
        tally.learning_answered += min(max(0, row.learning_answered), max(0, row.learning_tested))
        if row.policy_version:
            tally.versions[label(row.policy_version)] += 1
        if row.tested:
            last[row.school] = row.no_source
    for school, ids in last.items():
        found[school].without_source.update(label(one) for one in ids.split(",") if one)
