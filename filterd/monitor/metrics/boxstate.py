"""What is known of each box: alive, silent or never heard of, its clock, what it lost. For pages and reports.

A silent box is silent, not clean: whoever shows numbers of a school shows this beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.store.schema import BOXES, GAPS, PROCESSES, SELFTESTS

CLOCK_SLACK = 60.0  # seconds by which a time of our own may lie ahead: our clock was set back a little
_CLOCK_WRONG = 120  # seconds by which a box's clock may be off before anybody should look


class Heard(StrEnum):
    """Whether a box is heard of."""

    NEVER = "never"
    SILENT = "silent"
    ALIVE = "alive"


@dataclass(frozen=True, slots=True)
class BoxState:
    """One box as the endpoint knows it; times are UTC seconds of the endpoint's clock, 0: never.

    Args:
        school: its school.
        box: its id.
        heard: whether it is heard of.
        first_seen: its first delivery.
        last_seen: its latest delivery.
        reported: when its latest report of its health came.
        clock_offset: its clock minus ours at that report, seconds; ``None`` without a report.
        missing: batches that have not come though later ones have; they may come yet.
        lost: batches that were waited for too long.
        misdated: records dated over a day ahead.
        version: of its program, ``""`` without a report.
        policy_version: of its policy.
        index_version: of its lists.
        tested: when its latest self-test ended, by its clock.
        failed: categories that failed it.
    """

    school: str
    box: str
    heard: Heard
    first_seen: int = 0
    last_seen: int = 0
    reported: int = 0
    clock_offset: int | None = None
    missing: int = 0
    lost: int = 0
    misdated: int = 0
    version: str = ""
    policy_version: str = ""
    index_version: str = ""
    tested: int = 0
    failed: tuple[str, ...] = ()

    @property
    def clock_wrong(self) -> bool:
        """Tell whether its clock is off by so much that times of its events mislead."""
        return self.misdated > 0 or (self.clock_offset is not None and abs(self.clock_offset) > _CLOCK_WRONG)

    @property
    def gaps(self) -> bool:
        """Tell whether something it counted is not here."""
        return self.missing > 0 or self.lost > 0


async def box_states(
    connection: AsyncConnection,
    known: Iterable[tuple[str, str]],
    *,
    now: float,
    silent_seconds: float,
    school: str | None = None,
) -> list[BoxState]:
    """Return what is known of each box, by school and box.

    Args:
        connection: to read by.
        known: (school, box) that may deliver: these are shown though they were never heard of. One that has
            delivered and may no longer is shown too.
        now: UTC seconds.
        silent_seconds: a box that says nothing for so long is silent.
        school: only of this school.
    """
    boxes = await _rows(connection, select(BOXES), BOXES, school)
    reports: dict[tuple[str, str], Any] = {}
    for row in (await connection.execute(_of(select(PROCESSES), PROCESSES, school))).all():
        held = reports.get((row.school, row.box))
        if held is None or (row.received, row.at) > (held.received, held.at):
            reports[row.school, row.box] = row
    missing = await _rows(connection, _MISSING, GAPS, school)
    tests = await _rows(connection, _LATEST_TEST, SELFTESTS, school)
    keys = {key for key in known if school in (None, key[0])} | boxes.keys()
    found = []
    for key in sorted(keys):
        box = boxes.get(key)
        alive = box is not None and is_recent(box.last_seen, now, silent_seconds)
        rows = {"report": reports.get(key), "gap": missing.get(key), "test": tests.get(key)}
        found.append(BoxState(*key, Heard.NEVER) if box is None else _state(box, alive=alive, **rows))
    return found


def is_recent(at: float, now: float, silent_seconds: float) -> bool:
    """Tell whether a time of our own clock is recent; one in the future is not.

    It was taken before the clock was set back.
    """
    return now - silent_seconds <= at <= now + CLOCK_SLACK


def _state(box: Any, *, alive: bool, report: Any, gap: Any, test: Any) -> BoxState:
    return BoxState(
        box.school,
        box.box,
        Heard.ALIVE if alive else Heard.SILENT,
        first_seen=box.first_seen,
        last_seen=box.last_seen,
        reported=report.received if report else 0,
        clock_offset=report.at - report.received if report else None,
        missing=int(gap.missing) if gap else 0,
        lost=box.lost_batches,
        misdated=box.future_events,
        version=report.version if report else "",
        policy_version=report.policy_version if report else "",
        index_version=report.index_version if report else "",
        tested=test.at if test else 0,
        failed=tuple(test.failed.split(",")) if test and test.failed else (),
    )


_MISSING = select(
    GAPS.c.school, GAPS.c.box, func.sum(GAPS.c.last - GAPS.c.first + 1).label("missing")
).group_by(GAPS.c.school, GAPS.c.box)
_NEWEST = (
    select(SELFTESTS.c.school, SELFTESTS.c.box, func.max(SELFTESTS.c.at).label("at"))
    .group_by(SELFTESTS.c.school, SELFTESTS.c.box)
    .subquery()
)
_LATEST_TEST = select(SELFTESTS).join(
    _NEWEST,
    (SELFTESTS.c.school == _NEWEST.c.school)
    & (SELFTESTS.c.box == _NEWEST.c.box)
    & (SELFTESTS.c.at == _NEWEST.c.at),
)


def _of(query: Select[Any], table: Table, school: str | None) -> Select[Any]:
    return query if school is None else query.where(table.c.school == school)


async def _rows(
    connection: AsyncConnection, query: Select[Any], table: Table, school: str | None
) -> dict[tuple[str, str], Any]:
    found = await connection.execute(_of(query, table, school))
    return {(row.school, row.box): row for row in found}
