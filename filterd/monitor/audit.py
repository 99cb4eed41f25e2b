"""The audit log: who did what at the endpoint, one chain a school (``""``: the region), each row sealed.

A row holds the hash of the one before it; it is written in the transaction of the change that it tells, so
there is no change without its row and no row without its change. Rows that were altered, taken out or put in
show, rows cut off at the end too. Someone who may write the database can make a chain anew: `heads` are what
to keep elsewhere (a signed report, a mail to the region) against that.

Never holds a token, a pupil's data or a text that a pupil wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.monitor.store.paperwork import AUDIT
from filterd.monitor.store.schema import MARKS
from filterd.monitor.store.sql import upsert

FIRST: Final = "0" * 64
MOST_DETAILS: Final = 8192  # characters of JSON
_WHO: Final = 200
_LOCK: Final = 0x66696C74  # "filt": PostgreSQL's advisory lock of all chains; rows here are few
_HEAD, _FLOOR = "audit_head", "audit_floor"  # of the newest row; of the last one that retention took
NAMES: Final = (_HEAD, _FLOOR)  # in MARKS, with a number in the place of a time


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be noted.

    Args:
        school: whose chain; ``""``: the region's.
        who: the person, by name or login.
        what: short stable word with dots, e.g. ``"box.add"``.
        details: plain JSON values: the old and the new, the reason.
    """

    school: str
    who: str
    what: str
    details: Mapping[str, Any]


def named(who: str) -> str:
    """Return a person's name as it is noted.

    Raises:
        PaperworkError: it is none.
    """
    who = " ".join(who.split())
    if not who or len(who) > _WHO or not who.isprintable():
        raise PaperworkError("nobody is named", remedy="say who does it: --by NAME")
    return who


def sealed(school: str, number: int, at: int, entry: tuple[str, str, str], before: str) -> str:
    """Return the hash of a row: SHA-256 of its canonical JSON with the hash before it.

    Args:
        school: of the row.
        number: of the row.
        at: UTC seconds.
        entry: who, what, details (as stored).
        before: the hash of the row before.
    """
    values = [school, number, at, *entry, before]
    canonical = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


