"""The export of one review card (R17): its pseudonymous facts as JSON, for a safeguarding system.

Says what school.md lets the psychologist see and nothing else: a pseudonym, half hours, counts. No name, no
address, no domain, no exact time; no card of staff, none of a visit to a help site. Every export names who
took it and what for in the audit log.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.audit import Entry
from filterd.monitor.casework.numbers import row_of
from filterd.monitor.casework.privacy import checked, forbidden
from filterd.monitor.store.paperwork import CARDS
from filterd.monitor.store.schema import DEVICE_DAYS

VERSION: Final = 1
_EPOCH: Final = date(1970, 1, 1)
_STEPS_OF_HALF_HOUR: Final = 6
_NEVER_TIERS: Final = frozenset({"staff"})
_NEVER_CATEGORIES: Final = "allow_"  # help-seeking is never a flag
_LIMITS: Final = (
    "A device is not a pupil; a shared computer is nobody's.",
    "DNS shows names that a device asked for, never what was seen, searched or written.",
    "A possible pattern; DNS cannot show intent. Not for discipline.",
)


async def export(
    connection: AsyncConnection, school: str, number: int, *, by: str, purpose: str, now: int
) -> dict[str, Any]:
    """Return the document of a card, and note who took it.

    Args:
        connection: of a write transaction.
        school: id.
        number: of the card.
        by: the person.
        purpose: what for; needed.
        now: UTC seconds.

    Raises:
        PaperworkError: no such card, one that may not leave, no purpose.
    """
    purpose = checked(purpose, "the purpose", needed=True)
    await audit.alone(connection)
    card = await row_of(connection, CARDS, school, number, "card")
    if card.tier in _NEVER_TIERS or card.category.startswith(_NEVER_CATEGORIES):
        raise PaperworkError(
            "a card of staff or of a help site is never exported", remedy="close it; it should not be there"
        )
    days = select(DEVICE_DAYS).where(
        DEVICE_DAYS.c.school == school,
        DEVICE_DAYS.c.pseudonym == card.pseudonym,
        DEVICE_DAYS.c.category == card.category,
    )
    rows = list((await connection.execute(days.order_by(DEVICE_DAYS.c.day))).all())
    found = document(card, rows)
    told = {"card": number, "purpose": purpose}
    await audit.append(connection, now, Entry(school, by, "case.export", told))
    return found


def document(card: Row[Any], days: list[Row[Any]]) -> dict[str, Any]:
    """Return the document of a card and the days of its device.

    Raises:
        PaperworkError: something in it could name a person or device: then nothing leaves.
    """
    hits, doubtful = sum(row.hits for row in days), sum(row.doubtful for row in days)
    found = {
        "version": VERSION,
        "school": card.school,
        "card": card.number,
        "category": card.category,
        "tier": card.tier,
        "pattern": card.pattern,
        "state": card.state,
        "reviewer": card.reviewer,
        "opened": _date(card.opened),
        "closed": _date(card.closed) if card.closed else None,
        "days": [_day(row) for row in days],
        "confidence": {"hits": hits, "of_these_doubtful": doubtful},
        "limits": list(_LIMITS),
    }
    for text in _texts(found):
        if what := forbidden(text):
            raise PaperworkError(f"the card holds {what}", remedy="take it out of the card first")
    return {**found, "device": card.pseudonym}  # letters and digits of a hash: no text to be checked


def _day(row: Row[Any]) -> dict[str, Any]:
    steps = [int(step) for step in row.buckets.split(",") if step]
    halves = sorted({step // _STEPS_OF_HALF_HOUR for step in steps})
    return {
        "date": (_EPOCH + timedelta(days=row.day)).isoformat(),
        "half_hours": [f"{half // 2:02}:{half % 2 * 30:02}" for half in halves],
        "hits": row.hits,
        "of_these_doubtful": row.doubtful,
        "distinct_sites": row.domains,
        "episodes": row.episodes,
    }


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