async def append(connection: AsyncConnection, at: int, *entries: Entry) -> None:
    """Add rows, in the caller's transaction, to the chains of their schools.

    Raises:
        PaperworkError: nobody is named, or the details are too long.
    """
    if not entries:
        return
    await alone(connection)
    schools = {entry.school for entry in entries}
    last, marks = await _heads(connection, schools), await _marks(connection)
    # Where rows at the end were taken out, the numbers go on behind them: the gap stays to be seen.
    ends = {
        school: (max(number, marks.get((school, _HEAD), 0)), seal)
        for school, (number, seal) in ((school, last.get(school, (0, FIRST))) for school in schools)
    }
    rows: list[dict[str, Any]] = []
    for entry in entries:
        number, before = ends[entry.school]
        details = json.dumps(entry.details, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        if len(details) > MOST_DETAILS:
            raise PaperworkError("what is to be noted is too long", remedy="write less")
        noted = (named(entry.who), entry.what, details)
        seal = sealed(entry.school, number + 1, at, noted, before)
        ends[entry.school] = (number + 1, seal)
        keys = ("school", "number", "at", "who", "what", "details", "before", "hash")
        rows.append(dict(zip(keys, (entry.school, number + 1, at, *noted, before, seal), strict=True)))
    await connection.execute(insert(AUDIT), rows)
    moved = [{"school": school, "name": _HEAD, "at": ends[school][0]} for school in sorted(ends)]
    await connection.execute(upsert(connection, MARKS, replace=("at",)), moved)


async def heads(connection: AsyncConnection) -> dict[str, tuple[int, str]]:
    """Return the number and hash of the newest row of each chain."""
    return await _heads(connection, None)


async def show(connection: AsyncConnection, school: str | None, limit: int) -> list[Row[Any]]:
    """Return the newest rows, the newest first; of one school's chain, or of all."""
    query = select(AUDIT).order_by(AUDIT.c.at.desc(), AUDIT.c.school, AUDIT.c.number.desc()).limit(limit)
    if school is not None:
        query = query.where(AUDIT.c.school == school)
    return list((await connection.execute(query)).all())


async def faults(
    connection: AsyncConnection, kept: Mapping[str, tuple[int, str]] | None = None
) -> AsyncIterator[str]:
    """Yield what is wrong with the chains, in words; nothing when they are whole.

    Args:
        connection: of a read transaction.
        kept: heads noted earlier elsewhere: each must still stand in its chain.
    """
    marks = await _marks(connection)
    kept = dict(kept or {})
    schools = {school for school, _name in marks} | set(kept) | set(await heads(connection))
    for school in sorted(schools):
        head, floor = marks.get((school, _HEAD), 0), marks.get((school, _FLOOR), 0)
        async for fault in _chain(connection, school, (floor, head), kept.get(school)):
            yield f"{school or 'the region'}: {fault}"


async def _chain(
    connection: AsyncConnection, school: str, ends: tuple[int, int], kept: tuple[int, str] | None
) -> AsyncIterator[str]:
    last, head = ends
    before = FIRST if last == 0 else None
    query = select(AUDIT).where(AUDIT.c.school == school).order_by(AUDIT.c.number)
    async with connection.stream(query) as rows:
        async for row in rows:
            if row.number != last + 1:
                yield f"rows between {last} and {row.number} are missing"
                before = None
            if row.hash != sealed(school, row.number, row.at, (row.who, row.what, row.details), row.before):
                yield f"row {row.number} was altered"
            if before is not None and row.before != before:
                yield f"row {row.number} does not follow row {last}"
            if kept is not None and kept[0] == row.number and kept[1] != row.hash:
                yield f"row {row.number} is not the one whose hash was kept"
            last, before = row.number, row.hash
    if head > last or (kept is not None and kept[0] > last):
        yield f"rows after {last} are missing"
    elif last > head:
        yield f"rows after {head} were put in"


async def purge(connection: AsyncConnection, before: int) -> int:
    """Delete the rows older than a time, whole beginnings of chains only; return how many.

    For retention: the log itself is kept three years (school.md).
    """
    await alone(connection)
    newest = select(AUDIT.c.school, func.max(AUDIT.c.number).label("number"))
    old = newest.where(AUDIT.c.at < before).group_by(AUDIT.c.school)
    deleted = 0
    for school, number in (await connection.execute(old)).all():
        # A clock that once ran ahead must not keep the rows behind it: all up to the last old row go.
        gone = delete(AUDIT).where(AUDIT.c.school == school, AUDIT.c.number <= number)
        deleted += int((await connection.execute(gone)).rowcount)
        mark = {"school": school, "name": _FLOOR, "at": number}
        await connection.execute(upsert(connection, MARKS, replace=("at",)), mark)
    return deleted


async def alone(connection: AsyncConnection) -> None:
    """Let one transaction at a time add rows, from here to its end; SQLite's writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


async def _heads(connection: AsyncConnection, schools: set[str] | None) -> dict[str, tuple[int, str]]:
    newest = select(AUDIT.c.school, func.max(AUDIT.c.number).label("number")).group_by(AUDIT.c.school)
    if schools is not None and len(schools) == 1:
        newest = newest.where(AUDIT.c.school.in_(schools))
    last = newest.subquery()
    query = select(AUDIT.c.school, AUDIT.c.number, AUDIT.c.hash).join(
        last, (AUDIT.c.school == last.c.school) & (AUDIT.c.number == last.c.number)
    )
    return {
        row.school: (row.number, row.hash)
        for row in await connection.execute(query)
        if schools is None or row.school in schools
    }


async def _marks(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    query = select(MARKS).where(MARKS.c.name.in_(NAMES))
    return {(row.school, row.name): row.at for row in await connection.execute(query)}
